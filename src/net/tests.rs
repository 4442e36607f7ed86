//! Real TLS on loopback: who gets in, and as whom (`spec/auth-config.md` §1.1, §1.2).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use openssl::ssl::{SslConnector, SslMethod, SslSession, SslSessionCacheMode, SslVersion};
use rcgen::ExtendedKeyUsagePurpose as Usage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http::{self, Client, Method, Request, StatusCode, Url};
use super::pki::{Authority, Profile};
use super::tls::{self, Acceptor, ClientCertificate, PeerCertificate, Thumbprint, Trust};
use crate::kernel::secret::Secret;
use crate::net::pem::{self, KeyFiles};
use crate::store::testing::temporary_folder;

/// A server that answers with the thumbprint of its client, a CA, and the files of both.
struct World {
    folder: PathBuf,
    ca: Authority,
    acceptor: Acceptor,
    address: SocketAddr,
    server: ServerHandle,
}

impl World {
    async fn new(purpose: &str, client_certificate: ClientCertificate) -> Self {
        let folder = temporary_folder(purpose);
        std::fs::create_dir_all(&folder).unwrap();
        let ca = Authority::new("Test CA").unwrap();
        std::fs::write(folder.join("ca.pem"), ca.certificate()).unwrap();
        let profile = Profile::server(&["localhost", "127.0.0.1"]);
        let server = ca
            .issue(&profile)
            .unwrap()
            .write(&folder, "server")
            .unwrap();
        let acceptor = Acceptor::new(tls::Settings {
            server,
            client_cas: Some(folder.join("ca.pem")),
            client_certificate,
            revocation: None,
            fetch: http::Settings::default(),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let remembering = acceptor.clone();
        let server = HttpServer::new(|| {
            App::new()
                .route("/", web::to(who))
                .route("/ws", web::get().to(echo_socket))
        })
        .workers(1)
        .disable_signals()
        .on_connect(move |connection, data| remembering.remember_peer(connection, data))
        .tls_handshake_timeout(Duration::from_millis(300))
        .listen_openssl(listener, acceptor.builder().unwrap())
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            folder,
            ca,
            acceptor,
            address,
            server: handle,
        }
    }

    fn url(&self, path: &str) -> Url {
        format!("https://localhost:{}{path}", self.address.port())
            .parse()
            .unwrap()
    }

    fn issue(&self, profile: &Profile) -> KeyFiles {
        self.ca
            .issue(profile)
            .unwrap()
            .write(&self.folder, &profile.common_name)
            .unwrap()
    }

    fn client(&self, identity: Option<KeyFiles>) -> Client {
        let server_cas = Some(self.folder.join("ca.pem"));
        Client::new(&http::Settings {
            identity,
            server_cas,
            ..http::Settings::default()
        })
        .unwrap()
    }

    async fn ask(&self, identity: Option<KeyFiles>) -> Result<String, http::Error> {
        let answer = self
            .client(identity)
            .send(&Request::get(self.url("/")))
            .await?;
        Ok(String::from_utf8(answer.success()?.body.to_vec()).unwrap())
    }
}

async fn who(request: HttpRequest) -> HttpResponse {
    let peer = request.conn_data::<PeerCertificate>();
    HttpResponse::Ok().body(
        peer.map_or("nobody", |peer| peer.thumbprint_hex())
            .to_owned(),
    )
}

async fn echo_socket(request: HttpRequest, body: web::Payload) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = messages.recv().await {
            match message {
                actix_ws::Message::Text(text) if text == "go" => break,
                actix_ws::Message::Text(text) => session.text(text).await.unwrap(),
                _ => {}
            }
        }
        let reason = Some((actix_ws::CloseCode::Policy, "enough".to_owned()).into());
        session.close(reason).await.unwrap();
    });
    Ok(response)
}

fn thumbprint(files: &KeyFiles) -> String {
    let chain = pem::certificates_of_file(&files.certificate).unwrap();
    Thumbprint::of(&chain[0].to_der().unwrap()).to_string()
}

#[actix_web::test]
async fn a_client_is_known_by_the_thumbprint_of_its_certificate() {
    let world = World::new("tls-required", ClientCertificate::Required).await;
    for usages in [
        vec![Usage::ClientAuth],
        vec![Usage::ClientAuth, Usage::ServerAuth],
        vec![Usage::Any],
        vec![],
    ] {
        let files = world.issue(&Profile {
            usages: usages.clone(),
            ..Profile::client("member")
        });
        assert_eq!(
            world.ask(Some(files.clone())).await.unwrap(),
            thumbprint(&files),
            "{usages:?}"
        );
    }
    world.server.stop(false).await;
}

#[actix_web::test]
async fn nobody_gets_in_with_a_bad_certificate_or_none() {
    let world = World::new("tls-refused", ClientCertificate::Required).await;
    let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
    let good = Profile::client("member");
    let foreign = Authority::new("Test CA").unwrap().issue(&good).unwrap();
    let refused = [
        ("none", None),
        (
            "foreign",
            Some(foreign.write(&world.folder, "foreign").unwrap()),
        ),
        (
            "expired",
            Some(world.issue(&Profile {
                valid_until: now - day / 2,
                ..good.clone()
            })),
        ),
        (
            "tomorrow",
            Some(world.issue(&Profile {
                valid_from: now + day,
                ..good.clone()
            })),
        ),
        (
            "server",
            Some(world.issue(&Profile {
                usages: vec![Usage::ServerAuth],
                ..good.clone()
            })),
        ),
    ];
    for (name, files) in refused {
        let error = world.ask(files).await.unwrap_err();
        assert!(matches!(error, http::Error::Tls { .. }), "{name}: {error}");
    }
    world.server.stop(false).await;
}

#[actix_web::test]
async fn an_optional_certificate_may_be_missing_but_not_bad() {
    let world = World::new("tls-optional", ClientCertificate::Optional).await;
    assert_eq!(world.ask(None).await.unwrap(), "nobody");
    let files = world.issue(&Profile::client("member"));
    assert_eq!(
        world.ask(Some(files.clone())).await.unwrap(),
        thumbprint(&files)
    );
    let usages = vec![Usage::ServerAuth];
    let bad = world.issue(&Profile {
        usages,
        ..Profile::client("bad")
    });
    assert!(world.ask(Some(bad)).await.is_err());
    world.server.stop(false).await;
}

/// One request over plain OpenSSL; resumes `session` if there is one.
fn request(
    world: &World,
    files: &KeyFiles,
    version: SslVersion,
    session: Option<&SslSession>,
) -> (String, bool, Option<SslSession>) {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_ca_file(world.folder.join("ca.pem")).unwrap();
    connector.set_min_proto_version(Some(version)).unwrap();
    connector.set_max_proto_version(Some(version)).unwrap();
    let pair = files.load().unwrap();
    connector.set_certificate(&pair.chain[0]).unwrap();
    connector.set_private_key(&pair.key).unwrap();
    // A context that ends spoils the sessions in its own cache.
    connector
        .set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
    let tickets = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = std::sync::Arc::clone(&tickets);
    connector.set_new_session_callback(move |_, session| *keep.lock().unwrap() = Some(session));
    let connector = connector.build();
    let mut ssl = connector
        .configure()
        .unwrap()
        .into_ssl("localhost")
        .unwrap();
    if let Some(session) = session {
        resume(&mut ssl, session);
    }
    let mut stream = ssl
        .connect(TcpStream::connect(world.address).unwrap())
        .unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let (mut answer, mut piece) = (String::new(), [0; 4096]);
    // A thumbprint ends the answer; an end of the connection would spoil the session.
    while answer
        .split("\r\n\r\n")
        .nth(1)
        .is_none_or(|body| body.len() < 128)
    {
        let length = stream.read(&mut piece).unwrap();
        answer.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    stream.shutdown().unwrap();
    let reused = stream.ssl().session_reused();
    let body = answer
        .split("\r\n\r\n")
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let ticket = tickets.lock().unwrap().take();
    (body, reused, ticket)
}

#[expect(
    unsafe_code,
    reason = "openssl asks that the session comes from the same kind of context"
)]
fn resume(ssl: &mut openssl::ssl::Ssl, session: &SslSession) {
    unsafe { ssl.set_session(session).unwrap() }
}

#[actix_web::test]
async fn both_versions_know_the_client_also_when_a_session_is_resumed() {
    let world = World::new("tls-versions", ClientCertificate::Required).await;
    let files = world.issue(&Profile::client("member"));
    let expected = thumbprint(&files);
    let world = actix_web::rt::task::spawn_blocking(move || {
        for version in [SslVersion::TLS1_3, SslVersion::TLS1_2] {
            let (first, reused, ticket) = request(&world, &files, version, None);
            assert_eq!((first, reused), (expected.clone(), false), "{version:?}");
            let ticket = ticket.unwrap();
            let (second, reused, _) = request(&world, &files, version, Some(&ticket));
            assert_eq!((second, reused), (expected.clone(), true), "{version:?}");
            // Other CAs, the same client trusted by both: an old session does not count.
            let more = Authority::new("Another CA").unwrap();
            let both = format!("{}{}", world.ca.certificate(), more.certificate());
            std::fs::write(world.folder.join("ca.pem"), both).unwrap();
            world.acceptor.reload().unwrap();
            let (third, reused, _) = request(&world, &files, version, Some(&ticket));
            assert_eq!((third, reused), (expected.clone(), false));
        }
        world
    })
    .await
    .unwrap();
    world.server.stop(false).await;
}

#[actix_web::test]
async fn certificates_and_cas_are_exchanged_without_a_restart() {
    let world = World::new("tls-reload", ClientCertificate::Required).await;
    let old = world.issue(&Profile::client("member"));
    world.ask(Some(old.clone())).await.unwrap();
    let ca = Authority::new("New CA").unwrap();
    let server = ca.issue(&Profile::server(&["localhost"])).unwrap();
    std::fs::write(world.folder.join("server.crt"), &server.certificate).unwrap();
    assert!(
        world
            .acceptor
            .reload()
            .unwrap_err()
            .to_string()
            .contains("do not belong together")
    );
    world.ask(Some(old.clone())).await.unwrap();
    server.write(&world.folder, "server").unwrap();
    std::fs::write(world.folder.join("ca.pem"), ca.certificate()).unwrap();
    world.acceptor.reload().unwrap();
    let new = ca
        .issue(&Profile::client("new"))
        .unwrap()
        .write(&world.folder, "new")
        .unwrap();
    assert_eq!(
        world.ask(Some(new.clone())).await.unwrap(),
        thumbprint(&new)
    );
    assert!(world.ask(Some(old)).await.is_err());
    world.server.stop(false).await;
}

#[actix_web::test]
async fn a_socket_that_says_nothing_is_closed() {
    let world = World::new("tls-half-open", ClientCertificate::Required).await;
    let address = world.address;
    let read = actix_web::rt::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        socket.read(&mut [0; 1])
    });
    assert_eq!(read.await.unwrap().unwrap(), 0);
    world.server.stop(false).await;
}

#[actix_web::test]
async fn a_certificate_in_a_header_is_checked_like_one_of_a_handshake() {
    let ca = Authority::new("Test CA").unwrap();
    let folder = temporary_folder("tls-header");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.certificate()).unwrap();
    let trust = Trust::load(&folder.join("ca.pem")).unwrap();
    let check = |usages: Vec<Usage>| {
        let profile = Profile {
            usages,
            ..Profile::client("person")
        };
        let pem = ca.issue(&profile).unwrap().certificate;
        let apache = PeerCertificate::from_header(&pem.trim().replace('\n', " ")).unwrap();
        let escaped = pem
            .replace('+', "%2B")
            .replace(' ', "%20")
            .replace('\n', "%0A");
        assert_eq!(PeerCertificate::from_header(&escaped).unwrap(), apache);
        trust.verify(&apache, &[]).is_ok()
    };
    assert!(check(vec![Usage::ClientAuth]) && check(vec![Usage::Any]) && check(vec![]));
    assert!(!check(vec![Usage::ServerAuth]));
    let foreign = Authority::new("Test CA")
        .unwrap()
        .issue(&Profile::client("x"))
        .unwrap();
    let foreign = foreign.certificate.trim().replace('\n', " ");
    assert!(
        trust
            .verify(&PeerCertificate::from_header(&foreign).unwrap(), &[])
            .is_err()
    );
    assert_eq!(PeerCertificate::from_header("nonsense"), None);
}

#[actix_web::test]
async fn files_that_cannot_be_used_are_named_with_the_reason() {
    let ca = Authority::new("Test CA").unwrap();
    let folder = temporary_folder("tls-files");
    std::fs::create_dir_all(&folder).unwrap();
    let files = ca
        .issue(&Profile::server(&["localhost"]))
        .unwrap()
        .write(&folder, "own")
        .unwrap();
    let key = files.load().unwrap().key;
    let cipher = openssl::symm::Cipher::aes_256_cbc();
    let locked = key
        .private_key_to_pem_pkcs8_passphrase(cipher, b"sesame")
        .unwrap();
    std::fs::write(folder.join("locked.key"), locked).unwrap();
    let with = |private_key: &str, password: Option<&str>| {
        let files = KeyFiles {
            private_key: folder.join(private_key),
            password: password.map(crate::kernel::secret::Secret::new),
            ..files.clone()
        };
        files.load().map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with("locked.key", Some("sesame")), Ok(()));
    for (file, password, words) in [
        ("locked.key", None, "encrypted"),
        ("locked.key", Some("wrong"), "password"),
        ("missing.key", None, "missing.key"),
        ("own.crt", None, "no private key"),
    ] {
        let error = with(file, password).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let client = ca
        .issue(&Profile::client("c"))
        .unwrap()
        .write(&folder, "client")
        .unwrap();
    let client_certificate = ClientCertificate::Ignored;
    let settings = tls::Settings {
        server: client,
        client_cas: None,
        client_certificate,
        revocation: None,
        fetch: http::Settings::default(),
    };
    let error = Acceptor::new(settings).err().unwrap().to_string();
    assert!(error.contains("serverAuth"), "{error}");
}

#[actix_web::test]
async fn only_harmless_requests_are_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    // Drops each connection after the request, counting them.
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&count);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4096]);
            // Before the client sees the end of the connection.
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let client = Client::new(&http::Settings::default()).unwrap();
    let tries = |request: Request| {
        let (client, count) = (client.clone(), std::sync::Arc::clone(&count));
        async move {
            count.store(0, std::sync::atomic::Ordering::SeqCst);
            client.send(&request).await.unwrap_err();
            count.load(std::sync::atomic::Ordering::SeqCst)
        }
    };
    let keyed = Request::new(Method::POST, url.clone()).header(
        http::HeaderName::from_static("idempotency-key"),
        http::HeaderValue::from_static("42"),
    );
    let guarded = Request::new(Method::PUT, url.clone()).header(
        http::header::IF_MATCH,
        http::HeaderValue::from_static("W/\"1\""),
    );
    assert_eq!(tries(Request::get(url.clone())).await, 3);
    assert_eq!(tries(keyed).await, 3);
    assert_eq!(tries(Request::new(Method::POST, url.clone())).await, 1);
    assert_eq!(tries(guarded).await, 1);
}

/// A forward proxy that tunnels for who knows the password; counts its tunnels.
async fn forward_proxy(tunnels: Arc<AtomicUsize>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let tunnels = Arc::clone(&tunnels);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let target = head.strip_prefix("connect ").unwrap();
                let target = target.split(' ').next().unwrap().to_owned();
                // dsf:secret
                if !head.contains("proxy-authorization: basic zhnmonnly3jlda==") {
                    let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                    return client.write_all(refusal).await.unwrap();
                }
                tunnels.fetch_add(1, Ordering::Relaxed);
                let mut server = tokio::net::TcpStream::connect(target).await.unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

#[actix_web::test]
async fn a_forward_proxy_is_gone_through_unless_the_host_is_excepted() {
    let world = World::new("tls-proxy", ClientCertificate::Required).await;
    let member = world.issue(&Profile::client("member"));
    let tunnels = Arc::new(AtomicUsize::new(0));
    let address = forward_proxy(Arc::clone(&tunnels)).await;
    let client = |password: &str, except: &[&str]| {
        Client::new(&http::Settings {
            identity: Some(member.clone()),
            server_cas: Some(world.folder.join("ca.pem")),
            proxy: Some(http::Proxy {
                url: format!("http://{address}"),
                username: Some("dsf".to_owned()),
                password: Some(Secret::new(password)),
                except: except.iter().map(ToString::to_string).collect(),
            }),
            ..http::Settings::default()
        })
        .unwrap()
    };
    let ask = async |client: Client| client.send(&Request::get(world.url("/"))).await;
    let answer = ask(client("secret", &[])).await.unwrap();
    assert_eq!(
        answer.body,
        thumbprint(&member),
        "TLS goes through the tunnel"
    );
    assert_eq!(tunnels.load(Ordering::Relaxed), 1);
    ask(client("secret", &["localhost"])).await.unwrap();
    assert_eq!(tunnels.load(Ordering::Relaxed), 1, "around the proxy");
    let refused = ask(client("wrong", &[])).await.unwrap_err().to_string();
    assert!(refused.contains("proxy"), "{refused}");
    world.server.stop(false).await;
}

#[cfg(feature = "bpe")]
#[actix_web::test]
async fn a_websocket_carries_text_both_ways_and_tells_why_it_closed() {
    use super::websocket::{self, Error, Event};

    let world = World::new("tls-websocket", ClientCertificate::Required).await;
    let client = world.client(Some(world.issue(&Profile::client("member"))));
    let address = |path| {
        world
            .url(path)
            .as_str()
            .replacen("https", "wss", 1)
            .parse()
            .unwrap()
    };
    let mut socket = websocket::connect(&client, &address("/ws")).await.unwrap();
    let long = "ping ".repeat(10_000);
    socket.send_text(long.clone()).await.unwrap();
    assert_eq!(socket.next().await.unwrap(), Event::Text(long));
    socket.send_text("go").await.unwrap();
    let goodbye = Event::Closed {
        code: Some(1008),
        reason: "enough".to_owned(),
    };
    assert_eq!(socket.next().await.unwrap(), goodbye);
    let refused = websocket::connect(&client, &address("/"))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(
            refused,
            Error::Refused {
                status: StatusCode::OK,
                ..
            }
        ),
        "{refused}"
    );
    world.server.stop(false).await;
}
