//! DHKEM of RFC 9180 §4.1 over the curves of §7.1, with the key derivation that §7.1 gives each.

use openssl::bn::BigNumContext;
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey, EcPoint, PointConversionForm};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sign::Signer;

use super::words;

/// Of the shared secret, as much as a key of AES-256 needs.
const KEY: usize = 32;

/// A row of RFC 9180, table 2.
struct Suite {
    id: u16,
    curve: Curve,
    digest: MessageDigest,
    /// Bytes of the shared secret.
    secret: u16,
}

#[derive(Clone, Copy)]
enum Curve {
    Nist(Nid),
    Montgomery(Id),
}

fn suite(id: Id, group: Option<Nid>) -> Result<Suite, String> {
    let (number, curve, digest, secret) = match (id, group) {
        (Id::EC, Some(nid @ Nid::X9_62_PRIME256V1)) => {
            (0x10, Curve::Nist(nid), MessageDigest::sha256(), 32)
        }
        (Id::EC, Some(nid @ Nid::SECP384R1)) => {
            (0x11, Curve::Nist(nid), MessageDigest::sha384(), 48)
        }
        (Id::EC, Some(nid @ Nid::SECP521R1)) => {
            (0x12, Curve::Nist(nid), MessageDigest::sha512(), 64)
        }
        (Id::X25519, _) => (0x20, Curve::Montgomery(id), MessageDigest::sha256(), 32),
        (Id::X448, _) => (0x21, Curve::Montgomery(id), MessageDigest::sha512(), 64),
        _ => return Err("the curve must be P-256, P-384, P-521, X25519 or X448".to_owned()),
    };
    Ok(Suite {
        id: number,
        curve,
        digest,
        secret,
    })
}

/// A new key for the holder of the private key, and what tells it to them.
pub(super) fn encapsulate(public: &PKey<Public>) -> Result<([u8; KEY], Vec<u8>), String> {
    let suite = suite(public.id(), group_of(public.ec_key().ok().as_ref()))?;
    let ephemeral = match suite.curve {
        Curve::Nist(nid) => {
            let group = EcGroup::from_curve_name(nid).map_err(words)?;
            let key = EcKey::generate(&group).map_err(words)?;
            PKey::from_ec_key(key)
        }
        Curve::Montgomery(Id::X448) => PKey::generate_x448(),
        Curve::Montgomery(_) => PKey::generate_x25519(),
    }
    .map_err(words)?;
    let encapsulation = suite.bytes_of(&public_of(&ephemeral)?)?;
    let shared = agreed(&ephemeral, public)?;
    let key = suite.key(&shared, &encapsulation, &suite.bytes_of(public)?)?;
    Ok((key, encapsulation))
}

pub(super) fn decapsulate(
    private: &PKey<Private>,
    encapsulation: &[u8],
) -> Result<[u8; KEY], String> {
    let suite = suite(private.id(), group_of(private.ec_key().ok().as_ref()))?;
    let wrong = |_| "the content is for a key of another kind".to_owned();
    let ephemeral = suite.public(encapsulation).map_err(wrong)?;
    let shared = agreed(private, &ephemeral)?;
    let own = suite.bytes_of(&public_of(private)?)?;
    suite.key(&shared, encapsulation, &own)
}

fn group_of<T>(key: Option<&EcKey<T>>) -> Option<Nid>
where
    T: openssl::pkey::HasPublic,
{
    key?.group().curve_name()
}

fn public_of(key: &PKey<Private>) -> Result<PKey<Public>, String> {
    let der = key.public_key_to_der().map_err(words)?;
    PKey::public_key_from_der(&der).map_err(words)
}

fn agreed(private: &PKey<Private>, public: &PKey<Public>) -> Result<Vec<u8>, String> {
    let mut deriver = Deriver::new(private).map_err(words)?;
    deriver.set_peer(public).map_err(words)?;
    deriver.derive_to_vec().map_err(words)
}

impl Suite {
    /// SerializePublicKey: uncompressed points, raw bytes of the Montgomery curves.
    fn bytes_of(&self, key: &PKey<Public>) -> Result<Vec<u8>, String> {
        match self.curve {
            Curve::Montgomery(_) => key.raw_public_key().map_err(words),
            Curve::Nist(_) => {
                let key = key.ec_key().map_err(words)?;
                let mut context = BigNumContext::new().map_err(words)?;
                key.public_key()
                    .to_bytes(key.group(), PointConversionForm::UNCOMPRESSED, &mut context)
                    .map_err(words)
            }
        }
    }

    /// DeserializePublicKey; a point that is not on the curve is refused.
    fn public(&self, bytes: &[u8]) -> Result<PKey<Public>, openssl::error::ErrorStack> {
        match self.curve {
            Curve::Montgomery(id) => PKey::public_key_from_raw_bytes(bytes, id),
            Curve::Nist(nid) => {
                let group = EcGroup::from_curve_name(nid)?;
                let mut context = BigNumContext::new()?;
                let point = EcPoint::from_bytes(&group, bytes, &mut context)?;
                let key = EcKey::from_public_key(&group, &point)?;
                key.check_key()?;
                PKey::from_ec_key(key)
            }
        }
    }

    /// ExtractAndExpand, cut to the length of a key.
    fn key(&self, shared: &[u8], encapsulation: &[u8], own: &[u8]) -> Result<[u8; KEY], String> {
        let mut suite_id = b"KEM".to_vec();
        suite_id.extend(self.id.to_be_bytes());
        let extracted = self.hmac(&[], &[b"HPKE-v1", &suite_id, b"eae_prk", shared])?;
        let length = self.secret.to_be_bytes();
        let context = [encapsulation, own].concat();
        // One block of the digest is exactly as long as the secret.
        let expanded = self.hmac(
            &extracted,
            &[
                &length,
                b"HPKE-v1",
                &suite_id,
                b"shared_secret",
                &context,
                &[1],
            ],
        )?;
        let mut key = [0; KEY];
        key.copy_from_slice(&expanded[..KEY]);
        Ok(key)
    }

    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, String> {
        // HKDF-Extract without salt uses as many zeros as the digest has bytes.
        let zeros = vec![0; self.digest.size()];
        let key = if key.is_empty() { &zeros } else { key };
        let key = PKey::hmac(key).map_err(words)?;
        let mut signer = Signer::new(self.digest, &key).map_err(words)?;
        for part in parts {
            signer.update(part).map_err(words)?;
        }
        signer.sign_to_vec().map_err(words)
    }
}
