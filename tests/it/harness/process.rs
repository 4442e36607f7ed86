//! The smallest process that a Task can start: one message, one Task profile.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::sample::tag;
use super::{Client, ORGANIZATION};

const DSF: &str = "http://dsf.dev/fhir";

pub struct Process {
    name: String,
}

impl Process {
    /// Puts a process that everybody may start at the client's own organisation.
    pub async fn deploy(client: &Client) -> Self {
        let process = Self {
            name: format!("it{}", Uuid::new_v4().simple()),
        };
        client.create(&process.activity_definition()).await;
        client.create(&process.profile()).await;
        process
    }

    pub fn canonical(&self) -> String {
        format!("http://dsf.dev/bpe/Process/{}|1.0", self.name)
    }

    fn task_profile(&self) -> String {
        format!("{DSF}/StructureDefinition/task-{}", self.name)
    }

    fn activity_definition(&self) -> Value {
        let party = |role: &str, code: &str| {
            let system = format!("{DSF}/CodeSystem/process-authorization");
            json!({"url": role, "valueCoding": {"system": system, "code": code}})
        };
        json!({
            "resourceType": "ActivityDefinition",
            "meta": {"tag": [tag("ALL")]},
            "extension": [{
                "url": format!("{DSF}/StructureDefinition/extension-process-authorization"),
                "extension": [
                    {"url": "message-name", "valueString": "start"},
                    {"url": "task-profile", "valueCanonical": format!("{}|1.0", self.task_profile())},
                    party("requester", "LOCAL_ALL"),
                    party("requester", "REMOTE_ALL"),
                    party("recipient", "LOCAL_ALL"),
                ],
            }],
            "url": format!("http://dsf.dev/bpe/Process/{}", self.name),
            "version": "1.0",
            "name": self.name,
            "status": "active",
            "date": "2026-01-01",
            "kind": "Task",
        })
    }

    fn profile(&self) -> Value {
        json!({
            "resourceType": "StructureDefinition",
            "meta": {"tag": [tag("ALL")]},
            "url": self.task_profile(),
            "version": "1.0",
            "name": format!("Task{}", self.name),
            "status": "active",
            "experimental": false,
            "date": "2026-01-01",
            "fhirVersion": "4.0.1",
            "kind": "resource",
            "abstract": false,
            "type": "Task",
            "baseDefinition": format!("{DSF}/StructureDefinition/task"),
            "derivation": "constraint",
            "differential": {"element": [
                {
                    "id": "Task.instantiatesCanonical",
                    "path": "Task.instantiatesCanonical",
                    "fixedCanonical": self.canonical(),
                },
                {"id": "Task.input:message-name", "path": "Task.input", "sliceName": "message-name"},
                {
                    "id": "Task.input:message-name.value[x]",
                    "path": "Task.input.value[x]",
                    "fixedString": "start",
                },
            ]},
        })
    }

    /// A requested Task for the organisation of `local`.
    pub fn task(&self, requester: &str) -> Value {
        let party = |value: &str| json!({"type": "Organization", "identifier": {"system": ORGANIZATION, "value": value}});
        let message =
            json!({"system": format!("{DSF}/CodeSystem/bpmn-message"), "code": "message-name"});
        json!({
            "resourceType": "Task",
            "meta": {"profile": [format!("{}|1.0", self.task_profile())]},
            "instantiatesCanonical": self.canonical(),
            "status": "requested",
            "intent": "order",
            "authoredOn": Timestamp::now().to_string(),
            "requester": party(requester),
            "restriction": {"recipient": [party("Test_Organization")]},
            "input": [{"type": {"coding": [message]}, "valueString": "start"}],
        })
    }
}
