//! Signed JSON as an ACME server wants it (RFC 7515, RFC 8555 §6.2): one key of ours, ES256.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::fmt;

/// Octets of a coordinate of P-256.
const COORDINATE: usize = 32;

/// The key of an ACME account. `Debug` shows nothing of it.
pub(crate) struct AccountKey {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

/// The library gave no reason, and there is none to give: the key is not one, or there is no randomness.
#[derive(Debug)]
pub(crate) struct BadKey;

impl AccountKey {
    pub(crate) fn generate() -> Result<Self, BadKey> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::from_pkcs8(made.map_err(|_| BadKey)?.as_ref())
    }

    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, BadKey> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| BadKey)?;
        Ok(Self { pair, pkcs8: pkcs8.to_vec() })
    }

    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half (RFC 7517 §4, RFC 7518 §6.2.1).
    pub(crate) fn jwk(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        let (x, y) =
            point.get(1..).unwrap_or_default().split_at(COORDINATE.min(point.len().saturating_sub(1)));
        json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) })
    }

    /// The digest by which the key is known (RFC 7638 §3): of its members in the order of the alphabet, which is the
    /// order in which a JSON object is printed here.
    pub(crate) fn thumbprint(&self) -> String {
        encode(digest(&SHA256, self.jwk().to_string().as_bytes()).as_ref())
    }

    /// What proves that a challenge is answered by this account (RFC 8555 §8.1).
    pub(crate) fn authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }

    /// A request, signed. `payload` is none for a look (POST-as-GET, RFC 8555 §6.3).
    pub(crate) fn sign(&self, header: &Value, payload: Option<&Value>) -> Result<Value, BadKey> {
        let protected = encode(header.to_string().as_bytes());
        let payload = payload.map_or(String::new(), |payload| encode(payload.to_string().as_bytes()));
        let input = format!("{protected}.{payload}");
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes()).map_err(|_| BadKey)?;
        Ok(json!({ "protected": protected, "payload": payload, "signature": encode(signature.as_ref()) }))
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(…)")
    }
}

/// The key of our account, signed with the secret that the authority has given us elsewhere (RFC 8555 §7.3.4).
pub(crate) fn binding(key: &AccountKey, id: &str, secret: &[u8], url: &str) -> Value {
    let protected = encode(json!({ "alg": "HS256", "kid": id, "url": url }).to_string().as_bytes());
    let payload = encode(key.jwk().to_string().as_bytes());
    let tag =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), format!("{protected}.{payload}").as_bytes());
    json!({ "protected": protected, "payload": payload, "signature": encode(tag.as_ref()) })
}

pub(crate) fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// What `=` may stand at the end of is the other side's business; both ways are read.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn what_is_signed_is_verified_by_the_public_half() {
        let key = AccountKey::generate().unwrap();
        let again = AccountKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(key.jwk(), again.jwk());
        assert_eq!(key.thumbprint(), again.thumbprint());
        let header = json!({ "alg": "ES256", "nonce": "n", "url": "https://ca.test/x" });
        let signed = key.sign(&header, Some(&json!({ "a": 1 }))).unwrap();
        let input =
            format!("{}.{}", signed["protected"].as_str().unwrap(), signed["payload"].as_str().unwrap());
        let signature = decode(signed["signature"].as_str().unwrap()).unwrap();
        let mut point = vec![4];
        for half in ["x", "y"] {
            point.extend(decode(key.jwk()[half].as_str().unwrap()).unwrap());
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
            .verify(input.as_bytes(), &signature)
            .unwrap();
        assert_eq!(key.sign(&header, None).unwrap()["payload"], "");
        assert_eq!(format!("{key:?}"), "AccountKey(…)");
        assert!(AccountKey::from_pkcs8(b"no key").is_err());
    }

    /// The order of the members is part of the thumbprint (RFC 7638 §3.3).
    #[test]
    fn members_stand_in_order() {
        let text = AccountKey::generate().unwrap().jwk().to_string();
        assert!(text.starts_with(r#"{"crv":"P-256","kty":"EC","x":""#), "{text}");
    }

    #[test]
    fn both_forms_of_base64_are_read() {
        assert_eq!(decode("AQ").unwrap(), [1]);
        assert_eq!(decode("AQ==\n").unwrap(), [1]);
        assert!(decode("A!").is_none());
    }
}
