#!/usr/bin/env python3
"""Flips the rules of src/fhir/authorize and src/auth one by one and runs their unit tests: each flip
should make a test fail.

    scripts/mutate-authorize.py [--list]

Every condition (of `if`, guards, `ensure`, closures, results) is taken apart at && and ||; each part
is forced to true and to false, each match arm on a text is taken away. All flips are built into one
program that an environment variable chooses from, so there is one build and a short run for each.
Prints the flips that no test notices; exit code 1 if there are any that EXPECTED does not name.
"""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = ["src/auth", "src/auth/roles", "src/fhir/authorize"]
COPY = ROOT / "target/mutants/dsf"

# Flips that change nothing, with the reason.
EXPECTED = {
    ("value.is_object()", "true"): "a list has no member `reference`",
    ("(side == REQUESTER || party.can_receive())", "true"): "a recipient is asked for as local and as no person anyway",
    ("identifier_value(identifier, ORGANIZATION_IDENTIFIER).is_some()", "true"): "means() asks the same of an identifier",
    ("case.identity.is_local()", "false"): "the store says what a local identity brings along",
    ("own.id.is_some()", "false"): "the store says what a local identity brings along",
    ('!old.list("input").any(|i| is_key(&i))', "true"): "a key of before is missing in what is left without keys",
    ("is_key(&i)", "false"): "a key of before is missing in what is left without keys",
}

CHOOSER = '''
/// Chooses a flip; see scripts/mutate-authorize.py.
pub fn flip(number: u32, value: bool) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<(u32, bool)>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("FLIP").ok()?;
        let (number, to) = text.split_once('=')?;
        Some((number.parse().ok()?, to == "true"))
    });
    match chosen {
        Some((chosen, to)) if *chosen == number => *to,
        _ => value,
    }
}
'''


def masked(text):
    """The text with comments and literals blanked, of the same length."""
    pattern = r'//[^\n]*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", "_", m.group()), text)


def end_of(mask, start, stops):
    """Where an expression that begins at `start` ends: at one of `stops` outside of brackets."""
    depth, at = 0, start
    while at < len(mask):
        if depth == 0 and any(mask.startswith(stop, at) for stop in stops):
            return at
        if mask[at] in "([{":
            depth += 1
        elif mask[at] in ")]}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return None


def conditions(mask):
    """The ranges of all conditions."""
    for found in re.finditer(r"(?<!fn )\bensure\(\s*", mask):
        yield found.end(), end_of(mask, found.end(), [","])
    for found in re.finditer(r"\bif\s+(?!let\b)", mask):
        end = end_of(mask, found.end(), [" {", " =>"])
        if end and "let " not in mask[found.end() : end]:
            yield found.end(), end
    closures = r"\.(?:any|all|filter|is_some_and|is_none_or|position|find)\(\s*(?:move )?\|[^|]*\|\s*"
    for found in re.finditer(closures, mask):
        if mask[found.end()] != "{":
            yield found.end(), end_of(mask, found.end(), [","])
    for found in re.finditer(r"\{\s", mask):
        end = end_of(mask, found.end(), [])
        if end is None:
            continue
        body = mask[found.end() : end]
        depth, last = 0, 0
        for at, letter in enumerate(body):
            depth += (letter in "([{") - (letter in ")]}")
            ends = letter == "}" and body[at + 1 : at + 2] == "\n" and body[at + 1 :].strip()
            if depth == 0 and (letter == ";" or ends):
                last = at + 1
        tail, flat = body[last:], outer(body[last:])
        is_bool = mask.endswith("-> bool ", 0, found.start())
        compares = re.search(r"\s(&&|\|\||[=!]=)\s", flat) and not re.search(r"=>|\w: |,\n", flat)
        if is_bool and re.match(r"\s*match\b", tail):
            yield from arms_of(mask, found.end() + last + tail.index("{") + 1)
        elif tail.strip() and (is_bool or compares) and not re.match(r"\s*(match|if|for|let)\b", tail):
            yield found.end() + last + len(tail) - len(tail.lstrip()), found.end() + len(body.rstrip())
    for found in re.finditer(r"\blet (?:mut )?\w+ =\s+((?:move )?\|[^|]*\|\s*)?", mask):
        end = end_of(mask, found.end(), [";"])
        is_block = mask[found.end()] == "{"
        if end and not is_block and re.search(r"\s(&&|\|\||[=!]=|<=?|>=?)\s", outer(mask[found.end() : end])):
            yield found.end(), end
    for found in re.finditer(r"=>\s+(?=true,|false,|[^\n{]* == [^\n{]*,\n)", mask):
        yield found.end(), end_of(mask, found.end(), [","])
    for found in re.finditer(r"\bmatch\s+(?=[^\n]* \{\s+(?:true|false) =>)", mask):
        yield found.end(), end_of(mask, found.end(), [" {"])
    for found in re.finditer(r"\)\s*\.then(?:_some)?\(", mask):
        depth, at = 1, found.start() - 1
        while depth:
            depth += (mask[at] in ")]}") - (mask[at] in "([{")
            at -= 1
        if not re.match(r"[\w!]", mask[at]):
            yield at + 2, found.start()


def arms_of(mask, start):
    """The results of the arms of a match."""
    at = start
    while (arrow := end_of(mask, at, ["=>"])) is not None and mask.startswith("=>", arrow):
        begin = arrow + 2 + len(mask[arrow + 2 :]) - len(mask[arrow + 2 :].lstrip())
        if mask[begin] == "{":
            at = end_of(mask, begin + 1, []) + 1
        else:
            at = end_of(mask, begin, [","])
            yield begin, at
        at += mask.startswith(",", at)


def outer(mask):
    """The text outside of brackets."""
    depth, kept = 0, []
    for letter in mask:
        depth += letter in "([{"
        kept.append(letter if depth == 0 else "_")
        depth -= letter in ")]}"
    return "".join(kept)


def parts(mask, start, end):
    """The operands of a condition."""
    flat, at = outer(mask[start:end]), 0
    for found in re.finditer(r"\s(?:&&|\|\||&)\s+", flat):
        yield start + at, start + found.start()
        at = found.end()
    yield start + at, end


def flips(path, number):
    """The text with flips built in, and what they are."""
    text = path.read_text()
    mask = masked(text)
    # Tests at the end of a file are no rules.
    mask = mask[: mask.find("#[cfg(test)]\nmod tests {")] if "#[cfg(test)]\nmod tests {" in mask else mask
    ranges, arms = set(), set()
    constant = [(found.end(), end_of(mask, found.end(), [])) for found in re.finditer(r"\bconst fn [^{]*\{", mask)]
    for start, end in conditions(mask):
        # Nothing is chosen while the program is built.
        if end is not None and not any(begin <= start < stop for begin, stop in constant):
            ranges.update(parts(mask, start, end))
    for found in re.finditer(r'(?m)^ +[^\n/]*"[^\n]*?(?= => )', text[: len(mask)]):
        if " if " not in found.group() and "matches!" not in found.group():
            arms.add(found.end())
    inserts, known = [], []
    for start, end in sorted(ranges, key=lambda r: (r[0], -r[1])):
        source = " ".join(text[start:end].split())
        if not source or source in ("true", "false"):
            continue
        line = text.count("\n", 0, start) + 1
        inserts.append((start, 0, -end, f"crate::flip({number}, "))
        inserts.append((end, -1, -start, ")"))
        known += [(number, value, f"{path.name}:{line}: {source[:90]}") for value in ("true", "false")]
        number += 1
    for end in sorted(arms):
        line = text.count("\n", 0, end) + 1
        begin = text.rfind("\n", 0, end) + 1
        inserts.append((end, 0, 0, f" if crate::flip({number}, true)"))
        known.append((number, "false", f"{path.name}:{line}: arm {text[begin:end].strip()[:80]}"))
        number += 1
    for at, _, _, insert in sorted(inserts, key=lambda i: (i[0], i[1], i[2]), reverse=True):
        text = text[:at] + insert + text[at:]
    return text, known, number


def build():
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.split("\n"):
        if name and (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, COPY / name)
    number, known = 1, []
    for path in sorted(path for folder in RULES for path in (ROOT / folder).glob("*.rs")):
        if path.name == "tests.rs":
            continue
        text, some, number = flips(path, number)
        (COPY / path.relative_to(ROOT)).write_text(text)
        known += some
    top = COPY / "src/lib.rs"
    top.write_text(top.read_text() + CHOOSER)
    return known


def program():
    command = ["cargo", "test", "--lib", "--no-run", "--message-format=short", "--target-dir", str(ROOT / "target")]
    built = subprocess.run(command, cwd=COPY, capture_output=True, text=True)
    found = re.search(r"Executable.*\((.*)\)", built.stderr)
    if not found:
        sys.exit(built.stderr[-4000:])
    # Another build may put its own program there meanwhile.
    return shutil.copy(COPY / found.group(1), COPY.parent / "program")


def main():
    known = build()
    if "--list" in sys.argv:
        for number, value, what in known:
            print(number, value, what)
        return
    test = [str(program()), "fhir::authorize", "auth::", "-q"]
    if subprocess.run(test, cwd=COPY, capture_output=True).returncode != 0:
        sys.exit("the tests fail without any flip")
    unnoticed = []
    for number, value, what in known:
        environment = {"FLIP": f"{number}={value}", "PATH": "/usr/bin:/bin"}
        try:
            run = subprocess.run(test, cwd=COPY, capture_output=True, env=environment, timeout=60)
            noticed = run.returncode != 0
        except subprocess.TimeoutExpired:
            noticed = True
        if not noticed:
            unnoticed.append((what, value))
    print(f"{len(known)} flips, {len(known) - len(unnoticed)} noticed")
    open_ones = [(what, value) for what, value in unnoticed if (what.split(": ", 1)[1], value) not in EXPECTED]
    for what, value in unnoticed:
        reason = EXPECTED.get((what.split(": ", 1)[1], value), "NOT NOTICED")
        print(f"{what} -> {value}: {reason}")
    sys.exit(1 if open_ones else 0)


if __name__ == "__main__":
    main()
