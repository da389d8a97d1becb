//! The node `acme` of `tls`.

use crate::acme::jose;
use config::{Arg, Section};
use mail::{Address, Domain};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use world::url::{Scheme, Url};

/// The authority that is asked if no other is named.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Longest host name that a certificate of an authority can hold in its DNS name.
const NAME_MAX: usize = 253;

/// Checked node `acme`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeOptions {
    pub directory: Url,
    /// Where the authority may write to.
    pub contact: Option<Address>,
    /// Names beside those that the server needs by itself.
    pub names: Vec<AcmeName>,
    /// In which order ways are tried. Never empty.
    pub challenges: Vec<ChallengeKind>,
    /// The program that writes into the DNS.
    pub hook: Option<PathBuf>,
    /// Whether the name server of our zones is asked to write into the DNS, as the node `dns` says how.
    pub dns_update: bool,
    /// The directory where the web server on port 80 finds the pages of http-01, if that is another program.
    pub web_root: Option<PathBuf>,
    /// Roots that vouch for the directory, in place of those of the web.
    pub ca_file: Option<PathBuf>,
    pub external: Option<ExternalAccount>,
    pub rollover: KeyRollover,
}

/// When the keys of certificates change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRollover {
    /// Age at which the next key is made; `None`: only when somebody asks for it.
    pub every: Option<Duration>,
    /// How long the DNS must have shown the digest of the next key, where it pins any.
    pub settle: Duration,
}

impl Default for KeyRollover {
    fn default() -> Self {
        Self { every: None, settle: Duration::from_secs(2 * 24 * 3600) }
    }
}

/// How a name is proven to be ours (RFC 8555 §8, RFC 8737).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// In a TLS handshake on port 443.
    TlsAlpn,
    /// By a web page on port 80.
    Http,
    /// By a record in the DNS.
    Dns,
}

impl ChallengeKind {
    pub(crate) const ALL: &[(&'static str, Self)] =
        &[("tls-alpn-01", Self::TlsAlpn), ("http-01", Self::Http), ("dns-01", Self::Dns)];

    /// Its name on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::TlsAlpn => "tls-alpn-01",
            Self::Http => "http-01",
            Self::Dns => "dns-01",
        }
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A name in a certificate: a host, or all hosts right below a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AcmeName(String);

impl AcmeName {
    pub fn parse(text: &str) -> Result<Self, String> {
        let host = text.strip_prefix("*.").unwrap_or(text);
        let domain = Domain::parse(host).map_err(|error| error.to_string())?;
        let ascii = domain.as_str().to_owned();
        if domain.literal().is_some() || !ascii.contains('.') || ascii.len() > NAME_MAX {
            return Err("write the full name of a host, or `*.` and a domain".to_owned());
        }
        let star = if text.starts_with("*.") { "*." } else { "" };
        Ok(Self(format!("{star}{}", ascii.to_ascii_lowercase())))
    }

    /// In small letters, A-labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without `*.`: where the proof is looked for.
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

impl fmt::Display for AcmeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account that we have at the authority in another way, and to which ours is bound (RFC 8555 §7.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    pub id: String,
    pub key: ExternalKey,
}

/// Its secret; `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalKey(Vec<u8>);

impl ExternalKey {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        match jose::decode(text) {
            Some(octets) if !octets.is_empty() => Ok(Self(octets)),
            _ => Err("it is what the authority gave out: letters, digits, - and _ (base64url)"),
        }
    }

    pub(crate) fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalKey(…)")
    }
}

impl fmt::Display for ExternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A directory: its URL, which must be one of TLS.
fn directory(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() != Scheme::Https {
        return Err("an authority is asked over https".to_owned());
    }
    Ok(url)
}

/// Reads the node.
pub(crate) fn decode(section: &mut Section<'_>) -> Option<AcmeOptions> {
    let directory = section
        .parsed("directory", "a URL", directory, "Where the authority is asked: the URL of its directory.")
        .or(Url::parse(LETS_ENCRYPT).ok()?);
    let contact = section
        .parsed("contact", "an address", Address::parse, "Where the authority may write to.")
        .optional();
    let names = section
        .parsed(
            "names",
            "a host name",
            AcmeName::parse,
            "Names beside `hostname` and those of the node `web`; each gets a certificate of its own.",
        )
        .many();
    let doc = "How a name is proven to be ours; the next is tried where one fails. If not given: \"dns-01\" where there is a hook or `dns-update`, \"http-01\" where there is a `web-root`, else \"tls-alpn-01\" \"http-01\".";
    let challenges: Vec<ChallengeKind> = section.choice("challenges", ChallengeKind::ALL, doc).many();
    let hook = section
        .path(
            "hook",
            "A program for dns-01: called with `add` or `remove`, the name of a TXT record and its text.",
        )
        .optional();
    let dns_update = section
        .flag(
            "dns-update",
            "For dns-01: the record is made by the name server of `dns { update }`, without a hook.",
        )
        .or(false);
    let web_root = section
        .path("web-root", "For http-01, where another web server has port 80: its directory, below which `.well-known/acme-challenge` is written.")
        .optional();
    let ca_file = section
        .path("ca-file", "PEM file of the roots that vouch for the directory, in place of those of the web.")
        .optional();
    let external = decode_external(section);
    let doc = "When the key of a certificate is replaced. The next key is used when the DNS shows its TLSA record, where it shows any.";
    let rollover = section.child("key-rollover", doc, decode_rollover);
    let writes_dns = hook.is_some() || dns_update;
    if hook.is_some() && dns_update {
        section.problem(
            section.child_span("hook"),
            "`hook` and `dns-update` do not go together",
            "remove one of them",
        );
    }
    let challenges = match (challenges.is_empty(), writes_dns, &web_root) {
        (false, ..) => challenges,
        (true, true, _) => vec![ChallengeKind::Dns],
        (true, false, Some(_)) => vec![ChallengeKind::Http],
        (true, false, None) => vec![ChallengeKind::TlsAlpn, ChallengeKind::Http],
    };
    let needs_hook = challenges.contains(&ChallengeKind::Dns) || names.iter().any(AcmeName::is_wildcard);
    if needs_hook && !(writes_dns && challenges.contains(&ChallengeKind::Dns)) {
        let help = "write `hook \"/path/of/a/program\"`, which puts TXT records into the DNS, or `dns-update`; wildcards need dns-01 too";
        section.problem(section.span(), "dns-01 needs a hook", help);
    }
    Some(AcmeOptions {
        directory,
        contact,
        names,
        challenges,
        hook,
        dns_update,
        web_root,
        ca_file,
        external,
        rollover,
    })
}

fn decode_rollover(section: &mut Section<'_>) -> KeyRollover {
    let usual = KeyRollover::default();
    let day = Duration::from_secs(24 * 3600);
    let doc = "Age at which the next key is made; \"0s\": only when `maddy tls rollover` asks for it.";
    let every = section.duration("every", doc).within(Duration::ZERO..=3650 * day).or(Duration::ZERO);
    let doc = "How long the DNS must have shown the record of the next key: longer than others may keep the old one.";
    let settle = section.duration("settle", doc).within(Duration::ZERO..=30 * day).or(usual.settle);
    KeyRollover { every: Some(every).filter(|every| !every.is_zero()), settle }
}

fn decode_external(section: &mut Section<'_>) -> Option<ExternalAccount> {
    let doc = "An account at the authority to which ours is bound, where it wants one.";
    let external = section.child_if_present("external-account", doc, |external| {
        let id = external.text(Arg("id"), "Its id, as the authority gave it out.").required();
        let doc = "Its key, as the authority gave it out.";
        let key = external.parsed("key", "a key in base64url", ExternalKey::parse, doc).required();
        Some(ExternalAccount { id: id?, key: key? })
    });
    external.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Tree;

    fn read(text: &str) -> Result<AcmeOptions, String> {
        let tree = Tree::from_text("test", text, &|_| None);
        tree.decode(decode).map(Option::unwrap).map_err(|problems| problems.to_string())
    }

    #[test]
    fn nothing_need_be_said() {
        let options = read("").unwrap();
        assert_eq!(options.directory.to_string(), LETS_ENCRYPT);
        assert_eq!(options.challenges, [ChallengeKind::TlsAlpn, ChallengeKind::Http]);
        assert!(options.names.is_empty() && options.external.is_none());
        assert_eq!(read("dns-update").unwrap().challenges, [ChallengeKind::Dns]);
        assert_eq!(read("web-root \"/srv/www\"").unwrap().challenges, [ChallengeKind::Http]);
    }

    #[test]
    fn all_is_read_and_secrets_are_not_shown() {
        let options = read(
            "directory \"https://ca.test:14000/dir\"\ncontact \"a@example.org\"\nnames \"Mail.example.org\" \"*.example.net\"\n\
             hook \"/hook\"\nca-file \"/ca.pem\"\nexternal-account \"kid-1\" key=\"c2VjcmV0\"",
        )
        .unwrap();
        assert_eq!(options.challenges, [ChallengeKind::Dns]);
        let names: Vec<&str> = options.names.iter().map(AcmeName::as_str).collect();
        assert_eq!(names, ["mail.example.org", "*.example.net"]);
        assert_eq!((options.names[1].base(), options.names[1].is_wildcard()), ("example.net", true));
        assert_eq!(options.external.as_ref().unwrap().key.reveal(), b"secret");
        assert!(!format!("{options:?}").contains("secret") && !format!("{options:?}").contains("c2Vj"));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (text, want) in [
            ("directory \"http://ca.test/dir\"", "https"),
            ("directory \"ca.test\"", "URL"),
            ("names \"localhost\"", "full name"),
            ("names \"[127.0.0.1]\"", "full name"),
            ("challenges \"dns-01\"", "needs a hook"),
            ("names \"*.example.org\"", "needs a hook"),
            ("names \"*.example.org\"\nhook \"/h\"\nchallenges \"http-01\"", "needs a hook"),
            ("hook \"/h\"\ndns-update", "do not go together"),
            ("external-account \"x\" key=\"!\"", "base64url"),
            ("external-account \"x\"", "key"),
        ] {
            let problems = read(text).unwrap_err();
            assert!(problems.contains(want), "{text}: {problems}");
        }
    }
}
