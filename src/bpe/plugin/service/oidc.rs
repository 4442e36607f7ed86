//! Access tokens of OpenID providers by client credentials (spec/bpe.md §10.3).
//!
//! A token that is a JWT is verified before it is used: signature, time, audience, authorised
//! party and issuer. A token that is none is taken as it is; only the provider can read it.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Verifier;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::form_urlencoded::byte_serialize;

use super::Refusal;
use super::question::OidcProvider;
use crate::net::http::{self, HeaderValue, Method, Request, Url};

const DISCOVERY: &str = "/.well-known/openid-configuration";
/// How long what a provider says of itself is remembered.
const REMEMBERED: Duration = Duration::from_secs(3_600);
/// A token this close to its end is not used; clocks may differ by as much.
const LEEWAY: i64 = 10;
/// Of a token whose end nobody tells.
const UNKNOWN_LIFETIME: i64 = 60;

/// A provider, and who we are there.
pub(super) struct Client {
    http: http::Client,
    provider: OidcProvider,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    configuration: Option<(Instant, Value)>,
    jwks: Option<(Instant, Value)>,
    token: Option<(Timestamp, String)>,
}

impl Client {
    pub(super) fn new(http: http::Client, provider: OidcProvider) -> Self {
        Self {
            http,
            provider,
            known: Mutex::default(),
        }
    }

    /// What code wants of it: `configuration`, `jwks` or `token`.
    pub(super) async fn answer(&self, wanted: &str) -> Result<Value, Refusal> {
        match wanted {
            "configuration" => self.configuration().await,
            "jwks" => self.jwks().await,
            _ => self.token().await.map(Value::from),
        }
    }

    /// A token that its server refuses is of no more use, whatever it says of its time.
    pub(super) async fn forget(&self, refused: &str) {
        let mut known = self.known.lock().await;
        if known
            .token
            .as_ref()
            .is_some_and(|(_, token)| token == refused)
        {
            known.token = None;
        }
    }

    pub(super) async fn token(&self) -> Result<String, Refusal> {
        let now = Timestamp::now();
        if let Some((until, token)) = &self.known.lock().await.token
            && now < *until
        {
            return Ok(token.clone());
        }
        let answer = self.ask_for_token().await?;
        let token = answer["access_token"].as_str();
        let token = token.ok_or_else(|| Refusal::new("the provider gave no access_token"))?;
        let seconds = match parts(token) {
            Some(parts) => self.verified(&parts, now).await?,
            None => now.as_second() + answer["expires_in"].as_i64().unwrap_or(UNKNOWN_LIFETIME),
        };
        let until = Timestamp::from_second(seconds - LEEWAY).unwrap_or(now);
        self.known.lock().await.token = Some((until, token.to_owned()));
        Ok(token.to_owned())
    }

    async fn ask_for_token(&self) -> Result<Value, Refusal> {
        let configuration = self.configuration().await?;
        let address = endpoint(&configuration, "token_endpoint")?;
        let OidcProvider {
            client_id,
            client_secret,
            ..
        } = &self.provider;
        let form = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let basic = STANDARD.encode(format!("{}:{}", form(client_id), form(client_secret)));
        let mut authorization = HeaderValue::from_str(&format!("Basic {basic}"))
            .map_err(|error| Refusal::new(error.to_string()))?;
        authorization.set_sensitive(true);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let request = Request::new(Method::POST, address)
            .header(http::header::AUTHORIZATION, authorization)
            .header(http::header::CONTENT_TYPE, form)
            .body("grant_type=client_credentials");
        self.json(&request).await
    }

    async fn configuration(&self) -> Result<Value, Refusal> {
        if let Some((since, known)) = &self.known.lock().await.configuration
            && since.elapsed() < REMEMBERED
        {
            return Ok(known.clone());
        }
        let base = self.provider.base_url.trim_end_matches('/');
        let path = self.provider.discovery_path.as_deref().unwrap_or(DISCOVERY);
        let found = self.get(&format!("{base}{path}")).await?;
        let grants = found["grant_types_supported"].as_array();
        if grants.is_some_and(|all| !all.contains(&json!("client_credentials"))) {
            let message = format!("{base} does not support the grant client_credentials");
            return Err(Refusal::new(message));
        }
        self.known.lock().await.configuration = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    async fn jwks(&self) -> Result<Value, Refusal> {
        if let Some((since, known)) = &self.known.lock().await.jwks
            && since.elapsed() < REMEMBERED
        {
            return Ok(known.clone());
        }
        let address = endpoint(&self.configuration().await?, "jwks_uri")?;
        let found = self.get(address.as_str()).await?;
        self.known.lock().await.jwks = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    async fn get(&self, address: &str) -> Result<Value, Refusal> {
        let url = Url::parse(address)
            .map_err(|_| Refusal::new(format!("'{address}' is not an address")))?;
        self.json(&Request::get(url)).await
    }

    async fn json(&self, request: &Request) -> Result<Value, Refusal> {
        let answer = self.http.send(request).await?;
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if !answer.status.is_success() {
            let error = body.as_ref().and_then(|body| body["error"].as_str());
            let error = error.unwrap_or("no reason given");
            let message = format!("{} answered {}: {error}", request.url, answer.status);
            return Err(Refusal::new(message));
        }
        body.ok_or_else(|| Refusal::new(format!("{} did not answer JSON", request.url)))
    }

    /// The end of the token's time, in seconds.
    async fn verified(&self, parts: &Parts, now: Timestamp) -> Result<i64, Refusal> {
        let jwks = self.jwks().await?;
        let keys = jwks["keys"].as_array().into_iter().flatten();
        let mut keys = keys.filter(|key| {
            key["kid"] == parts.header["kid"] && (key["use"].is_null() || key["use"] == "sig")
        });
        let wrong = |why: &str| Refusal::new(format!("the access token is not valid: {why}"));
        let key = keys.next().ok_or_else(|| wrong("its key is unknown"))?;
        if !signed(parts, key).unwrap_or(false) {
            return Err(wrong("its signature is wrong"));
        }
        let configuration = self.configuration().await?;
        let fault = self.fault(&parts.claims, &configuration, now.as_second());
        fault.map_or(Ok(()), |why| Err(wrong(why)))?;
        let until = parts.claims["exp"].as_i64();
        Ok(until.unwrap_or(now.as_second() + UNKNOWN_LIFETIME))
    }

    fn fault(&self, claims: &Value, configuration: &Value, now: i64) -> Option<&'static str> {
        let is_in = |audience: &String| match &claims["aud"] {
            Value::Array(all) => all.iter().any(|one| one == audience),
            one => one == audience,
        };
        let at = |name: &str| claims[name].as_i64();
        let verifies = self.provider.verify_authorized_party.unwrap_or(true);
        let faults = [
            (
                at("exp").is_some_and(|at| at + LEEWAY < now),
                "it has expired",
            ),
            (
                at("nbf").is_some_and(|at| at - LEEWAY > now),
                "it is not valid yet",
            ),
            (
                at("iat").is_some_and(|at| at - LEEWAY > now),
                "it is from the future",
            ),
            (
                !configuration["issuer"].is_null() && claims["iss"] != configuration["issuer"],
                "its issuer is another",
            ),
            (
                !self.provider.required_audiences.iter().all(is_in),
                "it is for another audience",
            ),
            (
                verifies && claims["azp"] != self.provider.client_id.as_str(),
                "its authorised party is another",
            ),
        ];
        let found = faults.into_iter().find(|(is_so, _)| *is_so);
        found.map(|(_, why)| why)
    }
}

fn endpoint(configuration: &Value, name: &str) -> Result<Url, Refusal> {
    let address = configuration[name].as_str().unwrap_or_default();
    let url = Url::parse(address);
    let url = url.map_err(|_| Refusal::new(format!("the provider's {name} is no address")))?;
    // What is sent there opens doors.
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !is_here {
        return Err(Refusal::new(format!("the provider's {name} must be https")));
    }
    Ok(url)
}

struct Parts {
    header: Value,
    claims: Value,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// A token that has the form of a JWT.
fn parts(token: &str) -> Option<Parts> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    Some(Parts {
        header: serde_json::from_slice(&decoded(header)?).ok()?,
        claims: serde_json::from_slice(&decoded(claims)?).ok()?,
        signed: signed.as_bytes().to_vec(),
        signature: decoded(signature)?,
    })
}

/// Whether the key made the signature. Only algorithms with a public key count.
fn signed(parts: &Parts, key: &Value) -> Option<bool> {
    let algorithm = parts.header["alg"].as_str()?;
    let digest = match algorithm.get(2..)? {
        "256" => MessageDigest::sha256(),
        "384" => MessageDigest::sha384(),
        "512" => MessageDigest::sha512(),
        _ => return None,
    };
    let number = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok()?;
        BigNum::from_slice(&bytes).ok()
    };
    match algorithm.get(..2)? {
        "RS" | "PS" => {
            let rsa = Rsa::from_public_components(number("n")?, number("e")?).ok()?;
            let key = PKey::from_rsa(rsa).ok()?;
            let padding = if algorithm.starts_with("PS") {
                Padding::PKCS1_PSS
            } else {
                Padding::PKCS1
            };
            checked(&key, digest, Some(padding), &parts.signed, &parts.signature)
        }
        "ES" => {
            let curve = match key["crv"].as_str()? {
                "P-256" => Nid::X9_62_PRIME256V1,
                "P-384" => Nid::SECP384R1,
                "P-521" => Nid::SECP521R1,
                _ => return None,
            };
            let group = EcGroup::from_curve_name(curve).ok()?;
            let (x, y) = (number("x")?, number("y")?);
            let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).ok()?;
            let (r, s) = parts
                .signature
                .split_at_checked(parts.signature.len() / 2)?;
            let (r, s) = (BigNum::from_slice(r).ok()?, BigNum::from_slice(s).ok()?);
            let der = EcdsaSig::from_private_components(r, s)
                .ok()?
                .to_der()
                .ok()?;
            checked(
                &PKey::from_ec_key(key).ok()?,
                digest,
                None,
                &parts.signed,
                &der,
            )
        }
        _ => None,
    }
}

fn checked(
    key: &PKey<Public>,
    digest: MessageDigest,
    padding: Option<Padding>,
    signed: &[u8],
    signature: &[u8],
) -> Option<bool> {
    let mut verifier = Verifier::new(digest, key).ok()?;
    if let Some(padding) = padding {
        verifier.set_rsa_padding(padding).ok()?;
    }
    verifier.verify_oneshot(signature, signed).ok()
}
