//! Encrypting for the holder of a key, in the form that the DSF's plugins exchange (spec/bpe.md
//! §6.6):
//!
//! ```text
//! length of the encapsulation (2 bytes, big-endian) · encapsulation · IV (12) · AES-256-GCM · tag (16)
//! ```
//!
//! RSA: RSA-KEM of ISO 18033-2 with KDF2 and SHA-512. Elliptic curves, X25519 and X448: DHKEM of
//! RFC 9180, of whose secret the first 32 bytes are the key.

use openssl::bn::BigNum;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::rand::rand_bytes;
use openssl::rsa::Padding;
use openssl::symm::{Cipher, Crypter, Mode, decrypt_aead};

use super::{dhkem, key, words};

const KEY: usize = 32;
const IV: usize = 12;
const TAG: usize = 16;

/// A key with the way it encapsulates.
#[derive(Clone)]
pub(in crate::bpe::plugin::service) enum Kem {
    Public(Way, PKey<Public>),
    Private(Way, PKey<Private>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bpe::plugin::service) enum Way {
    Rsa,
    EcDh,
}

impl Way {
    fn named(name: &str, key: Id) -> Result<Self, String> {
        let way = match name {
            "rsa" => Self::Rsa,
            "ecdh" => Self::EcDh,
            _ => return Err(format!("{name} is not one of rsa, ecdh")),
        };
        let fits = match way {
            Self::Rsa => key == Id::RSA,
            Self::EcDh => [Id::EC, Id::X25519, Id::X448].contains(&key),
        };
        if fits {
            Ok(way)
        } else {
            Err(format!("the key is not one for {name}"))
        }
    }
}

impl Kem {
    pub(in crate::bpe::plugin::service) fn for_public(
        way: &str,
        pem: &str,
    ) -> Result<Self, String> {
        let key = key::public(pem)?;
        Ok(Self::Public(Way::named(way, key.id())?, key))
    }

    pub(in crate::bpe::plugin::service) fn for_private(
        way: &str,
        pem: &str,
        password: Option<&str>,
    ) -> Result<Self, String> {
        let key = key::private(pem, password)?;
        Ok(Self::Private(Way::named(way, key.id())?, key))
    }

    /// Begins to encrypt with a new key.
    pub(in crate::bpe::plugin::service) fn seal(&self) -> Result<Sealing, String> {
        let Self::Public(way, public) = self else {
            return Err("only the public key encrypts".to_owned());
        };
        let (key, encapsulation) = match way {
            Way::Rsa => rsa_encapsulate(public)?,
            Way::EcDh => dhkem::encapsulate(public)?,
        };
        let length =
            u16::try_from(encapsulation.len()).map_err(|_| "the key is too long".to_owned())?;
        let mut iv = [0; IV];
        rand_bytes(&mut iv).map_err(words)?;
        let crypter = Crypter::new(Cipher::aes_256_gcm(), Mode::Encrypt, &key, Some(&iv));
        let mut head = length.to_be_bytes().to_vec();
        head.extend(encapsulation);
        head.extend(iv);
        Ok(Sealing {
            head,
            crypter: crypter.map_err(words)?,
        })
    }

    /// Decrypts; nothing of what was changed on the way.
    pub(in crate::bpe::plugin::service) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let Self::Private(way, private) = self else {
            return Err("only the private key decrypts".to_owned());
        };
        let parts = parted(sealed).ok_or("this is not encrypted content: it is too short")?;
        let key = match way {
            Way::Rsa => rsa_decapsulate(private, parts.encapsulation)?,
            Way::EcDh => dhkem::decapsulate(private, parts.encapsulation)?,
        };
        decrypt_aead(
            Cipher::aes_256_gcm(),
            &key,
            Some(parts.iv),
            &[],
            parts.content,
            parts.tag,
        )
        .map_err(|_| "the content was changed, or is for another key".to_owned())
    }
}

/// Content on its way to being encrypted.
pub(in crate::bpe::plugin::service) struct Sealing {
    /// What goes before the content; taken by the first piece.
    head: Vec<u8>,
    crypter: Crypter,
}

impl Sealing {
    pub(in crate::bpe::plugin::service) fn update(
        &mut self,
        data: &[u8],
    ) -> Result<Vec<u8>, String> {
        let mut made = std::mem::take(&mut self.head);
        let start = made.len();
        made.resize(start + data.len() + 16, 0);
        let length = self
            .crypter
            .update(data, &mut made[start..])
            .map_err(words)?;
        made.truncate(start + length);
        Ok(made)
    }

    pub(in crate::bpe::plugin::service) fn finish(mut self) -> Result<Vec<u8>, String> {
        let mut made = self.update(&[])?;
        let mut last = [0; 16];
        let length = self.crypter.finalize(&mut last).map_err(words)?;
        made.extend_from_slice(&last[..length]);
        let mut tag = [0; TAG];
        self.crypter.get_tag(&mut tag).map_err(words)?;
        made.extend(tag);
        Ok(made)
    }
}

struct Parts<'a> {
    encapsulation: &'a [u8],
    iv: &'a [u8],
    content: &'a [u8],
    tag: &'a [u8],
}

fn parted(sealed: &[u8]) -> Option<Parts<'_>> {
    let (length, rest) = sealed.split_first_chunk::<2>()?;
    let (encapsulation, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let (iv, rest) = rest.split_at_checked(IV)?;
    let (content, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
    Some(Parts {
        encapsulation,
        iv,
        content,
        tag,
    })
}

/// A random number below the modulus, encrypted without padding; the key is derived from it.
fn rsa_encapsulate(public: &PKey<Public>) -> Result<([u8; KEY], Vec<u8>), String> {
    let rsa = public.rsa().map_err(words)?;
    let size = usize::try_from(rsa.size()).map_err(|_| "the key is too long".to_owned())?;
    let mut number = BigNum::new().map_err(words)?;
    rsa.n().rand_range(&mut number).map_err(words)?;
    let width = i32::try_from(size).map_err(|_| "the key is too long".to_owned())?;
    let number = number.to_vec_padded(width).map_err(words)?;
    let mut encapsulation = vec![0; size];
    rsa.public_encrypt(&number, &mut encapsulation, Padding::NONE)
        .map_err(words)?;
    Ok((kdf2(&number)?, encapsulation))
}

fn rsa_decapsulate(private: &PKey<Private>, encapsulation: &[u8]) -> Result<[u8; KEY], String> {
    let rsa = private.rsa().map_err(words)?;
    let mut number = vec![0; usize::try_from(rsa.size()).unwrap_or_default()];
    let wrong = |_| "the content is for a key of another length".to_owned();
    let length = rsa
        .private_decrypt(encapsulation, &mut number, Padding::NONE)
        .map_err(wrong)?;
    kdf2(&number[..length])
}

/// KDF2 of ISO 18033-2 with SHA-512: the first block, counted from 1, is enough.
fn kdf2(secret: &[u8]) -> Result<[u8; KEY], String> {
    let mut input = secret.to_vec();
    input.extend(1_u32.to_be_bytes());
    let digest = hash(MessageDigest::sha512(), &input).map_err(words)?;
    let mut key = [0; KEY];
    key.copy_from_slice(&digest[..KEY]);
    Ok(key)
}
