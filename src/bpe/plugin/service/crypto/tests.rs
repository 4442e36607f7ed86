use serde_json::{Value, json};

use super::key::generate;
use super::{Kem, answer};
use crate::bpe::plugin::service::question::CryptoQuestion;
use crate::net::pki::{Authority, Profile};

/// A pair of RFC 9180, appendix A.3.1 (P-256), with what was encapsulated for it there.
const RFC_PRIVATE: &str = "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2";
const RFC_ENCAPSULATION: &str = "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b32\
    5ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4";
const RFC_SECRET: &str = "c0d26aeab536609a572b07695d933b589dcf363ff9d93c93adea537aeabb8cb8";

/// Of 2,048 bits: it takes a moment to make; the length changes nothing.
fn rsa() -> (String, String) {
    let key = openssl::rsa::Rsa::generate(2048).unwrap();
    let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
    let private = text(key.private_key_to_pem().unwrap());
    (private, text(key.public_key_to_pem().unwrap()))
}

fn pair(kind: &str) -> (String, String) {
    if kind == "rsa" {
        return rsa();
    }
    let pair = generate(kind).unwrap();
    let text = |name: &str| pair[name].as_str().unwrap().to_owned();
    (text("privateKey"), text("publicKey"))
}

fn sealed(way: &str, public: &str, content: &[u8]) -> Vec<u8> {
    let mut sealing = Kem::for_public(way, public).unwrap().seal().unwrap();
    let mut sealed = Vec::new();
    for piece in content.chunks(7) {
        sealed.extend(sealing.update(piece).unwrap());
    }
    sealed.extend(sealing.finish().unwrap());
    sealed
}

/// Spec/bpe.md §6.6, form of what is encrypted, for every kind of key.
#[test]
fn only_the_holder_of_the_key_reads_what_was_encrypted_for_it() {
    let content = b"content of some length, in pieces";
    for (way, kind, encapsulation) in [
        ("rsa", "rsa", 256),
        ("ecdh", "secp256r1", 65),
        ("ecdh", "secp384r1", 97),
        ("ecdh", "secp521r1", 133),
        ("ecdh", "x25519", 32),
        ("ecdh", "x448", 56),
    ] {
        let (private, public) = pair(kind);
        let mut sealed = sealed(way, &public, content);
        assert_eq!(
            sealed.len(),
            2 + encapsulation + 12 + content.len() + 16,
            "{kind}"
        );
        assert_eq!(
            usize::from(sealed[0]) * 256 + usize::from(sealed[1]),
            encapsulation
        );
        let kem = Kem::for_private(way, &private, None).unwrap();
        assert_eq!(kem.open(&sealed).unwrap(), content, "{kind}");
        *sealed.last_mut().unwrap() ^= 1;
        assert!(kem.open(&sealed).is_err(), "{kind}: changed on the way");
        assert!(kem.open(&sealed[..20]).is_err(), "{kind}: cut");
    }
    let (_, public) = pair("x25519");
    assert!(Kem::for_public("rsa", &public).is_err());
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// The test vector of the RFC: the same secret from the same encapsulation.
#[test]
fn the_secret_of_a_curve_is_that_of_rfc_9180() {
    use openssl::bn::{BigNum, BigNumContext};
    use openssl::ec::{EcGroup, EcKey, EcPoint};
    use openssl::nid::Nid;
    use openssl::pkey::PKey;

    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let number = BigNum::from_slice(&hex(RFC_PRIVATE)).unwrap();
    let mut point = EcPoint::new(&group).unwrap();
    let mut context = BigNumContext::new().unwrap();
    point.mul_generator2(&group, &number, &mut context).unwrap();
    let key = EcKey::from_private_components(&group, &number, &point).unwrap();
    let key = PKey::from_ec_key(key).unwrap();
    let secret = super::dhkem::decapsulate(&key, &hex(RFC_ENCAPSULATION)).unwrap();
    assert_eq!(secret.to_vec(), hex(RFC_SECRET));
}

/// The way of RSA-KEM, step by step with the plain tools of OpenSSL.
#[test]
fn rsa_encapsulates_a_number_whose_hash_is_the_key() {
    use openssl::hash::{MessageDigest, hash};
    use openssl::pkey::PKey;
    use openssl::rsa::Padding;
    use openssl::symm::{Cipher, decrypt_aead};

    let (private, public) = pair("rsa");
    let sealed = sealed("rsa", &public, b"secret");
    let rsa = PKey::private_key_from_pem(private.as_bytes())
        .unwrap()
        .rsa()
        .unwrap();
    let mut number = vec![0; 256];
    rsa.private_decrypt(&sealed[2..258], &mut number, Padding::NONE)
        .unwrap();
    let input = [&number[..], &[0, 0, 0, 1]].concat();
    let key = hash(MessageDigest::sha512(), &input).unwrap();
    let (iv, rest) = sealed[258..].split_at(12);
    let (content, tag) = rest.split_at(rest.len() - 16);
    let opened = decrypt_aead(
        Cipher::aes_256_gcm(),
        &key[..32],
        Some(iv),
        &[],
        content,
        tag,
    );
    assert_eq!(opened.unwrap(), b"secret");
}

#[test]
fn certificates_and_key_stores_are_read_and_checked() {
    let ca = Authority::new("Test CA").unwrap();
    let issued = ca.issue(&Profile::client("client.example")).unwrap();
    let (chain, trusted) = (issued.certificate.clone(), ca.certificate().to_owned());
    let ask = |question: Value| {
        let question: CryptoQuestion = serde_json::from_value(question).unwrap();
        answer(&question)
    };
    let read = ask(json!({ "readCertificates": { "pem": chain } })).unwrap();
    assert_eq!(read[0]["thumbprint"].as_str().unwrap().len(), 128);
    let expired = ask(json!({ "isExpired": { "certificate": chain } })).unwrap();
    assert_eq!(expired, json!(false));
    let is_for = |purpose: &str| {
        ask(json!({ "isFor": { "certificate": chain, "purpose": purpose } })).unwrap()
    };
    assert_eq!(
        (is_for("client"), is_for("server")),
        (json!(true), json!(false))
    );
    let validate = |purpose: &str| {
        let parts = json!({ "trusted": trusted, "chain": chain, "purpose": purpose });
        ask(json!({ "validate": parts }))
    };
    assert_eq!(validate("client"), Ok(Value::Null));
    assert!(validate("server").is_err());

    let key = issued.private_key;
    let parts = json!({ "privateKey": key, "password": "p", "chain": chain });
    let packed = ask(json!({ "packKeyStore": parts })).unwrap();
    let unpacked =
        |password: &str| ask(json!({ "readKeyStore": { "data": packed, "password": password } }));
    assert!(unpacked("wrong").is_err());
    let unpacked = unpacked("p").unwrap();
    let same = json!({ "privateKey": unpacked["privateKey"],
        "publicKey": unpacked["certificates"][0]["publicKey"] });
    assert_eq!(ask(json!({ "isKeyPair": same })).unwrap(), json!(true));

    // The first bytes of a key store in Java's own form.
    let jks = json!({ "data": "/u3+7QAAAAI=", "password": "p" });
    let refused = ask(json!({ "readKeyStore": jks })).unwrap_err();
    assert!(refused.contains("keytool -importkeystore"), "{refused}");
}
