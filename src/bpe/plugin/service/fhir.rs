//! Requests to FHIR servers: which server, whether the plugin may, repetition, answers that come
//! late (spec/bpe.md §6.7).

use std::time::Duration;

use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::question::{FhirQuestion, Retry, ServerName};
use super::session::Session;
use super::{Refusal, Services};
use crate::bpe::plugin::local_fhir::explanation;
use crate::net::http::{self, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Url};

const FHIR_JSON: &str = "application/fhir+json";
/// A server that answers late says how late, but never more than this at a time.
const LONGEST_POLL: Duration = Duration::from_secs(60);

/// A FHIR server that a call may use.
pub(super) struct Server {
    pub client: http::Client,
    /// Without a slash at its end.
    pub base: String,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// The connection of this name, if it is one.
    pub connection: Option<String>,
}

impl Server {
    /// # Errors
    /// When the path leads elsewhere, or a header has a form that no header has.
    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, Option<&str>)],
    ) -> Result<Request, Refusal> {
        if !is_relative(path) {
            let message = format!("'{path}' is not a path on a FHIR server");
            return Err(Refusal::new(message));
        }
        let address = if path.is_empty() {
            self.base.clone()
        } else {
            format!("{}/{path}", self.base)
        };
        let url = Url::parse(&address)
            .map_err(|error| Refusal::new(format!("'{address}' is not an address: {error}")))?;
        self.to(method, url, headers)
    }

    fn to(
        &self,
        method: Method,
        url: Url,
        headers: &[(&str, Option<&str>)],
    ) -> Result<Request, Refusal> {
        let mut request = Request::new(method, url);
        let own = ("authorization", self.authorization.as_deref());
        for (name, value) in headers.iter().copied().chain([own]) {
            let Some(value) = value else { continue };
            let refused = || Refusal::new(format!("'{name}: {value}' cannot be a header"));
            let name = HeaderName::try_from(name).map_err(|_| refused())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
            value.set_sensitive(name == http::header::AUTHORIZATION);
            request = request.header(name, value);
        }
        Ok(request)
    }
}

impl Services {
    /// Whether there is another token in place of the one that the server has refused. Once: a server
    /// that refuses the next one, too, has another reason.
    pub(super) async fn renewed(
        &self,
        server: &mut Server,
        status: StatusCode,
    ) -> Result<bool, Refusal> {
        if status != StatusCode::UNAUTHORIZED {
            return Ok(false);
        }
        let (Some(id), Some(refused)) = (server.connection.take(), &server.authorization) else {
            return Ok(false);
        };
        let renewed = self.connections.renewed(&id, refused).await?;
        let is_other = renewed.is_some() && renewed != server.authorization;
        if is_other {
            server.authorization = renewed;
        }
        Ok(is_other)
    }
}

impl Session {
    /// The server that code means, if it may use it for this.
    pub(super) async fn server(
        &self,
        name: Option<&ServerName>,
        writes: bool,
    ) -> Result<Server, Refusal> {
        let services = self.services();
        let ours = |base: &str| Server {
            client: services.client.clone(),
            base: base.trim_end_matches('/').to_owned(),
            authorization: None,
            connection: None,
        };
        let capabilities = self.capabilities();
        match name {
            None => {
                capabilities.permit("local-fhir", capabilities.local_fhir, writes)?;
                Ok(ours(&services.base))
            }
            Some(ServerName::Url { url }) => {
                capabilities.permit("remote-fhir", capabilities.remote_fhir, writes)?;
                self.known_address(url).await?;
                Ok(ours(url))
            }
            Some(ServerName::Id { id }) => self.connected(id).await,
        }
    }

    /// We show our certificate to partners only, and code gets no way into the own network.
    async fn known_address(&self, url: &str) -> Result<(), Refusal> {
        let address: String = byte_serialize(url.as_bytes()).collect();
        let query = format!("Endpoint?status=active&address={address}");
        if self.services().lookups.resources(&query).await?.is_empty() {
            return Err(Refusal::new(format!(
                "{url} is not the address of an active Endpoint on the own FHIR server"
            )));
        }
        Ok(())
    }

    async fn connected(&self, id: &str) -> Result<Server, Refusal> {
        self.capabilities().connection(id)?;
        let (client, base, authorization) = self.services().connections.open(id).await?;
        Ok(Server {
            client,
            base,
            authorization,
            connection: Some(id.to_owned()),
        })
    }

    pub(super) async fn fhir(&self, question: FhirQuestion) -> Result<Value, Refusal> {
        let method = match question.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            _ => Method::DELETE,
        };
        let writes = method != Method::GET && !is_question(&question.path);
        let mut server = self.server(question.server.as_ref(), writes).await?;
        let body = question.body.as_ref().map(Value::to_string);
        let headers = [
            ("accept", Some(FHIR_JSON)),
            ("content-type", body.is_some().then_some(FHIR_JSON)),
            ("prefer", question.prefer.as_deref()),
            ("if-match", question.if_match.as_deref()),
            ("if-none-match", question.if_none_match.as_deref()),
            ("if-none-exist", question.if_none_exist.as_deref()),
        ];
        let body = body.unwrap_or_default();
        let answer = loop {
            let request = server.request(method.clone(), &question.path, &headers)?;
            let request = request.body(body.clone());
            let send = || server.client.send(&request);
            let answer = repeated(question.retry.as_ref(), send).await?;
            if !self.services().renewed(&mut server, answer.status).await? {
                break answer;
            }
        };
        match &question.poll {
            Some(delays) if answer.status == 202 => polled(&server, answer, delays).await,
            _ => told(&answer),
        }
    }
}

/// Sends until there is an answer that repetition would not better, or no try is left. Only what
/// may pass is repeated: no connection, or a status of 500 and more (§3.8).
pub(super) async fn repeated<F>(
    retry: Option<&Retry>,
    send: impl Fn() -> F,
) -> Result<Response, Refusal>
where
    F: Future<Output = Result<Response, http::Error>>,
{
    let mut tries = 0;
    loop {
        let outcome = send().await;
        let passing = match &outcome {
            Ok(answer) => answer.status.is_server_error(),
            Err(error) => error.is_transient(),
        };
        let left = retry.filter(|retry| retry.times.is_none_or(|times| tries < times));
        let Some(retry) = left.filter(|_| passing) else {
            return Ok(outcome?);
        };
        tokio::time::sleep(delay(&retry.delays, tries)).await;
        tries += 1;
    }
}

/// The last delay repeats.
fn delay(delays: &[u64], turn: u32) -> Duration {
    let turn = usize::try_from(turn).unwrap_or(usize::MAX);
    let millis = delays.get(turn).or(delays.last()).copied();
    Duration::from_millis(millis.unwrap_or(1_000))
}

/// Asks where the server has said, until it has an answer; the call's time is the limit.
async fn polled(server: &Server, first: Response, delays: &[u64]) -> Result<Value, Refusal> {
    let place = first
        .header("content-location")
        .or(first.header("location"));
    let place = place.ok_or_else(|| {
        Refusal::new("the server answered 202 without saying where to look for the result")
    })?;
    let url = first
        .url
        .join(place)
        .map_err(|_| Refusal::new(format!("the server points to '{place}'")))?;
    if url.origin() != first.url.origin() {
        let message = format!("the server points to another server, {url}");
        return Err(Refusal::new(message));
    }
    let request = server.to(Method::GET, url, &[("accept", Some(FHIR_JSON))])?;
    let mut asked = retry_after(&first);
    for turn in 0.. {
        tokio::time::sleep(asked.unwrap_or_else(|| delay(delays, turn))).await;
        let answer = server.client.send(&request).await?;
        if answer.status != 202 {
            return told(&answer);
        }
        asked = retry_after(&answer);
    }
    Err(Refusal::new("the server never answered"))
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.header("retry-after")?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_POLL))
}

/// What code is told of an answer; a refusal unless it succeeded or is 304.
pub(super) fn told(answer: &Response) -> Result<Value, Refusal> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    if !answer.status.is_success() && answer.status != 304 {
        return Err(refused(answer.status.as_u16(), body));
    }
    Ok(json!({
        "status": answer.status.as_u16(),
        "body": body,
        "location": answer.header("location"),
        "etag": answer.header("etag"),
    }))
}

/// The refusal of a server, in its own words where it has some.
pub(super) fn refused(status: u16, body: Option<Value>) -> Refusal {
    let outcome = body.filter(|body| body["resourceType"] == "OperationOutcome");
    Refusal {
        message: outcome
            .as_ref()
            .and_then(explanation)
            .unwrap_or_else(|| format!("status {status}")),
        status: Some(status),
        outcome,
    }
}

/// Operations that change nothing are sent by POST, too.
fn is_question(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    ["$snapshot", "$validate", "$expand", "$lookup", "_search"]
        .iter()
        .any(|name| path.ends_with(name))
}

/// A type with id, query or both; no way to another server or out of the base address.
fn is_relative(path: &str) -> bool {
    let steps = path.split('?').next().unwrap_or_default();
    !path.contains(['#', '\\'])
        && !path.chars().any(char::is_control)
        && !steps.starts_with('/')
        && !steps.contains(':')
        && !steps.contains('%')
        && steps.split('/').all(|step| step != "..")
}
