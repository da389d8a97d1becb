//! Signs what leaves: two signatures a message, one with RSA and one with Ed25519 (RFC 6376 §5, RFC 8463).

use super::canon::{BodyHash, signed_header};
use super::keys::{DnsRecord, Key, KeyError, KeyKind, Origin};
use crate::arc::seal::{Sealing, seal};
use crate::author::Author;
use crate::head::{Head, RawField, RawFields};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::{Domain, Message};
use mail_auth::dkim::Canonicalization;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use world::Clock;

/// Fields that are named once more than they are there, so that nobody can add another one.
const SEALED: &[&str] = &[
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Reply-To",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];
/// Fields that are signed where they are there. Lists add some of them, which must not break the signature.
const SIGNED: &[&str] = &[
    "Sender",
    "Resent-Date",
    "Resent-From",
    "Resent-To",
    "Resent-Cc",
    "Resent-Message-ID",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Autocrypt",
    // RFC 8460 §5.3.
    "TLS-Report-Domain",
    "TLS-Report-Submitter",
];
/// Most fields of one name that are signed.
const INSTANCES_MAX: usize = 20;
/// Letters of base64 on a line of the field.
const FOLD_AT: usize = 70;

/// Selectors of the two keys of each domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selectors {
    pub rsa: String,
    pub ed25519: String,
}

impl Selectors {
    pub fn of(&self, kind: KeyKind) -> &str {
        match kind {
            KeyKind::Rsa => &self.rsa,
            KeyKind::Ed25519 => &self.ed25519,
        }
    }
}

/// Signs for the domains it has keys of. Clones share them.
#[derive(Clone, Debug)]
pub struct Signer {
    keys: Arc<BTreeMap<Domain, Vec<Key>>>,
    clock: SharedClock,
}

#[derive(Clone)]
struct SharedClock(Arc<dyn Clock>);

impl std::fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Signer {
    /// Signs with these keys: of each domain the RSA key first.
    pub(super) fn new(keys: BTreeMap<Domain, Vec<Key>>, clock: Arc<dyn Clock>) -> Self {
        Self { keys: Arc::new(keys), clock: SharedClock(clock) }
    }

    /// Reads the keys of the domains from `dir`, and makes those that are not there. Blocks on the disk; a new
    /// RSA key takes up to a second.
    pub fn open(
        dir: &Path,
        domains: &[Domain],
        selectors: &Selectors,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        super::keyring::open(dir, domains, selectors, clock)
    }

    /// What has to stand in the DNS, two records for each domain.
    pub fn records(&self) -> Vec<DnsRecord> {
        self.keys.iter().flat_map(|(domain, keys)| keys.iter().map(|key| key.record(domain))).collect()
    }

    /// The records of the keys that this value has made, because they were not there: to be published now.
    pub fn made(&self) -> Vec<DnsRecord> {
        let of = |(domain, keys): (&Domain, &Vec<Key>)| {
            let made = keys.iter().filter(|key| key.origin == Origin::Made);
            made.map(|key| key.record(domain)).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(of).collect()
    }

    /// The DKIM-Signature fields for a message as it is now: whole fields without the last line break, for
    /// [`Message::prepend`], the one to stand on top last.
    ///
    /// Signs in the name of the domain in From, or of the nearest domain above it that we have keys of. Without
    /// such a domain, or with an unclear From, there is nothing to sign with: no fields.
    pub async fn sign(&self, message: &Message) -> io::Result<Vec<String>> {
        let (signer, message) = (self.clone(), message.clone());
        let work = move || signer.sign_now(&message);
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    /// The ARC set of a message that is handed on by `domain`, with the RSA key of that domain or of the nearest above it: its
    /// three fields, the one to stand on top last. `hostname` is the name in our own Authentication-Results. `None` where
    /// there is nothing to seal, or no key (RFC 8617 §5.1).
    pub async fn seal(
        &self,
        message: &Message,
        hostname: &Domain,
        domain: &Domain,
    ) -> io::Result<Option<[String; 3]>> {
        let (signer, message) = (self.clone(), message.clone());
        let (hostname, domain) = (hostname.clone(), domain.clone());
        let work = move || {
            let Some((domain, keys)) = signer.keys_for(&domain) else { return Ok(None) };
            let Some(key) = keys.iter().find(|key| key.kind() == KeyKind::Rsa) else { return Ok(None) };
            let now = signer.clock.0.unix();
            seal(&message, &Sealing { hostname: &hostname, domain, key, now })
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    fn sign_now(&self, message: &Message) -> io::Result<Vec<String>> {
        let head = Head::read(message)?;
        let Author::One(author) = Author::of(&head.octets) else { return Ok(Vec::new()) };
        let Some((domain, keys)) = self.keys_for(&author) else { return Ok(Vec::new()) };
        let mut body = BodyHash::new(Canonicalization::Relaxed, None);
        head.each_piece_of_body(message, |piece| body.push(piece))?;
        let body_hash = STANDARD.encode(body.finish().digest);
        let fields = head.fields();
        let names = names_to_sign(&fields);
        let now = self.clock.0.unix();
        // Ed25519 first, so that RSA, which everybody reads, stands on top.
        keys.iter().rev().map(|key| sign_with(key, domain, &fields, &names, &body_hash, now)).collect()
    }

    fn keys_for(&self, author: &Domain) -> Option<(&Domain, &Vec<Key>)> {
        let above = self.keys.iter().filter(|(domain, _)| author.is_within(domain));
        above.max_by_key(|(domain, _)| domain.as_str().len())
    }
}

/// Names for `h=`: each as often as it is there, and once more where nothing may be added.
pub(crate) fn names_to_sign(fields: &RawFields<'_>) -> Vec<&'static str> {
    let there = |name: &str| fields.named(&name.to_ascii_lowercase()).len().min(INSTANCES_MAX);
    let sealed = SEALED.iter().flat_map(|name| std::iter::repeat_n(*name, there(name) + 1));
    let signed = SIGNED.iter().flat_map(|name| std::iter::repeat_n(*name, there(name)));
    sealed.chain(signed).collect()
}

fn sign_with(
    key: &Key,
    domain: &Domain,
    fields: &RawFields<'_>,
    names: &[&str],
    body_hash: &str,
    now: i64,
) -> io::Result<String> {
    let mut value = format!(
        " v=1; a={}; c=relaxed/relaxed; d={domain};\r\n\ts={}; t={now};\r\n\th={};\r\n\tbh={body_hash};\r\n\tb=",
        key.kind().algorithm(),
        key.selector,
        fold(names, ":"),
    );
    let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let own = RawField { name: b"DKIM-Signature", value: value.as_bytes() };
    let input = signed_header(fields, &lower, Canonicalization::Relaxed, None, own);
    value.push_str(&folded_base64(&key.sign(&input)?));
    Ok(format!("DKIM-Signature:{value}"))
}

/// A signature on lines of lawful length.
pub(crate) fn folded_base64(signature: &[u8]) -> String {
    let (signature, mut out) = (STANDARD.encode(signature), String::new());
    for at in (0..signature.len()).step_by(FOLD_AT) {
        if at > 0 {
            out.push_str("\r\n\t");
        }
        out.push_str(&signature[at..signature.len().min(at + FOLD_AT)]);
    }
    out
}

/// Joins words; lines that would grow too long are folded after the sign between them.
pub(crate) fn fold(words: &[&str], between: &str) -> String {
    let mut out = String::new();
    let mut line = 0;
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push_str(between);
            line += between.len();
            if line + word.len() > FOLD_AT {
                out.push_str("\r\n\t ");
                line = 0;
            }
        }
        out.push_str(word);
        line += word.len();
    }
    out
}
