//! The nodes `checks` and `dkim` of the configuration.

use crate::dkim::{Rotation, Selectors};
use crate::dnslist::{self, List};
use crate::rules::{self, Action, Actions, Choices, Row, Rules};
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
    pub helo: Switch,
    pub sender: Switch,
    /// Lists of addresses and domains to ask.
    pub lists: Vec<List>,
    pub spf: Switch,
    pub dkim: Switch,
    pub arc: Switch,
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
            helo: Switch::On,
            sender: Switch::On,
            lists: Vec::new(),
            spf: Switch::On,
            dkim: Switch::On,
            arc: Switch::On,
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

/// Words for all actions.
pub(crate) const ANY: &[(&str, Action)] = &[
    ("none", Action::Nothing),
    ("mark", Action::Mark),
    ("quarantine", Action::Quarantine),
    ("reject", Action::Reject),
    ("defer", Action::Defer),
];
/// Where there is no answer, of the DNS or of a filter, nothing is refused for good.
pub(crate) const UNANSWERED: &[(&str, Action)] = &[
    ("none", Action::Nothing),
    ("mark", Action::Mark),
    ("quarantine", Action::Quarantine),
    ("defer", Action::Defer),
];

fn switch(section: &mut Section<'_>, usual: Switch) -> Switch {
    let on = section.flag("enabled", "Whether this check is made.").or(usual.is_on());
    if on { Switch::On } else { Switch::Off }
}

/// Reads an option for each result.
fn actions<R: Copy + PartialEq>(section: &mut Section<'_>, rows: &[Row<R>], actions: &mut Actions<R>) {
    for row in rows {
        let choices = match row.choices {
            Choices::Any => ANY,
            Choices::Unanswered => UNANSWERED,
        };
        actions.set(row.result, section.choice(row.word, choices, row.doc).or(row.usual));
    }
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
        .duration("defer-at-most", "A sender that was put off for so long is let in, to Junk.")
        .within(Duration::from_secs(60)..=Duration::from_secs(5 * 24 * 3600))
        .or(usual.defer_at_most);
    let mut rules = usual.rules;
    let iprev = section.child("iprev", "Does the reverse name of the client lead back to it?", |iprev| {
        actions(iprev, rules::IPREV, &mut rules.iprev);
        switch(iprev, usual.iprev)
    });
    let helo = section.child("helo", "Does what the client calls itself make sense?", |helo| {
        actions(helo, rules::HELO, &mut rules.helo);
        switch(helo, usual.helo)
    });
    let sender = section.child("sender", "Can the domain in MAIL FROM take mail?", |sender| {
        actions(sender, rules::SENDER, &mut rules.sender);
        switch(sender, usual.sender)
    });
    let (lists, thresholds) =
        section.child("dnsbl", "What do lists in the DNS say of the client?", dnslist::decode);
    rules.lists = thresholds;
    let spf = section.child("spf", "May the client use these names (SPF)?", |spf| {
        actions(spf, rules::SPF, &mut rules.spf);
        actions(spf, rules::SPF_HELO, &mut rules.spf_helo);
        switch(spf, usual.spf)
    });
    let dkim = section.child("dkim", "Are the signatures good (DKIM)?", |dkim| {
        actions(dkim, rules::DKIM, &mut rules.dkim);
        switch(dkim, usual.dkim)
    });
    let arc = section.child("arc", "What do those say who handed the message on (ARC)?", |arc| {
        actions(arc, rules::ARC, &mut rules.arc);
        rules.trusted_sealers = arc
            .parsed("trusted", "a domain name", Domain::parse, "Who is believed, with all names below: mail that fails DMARC is taken if one of them saw it pass.")
            .many();
        switch(arc, usual.arc)
    });
    let dmarc =
        section.child("dmarc", "Does anybody vouch for the author, and what if not (DMARC)?", |dmarc| {
            actions(dmarc, rules::DMARC, &mut rules.dmarc);
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
    Config { iprev, helo, sender, lists, spf, dkim, arc, dmarc, exempt, rules, defer_at_most }
}

/// Checked node `dkim`: signing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningConfig {
    pub signing: Switch,
    /// Where the keys are; without it, `dkim` in the state directory.
    pub keys: Option<PathBuf>,
    pub selectors: Selectors,
    pub rotation: Rotation,
    /// Whether mail from elsewhere that we hand on is sealed (ARC).
    pub seal: Switch,
}

impl Default for SigningConfig {
    fn default() -> Self {
        let selectors = Selectors { rsa: "maddy".to_owned(), ed25519: "maddy-ed25519".to_owned() };
        Self { signing: Switch::On, keys: None, selectors, rotation: Rotation::default(), seal: Switch::On }
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
    let rotation = section.child(
        "rotation",
        "When signing keys are replaced. A new key signs only when the DNS shows its record; the old one stays published for a while.",
        decode_rotation,
    );
    let seal = section
        .flag(
            "seal-forwarded",
            "Whether mail from elsewhere that an alias sends on is sealed (ARC), with the RSA key.",
        )
        .or(usual.seal.is_on());
    let switch = |on| if on { Switch::On } else { Switch::Off };
    SigningConfig { signing: switch(on), keys, selectors, rotation, seal: switch(seal) }
}

fn decode_rotation(section: &mut Section<'_>) -> Rotation {
    let usual = Rotation::default();
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
    let every = section
        .duration(
            "every",
            "Age at which a key is replaced; \"0s\": only when `maddy dkim rotate` asks for it.",
        )
        .within(Duration::ZERO..=3650 * day)
        .or(Duration::ZERO);
    Rotation {
        every: Some(every).filter(|every| !every.is_zero()),
        keep: section
            .duration(
                "keep",
                "How long an old key stays published; mail may be verified some days after it was sent.",
            )
            .within(second..=365 * day)
            .or(usual.keep),
        settle: section
            .duration("settle", "How long the DNS must have shown a new record before its key signs.")
            .within(Duration::ZERO..=30 * day)
            .or(usual.settle),
        look: section
            .duration("look", "Time between two looks at the DNS.")
            .within(second..=day)
            .or(usual.look),
    }
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
    use crate::dnslist::{Code, Subjects, Thresholds};

    fn read<R>(text: &str, decode: impl FnOnce(&mut Section<'_>) -> R) -> Result<R, String> {
        config::Tree::from_text("test", text, &|_| None)
            .decode(decode)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn nothing_written_means_the_defaults() {
        assert_eq!(Config::default().rules, Rules::default());
        assert_eq!(read("", decode).unwrap(), Config::default());
        assert_eq!(read("", decode_signing).unwrap(), SigningConfig::default());
    }

    /// Every option of a table, in its own words, reaches its own result and no other.
    #[test]
    fn every_result_has_an_option() {
        fn each<R: Copy + PartialEq + std::fmt::Debug>(
            node: &str,
            rows: &[Row<R>],
            of: impl Fn(&Rules) -> Actions<R>,
        ) {
            for row in rows {
                let action = if row.usual == Action::Mark { "quarantine" } else { "mark" };
                let got = read(&format!("{node} {}={action:?}", row.word), decode).unwrap();
                let mut want = of(&Rules::default());
                want.set(row.result, if action == "mark" { Action::Mark } else { Action::Quarantine });
                assert_eq!(of(&got.rules), want, "{node} {}", row.word);
                assert_ne!(got.rules, Rules::default());
                let reject = read(&format!("{node} {}=\"reject\"", row.word), decode);
                assert_eq!(reject.is_ok(), matches!(row.choices, Choices::Any), "{node} {}", row.word);
                assert_eq!(
                    of(&read(&format!("{node} {}=\"none\"", row.word), decode).unwrap().rules).of(row.result),
                    Action::Nothing
                );
                assert_eq!(
                    of(&read(&format!("{node} {}=\"defer\"", row.word), decode).unwrap().rules)
                        .of(row.result),
                    Action::Defer
                );
            }
        }
        each("iprev", rules::IPREV, |rules| rules.iprev.clone());
        each("helo", rules::HELO, |rules| rules.helo.clone());
        each("sender", rules::SENDER, |rules| rules.sender.clone());
        each("spf", rules::SPF, |rules| rules.spf.clone());
        each("spf", rules::SPF_HELO, |rules| rules.spf_helo.clone());
        each("dkim", rules::DKIM, |rules| rules.dkim.clone());
        each("arc", rules::ARC, |rules| rules.arc.clone());
        each("dmarc", rules::DMARC, |rules| rules.dmarc.clone());
    }

    #[test]
    fn everything_else_can_be_set() {
        let got = read(
            "exempt \"192.0.2.0/24\" \"::1\"\ndefer-at-most \"1h\"\niprev enabled=#false\nhelo enabled=#false\nsender enabled=#false\n\
             arc { enabled #false; trusted \"Lists.example\" \"bücher.example\" }\ndmarc enabled=#false\n\
             dnsbl { mark 1; quarantine 3; reject 9; defer 7\n\
             list \"bl.example\" name=\"BL\" sender=#true score=2 { code \"127.0.0.4/30\" score=5 text=\"bad\"; code \"127.0.0.2\" }\n\
             list \"wl.example\" client=#false helo=#true score=-3 }",
            decode,
        )
        .unwrap();
        let domain = |text: &str| Domain::parse(text).unwrap();
        let code = |answer: &str, score, text: Option<&str>| Code {
            answer: Network::parse(answer).unwrap(),
            score,
            text: text.map(str::to_owned),
        };
        let lists = vec![
            List {
                zone: domain("bl.example"),
                name: "BL".to_owned(),
                asked_for: Subjects { client: true, helo: false, sender: true },
                score: 2,
                codes: vec![code("127.0.0.4/30", 5, Some("bad")), code("127.0.0.2", 1, None)],
            },
            List {
                zone: domain("wl.example"),
                name: "wl.example".to_owned(),
                asked_for: Subjects { client: false, helo: true, sender: false },
                score: -3,
                codes: Vec::new(),
            },
        ];
        let want = Config {
            iprev: Switch::Off,
            helo: Switch::Off,
            sender: Switch::Off,
            arc: Switch::Off,
            dmarc: Switch::Off,
            lists,
            exempt: vec![Network::parse("192.0.2.0/24").unwrap(), Network::parse("::1").unwrap()],
            defer_at_most: Duration::from_secs(3600),
            rules: Rules {
                trusted_sealers: vec![domain("lists.example"), domain("xn--bcher-kva.example")],
                lists: Thresholds { mark: Some(1), quarantine: Some(3), reject: Some(9), defer: Some(7) },
                ..Rules::default()
            },
            ..Config::default()
        };
        assert_eq!(got, want);
        let got =
            read("enabled #false\nseal-forwarded #false\nkeys \"/k\"\nrsa-selector \"R1\"\ned25519-selector \"e1\"", decode_signing)
                .unwrap();
        assert_eq!((got.signing, got.seal), (Switch::Off, Switch::Off));
        assert_eq!(got.keys, Some(PathBuf::from("/k")));
        assert_eq!(got.selectors, Selectors { rsa: "r1".to_owned(), ed25519: "e1".to_owned() });
        let got =
            read("rotation every=\"90d\" keep=\"7d\" settle=\"2h\" look=\"1m\"", decode_signing).unwrap();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let want = Rotation {
            every: Some(hours(90 * 24)),
            keep: hours(7 * 24),
            settle: hours(2),
            look: Duration::from_secs(60),
        };
        assert_eq!(got.rotation, want);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, want) in [
            ("spf enabled=#false", "DMARC needs SPF and DKIM"),
            ("dmarc temperror=\"reject\"", "reject"),
            ("exempt \"192.0.2.1/24\"", "there are bits behind the first 24"),
            ("spf fial=\"mark\"", "did you mean `fail`?"),
            ("dnsbl { list \"a b\" }", "domain name"),
            ("dnsbl { list \"bl.example\" score=2000 }", "between -1000 and 1000"),
            ("dnsbl { list \"bl.example\" { code \"192.0.2.1\" } }", "127.0.0.0/8"),
            ("dnsbl { list \"bl.example\" name=\"a\\nb\" }", "printable"),
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
