//! MTA-STS: the record and the policy of a domain, and whether a policy of our own is true (RFC 8461).
//!
//! Everything here is a pure function; who asks the DNS and fetches the policy is up to the caller.

use crate::tags::is_blank;
use mail::Domain;
use std::fmt;
use std::time::Duration;

/// Largest policy that is read, in octets (RFC 8461 §3.3).
pub const POLICY_SIZE_MAX: usize = 64 * 1024;
/// Most hosts of a policy that are kept.
pub const HOSTS_MAX: usize = 100;
/// Longest time for which a policy may be kept, in seconds (RFC 8461 §3.2).
pub const MAX_AGE_MAX: u64 = 31_557_600;
/// A policy that is kept for a shorter time protects nobody against an attack that lasts (RFC 8461 §3.2).
const MAX_AGE_USEFUL: Duration = Duration::from_secs(86_400);
/// Most characters of an id (RFC 8461 §3.1).
const ID_MAX: usize = 32;

/// Where the record of a domain is.
pub fn record_name(domain: &Domain) -> String {
    format!("_mta-sts.{domain}")
}

/// Where the policy of a domain is (RFC 8461 §3.3).
pub fn policy_url(domain: &Domain) -> String {
    format!("https://mta-sts.{domain}/.well-known/mta-sts.txt")
}

/// The id in the TXT records of `_mta-sts`; `None` if the domain has no MTA-STS (RFC 8461 §3.1).
pub fn record_id(texts: &[String]) -> Option<String> {
    let mut records = texts.iter().filter(|text| {
        text.strip_prefix("v=STSv1").is_some_and(|rest| rest.trim_start_matches(is_blank).starts_with(';'))
    });
    // More than one record is none.
    let (record, None) = (records.next()?, records.next()) else { return None };
    let mut fields = record.split(';').skip(1).map(|field| field.trim_matches(is_blank));
    let id = fields.find_map(|field| field.strip_prefix("id="))?;
    let is_good = (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    is_good.then(|| id.to_owned())
}

/// What senders shall do when no host passes (RFC 8461 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Not deliver.
    Enforce,
    /// Deliver, and report.
    Testing,
    /// As if there were no policy.
    None,
}

impl Mode {
    pub fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A host, or all names one label below a domain (RFC 8461 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    Host(Domain),
    Below(Domain),
}

impl HostPattern {
    /// A host name, or `*.` and a domain; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name): (fn(Domain) -> Self, &str) = match text.strip_prefix("*.") {
            Some(name) => (Self::Below, name),
            None => (Self::Host, text),
        };
        let domain = Domain::parse(name).ok()?;
        domain.literal().is_none().then(|| kind(domain))
    }

    pub fn matches(&self, host: &Domain) -> bool {
        match self {
            Self::Host(name) => name == host,
            Self::Below(name) => host.as_str().split_once('.').is_some_and(|(_, rest)| rest == name.as_str()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => write!(f, "{name}"),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// A policy, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsPolicy {
    pub mode: Mode,
    /// How long senders may keep it.
    pub max_age: Duration,
    /// Never empty, but for [`Mode::None`].
    pub hosts: Vec<HostPattern>,
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyError {
    TooLarge,
    NotText,
    /// There is no `version: STSv1`.
    Version,
    Mode(Option<String>),
    MaxAge(Option<String>),
    NoHost,
    TooManyHosts,
    Host(String),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it is larger than {POLICY_SIZE_MAX} octets"),
            Self::NotText => f.write_str("it is no text in UTF-8"),
            Self::Version => f.write_str("it has no line \"version: STSv1\""),
            Self::Mode(None) => f.write_str("it has no mode"),
            Self::Mode(Some(mode)) => write!(f, "its mode is {mode:?}, not enforce, testing or none"),
            Self::MaxAge(None) => f.write_str("it has no max_age"),
            Self::MaxAge(Some(age)) => {
                write!(f, "its max_age is {age:?}, not a number of seconds up to {MAX_AGE_MAX}")
            }
            Self::NoHost => f.write_str("it names no mx"),
            Self::TooManyHosts => write!(f, "it names more than {HOSTS_MAX} mx"),
            Self::Host(host) => write!(f, "its mx {host:?} is no host name"),
        }
    }
}

impl std::error::Error for PolicyError {}

impl StsPolicy {
    /// Reads a policy (RFC 8461 §3.2). Of a field that stands twice the first counts, fields that are not known are
    /// passed over.
    pub fn parse(octets: &[u8]) -> Result<Self, PolicyError> {
        if octets.len() > POLICY_SIZE_MAX {
            return Err(PolicyError::TooLarge);
        }
        let text = std::str::from_utf8(octets).map_err(|_| PolicyError::NotText)?;
        let fields: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim_matches(is_blank), value.trim_matches(is_blank)))
            .collect();
        let first = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        if first("version") != Some("STSv1") {
            return Err(PolicyError::Version);
        }
        let mode = match first("mode") {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            other => return Err(PolicyError::Mode(other.map(shown))),
        };
        let max_age = first("max_age")
            .filter(|age| (1..=10).contains(&age.len()) && age.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|age| age.parse().ok())
            .filter(|age| *age <= MAX_AGE_MAX)
            .ok_or_else(|| PolicyError::MaxAge(first("max_age").map(shown)))?;
        let named = fields.iter().filter(|(name, _)| *name == "mx").map(|(_, value)| *value);
        let mut hosts = Vec::new();
        for host in named {
            hosts.push(HostPattern::parse(host).ok_or_else(|| PolicyError::Host(shown(host)))?);
            if hosts.len() > HOSTS_MAX {
                return Err(PolicyError::TooManyHosts);
            }
        }
        if hosts.is_empty() && mode != Mode::None {
            return Err(PolicyError::NoHost);
        }
        Ok(Self { mode, max_age: Duration::from_secs(max_age), hosts })
    }

    /// Whether mail may go to a host, given that its certificate is good for its name (RFC 8461 §4.1).
    pub fn allows(&self, host: &Domain) -> bool {
        self.mode == Mode::None || self.hosts.iter().any(|pattern| pattern.matches(host))
    }
}

/// Text of a stranger's making, safe to print.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What is known of a domain of ours whose policy is looked at.
#[derive(Clone, Debug)]
pub struct Reality<'a> {
    /// The hosts of its MX records, or the domain itself where it has none.
    pub mx: &'a [Domain],
    /// The names of this server.
    pub ours: &'a [Domain],
    /// For which names this server can show a certificate that strangers believe; patterns like `*.example.org` too.
    pub certificate_names: &'a [String],
}

/// What is wrong with a policy of our own, and what to do; the worst first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub harm: Harm,
    pub text: String,
}

/// What comes of it, as the policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Harm {
    /// Senders that honour the policy cannot deliver at all.
    NoMail,
    /// A host of the domain gets no mail from such senders.
    HostUnused,
    /// Nothing yet; it would, if the mode were `enforce`.
    Later,
}

/// Compares a policy with what is so. An empty list: the policy is true.
pub fn compare(policy: &StsPolicy, reality: &Reality<'_>) -> Vec<Warning> {
    if policy.mode == Mode::None {
        return Vec::new();
    }
    let mut faults: Vec<String> = Vec::new();
    let mut usable = 0;
    for host in reality.mx {
        if !policy.allows(host) {
            faults.push(format!("the MX host {host} is not in the policy: add a line \"mx: {host}\" to it"));
        } else if reality.ours.contains(host) && !names_host(reality.certificate_names, host) {
            faults.push(format!(
                "this server is the MX host {host}, but has no certificate for that name that others believe: get one"
            ));
        } else {
            usable += 1;
        }
    }
    let harm = match (policy.mode, usable) {
        (Mode::Enforce, 0) => Harm::NoMail,
        (Mode::Enforce, _) => Harm::HostUnused,
        (Mode::Testing | Mode::None, _) => Harm::Later,
    };
    let mut warnings: Vec<Warning> = faults.into_iter().map(|text| Warning { harm, text }).collect();
    if policy.max_age < MAX_AGE_USEFUL {
        let age = policy.max_age.as_secs();
        let text = format!(
            "the policy is kept for {age} s only, which protects little: set max_age to a week or more"
        );
        warnings.push(Warning { harm: Harm::Later, text });
    }
    warnings
}

/// Whether one of the names of a certificate is good for a host; a star stands for one label (RFC 9525 §6.3).
fn names_host(names: &[String], host: &Domain) -> bool {
    names.iter().filter_map(|name| HostPattern::parse(name)).any(|pattern| pattern.matches(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn records() {
        let id = |texts: &[&str]| record_id(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        for (texts, want) in [
            (&["v=STSv1; id=20160831085700Z;"][..], Some("20160831085700Z")),
            (&["v=STSv1;id=a"], Some("a")),
            (&["v=STSv1 ; other=b; id=a1 ; x=y"], Some("a1")),
            (&["v=spf1 -all", "v=STSv1; id=a"], Some("a")),
            (&["v=STSv1; id=a", "v=STSv1; id=a"], None),
            (&["v=STSv1; id="], None),
            (&["v=STSv1; id=a-b"], None),
            (&["v=STSv1; id=123456789012345678901234567890123"], None),
            (&["v=STSv1"], None),
            (&["v=STSv12; id=a"], None),
            (&["V=STSv1; id=a"], None),
            (&[" v=STSv1; id=a"], None),
            (&[], None),
        ] {
            assert_eq!(id(texts).as_deref(), want, "{texts:?}");
        }
    }

    #[test]
    fn policies() {
        let shown = |text: &str| match StsPolicy::parse(text.as_bytes()) {
            Ok(policy) => {
                let hosts: Vec<String> = policy.hosts.iter().map(ToString::to_string).collect();
                format!("{} {} {}", policy.mode, policy.max_age.as_secs(), hosts.join(","))
            }
            Err(error) => error.to_string(),
        };
        let many = "mx: a.example\n".repeat(101);
        for (text, want) in [
            (
                "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n",
                "enforce 604800 mail.example.com,*.example.net",
            ),
            ("version:STSv1\nmode:testing\nmx:\tA.Example \nmax_age: 0", "testing 0 a.example"),
            ("max_age: 86400\nmode: none\nversion: STSv1\n", "none 86400 "),
            (
                "version: STSv1\nmode: enforce\nmode: none\nmx: a.example\nmax_age: 1\nmax_age: x\nnew: thing\njunk\n",
                "enforce 1 a.example",
            ),
            ("mode: enforce\nmx: a.example\nmax_age: 1", "it has no line \"version: STSv1\""),
            ("version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1", "it has no line \"version: STSv1\""),
            ("version: STSv1\nmx: a.example\nmax_age: 1", "it has no mode"),
            (
                "version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1",
                "its mode is \"Enforce\", not enforce, testing or none",
            ),
            ("version: STSv1\nmode: enforce\nmx: a.example", "it has no max_age"),
            (
                "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557601",
                "its max_age is \"31557601\", not a number of seconds up to 31557600",
            ),
            (
                "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1",
                "its max_age is \"-1\", not a number of seconds up to 31557600",
            ),
            ("version: STSv1\nmode: enforce\nmax_age: 1", "it names no mx"),
            (
                "version: STSv1\nmode: enforce\nmax_age: 1\nmx: a*.example",
                "its mx \"a*.example\" is no host name",
            ),
            (
                "version: STSv1\nmode: enforce\nmax_age: 1\nmx: [192.0.2.1]",
                "its mx \"[192.0.2.1]\" is no host name",
            ),
            (&format!("version: STSv1\nmode: enforce\nmax_age: 1\n{many}"), "it names more than 100 mx"),
            (&"a".repeat(POLICY_SIZE_MAX + 1), "it is larger than 65536 octets"),
            ("", "it has no line \"version: STSv1\""),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
        assert_eq!(StsPolicy::parse(b"\xff"), Err(PolicyError::NotText));
    }

    #[test]
    fn a_star_stands_for_one_label() {
        for (pattern, host, want) in [
            ("mail.example.com", "mail.example.com", true),
            ("mail.example.com", "MAIL.example.com", true),
            ("*.example.com", "mail.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.mail.example.com", false),
            ("mail.example.com", "other.example.com", false),
        ] {
            let pattern = HostPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(&domain(host)), want, "{pattern} {host}");
        }
    }

    #[test]
    fn a_policy_is_held_to_what_is_so() {
        let us = domain("mx.example.org");
        let tell = |mode: &str, hosts: &str, mx: &[&str], names: &[&str]| {
            let text = format!("version: STSv1\nmode: {mode}\nmax_age: 604800\n{hosts}");
            let policy = StsPolicy::parse(text.as_bytes()).unwrap();
            let mx: Vec<Domain> = mx.iter().map(|host| domain(host)).collect();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let found = compare(
                &policy,
                &Reality { mx: &mx, ours: std::slice::from_ref(&us), certificate_names: &names },
            );
            found
                .into_iter()
                .map(|one| format!("{:?}: {}", one.harm, one.text))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let both = "mx: mx.example.org\nmx: mx2.example.org\n";
        let here = &["mx.example.org"][..];
        assert_eq!(tell("enforce", both, &["mx.example.org", "mx2.example.org"], here), "");
        assert_eq!(tell("enforce", "mx: *.example.org\n", here, &["*.example.org"]), "");
        assert_eq!(tell("none", "", here, &[]), "");
        let not_listed =
            "the MX host new.example.org is not in the policy: add a line \"mx: new.example.org\" to it";
        assert_eq!(tell("enforce", both, &["new.example.org"], here), format!("NoMail: {not_listed}"));
        assert_eq!(
            tell("enforce", both, &["mx.example.org", "new.example.org"], here),
            format!("HostUnused: {not_listed}")
        );
        assert_eq!(tell("testing", both, &["new.example.org"], here), format!("Later: {not_listed}"));
        assert_eq!(
            tell("enforce", both, here, &["other.example.org"]),
            "NoMail: this server is the MX host mx.example.org, but has no certificate for that name that others believe: \
             get one"
        );
        let short = StsPolicy {
            mode: Mode::Enforce,
            max_age: Duration::from_secs(60),
            hosts: vec![HostPattern::Host(us.clone())],
        };
        let mx = [us.clone()];
        let names = ["mx.example.org".to_owned()];
        let found =
            compare(&short, &Reality { mx: &mx, ours: std::slice::from_ref(&us), certificate_names: &names });
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].harm, Harm::Later);
    }
}
