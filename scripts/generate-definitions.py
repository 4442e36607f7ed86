#!/usr/bin/env python3
"""Writes conformance/r4/structures.tsv and codes.tsv, what the validator knows of FHIR R4.

Usage: scripts/generate-definitions.py DEFINITIONS [FOLDER]

DEFINITIONS is the unpacked official package hl7.fhir.r4.core 4.0.1 (CC0): StructureDefinition-*,
ValueSet-* and CodeSystem-*.json. The output depends on nothing else; src/fhir/validate/core reads
it. Tab separated; a blank within a column separates its parts. Addresses are shortened: S: is
http://hl7.org/fhir/StructureDefinition/, V: http://hl7.org/fhir/ValueSet/, F: http://hl7.org/fhir/,
T: http://terminology.hl7.org/, a bare word is S: and the word.

structures.tsv

  !KEY SEVERITY SOURCE EXPRESSION HUMAN            a constraint; rows name it by its number, from 0
  =TYPE KIND BASE ABSTRACT                         then the rows of its snapshot, the root first
  PATH MIN MAX TYPES FLAGS BINDING CONSTRAINTS CONDITIONS BASE MORE

PATH leaves out the type, the root's is a dot. A type is CODE<PROFILE,…>(TARGET,…), ^CODE for a
System type that stands for a FHIR type, ~ at the end for a hierarchy, or #PATH for a content
reference. FLAGS: M modifier, S summary, s no word on summary, A XML attribute, X XHTML, E sliced
extensions. BINDING: r, e, p, x and the value set. BASE: path, min, max where they differ.
MORE: members of the element as JSON.

codes.tsv

  =C URL VERSION CONTENT CASE       then one row of codes: depth in the hierarchy (a digit of
                                    base 36) and the code
  =V URL VERSION                    then rows of includes (+) and excludes (-):
  + SYSTEM VERSION VALUESETS FILTERS CODES…         a filter is PROPERTY,OP,VALUE
"""
import json
import pathlib
import string
import sys

FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
HIERARCHY = "http://hl7.org/fhir/StructureDefinition/structuredefinition-hierarchy"
REGEX = "http://hl7.org/fhir/StructureDefinition/regex"
SHORT = [
    ("S:", "http://hl7.org/fhir/StructureDefinition/"),
    ("V:", "http://hl7.org/fhir/ValueSet/"),
    ("F:", "http://hl7.org/fhir/"),
    ("T:", "http://terminology.hl7.org/"),
]
DIGITS = string.digits + string.ascii_lowercase


def short(url):
    for prefix, long in SHORT:
        if url.startswith(long):
            rest = url[len(long):]
            return rest if prefix == "S:" and rest.isalpha() else prefix + rest
    return url


def clean(text):
    return " ".join(text.split())


def read(folder, kind):
    found = [json.loads(file.read_text("utf-8")) for file in folder.glob(f"{kind}-*.json")]
    return sorted(found, key=lambda d: d["url"])


def type_column(element):
    if "contentReference" in element:
        return element["contentReference"]
    columns = []
    for kind in element.get("type", []):
        extensions = {e["url"]: e for e in kind.get("extension", [])}
        code = short(kind["code"]) if kind["code"].startswith("http:") else kind["code"]
        if FHIR_TYPE in extensions:
            named = extensions[FHIR_TYPE]
            code = "^" + named.get("valueUrl", named.get("valueUri", "string")) + "=" + code.rpartition(".")[2]
        if "profile" in kind:
            code += "<" + ",".join(map(short, kind["profile"])) + ">"
        if "targetProfile" in kind:
            code += "(" + ",".join(map(short, kind["targetProfile"])) + ")"
        columns.append(code + ("~" if HIERARCHY in extensions else ""))
    return " ".join(columns)


def flags(element):
    letters = "M" if element.get("isModifier") else ""
    letters += {True: "S", False: "", None: "s"}[element.get("isSummary")]
    represented = element.get("representation", [])
    letters += "A" if "xmlAttr" in represented else ""
    letters += "X" if "xhtml" in represented else ""
    return letters + ("E" if "slicing" in element else "")


def binding(element):
    bound = element.get("binding")
    if not bound:
        return ""
    letter = {"required": "r", "extensible": "e", "preferred": "p", "example": "x"}
    return letter[bound["strength"]] + short(bound.get("valueSet", ""))


def more(element):
    kept = {k: v for k, v in element.items() if k in ("minValueInteger", "maxValueInteger", "maxLength")}
    for kind in element.get("type", []):
        for extension in kind.get("extension", []):
            if extension["url"] == REGEX and element["path"].endswith(".value"):
                kept["regex"] = extension["valueString"]
    return json.dumps(kept, separators=(",", ":")) if kept else ""


class Structures:
    def __init__(self):
        self.constraints = {}

    def number(self, constraint):
        row = "\t".join([
            constraint["key"], constraint["severity"], short(constraint.get("source", "")),
            clean(constraint.get("expression", "")), clean(constraint["human"]),
        ])
        return str(self.constraints.setdefault(row, len(self.constraints)))

    def row(self, root, element):
        path = element["path"][len(root) + 1:] or "."
        base, own = element["base"], (element["min"], element["max"])
        based = ""
        if (base["path"], base["min"], base["max"]) != (element["path"], *own):
            based = f"{base['path']} {base['min']} {base['max']}"
        columns = [
            path, str(element["min"]), element["max"], type_column(element), flags(element),
            binding(element), " ".join(map(self.number, element.get("constraint", []))),
            " ".join(element.get("condition", [])), based, more(element),
        ]
        return "\t".join(columns).rstrip("\t")

    def lines(self, definitions):
        rows = []
        for definition in definitions:
            root = definition["type"]
            base = definition.get("baseDefinition", "-").rpartition("/")[2]
            kind = definition["kind"].partition("-")[0]
            rows.append(f"={root}\t{kind}\t{base}\t{'abstract' if definition['abstract'] else ''}".rstrip("\t"))
            rows.extend(self.row(root, element) for element in definition["snapshot"]["element"])
        return ["!" + row for row in self.constraints] + rows


def concepts(listed, depth=0):
    for concept in listed:
        yield DIGITS[min(depth, 35)] + concept["code"]
        yield from concepts(concept.get("concept", []), depth + 1)


def code_lines(systems, sets):
    for system in systems:
        yield "\t".join([
            "=C", short(system["url"]), system.get("version", ""), system["content"],
            "sensitive" if system.get("caseSensitive") else "",
        ]).rstrip("\t")
        yield "\t".join(concepts(system.get("concept", [])))
    for one in sets:
        yield f"=V\t{short(one['url'])}\t{one.get('version', '')}".rstrip("\t")
        for sign, name in (("+", "include"), ("-", "exclude")):
            for part in one.get("compose", {}).get(name, []):
                filters = [f"{f['property']},{f['op']},{f['value']}" for f in part.get("filter", [])]
                yield "\t".join([
                    sign, short(part.get("system", "")), part.get("version", ""),
                    " ".join(map(short, part.get("valueSet", []))), " ".join(filters),
                    *(concept["code"] for concept in part.get("concept", [])),
                ]).rstrip("\t")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    here = pathlib.Path(__file__).resolve().parent.parent
    output = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else here / "conformance/r4"
    folder = pathlib.Path(sys.argv[1])
    base = [d for d in read(folder, "StructureDefinition")
            if d.get("derivation") != "constraint" and d["kind"] != "logical"]
    files = {
        "structures.tsv": Structures().lines(sorted(base, key=lambda d: d["type"])),
        "codes.tsv": list(code_lines(read(folder, "CodeSystem"), read(folder, "ValueSet"))),
    }
    for name, lines in files.items():
        text = f"# FHIR R4 (4.0.1). Generated by scripts/{pathlib.Path(__file__).name}.\n" + "\n".join(lines) + "\n"
        (output / name).write_text(text, "utf-8")
        print(f"{output / name}: {len(lines)} lines, {len(text)} characters")


main()
