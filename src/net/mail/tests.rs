//! Mail to servers of the test, over real sockets.

use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::pkcs12::Pkcs12;
use openssl::ssl::{SslAcceptor, SslVerifyMode};
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::testing::{Heard, settings, stand_in};
use super::*;
use crate::net::pki::{Authority, Profile};
use crate::net::testing::{accepted, acceptor};
use crate::store::testing::temporary_folder;

/// A mail server that wants certificates of its clients.
async fn secured(listener: TcpListener, acceptor: SslAcceptor, at_once: bool) -> Heard {
    let (stream, _) = listener.accept().await.unwrap();
    let mut heard = Heard::default();
    let stream = match at_once {
        true => stream,
        false => heard.listen(BufReader::new(stream), true).await.unwrap(),
    };
    let Some((stream, client)) = accepted(&acceptor, stream).await else {
        return heard;
    };
    heard.client = client;
    heard.listen(BufReader::new(stream), at_once).await;
    heard
}

/// A CA, a server of it, and what a client needs.
struct World {
    folder: PathBuf,
    ca: Authority,
    acceptor: SslAcceptor,
    identity: KeyFiles,
}

impl World {
    fn new() -> Self {
        let folder = temporary_folder(&format!("mail-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let ca = Authority::new("Mail CA").unwrap();
        std::fs::write(folder.join("ca.pem"), ca.certificate()).unwrap();
        let issue =
            |name, profile: &Profile| ca.issue(profile).unwrap().write(&folder, name).unwrap();
        let server = issue("server", &Profile::server(&["127.0.0.1"]));
        let identity = issue("bpe", &Profile::client("bpe"));
        let always = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        Self {
            acceptor: acceptor(&server, &folder.join("ca.pem"), always),
            identity,
            folder,
            ca,
        }
    }

    fn settings(&self, port: u16, encryption: Encryption) -> Settings {
        Settings {
            encryption,
            server_cas: Some(self.folder.join("ca.pem")),
            identity: Some(self.identity.clone()),
            username: Some("dsf".to_owned()),
            password: Some(Secret::new("secret")),
            ..settings(port)
        }
    }

    /// A key store with a certificate for an address.
    fn key_store(&self, address: &str) -> PathBuf {
        let mut profile = Profile::client("signer");
        profile.names = vec![address.to_owned()];
        profile.usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
        let files = self.ca.issue(&profile).unwrap();
        let pair = files.write(&self.folder, "signer").unwrap().load().unwrap();
        let mut above = Stack::new().unwrap();
        above
            .push(X509::from_pem(self.ca.certificate().as_bytes()).unwrap())
            .unwrap();
        let store = Pkcs12::builder()
            .name("signer")
            .pkey(&pair.key)
            .cert(&pair.chain[0])
            .ca(above)
            .build2("changeit")
            .unwrap();
        let path = self.folder.join("signer.p12");
        std::fs::write(&path, store.to_der().unwrap()).unwrap();
        path
    }
}

/// Spec/bpe.md §10.4: receivers are those of the configuration unless given.
#[tokio::test]
async fn a_mail_reaches_the_server_with_its_parts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mailer = Mailer::new(settings(listener.local_addr().unwrap().port())).unwrap();
    let heard = tokio::spawn(stand_in(listener));
    let mail = Mail {
        subject: "report".to_owned(),
        text: Some("see below".to_owned()),
        attachments: vec![File {
            name: "report.csv".to_owned(),
            media_type: "text/csv".to_owned(),
            content: b"a;b\n".to_vec(),
        }],
        bcc: vec!["archive@hospital.example".to_owned()],
        ..Mail::default()
    };
    mailer.send(&mail).await.unwrap();
    drop(mailer);
    let heard = heard.await.unwrap();
    for part in [
        "MAIL FROM:<bpe@hospital.example>",
        "RCPT TO:<admin@hospital.example>",
        "RCPT TO:<office@hospital.example>",
        "RCPT TO:<archive@hospital.example>",
        "Subject: report",
        "see below",
        "filename=\"report.csv\"",
    ] {
        assert!(heard.contains(part), "{part} is missing in {heard}");
    }
    assert!(!heard.contains("Bcc:"), "{heard}");
}

#[tokio::test]
async fn what_the_server_refuses_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mailer = Mailer::new(settings(listener.local_addr().unwrap().port())).unwrap();
    tokio::spawn(stand_in(listener));
    let mail = Mail {
        to: Some(vec!["nobody@hospital.example".to_owned()]),
        ..Mail::default()
    };
    let error = mailer.send(&mail).await.unwrap_err().to_string();
    assert!(error.contains("unknown"), "{error}");
    let wrong = Mail {
        to: Some(vec!["no address".to_owned()]),
        ..Mail::default()
    };
    assert!(matches!(mailer.send(&wrong).await, Err(Error::Address(_))));
}

fn report() -> Mail {
    Mail {
        subject: "report".to_owned(),
        text: Some("Grüße\nfrom us\n.\nand a line that begins with a dot".to_owned()),
        html: Some("<p>Grüße</p>".to_owned()),
        attachments: vec![File {
            name: "report.csv".to_owned(),
            media_type: "text/csv".to_owned(),
            content: b"a;b\n1;2\n".to_vec(),
        }],
        ..Mail::default()
    }
}

/// Spec/bpe.md §10.4: trusted CAs, client certificate, user name; from the first byte, or after
/// STARTTLS.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_over_tls_with_a_client_certificate() {
    let world = World::new();
    for encryption in [Encryption::Tls, Encryption::StartTls] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let at_once = encryption == Encryption::Tls;
        let heard = tokio::spawn(secured(listener, world.acceptor.clone(), at_once));
        let mailer = Mailer::new(world.settings(port, encryption)).unwrap();
        mailer.send(&report()).await.unwrap();
        drop(mailer);
        let heard = heard.await.unwrap();
        assert_eq!(heard.client.as_deref(), Some("bpe"), "{encryption:?}");
        assert!(heard.told.contains("Subject: report"), "{}", heard.told);
        // \0dsf\0secret
        assert!(
            heard.told.contains("AUTH PLAIN AGRzZgBzZWNyZXQ="),
            "{}",
            heard.told
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_of_another_ca_gets_nothing() {
    let (world, other) = (World::new(), World::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(secured(listener, other.acceptor.clone(), true));
    let mailer = Mailer::new(world.settings(port, Encryption::Tls)).unwrap();
    let error = mailer.send(&report()).await.unwrap_err();
    assert!(matches!(error, Error::Sending(_)), "{error}");
    assert_eq!(heard.await.unwrap().told, "");
}

/// A server that cannot STARTTLS is told nothing of the mail.
#[tokio::test]
async fn a_mail_never_goes_in_the_clear_when_tls_is_wanted() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 ready\r\n").await.unwrap();
        let mut told = String::new();
        while stream.read_line(&mut told).await.unwrap() > 0 {
            stream.write_all(b"250 plain\r\n").await.unwrap();
        }
        told
    });
    let mailer = Mailer::new(world.settings(port, Encryption::StartTls)).unwrap();
    assert!(mailer.send(&report()).await.is_err());
    drop(mailer);
    let told = heard.await.unwrap();
    assert!(
        !told.contains("MAIL FROM") && !told.contains("AUTH"),
        "{told}"
    );
}

/// Spec/bpe.md §10.4: signed with a key store whose certificate is for the sender.
#[tokio::test]
async fn a_signed_mail_verifies_as_it_arrives() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let store = world.key_store("bpe@hospital.example");
    let signed = |store: PathBuf, password: &str| Settings {
        signature: Some((store, Some(Secret::new(password)))),
        ..settings(port)
    };
    let mailer = Mailer::new(signed(store.clone(), "changeit")).unwrap();
    let heard = tokio::spawn(stand_in(listener));
    mailer.send(&report()).await.unwrap();
    drop(mailer);
    verify(&heard.await.unwrap(), &world);

    let refused = |settings| Mailer::new(settings).err().unwrap().to_string();
    let error = refused(signed(store, "wrong"));
    assert!(error.contains("signer.p12: cannot be opened"), "{error}");
    let other = world.key_store("other@hospital.example");
    let error = refused(signed(other, "changeit"));
    assert!(error.contains("not for bpe@hospital.example"), "{error}");
}

/// Takes the mail apart as its receiver does.
fn verify(told: &str, world: &World) {
    let (_, mail) = told.split_once("DATA\r\n").unwrap();
    let (mail, _) = mail.split_once("\r\n.\r\n").unwrap();
    // Dots at the beginning of lines were doubled on the way.
    let mail = mail.replace("\r\n..", "\r\n.");
    let unfolded = mail.replace("\r\n ", " ");
    for part in [
        "multipart/signed",
        "protocol=\"application/pkcs7-signature\"",
        "micalg=\"sha-256\"",
    ] {
        assert!(unfolded.contains(part), "{part} is missing in {mail}");
    }
    let (_, rest) = unfolded.split_once("boundary=\"").unwrap();
    let boundary = format!("\r\n--{}", rest.split('"').next().unwrap());
    let parts: Vec<_> = mail.split(&boundary).collect();
    assert_eq!(parts.len(), 4, "head, content, signature, end");
    let content = parts[1].strip_prefix("\r\n").unwrap();
    let (_, signature) = parts[2].split_once("\r\n\r\n").unwrap();
    let signature = signature.replace("\r\n", "");
    let signature = openssl::base64::decode_block(&signature).unwrap();
    let signature = Pkcs7::from_der(&signature).unwrap();
    let mut trusted = X509StoreBuilder::new().unwrap();
    trusted
        .add_cert(X509::from_pem(world.ca.certificate().as_bytes()).unwrap())
        .unwrap();
    let (trusted, none) = (trusted.build(), Stack::new().unwrap());
    let check = |content: &str| {
        let flags = Pkcs7Flags::DETACHED | Pkcs7Flags::BINARY;
        signature.verify(&none, &trusted, Some(content.as_bytes()), None, flags)
    };
    check(content).unwrap();
    assert!(check(&format!("{content}x")).is_err());
}
