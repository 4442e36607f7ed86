//! Bad handshakes: each is refused, and our log says why (`spec/auth-config.md` §1.2).

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dsf::net::pki::{Authority, Issued, Profile};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::EcKey;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::{X509, X509NameBuilder};

use super::harness::{Launch, World, until};

const DAY: Duration = Duration::from_secs(86_400);

/// What a client comes with.
struct Hello {
    chain: Vec<X509>,
    key: Option<PKey<Private>>,
    newest: SslVersion,
}

impl Hello {
    fn of(world: &World, certificate: &str, key: &str) -> Self {
        let read = |file: String| std::fs::read(world.path(&file)).unwrap();
        Self {
            chain: X509::stack_from_pem(&read(format!("{certificate}.crt"))).unwrap(),
            key: Some(PKey::private_key_from_pem(&read(format!("{key}.key"))).unwrap()),
            newest: SslVersion::TLS1_3,
        }
    }

    fn nobody(newest: SslVersion) -> Self {
        Self {
            chain: Vec::new(),
            key: None,
            newest,
        }
    }

    /// Whether a request is answered at all.
    async fn gets_in(self, port: u16) -> bool {
        let ask = move || {
            self.ask(port)
                .is_some_and(|answer| answer.starts_with("HTTP/1.1"))
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    fn ask(self, port: u16) -> Option<String> {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        // Whatever a client of long ago would do.
        connector.set_security_level(0);
        connector.set_min_proto_version(None).unwrap();
        connector.set_max_proto_version(Some(self.newest)).unwrap();
        connector.set_cipher_list("ALL").unwrap();
        let connector = connector.build();
        let mut ssl = connector
            .configure()
            .unwrap()
            .into_ssl("localhost")
            .unwrap();
        if let Some((leaf, others)) = self.chain.split_first() {
            ssl.set_certificate(leaf).unwrap();
            for other in others {
                ssl.add_chain_cert(other.clone()).unwrap();
            }
        }
        if let Some(key) = &self.key {
            ssl.set_private_key(key).unwrap();
        }
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut stream = ssl.connect(stream).ok()?;
        let head = "GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = Vec::new();
        // An alert ends it as well as the end of the answer does.
        let _ = stream.read_to_end(&mut answer);
        Some(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// The certificate of one with the key of another, in a wrapping that passes for the right one.
fn stolen(world: &World, certificate: &str, key: &str) -> Hello {
    let (victim, thief) = (
        Hello::of(world, certificate, certificate),
        Hello::of(world, key, key),
    );
    let public = victim.chain[0].public_key().unwrap().ec_key().unwrap();
    let private = thief.key.unwrap().ec_key().unwrap();
    let (group, point) = (public.group(), public.public_key());
    let mixed = EcKey::from_private_components(group, private.private_key(), point).unwrap();
    Hello {
        key: Some(PKey::from_ec_key(mixed).unwrap()),
        ..victim
    }
}

/// RSA with 1024 bits, of the trusted CA.
fn weak(authority: &Authority) -> Issued {
    let ca = X509::from_pem(authority.certificate().as_bytes()).unwrap();
    let ca_key = PKey::private_key_from_pem(authority.private_key().as_bytes()).unwrap();
    let key = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "weak").unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(4711).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name.build()).unwrap();
    builder.set_issuer_name(ca.subject_name()).unwrap();
    builder
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::days_from_now(30).unwrap())
        .unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.sign(&ca_key, MessageDigest::sha256()).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Issued {
        certificate: text(builder.build().to_pem().unwrap()),
        private_key: text(key.private_key_to_pem_pkcs8().unwrap()),
    }
}

#[tokio::test]
async fn every_bad_handshake_is_refused_and_the_log_says_why() {
    let world = Arc::new(World::new());
    let authority = world.authority();
    let revoked = authority.issue(&Profile::client("revoked")).unwrap();
    world.keep("revoked", &revoked);
    let list = authority
        .revocation_list(&[&revoked], SystemTime::now() + DAY)
        .unwrap();
    std::fs::write(world.path("ca.crl"), list).unwrap();
    let below = authority.subordinate("Issuing CA").unwrap();
    let alone = below.issue(&Profile::client("alone")).unwrap();
    world.keep("alone", &alone);
    let chain = format!("{}{}", alone.certificate, below.certificate());
    world.keep(
        "chain",
        &Issued {
            certificate: chain,
            ..alone
        },
    );
    world.keep("weak", &weak(authority));
    let server = Launch::of(&world, "local")
        .set(format!(
            "tls.revocation-lists={}",
            world.path("ca.crl").display()
        ))
        .start()
        .await;
    let same = |name: &str| Hello::of(&world, name, name);
    let old = |newest| Hello {
        newest,
        ..same("external")
    };

    for (name, hello) in [
        ("of the CA", same("external")),
        ("with its intermediate", same("chain")),
        ("TLS 1.2", old(SslVersion::TLS1_2)),
    ] {
        assert!(hello.gets_in(server.port).await, "{name}: {}", server.log());
    }
    for (name, hello, reason) in [
        ("expired", same("expired"), "certificate has expired"),
        ("early", same("early"), "certificate is not yet valid"),
        (
            "wrong CA",
            same("rogue"),
            "unable to get local issuer certificate",
        ),
        (
            "wrong usage",
            same("serveronly"),
            "unsuitable certificate purpose",
        ),
        (
            "revoked",
            same("revoked"),
            "certificate revoked: CN=revoked",
        ),
        (
            "no intermediate",
            same("alone"),
            "unable to get local issuer certificate",
        ),
        ("weak key", same("weak"), "EE certificate key too weak"),
        ("TLS 1.1", old(SslVersion::TLS1_1), "unsupported protocol"),
        (
            "swapped key",
            stolen(&world, "external", "third"),
            "bad signature",
        ),
        (
            "none",
            Hello::nobody(SslVersion::TLS1_3),
            "peer did not return a certificate",
        ),
        (
            "none, TLS 1.2",
            Hello::nobody(SslVersion::TLS1_2),
            "peer did not return a certificate",
        ),
    ] {
        let before = server.log().len();
        assert!(!hello.gets_in(server.port).await, "{name}");
        until(name, Duration::from_secs(5), async || {
            server.log()[before..].contains(reason)
        })
        .await;
    }
}
