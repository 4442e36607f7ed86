//! Builds an OpenSSL context: versions, ciphers, own certificate, whom to trust.

use openssl::ssl::{
    AlpnError, SslContext, SslContextBuilder, SslMethod, SslOptions, SslVerifyMode, SslVersion,
};
use openssl::x509::X509Ref;

use super::trust::{self, Trust};
use super::{ClientCertificate, Error, Settings};
use crate::net::pem::KeyPair;

const CIPHERS_1_2: &str = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
     ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
     ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
const CIPHERS_1_3: &str =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
const GROUPS: &str = "X25519:P-256:P-384";
/// Longest chain below a trusted certificate.
const DEPTH: u32 = 5;

/// Reads own certificate and key; clients must satisfy `trust`.
pub(super) fn build(settings: &Settings, trust: Option<&Trust>) -> Result<SslContext, Error> {
    let mut context = SslContext::builder(SslMethod::tls_server())?;
    fill(&mut context, settings, trust)?;
    Ok(context.build())
}

/// See [`build`].
pub(super) fn fill(
    context: &mut SslContextBuilder,
    settings: &Settings,
    trust: Option<&Trust>,
) -> Result<(), Error> {
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_options(
        SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::CIPHER_SERVER_PREFERENCE,
    );
    context.set_cipher_list(CIPHERS_1_2)?;
    context.set_ciphersuites(CIPHERS_1_3)?;
    context.set_groups_list(GROUPS)?;
    context.set_security_level(trust::SECURITY_LEVEL);
    context.set_alpn_select_callback(|_, offered| select_protocol(offered).ok_or(AlpnError::NOACK));
    let own = settings.server.load()?;
    check_usage(&own.chain[0], settings)?;
    present(context, &own)?;
    match (settings.client_certificate, trust) {
        (ClientCertificate::Ignored, _) => {}
        (wanted, Some(trust)) => demand(context, trust, wanted)?,
        (_, None) => return Err(Error::NoClientCas),
    }
    // Without one OpenSSL fails the resumption of sessions with client certificates. With what is
    // trusted in it, a session does not outlive the trust it was made under.
    let session_context = trust.map_or([0; 32], Trust::digest);
    context.set_session_id_context(&session_context)?;
    Ok(())
}

fn present(context: &mut SslContextBuilder, own: &KeyPair) -> Result<(), Error> {
    context.set_certificate(&own.chain[0])?;
    for certificate in &own.chain[1..] {
        context.add_extra_chain_cert(certificate.clone())?;
    }
    context.set_private_key(&own.key)?;
    Ok(context.check_private_key()?)
}

/// Whether a certificate is asked for, and must come.
pub(super) fn mode(wanted: ClientCertificate) -> SslVerifyMode {
    match wanted {
        ClientCertificate::Required => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        ClientCertificate::Optional => SslVerifyMode::PEER,
        ClientCertificate::Ignored => SslVerifyMode::NONE,
    }
}

fn demand(
    context: &mut SslContextBuilder,
    trust: &Trust,
    wanted: ClientCertificate,
) -> Result<(), Error> {
    context.set_verify(mode(wanted));
    context.set_verify_depth(DEPTH);
    for certificate in trust.anchors() {
        // The names help clients with several certificates to choose.
        context.add_client_ca(certificate)?;
    }
    context.set_cert_store(trust.store()?);
    Ok(())
}

/// HTTP/2 where it is offered, else HTTP/1.1.
fn select_protocol(offered: &[u8]) -> Option<&'static [u8]> {
    let offers = |protocol: &[u8]| {
        let mut rest = offered;
        while let Some((length, tail)) = rest.split_first() {
            let Some((name, next)) = tail.split_at_checked(usize::from(*length)) else {
                break;
            };
            if name == protocol {
                return true;
            }
            rest = next;
        }
        false
    };
    [b"h2".as_slice(), b"http/1.1"]
        .into_iter()
        .find(|protocol| offers(protocol))
}

/// `spec/auth-config.md` §1.3.
fn check_usage(certificate: &X509Ref, settings: &Settings) -> Result<(), Error> {
    trust::usable_by_servers(certificate).map_err(|problem| Error::NotForServers {
        path: settings.server.certificate.clone(),
        problem,
    })
}
