//! Searches and histories as Bundles (fhir-api §4.12, §5.8).

use actix_web::HttpResponse;
use serde_json::json;

use super::asked::{self, Asked};
use super::body::Body;
use super::media::Summary;
use super::{Call, LONGEST_URI, answer};
use crate::fhir::fault::Fault;
use crate::fhir::search::Handling;
use crate::fhir::service::{History, HistoryEntry, Scope};
use crate::r4::ResourceType;
use crate::r4::bundle::{Builder, Mode, Response};
use crate::r4::datetime::format_instant;
use crate::r4::outcome::{Issue, IssueType, Outcome, Severity};

/// More entries than these are never answered at once.
const MOST: usize = 5000;

impl Call<'_> {
    pub(super) async fn search(&self, kind: ResourceType) -> Result<HttpResponse, Fault> {
        self.searched(kind, self.asked()?).await
    }

    /// The same search with its parameters in a form, which keeps them out of logs of proxies.
    /// Links of the answer repeat them as a query, so a form is not longer than one.
    pub(super) async fn search_by_post(
        &self,
        kind: ResourceType,
        body: &mut Body,
    ) -> Result<HttpResponse, Fault> {
        // Strangers learn of no path, and nobody sends a form in vain.
        self.service.admit_search(&self.peer, kind).await?;
        let mut pairs = asked::pairs(self.request);
        if !self.has_no_body() {
            if !asked::is_form(self.request) {
                return Err(Fault::unsupported_media_type());
            }
            pairs.extend(asked::decoded(&self.text(body, LONGEST_URI).await?));
        }
        self.searched(kind, Asked::by(self.request, pairs)?).await
    }

    async fn searched(&self, kind: ResourceType, asked: Asked) -> Result<HttpResponse, Fault> {
        let found = self
            .service
            .search(&self.peer, kind, &asked.pairs, asked.handling)
            .await?;
        Ok(answer::searchset(self.service, found, &asked.wanted))
    }

    pub(super) async fn history_of_everything(&self) -> Result<HttpResponse, Fault> {
        match self.method() {
            "GET" => self.history(Scope::Everything).await,
            _ => self.no_method("GET, HEAD").await,
        }
    }

    pub(super) async fn history(&self, scope: Scope) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        let (count, page) = self.paging(&asked);
        let history = History {
            scope,
            since: asked.all("_since"),
            at: asked.all("_at"),
            count: if asked.wanted.summary == Some(Summary::Count) {
                0
            } else {
                count
            },
            page,
        };
        let (_, problems) = history.bounds();
        if !problems.is_empty() && asked.handling == Handling::Strict {
            return Err(Fault::bad_request(problems.join("; ")));
        }
        let found = self.service.history(&self.peer, &history).await?;
        let mut bundle = Builder::new("history")
            .timestamp(format_instant(self.service.now()))
            .total(u64::try_from(found.total).unwrap_or_default());
        self.links(&mut bundle, scope, &asked, (count, page), found.total);
        for entry in found.entries {
            self.entry(&mut bundle, entry).await?;
        }
        if !problems.is_empty() {
            let text = problems.join("; ");
            let issue = Issue::new(Severity::Warning, IssueType::Processing, text);
            let url = format!("{}/", self.service.settings().base_url);
            bundle.found(
                Some(&url),
                Outcome::from(issue).to_resource(),
                Mode::Outcome,
            );
        }
        Ok(answer::resource(
            self.service,
            &bundle.build(),
            &asked.wanted,
        ))
    }

    /// What does not parse is the default.
    fn paging(&self, asked: &Asked) -> (usize, usize) {
        let number = |name: &str, default: usize| {
            let value = asked.first(name).and_then(|text| text.parse::<i32>().ok());
            value.map_or(default, |number| usize::try_from(number).unwrap_or(0))
        };
        let count = number("_count", self.service.settings().page_count).min(MOST);
        (count, number("_page", 1))
    }

    async fn entry(&self, bundle: &mut Builder, entry: HistoryEntry) -> Result<(), Fault> {
        let base = &self.service.settings().base_url;
        let path = format!("{}/{}", entry.kind, entry.id);
        let versioned = format!("{path}/_history/{}", entry.version);
        let (request, status) = match (&entry.stored, entry.version) {
            (None, _) => (json!({"method": "DELETE", "url": versioned}), "200 OK"),
            (Some(_), 1) => (
                json!({"method": "POST", "url": entry.kind.name()}),
                "201 Created",
            ),
            (Some(_), _) => (json!({"method": "PUT", "url": entry.kind.name()}), "200 OK"),
        };
        let response = Response {
            status: status.to_owned(),
            location: Some(format!("{base}/{versioned}")),
            etag: Some(format!("W/\"{}\"", entry.version)),
            last_modified: Some(format_instant(entry.at)),
            outcome: None,
        };
        let resource = entry.stored.map(|stored| self.service.document(stored));
        bundle.version(&format!("{base}/{path}"), resource, request, response);
        Ok(())
    }

    fn links(
        &self,
        bundle: &mut Builder,
        scope: Scope,
        asked: &Asked,
        (count, page): (usize, usize),
        total: i64,
    ) {
        let base = &self.service.settings().base_url;
        let path = match scope {
            Scope::Everything => format!("{base}/_history"),
            Scope::Type(kind) => format!("{base}/{kind}/_history"),
            Scope::Instance(kind, id) => format!("{base}/{kind}/{id}/_history"),
        };
        let repeated = ["_at", "_since", "_format", "_pretty", "_summary"];
        let kept = asked
            .pairs
            .iter()
            .filter(|(name, _)| repeated.contains(&name.as_str()));
        let kept: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept.map(|(name, value)| (name, value)))
            .finish();
        let more = if kept.is_empty() {
            String::new()
        } else {
            format!("&{kept}")
        };
        let total = usize::try_from(total).unwrap_or_default();
        let last = total.div_ceil(count.max(1));
        if count == 0 || page == 0 || page > last {
            return bundle.link("self", &format!("{path}?_count=0{more}"));
        }
        let link = |page: usize| format!("{path}?_page={page}&_count={count}{more}");
        bundle.link("self", &link(page));
        bundle.link("first", &link(1));
        if page > 1 {
            bundle.link("previous", &link(page - 1));
        }
        if page < last {
            bundle.link("next", &link(page + 1));
        }
        bundle.link("last", &link(last));
    }
}
