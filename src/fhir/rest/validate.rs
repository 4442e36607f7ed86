//! `$validate` of types and instances (docs/adr/0034): HL7's operation, which the Java DSF has not.
//!
//! Asked wrongly it is a fault; what is wrong with a resource is an answer: 200 with the findings.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use uuid::Uuid;

use super::asked;
use super::body::{Body, Sent, position};
use super::resources::{incoming, uuid};
use super::{Call, answer};
use crate::fhir::fault::Fault;
use crate::fhir::service::{Question, Verdict};
use crate::r4::outcome::{Issue, IssueType, Outcome, Place, Severity};
use crate::r4::{Node, ParseError, Resource, ResourceType};

/// What the resource is meant for (value set `resource-validation-mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    Delete,
    /// The stored resource against a given profile.
    Profile,
}

impl Mode {
    fn of(code: &str) -> Result<Self, Fault> {
        match code {
            "create" => Ok(Self::Create),
            "update" => Ok(Self::Update),
            "delete" => Ok(Self::Delete),
            "profile" => Ok(Self::Profile),
            _ => Err(Fault::bad_request(format!(
                "mode {code} is not known; use create, update, delete or profile"
            ))),
        }
    }
}

/// The parameters of the operation.
#[derive(Debug, Default)]
struct Parameters {
    mode: Option<Mode>,
    profiles: Vec<String>,
    resource: Option<Resource>,
    /// Where the resource stands in the document that was sent.
    place: String,
}

impl Parameters {
    /// Those of the query.
    fn of_query(pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let mut found = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "mode" => found.mode = Some(Mode::of(&value)?),
                "profile" => found.profiles.push(value),
                // How to answer is read elsewhere.
                _ if name.starts_with('_') => {}
                _ => return Err(unknown(&name)),
            }
        }
        Ok(found)
    }

    /// And those of a body, which is the resource itself or holds it.
    fn take_body(&mut self, body: Resource) -> Result<(), Fault> {
        if body.type_name() != "Parameters" {
            body.type_name().clone_into(&mut self.place);
            self.resource = Some(body);
            return Ok(());
        }
        for (index, parameter) in body.list("parameter").enumerate() {
            let name = parameter.text("name").unwrap_or_default();
            let text = |types: &[&str]| {
                let text = types.iter().find_map(|element| parameter.text(element));
                text.map(str::to_owned).ok_or_else(|| {
                    Fault::bad_request(format!("{name} needs a {}", types.join(" or ")))
                })
            };
            match name {
                "mode" => self.mode = Some(Mode::of(&text(&["valueCode", "valueString"])?)?),
                "profile" => {
                    let types = ["valueUri", "valueCanonical", "valueUrl", "valueString"];
                    self.profiles.push(text(&types)?);
                }
                "resource" => {
                    let resource = parameter.member("resource").cloned();
                    self.resource = resource.and_then(Resource::from_value);
                    self.place = format!("Parameters.parameter[{index}].resource");
                }
                _ => return Err(unknown(name)),
            }
        }
        Ok(())
    }

    /// What is asked, if these parameters ask anything.
    fn question(
        self,
        kind: ResourceType,
        id: Option<Uuid>,
        if_match: Option<i64>,
    ) -> Result<Question, Fault> {
        let bad = |text: &str| Err(Fault::bad_request(text));
        let other = self.resource.as_ref().map(Resource::type_name);
        if let Some(other) = other.filter(|name| *name != kind.name()) {
            return bad(&format!("{other} instead of {kind}"));
        }
        let content = self
            .resource
            .map(|resource| Box::new(incoming(kind, resource)));
        match (self.mode, id, content) {
            (None, id, Some(content)) => Ok(Question::Content(content, id)),
            (None | Some(Mode::Profile), Some(id), None) => {
                if self.mode.is_some() && self.profiles.is_empty() {
                    return bad("mode profile needs a profile");
                }
                Ok(Question::Stored(id))
            }
            (Some(Mode::Profile), ..) => {
                bad("mode profile is for a stored resource: name its id, and send none")
            }
            (Some(Mode::Create), None, Some(content)) => Ok(Question::Create(content)),
            (Some(Mode::Create), Some(_), _) => bad("mode create is for a type, not for an id"),
            (Some(Mode::Update), Some(id), Some(content)) => {
                Ok(Question::Update(id, content, if_match))
            }
            (Some(Mode::Delete), Some(id), _) => Ok(Question::Delete(id)),
            (Some(Mode::Update | Mode::Delete), None, _) => {
                bad("modes update and delete need the id of the resource in the path")
            }
            (_, _, None) => bad("send the resource, or Parameters with it"),
        }
    }
}

fn unknown(name: &str) -> Fault {
    Fault::bad_request(format!(
        "parameter {name} is not known; use resource, mode and profile"
    ))
}

impl Call<'_> {
    pub(super) async fn validate(
        &self,
        kind: ResourceType,
        id: Option<&str>,
        body: &mut Body,
    ) -> Result<HttpResponse, Fault> {
        let asked = self.asked()?;
        self.service.admit_question(&self.peer, kind).await?;
        let id = id.map(|id| uuid(kind, id)).transpose()?;
        let mut parameters = Parameters::of_query(asked::pairs(self.request))?;
        let mut text = bytes::Bytes::new();
        let mut issues = Vec::new();
        if self.method() == "POST" && !self.has_no_body() {
            let Sent { text: sent, read } = self.sent(body).await?;
            match read {
                Ok((resource, left_out)) => {
                    issues.extend(left_out.iter().map(|what| unread(what)));
                    parameters.take_body(resource)?;
                }
                Err(error) => issues.push(unreadable(&error)),
            }
            text = sent;
        }
        if !issues.iter().any(|issue| issue.severity == Severity::Fatal) {
            let (place, profiles) = (parameters.place.clone(), parameters.profiles.clone());
            let question = parameters.question(kind, id, asked::if_match(self.request))?;
            let verdict = self
                .service
                .validate(&self.peer, kind, &question, &profiles)
                .await?;
            issues.extend(issues_of(verdict, &place, &text));
        }
        let outcome = Outcome::of(issues).unwrap_or_else(|| {
            Outcome::information(IssueType::Informational, "No problem was found")
        });
        let body = answer::document(&outcome.to_resource(), &asked.wanted);
        Ok(answer::begin(StatusCode::OK, &asked.wanted).body(body))
    }
}

/// The findings with their places in the text, and why a resource that conforms is not taken.
fn issues_of(verdict: Verdict, place: &str, text: &[u8]) -> Vec<Issue> {
    let count = verdict.findings.len();
    let located = |path: &str| {
        let (_, below) = path.split_once('.').unwrap_or((path, ""));
        position(text, count, &format!("{place}.{below}"))
    };
    let findings = verdict.findings.iter();
    let mut issues: Vec<Issue> = findings
        .map(|finding| finding.to_issue(located(&finding.path).filter(|_| !place.is_empty())))
        .collect();
    issues.extend(verdict.rejection.iter().flat_map(Outcome::issues).cloned());
    issues
}

/// A document that is no resource at all.
fn unreadable(error: &ParseError) -> Issue {
    let place = Place {
        path: error.path.clone(),
        position: Some((error.line, error.column)),
    };
    let text = format!("{}: {}", error.path, error.message);
    let mut issue = Issue::new(Severity::Fatal, IssueType::Structure, text).at(place);
    issue.message_id = Some("parse".to_owned());
    issue
}

/// What would be left out of a resource that is stored.
fn unread(what: &str) -> Issue {
    let text = format!("{what} cannot be read as R4 and would be left out");
    Issue::new(Severity::Warning, IssueType::Structure, text)
}
