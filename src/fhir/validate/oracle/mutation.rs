//! One change to a resource.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::sample;
use crate::fhir::validate::spot::Spot;
use crate::r4::table::{Block, table};

/// Changes something somewhere; what, or `None` if nothing could be done there.
pub fn mutate(resource: &mut Value, rng: &mut StdRng) -> Option<String> {
    if rng.random_range(0..100) < 30 {
        return add_element(resource, rng);
    }
    let mut places = Vec::new();
    collect(resource, String::new(), &mut places);
    let place = places.choose(rng)?.clone();
    let target = resource.pointer_mut(&place)?;
    let change = match target {
        Value::Object(members) => {
            let names: Vec<String> = members
                .keys()
                .filter(|name| *name != "resourceType")
                .cloned()
                .collect();
            let name = names.choose(rng)?;
            members.shift_remove(name);
            format!("without {name}")
        }
        Value::Array(items) => match rng.random_range(0..4) {
            0 => {
                items.remove(rng.random_range(0..items.len()));
                "one less".to_owned()
            }
            1 => {
                let again = items.choose(rng)?.clone();
                items.push(again);
                "one twice".to_owned()
            }
            2 => {
                items.reverse();
                "reversed".to_owned()
            }
            _ => {
                let at = rng.random_range(0..items.len());
                let name = place.rsplit('/').next().unwrap_or_default();
                let other = json!({ "system": "http://example.org/other", "code": "other" });
                items[at] = match (name, &items[at]) {
                    ("profile", _) => json!("http://example.org/fhir/StructureDefinition/none"),
                    ("tag" | "coding", _) => other,
                    (_, Value::Object(_)) => sample::of_type("Extension")?,
                    _ => json!("other"),
                };
                format!("item {at} is another")
            }
        },
        Value::String(text) => {
            let before = text.clone();
            *target = other_text(&before, rng);
            format!("{before} is {target}")
        }
        Value::Bool(flag) => {
            *flag = !*flag;
            "the opposite".to_owned()
        }
        Value::Number(_) => {
            *target = [json!(0), json!(-1), json!(2.5), json!(70_000), json!("3")]
                .choose(rng)?
                .clone();
            format!("the number {target}")
        }
        Value::Null => return None,
    };
    Some(format!("{place} {change}"))
}

fn other_text(before: &str, rng: &mut StdRng) -> Value {
    let version = before.split('|').next().unwrap_or_default();
    let pool = [
        json!("other"),
        json!("two words"),
        json!("http://example.org/other"),
        json!(before.to_uppercase()),
        json!(format!("{before}x")),
        json!(format!("{version}|9.9")),
        json!("2026-01-31"),
        json!("2026-13-01"),
        json!("urn:uuid:53FEFA32-fcbb-4ff8-8a92-55ee120877b7"),
        json!("active"),
        json!("Organization/1"),
        json!("Patient/1"),
        json!("#none"),
        json!(true),
        json!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>"),
    ];
    pool.choose(rng).cloned().unwrap_or_default()
}

/// Adds an element of the type that is not there, with a value of its type, right or wrong.
fn add_element(resource: &mut Value, rng: &mut StdRng) -> Option<String> {
    let mut places = Vec::new();
    blocks(Spot::resource(resource)?, String::new(), &mut places);
    let (place, block) = places.choose(rng)?.clone();
    let target = resource.pointer_mut(&place)?.as_object_mut()?;
    let elements: Vec<_> = block
        .elements()
        .iter()
        .filter(|element| !target.contains_key(element.name.as_ref()))
        .collect();
    let element = elements.choose(rng)?;
    let mut value = sample::of_type(element.type_name)?;
    if element.is_list {
        value = json!([value]);
    }
    let change = format!("{place} with {} {value}", element.name);
    target.insert(element.name.to_string(), value);
    Some(change)
}

/// All places in a document.
fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, child) in members.iter().filter(|(name, _)| *name != "resourceType") {
                collect(child, format!("{at}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                collect(child, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    let is_empty = matches!(value, Value::Array(items) if items.is_empty());
    if !is_empty {
        places.push(at);
    }
}

/// All elements with children, and what they are.
fn blocks(spot: Spot<'_>, at: String, places: &mut Vec<(String, &'static Block)>) {
    let (Some(Value::Object(members)), Some(block)) = (spot.value, spot.block()) else {
        return;
    };
    for (name, value) in members {
        let Some(element) = block.element(name) else {
            continue;
        };
        let mut spots = Vec::new();
        crate::fhir::validate::spot::push(element, Some(value), None, &mut spots);
        for (index, spot) in spots.into_iter().enumerate() {
            let at = match element.is_list {
                true => format!("{at}/{name}/{index}"),
                false => format!("{at}/{name}"),
            };
            blocks(spot, at, places);
        }
    }
    let block = table().find(block.name).map(|id| table().block(id));
    places.extend(block.map(|block| (at, block)));
}
