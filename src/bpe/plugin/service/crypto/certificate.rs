//! Certificates, chains and key stores.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::pkcs12::Pkcs12;
use openssl::sha::sha512;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509NameRef, X509PurposeId, X509StoreContext};
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::{key, words};
use crate::net::pem;

/// All certificates of a PEM text, described.
pub(super) fn read(pem: &str) -> Result<Value, String> {
    let described: Result<Vec<_>, _> = parsed(pem)?.iter().map(described).collect();
    Ok(json!(described?))
}

fn parsed(pem: &str) -> Result<Vec<X509>, String> {
    let found = X509::stack_from_pem(pem.as_bytes())
        .map_err(|stack| format!("not a certificate in PEM form: {}", words(stack)))?;
    if found.is_empty() {
        return Err("there is no certificate in this PEM text".to_owned());
    }
    Ok(found)
}

fn first(pem: &str) -> Result<X509, String> {
    parsed(pem).map(|mut all| all.swap_remove(0))
}

fn described(certificate: &X509) -> Result<Value, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let der = certificate.to_der().map_err(words)?;
    let serial = certificate.serial_number().to_bn().map_err(words)?;
    let public = certificate.public_key().map_err(words)?;
    let thumbprint: String = sha512(&der)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(json!({
        "pem": text(certificate.to_pem().map_err(words)?),
        "publicKey": text(public.public_key_to_pem().map_err(words)?),
        "subject": name(certificate.subject_name()),
        "issuer": name(certificate.issuer_name()),
        "serialNumber": serial.to_dec_str().map_err(words)?.to_string(),
        "notBefore": instant(certificate.not_before())?,
        "notAfter": instant(certificate.not_after())?,
        "thumbprint": thumbprint,
    }))
}

/// `CN=host,O=hospital`, as it is read: the most special part first.
fn name(name: &X509NameRef) -> String {
    let parts = name.entries().map(|entry| {
        let kind = entry.object().nid().short_name().unwrap_or("?");
        let value = String::from_utf8_lossy(entry.data().as_slice()).into_owned();
        format!("{kind}={value}")
    });
    let mut parts: Vec<String> = parts.collect();
    parts.reverse();
    parts.join(",")
}

fn instant(time: &Asn1TimeRef) -> Result<String, String> {
    let start = Asn1Time::from_unix(0).map_err(words)?;
    let since = start.diff(time).map_err(words)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    jiff::Timestamp::from_second(seconds)
        .map(|at| at.to_string())
        .map_err(|error| error.to_string())
}

pub(super) fn is_expired(pem: &str) -> Result<Value, String> {
    let now = Asn1Time::days_from_now(0).map_err(words)?;
    let certificate = first(pem)?;
    let valid = certificate.not_before() <= now && now <= certificate.not_after();
    Ok(json!(!valid))
}

/// Whether the extended key usage says so; a certificate without one is for nothing.
pub(super) fn is_for(pem: &str, purpose: &str) -> Result<Value, String> {
    let wanted = match purpose {
        "client" => ID_KP_CLIENT_AUTH,
        _ => ID_KP_SERVER_AUTH,
    };
    let der = first(pem)?.to_der().map_err(words)?;
    let certificate = Certificate::from_der(&der).map_err(|error| error.to_string())?;
    let usage = certificate.tbs_certificate.get::<ExtendedKeyUsage>();
    let usage = usage.map_err(|error| error.to_string())?;
    Ok(json!(
        usage.is_some_and(|(_, usage)| usage.0.contains(&wanted))
    ))
}

/// Whether a chain, its end first, leads to a trusted certificate and is for this purpose.
pub(super) fn validate(trusted: &str, chain: &str, purpose: &str) -> Result<Value, String> {
    let mut store = X509StoreBuilder::new().map_err(words)?;
    for certificate in parsed(trusted)? {
        store.add_cert(certificate).map_err(words)?;
    }
    let mut param = X509VerifyParam::new().map_err(words)?;
    let purpose = match purpose {
        "client" => X509PurposeId::SSL_CLIENT,
        _ => X509PurposeId::SSL_SERVER,
    };
    param.set_purpose(purpose).map_err(words)?;
    store.set_param(&param).map_err(words)?;
    let mut chain = parsed(chain)?.into_iter();
    let Some(end) = chain.next() else {
        return Err("the chain is empty".to_owned());
    };
    let mut others = Stack::new().map_err(words)?;
    for certificate in chain {
        others.push(certificate).map_err(words)?;
    }
    let mut context = X509StoreContext::new().map_err(words)?;
    let verdict = context
        .init(&store.build(), &end, &others, |context| {
            context.verify_cert()?;
            Ok(context.error())
        })
        .map_err(words)?;
    match verdict {
        openssl::x509::X509VerifyResult::OK => Ok(Value::Null),
        refused => Err(format!(
            "the chain is not valid: {}",
            refused.error_string()
        )),
    }
}

/// A PKCS#12 file, base64.
pub(super) fn pack(private_key: &str, password: &str, chain: &str) -> Result<Value, String> {
    let key = key::private(private_key, None)?;
    let mut chain = parsed(chain)?.into_iter();
    let mut others = Stack::new().map_err(words)?;
    let end = chain.next().ok_or("the chain is empty")?;
    for certificate in chain {
        others.push(certificate).map_err(words)?;
    }
    let packed = Pkcs12::builder()
        .name("key")
        .pkey(&key)
        .cert(&end)
        .ca(others)
        .build2(password)
        .and_then(|packed| packed.to_der())
        .map_err(words)?;
    Ok(json!(STANDARD.encode(packed)))
}

/// `{ privateKey, certificates }` of a PKCS#12 file.
pub(super) fn unpack(data: &str, password: &str) -> Result<Value, String> {
    let der = STANDARD
        .decode(data)
        .map_err(|error| format!("not base64: {error}"))?;
    let packed = Pkcs12::from_der(&der).map_err(|_| pem::not_pkcs12(&der).to_owned())?;
    let parsed = packed
        .parse2(password)
        .map_err(|stack| format!("not a PKCS#12 file with this password: {}", words(stack)))?;
    let private = parsed.pkey.as_ref().map(key::pem).transpose()?;
    let others = parsed.ca.into_iter().flatten();
    let certificates: Result<Vec<_>, _> = parsed
        .cert
        .into_iter()
        .chain(others)
        .map(|certificate| described(&certificate))
        .collect();
    Ok(json!({ "privateKey": private, "certificates": certificates? }))
}
