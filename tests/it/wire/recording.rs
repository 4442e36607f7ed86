//! A file of `data/wire`.

use std::path::Path;

use serde_json::Value;

use super::plugin::Plugin;

pub struct Recording {
    pub name: String,
    pub exchanges: Vec<Exchange>,
}

/// One entry: a request with its answer, a frame, or a note.
pub struct Exchange(pub Value);

impl Recording {
    /// Reads a file and puts back into its requests what was trimmed from the plugin's resources.
    pub fn load(shared: &Path, name: &str, plugin: &str) -> Self {
        let text = std::fs::read_to_string(shared.join(format!("data/wire/{name}.json"))).unwrap();
        let Value::Object(mut file) = text.parse().unwrap() else {
            panic!("{name} is no object")
        };
        let Some(Value::Array(exchanges)) = file.remove("exchange") else {
            panic!("{name}")
        };
        let plugin = Plugin::load(&shared.join("data/plugins").join(plugin));
        let complete = |mut exchange: Value| {
            let entries = exchange["body"]["entry"]
                .as_array_mut()
                .into_iter()
                .flatten();
            let resources = entries.filter_map(|entry| entry.get_mut("resource"));
            resources.for_each(|resource| plugin.complete(resource));
            Exchange(exchange)
        };
        Self {
            name: name.to_owned(),
            exchanges: exchanges.into_iter().map(complete).collect(),
        }
    }

    pub fn frames(&self) -> impl Iterator<Item = &Exchange> {
        self.exchanges
            .iter()
            .filter(|exchange| exchange.text("frame") == "text")
    }

    /// The recorded body, also where it is only said to be that of another entry.
    pub fn answer_to<'a>(&'a self, exchange: &'a Exchange) -> &'a Value {
        let body = &exchange.0["response_body"];
        let other = body
            .as_str()
            .and_then(|text| text.strip_prefix("(same as n="));
        let Some((number, _)) = other.and_then(|text| text.split_once(' ')) else {
            return body;
        };
        let same = self
            .exchanges
            .iter()
            .find(|exchange| exchange.number().to_string() == number);
        &same.expect("the entry that is named").0["response_body"]
    }
}

impl Exchange {
    pub fn number(&self) -> u64 {
        self.0["n"].as_u64().unwrap_or_default()
    }

    pub fn text(&self, element: &str) -> &str {
        self.0[element].as_str().unwrap_or_default()
    }

    pub fn headers(&self, element: &str) -> Vec<(&str, &str)> {
        let headers = self.0[element].as_object().into_iter().flatten();
        headers
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
            .collect()
    }
}
