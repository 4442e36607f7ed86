//! Entries of the file, and the servers behind them: real TLS, certificates of clients, tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::ssl::{SslAcceptor, SslVerifyMode};
use openssl::symm::Cipher;

use openssl::x509::X509;

use super::*;
use crate::bpe::plugin::runner::Outside;
use crate::bpe::plugin::service::{Caller, Capabilities, Services, Session};
use crate::bpe::plugin::testing::{Answered, Asked, StandIn, outfit};
use crate::net::pki::{Authority, Profile};
use crate::net::testing::acceptor;
use crate::store::testing::temporary_folder;

/// Spec/bpe.md §14, rows 41 and 57.
#[test]
fn an_entry_that_is_wrong_harms_no_other_and_is_told_in_full() {
    let text = "
good:
  base-url: https://fhir.example/fhir/
  connect-timeout: PT5S
  basic-auth: { username: dsf, password: secret }
worse:
  base-url: ftp://fhir.example
  read-timeout: soon
  bearer-auth: { token: a, token-file: b }
  basic-auth: { username: dsf }
\"#local\":
  base-url: https://fhir.example/fhir
";
    let (found, problems) = Connections::parse(text, Path::new("."), None);
    assert_eq!(found.described("worse", true).unwrap(), Value::Null);
    let good = found.described("good", false).unwrap();
    assert_eq!(good["baseUrl"], "https://fhir.example/fhir");
    assert_eq!(good["connectTimeout"], 5_000);
    let basic = json!({ "username": "dsf", "password": null });
    assert_eq!(good["basicAuthentication"], basic, "no secret");
    told(
        &problems,
        &[
            "worse.base-url is 'ftp://fhir.example'",
            "worse.read-timeout is 'soon'",
            "worse.bearer-auth.token and token-file",
            "worse.basic-auth.password is missing",
            "#local: ids that begin with #",
        ],
    );
}

fn told(problems: &[String], parts: &[&str]) {
    for part in parts {
        let found = problems.iter().any(|problem| problem.contains(part));
        assert!(found, "{part} is missing in {problems:?}");
    }
}

/// A CA, and a folder with its certificates, in which the YAML file lies.
struct World {
    folder: PathBuf,
    ca: Authority,
}

impl World {
    fn new() -> Self {
        let folder = temporary_folder(&format!("connections-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let ca = Authority::new("Hospital CA").unwrap();
        std::fs::write(folder.join("ca.pem"), ca.certificate()).unwrap();
        Self { folder, ca }
    }

    /// `name.crt` and `name.key` of a client.
    fn client(&self, name: &str) -> (X509, PKey<Private>) {
        let issued = self.ca.issue(&Profile::client(name)).unwrap();
        let files = issued.write(&self.folder, name).unwrap();
        let mut pair = files.load().unwrap();
        (pair.chain.remove(0), pair.key)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.join(name), content).unwrap();
    }

    /// Of a server that takes clients with and without certificates of the CA.
    fn acceptor(&self) -> SslAcceptor {
        let server = self.ca.issue(&Profile::server(&["localhost"])).unwrap();
        let server = server.write(&self.folder, "server").unwrap();
        acceptor(&server, &self.folder.join("ca.pem"), SslVerifyMode::PEER)
    }

    /// What a call of code has of these connections.
    async fn session(&self, yaml: &str) -> Session {
        let (connections, problems) = Connections::parse(yaml, &self.folder, None);
        assert!(problems.is_empty(), "{problems:?}");
        let own = StandIn::start(|_| Answered::empty(404)).await;
        let mut outfit = outfit(&own);
        outfit.connections = connections;
        let capabilities = Capabilities {
            fhir_connections: vec!["*".to_owned()],
            ..Capabilities::default()
        };
        let caller = Caller {
            process: "test|1.0".to_owned(),
            activity: "Test".to_owned(),
            business_key: "key".to_owned(),
        };
        let services = Arc::new(Services::new(outfit));
        Session::new(services, Arc::new(capabilities), caller)
    }
}

/// What a server answers to a read by way of a connection: its body, or why there is none.
async fn read(session: &Session, id: &str) -> Result<Value, String> {
    let question = json!({
        "fhir": { "server": { "id": id }, "method": "GET", "path": "Patient/1" },
    });
    let answer = session.ask(question.to_string()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    match answer["error"]["message"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer["value"]["body"].clone()),
    }
}

/// Tells its client who it is.
fn who(asked: &Asked) -> Answered {
    let told = json!({ "client": asked.client, "authorization": asked.header("authorization") });
    Answered::json(200, &told)
}

/// Spec/bpe.md §10.2: plain and encrypted keys, PKCS#12, passwords, tokens, and both together.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_shows_its_server_who_it_is() {
    let world = World::new();
    let (certificate, key) = world.client("plain");
    let encrypted = key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"changeit");
    world.write("encrypted.key", encrypted.unwrap());
    world.write("password", "changeit\n");
    let mut store = Pkcs12::builder();
    let store = store.name("plain").pkey(&key).cert(&certificate);
    let store = store.build2("changeit").unwrap();
    world.write("store.p12", store.to_der().unwrap());
    let server = StandIn::secured(world.acceptor(), who).await;
    let ways = [
        ("nobody", "{}", json!(null), json!(null)),
        (
            "plain",
            "cert-auth: { certificate-file: plain.crt, private-key-file: plain.key }",
            json!("plain"),
            json!(null),
        ),
        (
            "encrypted",
            "cert-auth: { certificate-file: plain.crt, private-key-file: encrypted.key, \
             password-file: password }",
            json!("plain"),
            json!(null),
        ),
        (
            "packed",
            "cert-auth: { p12-file: store.p12, password: changeit }",
            json!("plain"),
            json!(null),
        ),
        (
            "basic",
            "basic-auth: { username: dsf, password-file: password }",
            json!(null),
            // dsf:changeit
            json!("Basic ZHNmOmNoYW5nZWl0"),
        ),
        (
            "both",
            "cert-auth: { p12-file: store.p12, password: changeit }\n  \
             bearer-auth: { token: secret-token }",
            json!("plain"),
            json!("Bearer secret-token"),
        ),
    ];
    let mut yaml = String::new();
    for (id, way, ..) in &ways {
        let way = way.trim_start_matches("{}");
        yaml += &format!(
            "{id}:\n  base-url: {}\n  trusted-root-certificates-file: ca.pem\n  {way}\n",
            server.base
        );
    }
    // The system's CAs, and those of somebody else.
    let other = World::new();
    std::fs::copy(other.folder.join("ca.pem"), world.folder.join("other.pem")).unwrap();
    yaml += &format!("stranger:\n  base-url: {}\n", server.base);
    yaml += &format!(
        "other:\n  base-url: {}\n  trusted-root-certificates-file: other.pem\n",
        server.base
    );
    let session = world.session(&yaml).await;
    for (id, _, client, authorization) in ways {
        let told = read(&session, id).await.unwrap();
        assert_eq!(told["client"], client, "{id}");
        assert_eq!(told["authorization"], authorization, "{id}");
    }
    server.taken();
    for id in ["stranger", "other"] {
        let error = read(&session, id).await.unwrap_err();
        assert!(error.contains("certificate"), "{id}: {error}");
    }
    assert!(server.taken().is_empty(), "nothing was sent");
}

/// Spec/bpe.md §10.2: what the Java DSF checks when it starts, told before the first use.
#[test]
fn a_certificate_that_no_server_would_take_is_told_at_once() {
    let world = World::new();
    world.client("one");
    let (certificate, _) = world.client("two");
    let server = world.ca.issue(&Profile::server(&["localhost"])).unwrap();
    server.write(&world.folder, "server").unwrap();
    let mut bare = Pkcs12::builder();
    let bare = bare.cert(&certificate).build2("").unwrap();
    world.write("bare.p12", bare.to_der().unwrap());
    world.write("text.p12", "text");
    let files = [
        (
            "mismatch",
            "certificate-file: one.crt, private-key-file: two.key",
        ),
        (
            "server",
            "certificate-file: server.crt, private-key-file: server.key",
        ),
        ("bare", "p12-file: bare.p12"),
        ("text", "p12-file: text.p12"),
        ("absent", "p12-file: absent.p12"),
    ];
    let entry = |(id, files): &(&str, &str)| {
        format!("{id}:\n  base-url: https://fhir.example/fhir\n  cert-auth: {{ {files} }}\n")
    };
    let yaml: String = files.iter().map(entry).collect();
    let (found, problems) = Connections::parse(&yaml, &world.folder, None);
    assert_eq!(found.0.len(), 0, "{problems:?}");
    told(
        &problems,
        &[
            "mismatch.cert-auth.certificate-file is of no use",
            "do not belong together",
            "server.cert-auth.certificate-file is of no use: its certificate is not one for clients",
            "bare.cert-auth.p12-file is of no use: it holds no certificate with its key",
            "text.cert-auth.p12-file is of no use: it is no PKCS#12 file",
            "absent.cert-auth.p12-file names",
        ],
    );
}

/// An OpenID provider that gives the tokens it is told to, numbered.
struct Provider {
    key: PKey<Private>,
    given: AtomicUsize,
    /// Seconds for which a token is valid.
    lifetime: i64,
    audience: &'static str,
}

impl Provider {
    async fn start(world: &World, lifetime: i64, audience: &'static str) -> (Arc<Self>, StandIn) {
        let provider = Arc::new(Self {
            key: PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
            given: AtomicUsize::new(0),
            lifetime,
            audience,
        });
        let shared = Arc::clone(&provider);
        let answer = move |asked: &Asked| shared.answer(asked);
        let server = StandIn::secured(world.acceptor(), answer).await;
        (provider, server)
    }

    fn answer(&self, asked: &Asked) -> Answered {
        let host = asked.header("host").unwrap();
        let base = format!("https://{host}/fhir");
        match asked.path.as_str() {
            ".well-known/openid-configuration" => Answered::json(
                200,
                &json!({
                    "issuer": base, "token_endpoint": format!("{base}/token"),
                    "jwks_uri": format!("{base}/jwks"),
                    "grant_types_supported": ["client_credentials"],
                }),
            ),
            "jwks" => {
                let rsa = self.key.rsa().unwrap();
                let number =
                    |number: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(number.to_vec());
                let key = json!({
                    "kid": "k1", "kty": "RSA", "use": "sig", "n": number(rsa.n()), "e": number(rsa.e()),
                });
                Answered::json(200, &json!({ "keys": [key] }))
            }
            // bpe:changeit
            "token" if asked.header("authorization") != Some("Basic YnBlOmNoYW5nZWl0") => {
                Answered::json(401, &json!({ "error": "invalid_client" }))
            }
            "token" => {
                assert_eq!(asked.text(), "grant_type=client_credentials");
                let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
                let token = self.token(&base, number);
                Answered::json(
                    200,
                    &json!({ "access_token": token, "expires_in": self.lifetime }),
                )
            }
            other => panic!("nobody asks a provider for {other}"),
        }
    }

    fn token(&self, issuer: &str, number: usize) -> String {
        let now = Timestamp::now().as_second();
        let claims = json!({
            "iss": issuer, "azp": "bpe", "aud": self.audience, "jti": number.to_string(),
            "iat": now, "exp": now + self.lifetime,
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!(
            "{}.{}",
            part(json!({ "alg": "RS256", "kid": "k1" })),
            part(claims)
        );
        let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

/// The number of a provider's token.
fn number(asked: &Asked) -> Option<u64> {
    let token = asked.header("authorization")?.strip_prefix("Bearer ")?;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str()?.parse().ok()
}

fn with_oidc(id: &str, store: &StandIn, provider: &StandIn, more: &str) -> String {
    format!(
        "{id}:\n  base-url: {}\n  trusted-root-certificates-file: ca.pem\n  oidc-auth:\n    \
         base-url: {}\n    trusted-root-certificates-file: ca.pem\n    client-id: bpe\n    {more}\n",
        store.base, provider.base
    )
}

/// Spec/bpe.md §10.3: discovery, client credentials, a token that is used as long as it is good.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_kept_until_it_ends_and_renewed_when_its_server_refuses_it() {
    let world = World::new();
    let (provider, at) = Provider::start(&world, 300, "store").await;
    // Tokens before this one are taken back.
    let oldest = Arc::new(AtomicUsize::new(1));
    let taken_back = Arc::clone(&oldest);
    let store = StandIn::secured(world.acceptor(), move |asked| {
        let oldest = taken_back.load(Ordering::SeqCst) as u64;
        match number(asked) {
            Some(number) if number >= oldest => Answered::json(200, &json!({ "token": number })),
            _ => Answered::empty(401),
        }
    })
    .await;
    let more = "client-secret: changeit\n    required-audience: [store]";
    let session = world.session(&with_oidc("store", &store, &at, more)).await;
    for _ in 0..3 {
        assert_eq!(read(&session, "store").await.unwrap()["token"], 1);
    }
    assert_eq!(provider.given(), 1);
    let paths: Vec<_> = at.taken().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, [".well-known/openid-configuration", "token", "jwks"]);

    oldest.store(2, Ordering::SeqCst);
    assert_eq!(read(&session, "store").await.unwrap()["token"], 2);
    assert_eq!(provider.given(), 2);
    // A server that takes none is not asked for ever.
    oldest.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(read(&session, "store").await.unwrap_err(), "status 401");
    assert_eq!(provider.given(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_near_its_end_is_not_kept_and_one_for_others_is_not_used() {
    let world = World::new();
    let store = StandIn::secured(world.acceptor(), who).await;
    // Clocks may differ by ten seconds.
    let (brief, at) = Provider::start(&world, 5, "store").await;
    let session = world
        .session(&with_oidc("store", &store, &at, "client-secret: changeit"))
        .await;
    for _ in 0..2 {
        read(&session, "store").await.unwrap();
    }
    assert_eq!(brief.given(), 2);

    let (_, at) = Provider::start(&world, 300, "another").await;
    let wanted = "client-secret: changeit\n    required-audience: store";
    let yaml = with_oidc("other", &store, &at, wanted)
        + &with_oidc("refused", &store, &at, "client-secret: wrong");
    let session = world.session(&yaml).await;
    store.taken();
    let error = read(&session, "other").await.unwrap_err();
    assert!(error.contains("it is for another audience"), "{error}");
    let error = read(&session, "refused").await.unwrap_err();
    assert!(error.contains("invalid_client"), "{error}");
    assert!(store.taken().is_empty(), "nothing was sent");
}
