//! The client certificate in the header of a reverse proxy (auth-config §1.1).
//!
//! Whether a peer may send the header at all is decided before: configured proxy addresses only.

use x509_cert::der::pem;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Why a header value is no certificate. The request goes on as one without certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificate {
    #[error("the certificate header has neither the form of httpd nor that of nginx")]
    UnknownForm,
    #[error("the certificate in the header cannot be read")]
    Unreadable,
}

/// The DER certificate in a header value: PEM with blanks for line breaks (httpd) or percent-encoded
/// PEM (nginx). `None` when the proxy saw no certificate.
///
/// # Errors
///
/// If the value is neither empty nor one of the two forms.
pub fn certificate_in(value: &str) -> Result<Option<Vec<u8>>, NoCertificate> {
    if value.trim().is_empty() {
        return Ok(None);
    }
    let decoded = if value.starts_with("-----BEGIN%20CERTIFICATE-----%0A") {
        percent_decoded(value).ok_or(NoCertificate::Unreadable)?
    } else {
        value.to_owned()
    };
    let body = decoded
        .trim()
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(NoCertificate::UnknownForm)?;
    let lines: Vec<&str> = body.split_ascii_whitespace().collect();
    let armoured = format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"));
    match pem::decode_vec(armoured.as_bytes()) {
        Ok((_, der)) => Ok(Some(der)),
        Err(_) => Err(NoCertificate::Unreadable),
    }
}

/// A plus stays a plus: nginx escapes a URI component, not a form.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                (u8::from_str_radix(digits, 16).ok()?, tail)
            }
            (b'%', _) => return None,
            (byte, tail) => (*byte, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> (String, Vec<u8>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (
            certificate.pem().replace("\r\n", "\n"),
            certificate.der().to_vec(),
        )
    }

    #[test]
    fn both_forms_of_proxies_carry_the_certificate() {
        let (pem, der) = pem();
        let httpd = pem.trim().replace('\n', " ");
        let nginx = [
            (" ", "%20"),
            ("\n", "%0A"),
            ("+", "%2B"),
            ("/", "%2F"),
            ("=", "%3D"),
        ]
        .iter()
        .fold(pem, |text, (plain, escaped)| text.replace(plain, escaped));
        assert_eq!(certificate_in(&httpd), Ok(Some(der.clone())));
        assert_eq!(certificate_in(&nginx), Ok(Some(der)));
    }

    #[test]
    fn anything_else_is_no_certificate() {
        assert_eq!(certificate_in(""), Ok(None));
        assert_eq!(certificate_in("(null)"), Err(NoCertificate::UnknownForm));
        for broken in [
            "-----BEGIN CERTIFICATE----- x -----END CERTIFICATE-----",
            "-----BEGIN%20CERTIFICATE-----%0A%",
        ] {
            assert_eq!(
                certificate_in(broken),
                Err(NoCertificate::Unreadable),
                "{broken}"
            );
        }
    }
}
