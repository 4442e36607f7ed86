//! Cryptography for plugin code, as the DSF's process API has it. All of it is OpenSSL's; what
//! stands here is the form that plugins of both systems exchange.

mod certificate;
mod dhkem;
mod kem;
mod key;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::question::CryptoQuestion;

pub(super) use kem::{Kem, Sealing};

/// Answers a question. Takes its time: a key of 4,096 bits may need a second.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn answer(question: &CryptoQuestion) -> Result<Value, String> {
    match question {
        CryptoQuestion::Generate { kind } => key::generate(kind),
        CryptoQuestion::ReadCertificates { pem } => certificate::read(pem),
        CryptoQuestion::ReadPrivateKey { pem, password } => {
            let key = key::private(pem, password.as_deref())?;
            key::pem(&key).map(|pem| json!(pem))
        }
        CryptoQuestion::IsKeyPair {
            private_key,
            public_key,
        } => {
            let private = key::private(private_key, None)?;
            let public = key::public(public_key)?;
            Ok(json!(private.public_eq(&public)))
        }
        CryptoQuestion::IsExpired { certificate } => certificate::is_expired(certificate),
        CryptoQuestion::IsFor {
            certificate,
            purpose,
        } => certificate::is_for(certificate, purpose),
        CryptoQuestion::Validate {
            trusted,
            chain,
            purpose,
        } => certificate::validate(trusted, chain, purpose),
        CryptoQuestion::PackKeyStore {
            private_key,
            password,
            chain,
        } => certificate::pack(private_key, password, chain),
        CryptoQuestion::ReadKeyStore { data, password } => certificate::unpack(data, password),
    }
}

/// What OpenSSL says, without its codes.
fn words(stack: openssl::error::ErrorStack) -> String {
    let reasons: Vec<&str> = stack
        .errors()
        .iter()
        .filter_map(openssl::error::Error::reason)
        .collect();
    if reasons.is_empty() {
        "OpenSSL refused it".to_owned()
    } else {
        reasons.join(", ")
    }
}
