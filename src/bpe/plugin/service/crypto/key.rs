//! Keys as PEM texts.

use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::rsa::Rsa;
use openssl::x509::X509;
use serde_json::{Value, json};

use super::words;

/// Makes a pair: `{ privateKey, publicKey }`.
pub(super) fn generate(kind: &str) -> Result<Value, String> {
    let curve = |nid: Nid| {
        let group = EcGroup::from_curve_name(nid)?;
        PKey::from_ec_key(EcKey::generate(&group)?)
    };
    let key = match kind {
        "rsa4096" => Rsa::generate(4096).and_then(PKey::from_rsa),
        "secp256r1" => curve(Nid::X9_62_PRIME256V1),
        "secp384r1" => curve(Nid::SECP384R1),
        "secp521r1" => curve(Nid::SECP521R1),
        "x25519" => PKey::generate_x25519(),
        "x448" => PKey::generate_x448(),
        _ => return Err(format!("{kind} is not a kind of key")),
    };
    let key = key.map_err(words)?;
    let public = key.public_key_to_pem().map_err(words)?;
    Ok(json!({
        "privateKey": pem(&key)?,
        "publicKey": String::from_utf8_lossy(&public),
    }))
}

/// Reads a private key, with its password if it has one.
pub(super) fn private(pem: &str, password: Option<&str>) -> Result<PKey<Private>, String> {
    let wrong = |why: &str| format!("not a private key in PEM form: {why}");
    // Without a password OpenSSL would ask for one on the terminal.
    let key = PKey::private_key_from_pem_callback(pem.as_bytes(), |buffer| {
        let password = password.unwrap_or_default().as_bytes();
        let length = password.len().min(buffer.len());
        buffer[..length].copy_from_slice(&password[..length]);
        Ok(length)
    });
    key.map_err(|stack| wrong(&words(stack)))
}

/// Reads a public key, or that of a certificate.
pub(super) fn public(pem: &str) -> Result<PKey<Public>, String> {
    if pem.contains("BEGIN CERTIFICATE") {
        let certificate = X509::from_pem(pem.as_bytes()).map_err(words)?;
        return certificate.public_key().map_err(words);
    }
    PKey::public_key_from_pem(pem.as_bytes())
        .map_err(|stack| format!("not a public key in PEM form: {}", words(stack)))
}

/// A private key without a password (PKCS#8).
pub(super) fn pem(key: &PKey<Private>) -> Result<String, String> {
    let pem = key.private_key_to_pem_pkcs8().map_err(words)?;
    Ok(String::from_utf8_lossy(&pem).into_owned())
}
