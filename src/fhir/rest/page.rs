//! Resources for people: their XML form in a plain page, and the headers every page carries
//! (fhir-api §2.7). The user interface proper builds on other modules.

use actix_web::HttpResponseBuilder;
use maud::{DOCTYPE, html};
use serde_json::{Value, json};

use crate::r4::{Resource, xml};

const POLICY: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Cross-Origin-Resource-Policy", "same-site"),
    ("Permissions-Policy", "geolocation=(), camera=(), microphone=()"),
    (
        "Content-Security-Policy",
        "base-uri 'self'; frame-ancestors 'none'; form-action 'self'; default-src 'none'; \
         connect-src 'self'; img-src 'self'; script-src 'self'; style-src 'self'",
    ),
];

/// What browsers are told about every page.
pub fn policy(builder: &mut HttpResponseBuilder) {
    for header in POLICY {
        builder.insert_header(*header);
    }
}

/// The resource as a page. The content of a Binary is left out.
#[must_use]
pub fn of(resource: &Resource) -> String {
    let mut shown = resource.clone();
    if let Some(data) = shown.members_mut().get_mut("data") {
        *data = Value::Null;
        let url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
        let masked = json!({"extension": [{"url": url, "valueCode": "masked"}]});
        shown.members_mut().shift_remove("data");
        shown.members_mut().insert("_data".to_owned(), masked);
    }
    let title = match resource.id() {
        Some(id) => format!("{}/{id}", resource.type_name()),
        None => resource.type_name().to_owned(),
    };
    let text = String::from_utf8_lossy(&xml::write(&shown, true)).into_owned();
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "DSF: " (title) } }
            body { main { h1 { (title) } pre { code { (text) } } } }
        }
    }
    .into_string()
}
