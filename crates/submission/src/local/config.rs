//! Options of the node `sendmail`.

use config::{Arg, Section};
use mail::{Address, Domain};
use policy::Rate;
use smtp_door::Pattern;
use std::fmt;
use std::path::PathBuf;

/// How often one user may send, unless something else is configured.
const RATE: &str = "120/1m";

/// Whether local programs may send through the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    Yes,
    No,
}

impl fmt::Display for As {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(pattern) => pattern.fmt(f),
            Self::Nobody => f.write_str("<>"),
        }
    }
}

/// A rate, or as often as one likes.
struct Often(Option<Rate>);

impl Often {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { Rate::parse(text).map(|rate| Self(Some(rate))) }
    }
}

impl fmt::Display for Often {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(rate) => rate.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// The checked options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalConfig {
    pub offered: Offered,
    /// Where programs reach us; without it `sendmail.sock` in the runtime directory.
    pub socket: Option<PathBuf>,
    /// Completes names without a domain; without it the host name.
    pub domain: Option<Domain>,
    /// Users, and as whom they may write beside their own address.
    pub users: Vec<(String, Vec<As>)>,
    /// The only senders of all users together; any, if it is empty.
    pub senders: Vec<Pattern>,
    /// The only recipients elsewhere; any, if it is empty.
    pub recipients: Vec<Pattern>,
    /// How often one user may send, but root and the user of the server; `None`: as often as it likes.
    pub rate: Option<Rate>,
}

/// As whom a user may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum As {
    Address(Pattern),
    /// Without a sender in the envelope, so that nothing comes back.
    Nobody,
}

impl As {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "<>" { Ok(Self::Nobody) } else { Pattern::parse(text).map(Self::Address) }
    }
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            offered: Offered::Yes,
            socket: None,
            domain: None,
            users: Vec::new(),
            senders: Vec::new(),
            recipients: Vec::new(),
            rate: Rate::parse(RATE).ok(),
        }
    }
}

impl LocalConfig {
    pub fn is_offered(&self) -> bool {
        self.offered == Offered::Yes
    }

    /// Whether a user may write as this address, beside its own.
    pub(super) fn allows(&self, user: &str, address: &Address) -> bool {
        self.of(user).any(|one| matches!(one, As::Address(pattern) if pattern.matches(address)))
    }

    /// Whether a user may leave out the sender of the envelope.
    pub(super) fn allows_nobody(&self, user: &str) -> bool {
        self.of(user).any(|one| matches!(one, As::Nobody | As::Address(Pattern::Any)))
    }

    fn of<'a>(&'a self, user: &'a str) -> impl Iterator<Item = &'a As> {
        self.users.iter().filter(move |(name, _)| name == user).flat_map(|(_, list)| list)
    }
}

/// Reads the node.
pub fn decode_local(section: &mut Section<'_>) -> LocalConfig {
    let on = section.flag("enabled", "Whether programs of this machine may send with `sendmail`.").or(true);
    let socket = section
        .path("socket", "Where they reach the server; `sendmail.sock` in the runtime directory if not given.")
        .optional();
    let domain = section
        .parsed(
            "domain",
            "a domain name",
            Domain::parse,
            "Completes names without one, like root; the host name if not given.",
        )
        .optional();
    let users = section.each(
        "user",
        "A user of this machine, and as whom it may write beside its own address.",
        |user| {
            let name = user.text(Arg("name"), "The name of the user.").required();
            let senders = user
                .parsed(
                    "sender",
                    "an address, \"@domain\", \"*\" or \"<>\"",
                    As::parse,
                    "An address, \"@example.org\" for a whole domain, \"*\", or \"<>\" for none in the envelope; may repeat.",
                )
                .many();
            name.map(|name| (name, senders))
        },
    );
    let senders =
        patterns(section, "sender", "The only senders of all users, as above; any, if none is given.");
    let recipients = patterns(
        section,
        "recipient",
        "The only recipients elsewhere, in the same form; any, if none is given.",
    );
    let rate = section
        .parsed(
            "rate",
            "a rate like \"60/1m\", or \"none\"",
            Often::parse,
            "Messages of one user in a time, root and the user of the server excepted; \"none\" for as many as it likes.",
        )
        .or(Often(Rate::parse(RATE).ok()));
    LocalConfig {
        offered: if on { Offered::Yes } else { Offered::No },
        socket,
        domain,
        users: users.into_iter().flatten().collect(),
        senders,
        recipients,
        rate: rate.0,
    }
}

fn patterns(section: &mut Section<'_>, name: &'static str, doc: &'static str) -> Vec<Pattern> {
    section.parsed(name, "an address, \"@domain\" or \"*\"", Pattern::parse, doc).many()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LocalConfig, String> {
        config::Tree::from_text("test", text, &|_| None)
            .decode(decode_local)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read("").unwrap(), LocalConfig::default());
        let got = read(
            "enabled #false\nsocket \"/run/x.sock\"\ndomain \"example.org\"\n\
             user \"www-data\" { sender \"shop@example.org\" \"@shop.example\" }\nuser \"bob\" { sender \"*\" }\n\
             sender \"@example.org\"\nrecipient \"ops@example.org\"",
        )
        .unwrap();
        assert!(!got.is_offered());
        let address = |text: &str| Address::parse(text).unwrap();
        assert!(got.allows("www-data", &address("shop@example.org")));
        assert!(got.allows("www-data", &address("x@shop.example")));
        assert!(!got.allows("www-data", &address("boss@example.org")));
        assert!(got.allows("bob", &address("boss@example.org")));
        assert!(!got.allows("eve", &address("shop@example.org")));
        assert_eq!((got.senders.len(), got.recipients.len()), (1, 1));
        assert!(got.allows_nobody("bob") && !got.allows_nobody("www-data"));
        let got = read("rate \"none\"\nuser \"away\" { sender \"<>\" }").unwrap();
        assert!(got.rate.is_none() && got.allows_nobody("away"));
        assert!(!got.allows("away", &address("shop@example.org")));
        assert_eq!(read("rate \"3/1m\"").unwrap().rate, Rate::parse("3/1m").ok());
        for bad in ["user { sender \"*\" }", "sender \"x\"", "usr \"a\"", "domain \"a b\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
