//! The nodes `checks` and `dkim` of the configuration.

use crate::decide::{Action, Rules};
use crate::dkim::Selectors;
use config::{Network, Section};
use mail::Domain;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Whether a check is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    On,
    Off,
}

impl Switch {
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// Checked node `checks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub iprev: Switch,
    pub spf: Switch,
    pub dkim: Switch,
    /// On only together with SPF and DKIM.
    pub dmarc: Switch,
    /// Clients that are not checked: our own relays, a filter in front of us.
    pub exempt: Vec<Network>,
    pub rules: Rules,
    /// A sender that was put off for so long is let in, to Junk.
    pub defer_at_most: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            iprev: Switch::On,
            spf: Switch::On,
            dkim: Switch::On,
            dmarc: Switch::On,
            exempt: Vec::new(),
            rules: Rules::default(),
            defer_at_most: Duration::from_secs(8 * 3600),
        }
    }
}

impl Config {
    pub(crate) fn is_exempt(&self, ip: IpAddr) -> bool {
        self.exempt.iter().any(|network| network.contains(ip))
    }
}

const MILD: &[(&str, Action)] =
    &[("nothing", Action::Nothing), ("mark", Action::Mark), ("quarantine", Action::Quarantine)];
const ANY: &[(&str, Action)] = &[
    ("nothing", Action::Nothing),
    ("mark", Action::Mark),
    ("quarantine", Action::Quarantine),
    ("reject", Action::Reject),
];
/// Where the DNS gave no answer, nothing is refused for good.
const UNANSWERED: &[(&str, Action)] = &[
    ("nothing", Action::Nothing),
    ("mark", Action::Mark),
    ("quarantine", Action::Quarantine),
    ("defer", Action::Defer),
];

fn switch(section: &mut Section<'_>, usual: Switch) -> Switch {
    let on = section.flag("enabled", "Whether this check is made.").or(usual.is_on());
    if on { Switch::On } else { Switch::Off }
}

/// Reads the node `checks`.
pub fn decode(section: &mut Section<'_>) -> Config {
    let usual = Config::default();
    let exempt = section
        .parsed(
            "exempt",
            "a network",
            Network::parse,
            "Networks whose mail is not checked, like \"192.0.2.0/24\".",
        )
        .many();
    let defer_at_most = section
        .duration(
            "defer-at-most",
            "A sender that was put off for so long because the DNS gave no answer is let in, to Junk.",
        )
        .within(Duration::from_secs(60)..=Duration::from_secs(5 * 24 * 3600))
        .or(usual.defer_at_most);
    let mut rules = usual.rules;
    let iprev = section.child("iprev", "Does the reverse name of the client lead back to it?", |iprev| {
        rules.iprev_fail =
            iprev.choice("fail", ANY, "What to do if it does not, or if there is none.").or(rules.iprev_fail);
        switch(iprev, usual.iprev)
    });
    let spf = section.child("spf", "May the client use these names (SPF)?", |spf| {
        decode_spf(spf, &mut rules);
        switch(spf, usual.spf)
    });
    let dkim = section.child("dkim", "Are the signatures good (DKIM)?", |dkim| {
        rules.dkim_fail = dkim
            .choice("fail", MILD, "What to do if there are signatures and none is good.")
            .or(rules.dkim_fail);
        switch(dkim, usual.dkim)
    });
    let dmarc =
        section.child("dmarc", "Does anybody vouch for the author, and what if not (DMARC)?", |dmarc| {
            decode_dmarc(dmarc, &mut rules);
            let on = switch(dmarc, usual.dmarc);
            if on.is_on() && !(spf.is_on() && dkim.is_on()) {
                dmarc.problem(
                    dmarc.span(),
                    "DMARC needs SPF and DKIM",
                    "switch both on, or DMARC off: dmarc { enabled #false }",
                );
            }
            on
        });
    Config { iprev, spf, dkim, dmarc, exempt, rules, defer_at_most }
}

fn decode_spf(spf: &mut Section<'_>, rules: &mut Rules) {
    rules.spf_fail = spf
        .choice("fail", ANY, "What to do if the domain says no and nobody else vouches for the author.")
        .or(rules.spf_fail);
    rules.spf_softfail = spf
        .choice("softfail", MILD, "What to do if the domain says \"probably not\".")
        .or(rules.spf_softfail);
    rules.spf_permerror = spf
        .choice("permerror", ANY, "What to do if the record of the domain cannot be understood.")
        .or(rules.spf_permerror);
    rules.helo_fail =
        spf.choice("helo-fail", ANY, "What to do if the name in HELO says no.").or(rules.helo_fail);
}

fn decode_dmarc(dmarc: &mut Section<'_>, rules: &mut Rules) {
    rules.dmarc_reject =
        dmarc.choice("reject", ANY, "What to do where the domain asks to reject.").or(rules.dmarc_reject);
    rules.dmarc_quarantine = dmarc
        .choice("quarantine", ANY, "What to do where the domain asks for quarantine.")
        .or(rules.dmarc_quarantine);
    rules.dmarc_temperror = dmarc
        .choice("temperror", UNANSWERED, "What to do if the DNS does not say what is needed.")
        .or(rules.dmarc_temperror);
    rules.unclear_author = dmarc
        .choice("unclear-author", ANY, "What to do with no From, several, or one that cannot be read.")
        .or(rules.unclear_author);
}

/// Checked node `dkim`: signing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningConfig {
    pub signing: Switch,
    /// Where the keys are; without it, `dkim` in the state directory.
    pub keys: Option<PathBuf>,
    pub selectors: Selectors,
}

impl Default for SigningConfig {
    fn default() -> Self {
        let selectors = Selectors { rsa: "maddy".to_owned(), ed25519: "maddy-ed25519".to_owned() };
        Self { signing: Switch::On, keys: None, selectors }
    }
}

/// Reads the node `dkim`.
pub fn decode_signing(section: &mut Section<'_>) -> SigningConfig {
    let usual = SigningConfig::default();
    let on = section.flag("enabled", "Whether mail of our own senders is signed.").or(usual.signing.is_on());
    let keys = section
        .path("keys", "Directory of the signing keys; the default is `dkim` in the state directory. Missing keys are made.")
        .optional();
    let rsa = section
        .parsed("rsa-selector", "a selector", selector, "Selector of the RSA keys.")
        .spanned()
        .optional();
    let ed25519 = section
        .parsed("ed25519-selector", "a selector", selector, "Selector of the Ed25519 keys.")
        .spanned()
        .optional();
    let span = ed25519.as_ref().or(rsa.as_ref()).map_or_else(|| section.span(), |one| one.span);
    let selectors = Selectors {
        rsa: rsa.map_or(usual.selectors.rsa, |one| one.value),
        ed25519: ed25519.map_or(usual.selectors.ed25519, |one| one.value),
    };
    if selectors.rsa == selectors.ed25519 {
        section.problem(span, "both keys have the same selector", "give each its own");
    }
    SigningConfig { signing: if on { Switch::On } else { Switch::Off }, keys, selectors }
}

/// A selector is written as a domain is (RFC 6376 §3.1); a file is named after it.
fn selector(text: &str) -> Result<String, String> {
    Domain::parse(text)
        .ok()
        .filter(|domain| domain.literal().is_none())
        .map(|domain| domain.as_str().to_owned())
        .ok_or_else(|| "a selector has letters, digits, hyphens and dots".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<R>(text: &str, decode: impl FnOnce(&mut Section<'_>) -> R) -> Result<R, String> {
        config::Tree::from_text("test", text, &|_| None)
            .decode(decode)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn nothing_written_means_the_defaults() {
        assert_eq!(read("", decode).unwrap(), Config::default());
        assert_eq!(read("", decode_signing).unwrap(), SigningConfig::default());
    }

    #[test]
    fn everything_can_be_set() {
        let got = read(
            "exempt \"192.0.2.0/24\" \"::1\"\ndefer-at-most \"1h\"\niprev enabled=#false fail=\"mark\"\n\
             spf { fail \"reject\"; softfail \"quarantine\"; permerror \"mark\"; helo-fail \"reject\" }\n\
             dkim fail=\"mark\"\ndmarc { enabled #false; reject \"quarantine\"; quarantine \"mark\"; temperror \"nothing\"; unclear-author \"reject\" }",
            decode,
        )
        .unwrap();
        let want = Config {
            iprev: Switch::Off,
            dmarc: Switch::Off,
            exempt: vec![Network::parse("192.0.2.0/24").unwrap(), Network::parse("::1").unwrap()],
            defer_at_most: Duration::from_secs(3600),
            rules: Rules {
                spf_fail: Action::Reject,
                spf_softfail: Action::Quarantine,
                spf_permerror: Action::Mark,
                helo_fail: Action::Reject,
                iprev_fail: Action::Mark,
                dkim_fail: Action::Mark,
                dmarc_quarantine: Action::Mark,
                dmarc_reject: Action::Quarantine,
                dmarc_temperror: Action::Nothing,
                unclear_author: Action::Reject,
            },
            ..Config::default()
        };
        assert_eq!(got, want);
        let got =
            read("enabled #false\nkeys \"/k\"\nrsa-selector \"R1\"\ned25519-selector \"e1\"", decode_signing)
                .unwrap();
        assert_eq!(got.signing, Switch::Off);
        assert_eq!(got.keys, Some(PathBuf::from("/k")));
        assert_eq!(got.selectors, Selectors { rsa: "r1".to_owned(), ed25519: "e1".to_owned() });
    }

    #[test]
    fn mistakes_are_named() {
        for (text, want) in [
            ("spf enabled=#false", "DMARC needs SPF and DKIM"),
            ("dmarc temperror=\"reject\"", "reject"),
            ("exempt \"192.0.2.1/24\"", "there are bits behind the first 24"),
            ("spf fial=\"mark\"", "did you mean `fail`?"),
        ] {
            let problems = read(text, decode).unwrap_err();
            assert!(problems.contains(want), "{text}: {problems}");
        }
        for (text, want) in [
            ("rsa-selector \"../x\"", "a selector has letters"),
            ("rsa-selector \"x\"; ed25519-selector \"x\"", "both keys have the same selector"),
        ] {
            let problems = read(text, decode_signing).unwrap_err();
            assert!(problems.contains(want), "{text}: {problems}");
        }
    }
}
