//! SCRAM (RFC 5802, RFC 7677): the server's side of one exchange, and what is kept of a password for it.

use crate::exchange::Refusal;
use crate::identity::Proof;
use crate::login::{Secret, account_name, check_user};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, Key};
use aws_lc_rs::{constant_time, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Rounds of PBKDF2 for verifiers that are made now. More than the 4,096 that RFC 7677 §4 asks for at least; a telephone
/// needs some milliseconds.
pub const SCRAM_ITERATIONS: u32 = 10_000;
/// Octets of a salt.
pub const SALT_LEN: usize = 16;
/// Most secrets of one account that a proof is held against: its password and its app passwords. As many comparisons are
/// made for every account, and for those that are not there.
pub const SCRAM_KEYS_MAX: usize = 33;
/// Longest nonce of a client, in octets.
const NONCE_MAX: usize = 512;

/// The hash function of a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramHash {
    Sha1,
    Sha256,
}

impl ScramHash {
    fn hmac(self, key: &[u8], octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => HMAC_SHA256,
        };
        hmac::sign(&Key::new(algorithm, key), octets).as_ref().to_vec()
    }

    fn digest(self, octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
        };
        digest::digest(algorithm, octets).as_ref().to_vec()
    }

    /// Octets of a digest.
    fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// StoredKey and ServerKey of one secret under one hash (RFC 5802 §3). `Debug` is a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    stored: Vec<u8>,
    server: Vec<u8>,
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(***)")
    }
}

impl ScramKeys {
    /// What is to be kept of a secret. Costs as many rounds as asked for; some milliseconds for [`SCRAM_ITERATIONS`].
    pub fn derive(secret: &Secret, salt: &[u8], iterations: u32, hash: ScramHash) -> Self {
        let salted = salted(secret, salt, iterations, hash);
        let client_key = Zeroizing::new(hash.hmac(&salted, b"Client Key"));
        Self { stored: hash.digest(&client_key), server: hash.hmac(&salted, b"Server Key") }
    }

    /// StoredKey, then ServerKey.
    pub fn to_octets(&self) -> Vec<u8> {
        [self.stored.as_slice(), self.server.as_slice()].concat()
    }

    /// `None` if these are not two keys of this hash.
    pub fn from_octets(octets: &[u8], hash: ScramHash) -> Option<Self> {
        let (stored, server) = octets.split_at_checked(hash.len())?;
        (server.len() == hash.len()).then(|| Self { stored: stored.to_vec(), server: server.to_vec() })
    }
}

/// SaltedPassword (RFC 5802 §3).
fn salted(secret: &Secret, salt: &[u8], iterations: u32, hash: ScramHash) -> Zeroizing<Vec<u8>> {
    let algorithm = match hash {
        ScramHash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        ScramHash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
    };
    let mut salted = Zeroizing::new(vec![0; hash.len()]);
    let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(algorithm, rounds, salt, prepared(secret).as_bytes(), &mut salted);
    salted
}

/// ClientProof and ServerSignature as a client computes them (RFC 5802 §3), for tests.
pub(crate) fn client(
    secret: &Secret,
    salt: &[u8],
    iterations: u32,
    hash: ScramHash,
    words: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let salted = salted(secret, salt, iterations, hash);
    let client_key = hash.hmac(&salted, b"Client Key");
    let signature = hash.hmac(&hash.digest(&client_key), words);
    let proof = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
    (proof, hash.hmac(&hash.hmac(&salted, b"Server Key"), words))
}

/// A password as SCRAM has it (RFC 5802 §5.1): prepared by SASLprep, or as it is where SASLprep has no answer (its
/// tables end with Unicode 3.2), which is what clients do too.
fn prepared(secret: &Secret) -> Zeroizing<String> {
    let text = secret.reveal();
    match stringprep::saslprep(text) {
        Ok(prepared) if !prepared.is_empty() => Zeroizing::new(prepared.into_owned()),
        _ => Zeroizing::new(text.to_owned()),
    }
}

/// What an account is asked with: the same for an account that is not there, but without keys.
#[derive(Clone, Debug)]
pub struct ScramFacts {
    pub salt: Vec<u8>,
    pub iterations: u32,
    /// What a proof may be made with, and what it proves then; no more than [`SCRAM_KEYS_MAX`] count.
    pub keys: Vec<(Proof, ScramKeys)>,
    /// The server's part of the nonce: random, printable, without commas.
    pub nonce: String,
}

/// What a client binds its proof to: data that only both ends of this TLS connection know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// `tls-exporter` (RFC 9266).
    pub exporter: Option<Vec<u8>>,
    /// `tls-server-end-point` (RFC 5929 §4).
    pub end_point: Option<Vec<u8>>,
}

impl Bindings {
    /// Whether there is anything to bind to.
    pub fn are_possible(&self) -> bool {
        self.exporter.is_some() || self.end_point.is_some()
    }
}

/// Whether the mechanism's name ended in `-PLUS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Plus,
    Unbound,
}

/// The client's first message, understood.
#[derive(Debug)]
pub(crate) struct First {
    hash: ScramHash,
    /// The account name.
    pub(crate) user: String,
    /// What `c=` must be.
    binding: String,
    client_nonce: String,
    bare: String,
}

/// The server's first message is out.
#[derive(Debug)]
pub(crate) struct Asked {
    first: First,
    said: String,
    facts: ScramFacts,
}

/// The client's proof, judged.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) user: String,
    /// What the proof was made with; none if it is wrong or there is no such account.
    pub(crate) proof: Option<Proof>,
    /// The server's last message, which proves to the client that we know its password.
    pub(crate) last: String,
}

/// Reads the client's first message (RFC 5802 §7). `offered` are the bindings of the connection for which `-PLUS` was
/// announced, or none.
pub(crate) fn first(
    octets: &[u8],
    hash: ScramHash,
    binding: Binding,
    offered: &Bindings,
) -> Result<First, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|_| Refusal::BadText)?;
    let (flag, rest) = text.split_once(',').ok_or(Refusal::Malformed)?;
    let (authorize, bare) = rest.split_once(',').ok_or(Refusal::Malformed)?;
    let data = bound(flag, binding, offered)?;
    let mut attributes = bare.split(',');
    // `m=` may stand here only: an extension that must be understood, and we know none (RFC 5802 §5.1).
    let user = attributes.next().and_then(|a| a.strip_prefix("n=")).ok_or(Refusal::Malformed)?;
    let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(Refusal::Malformed)?;
    let is_printable = nonce.bytes().all(|b| (0x21..=0x7e).contains(&b));
    if nonce.is_empty() || nonce.len() > NONCE_MAX || !is_printable || !attributes.all(is_extension) {
        return Err(Refusal::Malformed);
    }
    let user = name(user)?;
    if !authorize.is_empty() {
        let wanted = authorize.strip_prefix("a=").ok_or(Refusal::Malformed)?;
        if name(wanted)? != user {
            return Err(Refusal::Impersonation);
        }
    }
    let header = format!("{flag},{authorize},");
    let binding = STANDARD.encode([header.as_bytes(), data].concat());
    Ok(First { hash, user, binding, client_nonce: nonce.to_owned(), bare: bare.to_owned() })
}

/// The data that the flag of the GS2 header asks for (RFC 5802 §6).
fn bound<'a>(flag: &str, binding: Binding, offered: &'a Bindings) -> Result<&'a [u8], Refusal> {
    match (flag, binding) {
        ("n", Binding::Unbound) => Ok(&[]),
        // The client could bind and believes that we cannot: if we can, somebody changed our announcement.
        ("y", Binding::Unbound) if offered.are_possible() => Err(Refusal::Downgrade),
        ("y", Binding::Unbound) => Ok(&[]),
        ("n" | "y", Binding::Plus) => Err(Refusal::Malformed),
        _ => {
            let kind = flag.strip_prefix("p=").ok_or(Refusal::Malformed)?;
            let data = match (kind, binding) {
                (_, Binding::Unbound) => None,
                ("tls-exporter", _) => offered.exporter.as_deref(),
                ("tls-server-end-point", _) => offered.end_point.as_deref(),
                _ => None,
            };
            data.ok_or(Refusal::UnknownBinding)
        }
    }
}

/// The account name that a SASL name stands for: `=2C` is a comma, `=3D` an equals sign (RFC 5802 §5.1).
fn name(written: &str) -> Result<String, Refusal> {
    let mut plain = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('=') {
        plain.push_str(before);
        plain.push(match after.get(..2) {
            Some("2C") => ',',
            Some("3D") => '=',
            _ => return Err(Refusal::Malformed),
        });
        rest = &after[2..];
    }
    plain.push_str(rest);
    let plain = stringprep::saslprep(&plain).map_err(|_| Refusal::BadText)?;
    check_user(&plain)?;
    Ok(account_name(&plain))
}

/// An attribute of any other letter, with a value.
fn is_extension(attribute: &str) -> bool {
    let mut chars = attribute.chars();
    let letter = chars.next().is_some_and(|c| c.is_ascii_alphabetic() && c != 'm');
    letter && chars.next() == Some('=') && chars.next().is_some()
}

impl First {
    /// The server's first message, and what is waited for then.
    pub(crate) fn ask(self, facts: ScramFacts) -> (Asked, String) {
        let nonce = format!("{}{}", self.client_nonce, facts.nonce);
        let said = format!("r={nonce},s={},i={}", STANDARD.encode(&facts.salt), facts.iterations);
        (Asked { first: self, said: said.clone(), facts }, said)
    }
}

impl Asked {
    /// Judges the client's last message. Takes the same time whatever there is to compare with.
    pub(crate) fn judge(self, octets: &[u8]) -> Result<Proven, Refusal> {
        let hash = self.first.hash;
        let text = std::str::from_utf8(octets).map_err(|_| Refusal::Malformed)?;
        let (unproven, proof) = text.rsplit_once(",p=").ok_or(Refusal::Malformed)?;
        let mut attributes = unproven.split(',');
        let binding = attributes.next().and_then(|a| a.strip_prefix("c=")).ok_or(Refusal::Malformed)?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(Refusal::Malformed)?;
        let proof = STANDARD.decode(proof).map_err(|_| Refusal::Malformed)?;
        if proof.len() != hash.len() || !attributes.all(is_extension) {
            return Err(Refusal::Malformed);
        }
        if nonce != format!("{}{}", self.first.client_nonce, self.facts.nonce) {
            return Err(Refusal::Malformed);
        }
        if constant_time::verify_slices_are_equal(binding.as_bytes(), self.first.binding.as_bytes()).is_err()
        {
            return Err(Refusal::WrongBinding);
        }
        let words = format!("{},{},{unproven}", self.first.bare, self.said);
        let found = find(&self.facts.keys, hash, words.as_bytes(), &proof);
        let (proof, server_key) = found.unzip();
        // Nobody's key: costs the same, and is never said.
        let server_key = server_key.unwrap_or(&[]);
        let signature = hash.hmac(server_key, words.as_bytes());
        Ok(Proven {
            user: self.first.user,
            proof: proof.cloned(),
            last: format!("v={}", STANDARD.encode(signature)),
        })
    }
}

/// The secret that a proof was made with (RFC 5802 §3), after as many comparisons as there can be.
fn find<'a>(
    keys: &'a [(Proof, ScramKeys)],
    hash: ScramHash,
    words: &[u8],
    proof: &[u8],
) -> Option<(&'a Proof, &'a [u8])> {
    let nobody = vec![0; hash.len()];
    let mut found = None;
    for at in 0..SCRAM_KEYS_MAX {
        let entry = keys.get(at);
        let stored = entry.map_or(nobody.as_slice(), |(_, keys)| keys.stored.as_slice());
        let signature = hash.hmac(stored, words);
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let is_it = constant_time::verify_slices_are_equal(&hash.digest(&client_key), stored).is_ok();
        if let (true, Some((what, keys))) = (is_it, entry) {
            found = Some((what, keys.server.as_slice()));
        }
    }
    found
}

#[cfg(test)]
mod tests;
