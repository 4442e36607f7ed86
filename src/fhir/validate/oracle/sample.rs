//! Values made up: of data types, and resources that a profile asks for.

use serde_json::{Map, Value, json};

use crate::fhir::validate::snapshot::{Node, Tree, max_of, min_of};
use crate::fhir::validate::{Definition, Library};
use crate::r4::Node as _;
use crate::r4::table::{Block, Content, table};

/// A value of a data type that its own rules allow; `None` for those that are not made up.
pub fn of_type(name: &str) -> Option<Value> {
    Some(match name {
        "boolean" => json!(true),
        "integer" | "unsignedInt" | "positiveInt" => json!(3),
        "decimal" => json!(1.5),
        "string" | "markdown" => json!("text"),
        "code" => json!("code"),
        "id" => json!("id-1"),
        "uri" | "url" | "canonical" => json!("http://example.org/x"),
        "oid" => json!("urn:oid:1.2.3.4.5"),
        "uuid" => json!("urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"),
        "date" => json!("2026-01-02"),
        "dateTime" => json!("2026-01-02T03:04:05Z"),
        "instant" => json!("2026-01-02T03:04:05.678Z"),
        "time" => json!("03:04:05"),
        "base64Binary" => json!("aGVsbG8="),
        "Identifier" => json!({ "system": "http://example.org/sid", "value": "v" }),
        "Coding" => json!({ "system": "http://example.org/codes", "code": "x" }),
        "CodeableConcept" => {
            json!({ "coding": [{ "system": "http://example.org/codes", "code": "x" }] })
        }
        "Reference" => {
            json!({ "identifier": { "system": "http://example.org/sid", "value": "v" } })
        }
        "Period" => json!({ "start": "2026-01-01", "end": "2026-02-01" }),
        "Quantity" | "Age" | "Duration" | "Count" | "Distance" | "SimpleQuantity" => {
            json!({ "value": 3, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d" })
        }
        "Range" => json!({ "low": { "value": 1 }, "high": { "value": 2 } }),
        "HumanName" => json!({ "family": "Family" }),
        "Address" => json!({ "city": "City" }),
        "ContactPoint" => json!({ "system": "phone", "value": "1" }),
        "ContactDetail" => json!({ "name": "Name" }),
        "Attachment" => json!({ "contentType": "text/plain", "data": "aGVsbG8=" }),
        "Annotation" => json!({ "text": "note" }),
        "Expression" => json!({ "language": "text/fhirpath", "expression": "true" }),
        "RelatedArtifact" => json!({ "type": "citation", "display": "x" }),
        "Extension" => json!({ "url": "http://example.org/extension", "valueString": "x" }),
        "Narrative" => json!({
            "status": "generated",
            "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">text</div>",
        }),
        "Meta" => json!({ "source": "http://example.org/source" }),
        _ => return None,
    })
}

/// What a profile asks for at least; if it `is_full`, with one of each slice.
pub fn of_profile(library: &Library, definition: &Definition, is_full: bool) -> Option<Value> {
    let tree = library.snapshot_of(definition).ok()?;
    let filler = Filler { library, is_full };
    let Value::Object(members) = filler.of_tree(&tree)? else {
        return None;
    };
    let mut whole = Map::new();
    whole.insert("resourceType".to_owned(), json!(definition.type_name));
    let mut meta = members.get("meta").cloned().unwrap_or_else(|| json!({}));
    meta["profile"] = json!([definition.canonical()]);
    if meta.get("tag").is_none() && definition.type_name != "Task" {
        let system = "http://dsf.dev/fhir/CodeSystem/read-access-tag";
        meta["tag"] = json!([{ "system": system, "code": "ALL" }]);
    }
    whole.insert("meta".to_owned(), meta);
    whole.extend(members.into_iter().filter(|(name, _)| name != "meta"));
    Some(Value::Object(whole))
}

/// A response to a Questionnaire, with an answer to each question.
pub fn of_form(form: &Value, status: &str) -> Value {
    let url = form.text("url").unwrap_or_default();
    let version = form.text("version").unwrap_or_default();
    let items = form.items("item").filter_map(|question| {
        let (name, of_it) = match question.text("type")? {
            "text" => ("valueString", "string"),
            "url" => ("valueUri", "uri"),
            "choice" | "open-choice" => ("valueCoding", "Coding"),
            "quantity" => ("valueQuantity", "Quantity"),
            "reference" => ("valueReference", "Reference"),
            "boolean" => ("valueBoolean", "boolean"),
            "decimal" => ("valueDecimal", "decimal"),
            "integer" => ("valueInteger", "integer"),
            "date" => ("valueDate", "date"),
            "dateTime" => ("valueDateTime", "dateTime"),
            "time" => ("valueTime", "time"),
            "string" => ("valueString", "string"),
            _ => return None,
        };
        let answer = json!([{ name: of_type(of_it)? }]);
        let (id, text) = (question.get("linkId")?, question.get("text")?);
        Some(json!({ "linkId": id, "text": text, "answer": answer }))
    });
    let items: Vec<Value> = items.collect();
    let system = "http://dsf.dev/sid/organization-identifier";
    json!({
        "resourceType": "QuestionnaireResponse",
        "meta": { "profile": ["http://dsf.dev/fhir/StructureDefinition/questionnaire-response"] },
        "questionnaire": format!("{url}|{version}"),
        "status": status,
        "authored": "2026-01-02T03:04:05Z",
        "author": { "type": "Organization", "identifier": { "system": system, "value": "Test_Organization" } },
        "item": items,
    })
}

struct Filler<'a> {
    library: &'a Library,
    is_full: bool,
}

impl Filler<'_> {
    fn of_tree(&self, tree: &Tree) -> Option<Value> {
        let block = table().block(table().find(&tree.type_name)?);
        Some(self.children(&tree.root, block))
    }

    fn children(&self, node: &Node, block: &'static Block) -> Value {
        let mut members = Map::new();
        for child in &node.children {
            if max_of(&child.element) == Some(0) {
                continue;
            }
            let type_name = child
                .types()
                .find_map(|kind| kind.text("code"))
                .unwrap_or_default();
            let name = match child.name.strip_suffix("[x]") {
                Some(stem) => {
                    let (first, rest) = type_name.split_at(type_name.len().min(1));
                    format!("{stem}{}{rest}", first.to_uppercase())
                }
                None => child.name.clone(),
            };
            let Some(element) = block.element(&name) else {
                continue;
            };
            let values = self.occurrences(child, element.content);
            if values.is_empty() {
                continue;
            }
            let value = if element.is_list {
                Value::Array(values)
            } else {
                values.into_iter().next().unwrap_or_default()
            };
            members.insert(name, value);
        }
        Value::Object(members)
    }

    /// As many as there must be: of each slice first, then others.
    fn occurrences(&self, node: &Node, content: Content) -> Vec<Value> {
        let mut values = Vec::new();
        for slice in &node.slices {
            let least = min_of(&slice.element).max(u32::from(self.is_full));
            let most = max_of(&slice.element).unwrap_or(u32::MAX);
            for _ in 0..least.min(most) {
                values.extend(self.value(slice, content));
            }
        }
        while values.len() < min_of(&node.element) as usize {
            match self.value(node, content) {
                Some(value) => values.push(value),
                None => break,
            }
        }
        values
    }

    fn value(&self, node: &Node, content: Content) -> Option<Value> {
        let given = |stem: &str| {
            let is_it = |(name, _): &(&String, &Value)| name.starts_with(stem);
            node.element
                .iter()
                .find(is_it)
                .map(|(_, value)| value.clone())
        };
        if let Some(value) = given("fixed").or_else(|| given("pattern")) {
            return Some(value);
        }
        let kind = node.types().next();
        let code = kind.and_then(|kind| kind.text("code")).unwrap_or_default();
        let profile = kind.and_then(|kind| kind.texts("profile").next());
        if let Some(value) = self.coded(node, code) {
            return Some(value);
        }
        if !node.children.is_empty() {
            let block = match content {
                Content::Block(id) => table().block(id),
                _ => table().block(table().find(code)?),
            };
            let value = self.children(node, block);
            return (value != json!({}))
                .then_some(value)
                .or_else(|| of_type(code));
        }
        if let Some(profile) = profile {
            use crate::fhir::validate::snapshot::Bases;
            let tree = self.library.snapshot(profile).ok()?;
            return self.of_tree(&tree);
        }
        of_type(code)
    }

    /// A code of the value set that is required.
    fn coded(&self, node: &Node, code: &str) -> Option<Value> {
        let binding = node.element.get("binding")?;
        if binding.text("strength") != Some("required") {
            return None;
        }
        let set = self.library.value_set(binding.text("valueSet")?).ok()??;
        let part = set.include.first()?;
        let system = part.system.clone()?;
        let one = match &part.codes {
            Some(codes) => codes.iter().min()?.to_string(),
            None => {
                let listed = self
                    .library
                    .code_system(&system, part.version.as_deref())
                    .ok()??;
                listed.examples().next()?.to_owned()
            }
        };
        Some(match code {
            "code" => json!(one),
            "Coding" => json!({ "system": system, "code": one }),
            "CodeableConcept" => json!({ "coding": [{ "system": system, "code": one }] }),
            _ => return None,
        })
    }
}
