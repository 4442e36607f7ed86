//! The forms of user tasks on the own server: created, taken in when answered, amended, stopped
//! (spec/bpe.md §4).
//!
//! A form is created after the step that wants it is stored, so none is left over when a step comes
//! to nothing; and the server is told that an answer was taken in when that is stored, so no answer
//! is lost. Each creation carries the id of the user task as its `Idempotency-Key`; a server that
//! does not know that header is asked for the form before it is created once more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use url::form_urlencoded::byte_serialize;
use uuid::Uuid;

use super::questionnaire::{self, Subject};
use super::server::{Server, Trouble};
use crate::bpe::runtime::{Advance, Composed, Error, LEASE, Runtime, SUSPENDED, Work};
use crate::kernel::{Backoff, Random};
use crate::r4::view::questionnaire_response::QuestionnaireResponse;
use crate::r4::{Node, Resource, json};
use crate::store::bpe::user_task::{self, Entry};

/// How soon to look again when the instance is busy, in seconds.
const BUSY: f64 = 0.1;
/// How soon to look again at an instance that stands still, or at a form that somebody must mend.
const PAUSED: f64 = 10.0;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
/// Pages of open forms that are searched for one.
const MOST_PAGES: usize = 50;

/// The worker of the forms.
#[derive(Clone)]
pub(super) struct Forms {
    pub runtime: Runtime,
    pub server: Arc<Server>,
    /// Identifier of the own organisation.
    pub organization: Arc<str>,
}

/// Why a form could not be brought about.
enum Hindrance {
    Server(Trouble),
    /// Nothing that passes.
    Never(String),
    /// Code ended the matter.
    Ended(Advance),
    Runtime(Error),
}

impl From<Trouble> for Hindrance {
    fn from(trouble: Trouble) -> Self {
        Self::Server(trouble)
    }
}

impl From<Error> for Hindrance {
    fn from(error: Error) -> Self {
        Self::Runtime(error)
    }
}

impl Work for Forms {
    type Item = Entry;

    fn name(&self) -> &'static str {
        "forms"
    }

    fn bell(&self) -> &Notify {
        &self.runtime.bells().forms
    }

    async fn take(&self, most: i64) -> Result<Vec<Entry>, Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| user_task::take(conn, most, LEASE.as_secs_f64()).await)
            .await?)
    }

    async fn next_due(&self) -> Result<Option<f64>, Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| user_task::next_due(conn).await)
            .await?)
    }

    async fn extend(&self, entry: &Entry) -> Result<(), Error> {
        self.postpone(entry, LEASE.as_secs_f64(), None).await
    }

    async fn run(&self, entry: Entry) -> Result<(), Error> {
        match entry.status.as_str() {
            "wanted" => self.open(&entry).await,
            "answered" => self.complete(&entry).await,
            "amending" => self.amend(&entry).await,
            _ => self.withdraw(&entry).await,
        }
    }
}

impl Forms {
    async fn open(&self, entry: &Entry) -> Result<(), Error> {
        let form = match self.created(entry).await {
            Ok(form) => form,
            Err(Hindrance::Server(trouble)) if trouble.transient() && !entry.overdue => {
                return self.again(entry, &trouble).await;
            }
            Err(Hindrance::Server(trouble)) => {
                return self.impossible(entry, &trouble.to_string()).await;
            }
            Err(Hindrance::Never(message)) => return self.impossible(entry, &message).await,
            Err(Hindrance::Ended(advance)) => return self.settle(entry, advance).await,
            Err(Hindrance::Runtime(error)) => return Err(error),
        };
        let advance = self.runtime.opened(entry, form.clone()).await?;
        if matches!(advance, Advance::Stale) && self.is_over(entry).await? {
            // The user task ended while its form was created; whoever withdrew it may have looked
            // before it was there.
            self.stop_form(form).await.unwrap_or_else(|trouble| {
                tracing::warn!("a form that nobody waits for is not stopped: {trouble}");
            });
        }
        self.settle(entry, advance).await
    }

    async fn is_over(&self, entry: &Entry) -> Result<bool, Error> {
        let store = self.runtime.store();
        let standing = store
            .read(async |conn| user_task::standing(conn, entry.id).await)
            .await?;
        Ok(standing.is_none_or(|(_, status)| status == "withdrawn"))
    }

    /// The form on the server, new or from an earlier try.
    async fn created(&self, entry: &Entry) -> Result<Resource, Hindrance> {
        if let Some(response) = entry.response {
            return Ok(self.server.read("QuestionnaireResponse", response).await?);
        }
        if entry.attempts > 1
            && let Some(form) = self.find(entry).await?
        {
            return Ok(form);
        }
        let form = match &entry.document {
            Some(document) => json::parse(document.as_bytes())
                .map_err(|error| Hindrance::Never(error.to_string()))?,
            None => self.composed(entry).await?,
        };
        Ok(self.server.create(&form, entry.id).await?)
    }

    async fn composed(&self, entry: &Entry) -> Result<Resource, Hindrance> {
        let url: String = byte_serialize(entry.form.as_bytes()).collect();
        let found = self
            .server
            .search(&format!("Questionnaire?url={url}"))
            .await?;
        let questionnaire = of_type(&found, "Questionnaire").next().ok_or_else(|| {
            let message = "Could not find Questionnaire resource with url|version=";
            Hindrance::Never(format!("{message}{}", entry.form))
        })?;
        let fields = self.runtime.form_fields(entry);
        let subject = Subject {
            organization: &self.organization,
            form: &entry.form,
            business_key: &entry.business_key,
            user_task_id: &entry.id.to_string(),
            fields: &fields,
        };
        let form = questionnaire::form(&questionnaire, subject).map_err(Hindrance::Never)?;
        match self.runtime.compose(entry, questionnaire, form).await? {
            Composed::Form(form) => {
                questionnaire::check(&form).map_err(Hindrance::Never)?;
                Ok(*form)
            }
            Composed::Not(advance) => Err(Hindrance::Ended(advance)),
        }
    }

    /// The open form of a user task, if the server has one.
    async fn find(&self, entry: &Entry) -> Result<Option<Resource>, Trouble> {
        let id = entry.id.to_string();
        for page in 1..=MOST_PAGES {
            let query = format!(
                "QuestionnaireResponse?status=in-progress&_sort=-_lastUpdated&_count=100&_page={page}"
            );
            let found = self.server.search(&query).await?;
            let mut forms = of_type(&found, "QuestionnaireResponse");
            let of_task =
                |form: &Resource| QuestionnaireResponse(form).user_task_id() == Some(id.as_str());
            if let Some(form) = forms.find(of_task) {
                return Ok(Some(form));
            }
            if !super::server::has_next(&found) {
                break;
            }
        }
        Ok(None)
    }

    async fn impossible(&self, entry: &Entry, message: &str) -> Result<(), Error> {
        tracing::error!(user_task = %entry.id, "no form: {message}");
        match self.runtime.form_failed(entry, message).await? {
            Some(advance) => self.settle(entry, advance).await,
            None => self.postpone(entry, PAUSED, Some(message)).await,
        }
    }

    async fn complete(&self, entry: &Entry) -> Result<(), Error> {
        let answer = entry.answer.as_deref().unwrap_or_default();
        let Ok(form) = json::parse(answer.as_bytes()) else {
            tracing::error!(user_task = %entry.id, "a stored answer does not parse; it is dropped");
            return self.forget(entry).await;
        };
        let advance = self.runtime.completed(entry, form).await?;
        self.settle(entry, advance).await
    }

    /// Tells the server that the answer has been taken in.
    async fn amend(&self, entry: &Entry) -> Result<(), Error> {
        let answer = entry.answer.as_deref().unwrap_or_default();
        let Ok(form) = json::parse(answer.as_bytes()) else {
            return self.forget(entry).await;
        };
        let form = form.with("status", "amended");
        let outcome = match self.server.update(&form, "representation").await {
            Err(trouble) if trouble.status() == Some(412) => self.amend_newer(entry).await,
            outcome => outcome.map(drop),
        };
        self.told(entry, outcome).await
    }

    async fn amend_newer(&self, entry: &Entry) -> Result<(), Trouble> {
        let id = entry.response.unwrap_or_default();
        let form = self.server.read("QuestionnaireResponse", id).await?;
        if form.str("status") != Some("completed") {
            return Ok(());
        }
        let form = form.with("status", "amended");
        self.server.update(&form, "minimal").await.map(drop)
    }

    /// Nobody waits for the answer any more: people should not give one.
    async fn withdraw(&self, entry: &Entry) -> Result<(), Error> {
        let outcome = match entry.response {
            Some(id) => self.stop(id).await,
            None => match self.find(entry).await {
                Ok(Some(form)) => self.stop_form(form).await,
                outcome => outcome.map(drop),
            },
        };
        self.told(entry, outcome).await
    }

    async fn stop(&self, id: Uuid) -> Result<(), Trouble> {
        let form = self.server.read("QuestionnaireResponse", id).await?;
        self.stop_form(form).await
    }

    async fn stop_form(&self, form: Resource) -> Result<(), Trouble> {
        if form.str("status") != Some("in-progress") {
            return Ok(());
        }
        let form = form.with("status", "stopped");
        match self.server.update(&form, "minimal").await {
            // Somebody has just answered; the answer stays, for people to see.
            Err(trouble) if trouble.status() == Some(412) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn told(&self, entry: &Entry, outcome: Result<(), Trouble>) -> Result<(), Error> {
        match outcome {
            Ok(()) => self.forget(entry).await,
            Err(trouble) if trouble.transient() && !entry.overdue => {
                self.again(entry, &trouble).await
            }
            Err(trouble) => {
                tracing::error!(
                    form = ?entry.response, "the server does not take the end of a form: {trouble}"
                );
                self.forget(entry).await
            }
        }
    }

    /// A step that was stored has moved the entry on; otherwise it must be dealt with here.
    async fn settle(&self, entry: &Entry, advance: Advance) -> Result<(), Error> {
        match advance {
            Advance::Done | Advance::Stale => {
                self.runtime.bells().forms.notify_one();
                Ok(())
            }
            Advance::Busy => self.postpone(entry, BUSY, None).await,
            Advance::Failed(failure) if failure.kind == SUSPENDED => {
                self.postpone(entry, PAUSED, None).await
            }
            // The answer is there, the step after it cannot run: the instance would wait for ever,
            // so it is ended with the reason.
            Advance::Failed(failure) => {
                tracing::error!(instance = %entry.instance, "the step after a form failed: {failure}");
                let text = crate::bpe::runtime::failure_text(&failure);
                self.runtime.cancel(entry.instance, &text).await.map(drop)
            }
        }
    }

    async fn again(&self, entry: &Entry, trouble: &Trouble) -> Result<(), Error> {
        tracing::warn!(user_task = %entry.id, attempt = entry.attempts, "form: {trouble}");
        let failures = u32::try_from(entry.attempts).unwrap_or(u32::MAX);
        let delay = BACKOFF.delay(failures, &Random::system());
        self.postpone(entry, delay.as_secs_f64(), Some(&trouble.to_string()))
            .await
    }

    async fn postpone(&self, entry: &Entry, seconds: f64, why: Option<&str>) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| user_task::postpone(conn, entry, seconds, why).await)
            .await?)
    }

    async fn forget(&self, entry: &Entry) -> Result<(), Error> {
        let store = self.runtime.store();
        Ok(store
            .read(async |conn| user_task::forget(conn, entry).await)
            .await?)
    }
}

fn of_type(bundle: &Resource, name: &str) -> impl Iterator<Item = Resource> {
    bundle
        .list("entry")
        .filter_map(|entry| Resource::from_value(entry.member("resource")?.clone()))
        .filter(move |resource| resource.type_name() == name)
}
