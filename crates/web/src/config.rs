//! Options of the node `web`.

use ::config::Section;
use mail::Domain;
use net::{Listen, ListenTls, decode_listen_with};
use std::net::SocketAddr;
use std::time::Duration;

/// Shortest and longest time for which a policy may be kept (RFC 8461 §3.2).
const MAX_AGE_MIN: Duration = Duration::from_secs(60);
const MAX_AGE_MAX: Duration = Duration::from_secs(31_557_600);
/// A week: long enough to protect, short enough to change.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The checked options. Without `listen` there is no such door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub listen: Vec<Entrance>,
    pub sts: StsOptions,
}

/// Where to listen, and what is to be seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    pub listen: Listen,
    pub shows: Shows,
    pub sharing: Sharing,
}

/// Whether a listener is for mail programs, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    Alone,
    /// Who names `imap` or `smtp` in the TLS handshake (ALPN) gets the door of readers, or of our own senders.
    WithMail,
}

/// What is to be seen on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The pages for everybody.
    Pages,
    /// Proofs for an authority of certificates; whoever wants something else is sent to https.
    WayToTls,
    /// Metrics and health, for those who run the server.
    Private,
}

/// The MTA-STS policy of all our domains (RFC 8461 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsOptions {
    pub mode: StsMode,
    pub max_age: Duration,
    /// The hosts of the policy; our own if empty.
    pub hosts: Vec<Domain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsMode {
    Enforce,
    Testing,
    None,
}

impl StsMode {
    pub fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

impl Default for StsOptions {
    fn default() -> Self {
        Self { mode: StsMode::Testing, max_age: MAX_AGE, hosts: Vec::new() }
    }
}

impl Config {
    /// What is to be seen by those who came to our address `local`.
    pub(crate) fn shown_at(&self, local: SocketAddr) -> Shows {
        self.listen.iter().find(|entrance| entrance.listen.is_at(local)).map_or(Shows::Pages, |one| one.shows)
    }
}

/// Reads the node.
pub fn decode(section: &mut Section<'_>) -> Config {
    let listen = decode_listen_with(section, |listen| {
        let private =
            listen.flag("private", "Metrics and health instead of the pages: not for the public.").or(false);
        let doc = "Pages are sent here without TLS, for a proxy that adds it; otherwise who comes without TLS is sent to https.";
        let plain = listen.flag("plain", doc).or(false);
        if private && plain {
            listen.problem(listen.span(), "`private` and `plain` do not go together", "remove one of them");
        }
        let doc = "Mail programs that name \"imap\" or \"smtp\" in the TLS handshake (ALPN) reach mailboxes and submission here, too: a way where a firewall lets nothing but the web pass.";
        let share = listen.flag("share", doc).or(false);
        if share && private {
            listen.problem(listen.span(), "`private` and `share` do not go together", "remove one of them");
        }
        (private, plain, share)
    });
    let listen = listen.into_iter().map(|(listen, (private, plain, share))| {
        let shows = match (private, plain, listen.tls) {
            (true, ..) => Shows::Private,
            (false, false, ListenTls::StartTls) => Shows::WayToTls,
            (false, ..) => Shows::Pages,
        };
        let sharing = if share { Sharing::WithMail } else { Sharing::Alone };
        Entrance { listen, shows, sharing }
    });
    let listen: Vec<Entrance> = listen.collect();
    let in_clear =
        |one: &&Entrance| one.sharing == Sharing::WithMail && one.listen.tls != ListenTls::Implicit;
    if listen.iter().any(|one| in_clear(&one)) {
        let help = "write `tls=#true` beside it";
        section.problem(section.child_span("listen"), "`share` needs TLS from the first octet", help);
    }
    let sts = section.child("mta-sts", "The MTA-STS policy of all domains.", decode_sts);
    Config { listen, sts }
}

fn decode_sts(section: &mut Section<'_>) -> StsOptions {
    const MODES: &[(&str, StsMode)] =
        &[("enforce", StsMode::Enforce), ("testing", StsMode::Testing), ("none", StsMode::None)];
    let usual = StsOptions::default();
    StsOptions {
        mode: section
            .choice(
                "mode",
                MODES,
                "What senders do when no host of ours shows a good certificate: not deliver, deliver and report, or as if there were no policy.",
            )
            .or(usual.mode),
        max_age: section
            .duration("max-age", "How long senders may keep the policy.")
            .within(MAX_AGE_MIN..=MAX_AGE_MAX)
            .or(usual.max_age),
        hosts: section
            .parsed("mx", "a domain name", Domain::parse, "The mail hosts of our domains; `hostname` if not given.")
            .many(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::config::Tree;

    fn read(text: &str) -> Result<Config, String> {
        Tree::from_text("test", text, &|_| None).decode(decode).map_err(|problems| problems.to_string())
    }

    #[test]
    fn what_is_shown_follows_from_the_listener() {
        let config = read(
            "listen \"[::]:80\"\nlisten \"[::]:443\" tls=#true\nlisten \"127.0.0.1:9980\" private=#true\n\
             listen \"127.0.0.1:8080\" plain=#true\nmta-sts { mode enforce; max-age \"2w\"; mx mx2.example.org; }",
        )
        .unwrap();
        for (at, want) in [
            ("192.0.2.1:80", Shows::WayToTls),
            ("192.0.2.1:443", Shows::Pages),
            ("127.0.0.1:9980", Shows::Private),
            ("127.0.0.1:8080", Shows::Pages),
        ] {
            assert_eq!(config.shown_at(at.parse().unwrap()), want, "{at}");
        }
        assert_eq!(config.sts.mode, StsMode::Enforce);
        assert_eq!(read("").unwrap(), Config { listen: Vec::new(), sts: StsOptions::default() });
        let both = read("listen \"127.0.0.1:1\" private=#true plain=#true").unwrap_err();
        assert!(both.contains("do not go together"), "{both}");
        let shared = read("listen \"127.0.0.1:1\" tls=#true share=#true").unwrap();
        assert_eq!(shared.listen[0].sharing, Sharing::WithMail);
        let clear = read("listen \"127.0.0.1:1\" share=#true").unwrap_err();
        assert!(clear.contains("needs TLS"), "{clear}");
    }
}
