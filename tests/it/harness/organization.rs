//! A mailbox and an engine that are two processes, with plugins of the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dsf::store::Settings;
use dsf::store::testing::fresh_database;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Client, Launch, Line, ORGANIZATION, Package, Server, World, until};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);
const BPMN_MESSAGE: &str = "http://dsf.dev/fhir/CodeSystem/bpmn-message";

pub struct Organization {
    pub world: Arc<World>,
    pub name: &'static str,
    database: Settings,
    plugins: PathBuf,
    /// Keys of its engine.
    pub keys: Vec<String>,
    /// Variables of the environment of its engine.
    pub environment: Vec<(&'static str, &'static str)>,
    mailbox: Option<Server>,
    engine: Option<Server>,
    line: Option<Line>,
}

/// A Task that asks for something.
pub struct Request<'a> {
    /// With its version.
    pub process: &'a str,
    pub profile: &'a str,
    pub message: &'a str,
    pub business_key: Option<&'a str>,
    pub inputs: Vec<Value>,
}

impl Organization {
    /// Starts mailbox and engine; keys are set for the engine.
    pub async fn start(
        world: &Arc<World>,
        name: &'static str,
        package: &Package,
        keys: &[&str],
    ) -> Self {
        let mut organization = Self::closed(world, name, package, keys).await;
        organization.open_mailbox().await;
        organization.start_engine().await;
        organization
    }

    /// The same with a line before the mailbox.
    pub async fn on_line(world: &Arc<World>, name: &'static str, package: &Package) -> Self {
        let mut organization = Self::closed(world, name, package, &[]).await;
        let launch = organization.launch().elsewhere();
        let mailbox = launch.start().await;
        let port = world.member(name).port;
        organization.line = Some(Line::open(port, mailbox.port).await);
        organization.mailbox = Some(mailbox);
        organization
    }

    /// Nothing runs yet.
    pub async fn closed(
        world: &Arc<World>,
        name: &'static str,
        package: &Package,
        keys: &[&str],
    ) -> Self {
        Self {
            world: Arc::clone(world),
            name,
            database: fresh_database().await,
            plugins: package.folder().to_owned(),
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
            environment: Vec::new(),
            mailbox: None,
            engine: None,
            line: None,
        }
    }

    fn launch(&self) -> Launch {
        // Many nodes share the server of the tests.
        let launch = Launch::of(&self.world, self.name).database(&self.database);
        launch.set("database.pool-size=4")
    }

    pub async fn open_mailbox(&mut self) {
        self.mailbox = Some(self.launch().start().await);
    }

    pub async fn start_engine(&mut self) {
        let folder = format!("bpe.plugin-dir={}", self.plugins.display());
        let mut launch = self.launch().engine().set(folder);
        launch = launch.environment(&self.environment);
        for key in &self.keys {
            launch = launch.set(key.clone());
        }
        self.engine = Some(launch.start().await);
    }

    pub fn stop_mailbox(&mut self) {
        assert!(self.mailbox.take().unwrap().stop(), "it ends in order");
    }

    pub fn stop_engine(&mut self) {
        assert!(self.engine.take().unwrap().stop(), "it ends in order");
    }

    /// Keys of the engine from its next start on.
    pub fn set_keys(&mut self, keys: &[&str]) {
        self.keys = keys.iter().map(|&key| key.to_owned()).collect();
    }

    pub fn kill_engine(&mut self) {
        self.engine.take().unwrap().signal(Signal::SIGKILL);
    }

    pub fn mailbox(&self) -> &Server {
        self.mailbox.as_ref().expect("an open mailbox")
    }

    pub fn engine(&self) -> &Server {
        self.engine.as_ref().expect("a running engine")
    }

    pub fn line(&self) -> &Line {
        self.line.as_ref().expect("a line")
    }

    pub fn local(&self) -> Client {
        self.mailbox().local()
    }

    pub fn identifier(&self) -> &'static str {
        self.world.member(self.name).identifier
    }

    /// Waits until the processes are there; a URL with its version each.
    pub async fn offers(&self, processes: &[&str]) {
        for process in processes {
            let (url, version) = process.split_once('|').unwrap();
            let query = format!("ActivityDefinition?url={url}&version={version}&status=active");
            until(&format!("{process} is deployed"), PATIENCE, async || {
                !self.local().search(&query).await.is_empty()
            })
            .await;
        }
    }

    /// The Task that `from` sends to this organisation.
    pub fn request(&self, from: &str, request: &Request<'_>) -> Value {
        let mut input = vec![text(BPMN_MESSAGE, "message-name", request.message)];
        input.extend(
            request
                .business_key
                .map(|key| text(BPMN_MESSAGE, "business-key", key)),
        );
        input.extend(request.inputs.iter().cloned());
        json!({
            "resourceType": "Task",
            "meta": {"profile": [request.profile]},
            "instantiatesCanonical": request.process,
            "status": "requested",
            "intent": "order",
            "authoredOn": Timestamp::now().to_string(),
            "requester": party(self.world.member(from).identifier),
            "restriction": {"recipient": [party(self.identifier())]},
            "input": input,
        })
    }

    /// Sends a Task as `from`; its id.
    pub async fn ask(&self, from: &'static str, request: &Request<'_>) -> String {
        let task = self.request(from, request);
        let stored = self.mailbox().client(from).create(&task).await;
        stored["id"].as_str().unwrap().to_owned()
    }

    pub async fn task(&self, id: &str) -> Value {
        self.local().get(&format!("Task/{id}")).await.json()
    }

    /// The Task once it has this status.
    pub async fn task_when(&self, id: &str, status: &str) -> Value {
        let reached = async || self.task(id).await["status"] == status;
        let what = format!("Task {id} at {} is {status}", self.name);
        until(&what, PATIENCE, reached).await;
        self.task(id).await
    }

    /// The Task when its process is over, whatever came of it.
    pub async fn ended(&self, id: &str) -> Value {
        let over = async || {
            let task = self.task(id).await;
            task["status"] == "completed" || task["status"] == "failed"
        };
        until(&format!("Task {id} at {} ends", self.name), PATIENCE, over).await;
        self.task(id).await
    }

    /// All Tasks with this message name, as they are now.
    pub async fn tasks(&self, message: &str) -> Vec<Value> {
        let mut all = self.local().search("Task?_sort=_id&_count=500").await;
        all.retain(|task| input_text(task, "message-name") == message && task["status"] != "draft");
        all
    }

    /// Waits until as many receivers of a message wait in the engine.
    pub async fn waits(&self, message: &str, count: i64) {
        let url = self.database.url.as_deref().unwrap();
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let counted = "SELECT count(*) FROM bpe.subscription WHERE name = $1";
        until(
            &format!("{count} wait for {message}"),
            PATIENCE,
            async || {
                let row = client.query_one(counted, &[&message]).await.unwrap();
                row.get::<_, i64>(0) == count
            },
        )
        .await;
    }

    /// The form of a user task, once there is one in this status.
    pub async fn form(&self, business_key: &str, status: &str) -> Value {
        let mut found = Value::Null;
        let what = format!("a form of {business_key} is {status}");
        until(&what, PATIENCE, async || {
            let query = format!("QuestionnaireResponse?status={status}&_count=500");
            let forms = self.local().search(&query).await;
            let ours = forms.into_iter().find(|form| {
                answer(form, "business-key")["valueString"].as_str() == Some(business_key)
            });
            found = ours.unwrap_or_default();
            !found.is_null()
        })
        .await;
        found
    }
}

fn party(identifier: &str) -> Value {
    let identifier = json!({"system": ORGANIZATION, "value": identifier});
    json!({"type": "Organization", "identifier": identifier})
}

/// An input or output with a string.
pub fn text(system: &str, code: &str, value: &str) -> Value {
    json!({"type": {"coding": [{"system": system, "code": code}]}, "valueString": value})
}

/// The string of the input with this code.
pub fn input_text<'a>(task: &'a Value, code: &str) -> &'a str {
    let mut inputs = task["input"].as_array().into_iter().flatten();
    let input = inputs.find(|input| input["type"]["coding"][0]["code"] == code);
    input
        .and_then(|input| input["valueString"].as_str())
        .unwrap_or_default()
}

/// Codes of the outputs with their values as text.
pub fn outputs(task: &Value) -> Vec<(String, String)> {
    let outputs = task["output"].as_array().into_iter().flatten();
    let pair = |output: &Value| {
        let code = output["type"]["coding"][0]["code"].as_str().unwrap();
        let members = output.as_object().unwrap();
        let value = members
            .iter()
            .find_map(|(name, value)| name.starts_with("value").then_some(value));
        let value = value.unwrap();
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (code.to_owned(), text)
    };
    outputs.map(pair).collect()
}

/// The first answer of an item of a form.
pub fn answer<'a>(form: &'a Value, link_id: &str) -> &'a Value {
    let mut items = form["item"].as_array().into_iter().flatten();
    let item = items.find(|item| item["linkId"] == link_id);
    item.map_or(&Value::Null, |item| &item["answer"][0])
}

/// The form with these answers, completed by somebody.
pub fn completed(form: &Value, author: Value, answers: &[(&str, Value)]) -> Value {
    let mut form = form.clone();
    form["status"] = json!("completed");
    form["authored"] = json!(Timestamp::now().to_string());
    form["author"] = author;
    for item in form["item"].as_array_mut().unwrap() {
        let given = answers.iter().find(|(id, _)| item["linkId"] == *id);
        if let Some((_, answer)) = given {
            item["answer"] = json!([answer]);
        }
    }
    form
}

/// A practitioner as the author of an answer.
pub fn practitioner(email: &str) -> Value {
    let system = "http://dsf.dev/sid/practitioner-identifier";
    json!({"type": "Practitioner", "identifier": {"system": system, "value": email}})
}

/// The own organisation as the author of an answer.
pub fn organization(identifier: &str) -> Value {
    party(identifier)
}
