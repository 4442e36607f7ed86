//! Searches for organisations and endpoints, remembered for a short time.
//!
//! Every ping and pong asks who is who. Allow lists change a few times a year, but a change must
//! show soon; what was not found is asked again at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Refusal;
use crate::bpe::plugin::local_fhir::{LocalFhir, Request};
use crate::r4::Node;

const REMEMBERED: Duration = Duration::from_secs(30);
const MOST_QUERIES: usize = 1_000;
const MOST_PAGES: usize = 200;

/// What a search found, and when.
type Remembered = (Instant, Arc<Vec<Value>>);

/// The searches of all plugins of a node.
pub(super) struct Lookups {
    local: Arc<dyn LocalFhir>,
    known: Mutex<HashMap<String, Remembered>>,
}

impl Lookups {
    pub(super) fn new(local: Arc<dyn LocalFhir>) -> Self {
        Self {
            local,
            known: Mutex::default(),
        }
    }

    /// All matches and includes of a search, from all its pages.
    pub(super) async fn resources(&self, query: &str) -> Result<Arc<Vec<Value>>, Refusal> {
        if let Some(known) = self.remembered(query) {
            return Ok(known);
        }
        let found = Arc::new(self.search(query).await?);
        if !found.is_empty() {
            self.remember(query, &found);
        }
        Ok(found)
    }

    fn remembered(&self, query: &str) -> Option<Arc<Vec<Value>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, found) = known.get(query)?;
        (since.elapsed() < REMEMBERED).then(|| Arc::clone(found))
    }

    fn remember(&self, query: &str, found: &Arc<Vec<Value>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_QUERIES {
            known.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        }
        if known.len() < MOST_QUERIES {
            known.insert(query.to_owned(), (Instant::now(), Arc::clone(found)));
        }
    }

    async fn search(&self, query: &str) -> Result<Vec<Value>, Refusal> {
        let mut found = Vec::new();
        for page in 1..=MOST_PAGES {
            let path = format!("{query}&_page={page}");
            let request = Request {
                prefer: Some("handling=strict".to_owned()),
                ..Request::get(path)
            };
            let response = self.local.request(request).await;
            let response = response.map_err(|error| Refusal::new(error.to_string()))?;
            if !response.is_success() {
                return Err(Refusal {
                    message: response.explanation(),
                    status: Some(response.status),
                    outcome: response.body,
                });
            }
            let Some(bundle) = response.body else { break };
            found.extend(
                bundle
                    .items("entry")
                    .filter_map(|entry| entry.get("resource").cloned()),
            );
            if !bundle
                .items("link")
                .any(|link| link.text("relation") == Some("next"))
            {
                break;
            }
        }
        Ok(found)
    }
}
