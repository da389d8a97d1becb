//! Options of the node `sendmail`.

use config::{Arg, Section};
use mail::{Address, Domain};
use smtp_door::Pattern;
use std::path::PathBuf;

/// Whether local programs may send through the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    Yes,
    No,
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
    pub users: Vec<(String, Vec<Pattern>)>,
    /// The only senders of all users together; any, if it is empty.
    pub senders: Vec<Pattern>,
    /// The only recipients elsewhere; any, if it is empty.
    pub recipients: Vec<Pattern>,
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
        }
    }
}

impl LocalConfig {
    pub fn is_offered(&self) -> bool {
        self.offered == Offered::Yes
    }

    /// Whether a user may write as this address, beside its own.
    pub(super) fn allows(&self, user: &str, address: &Address) -> bool {
        let of_user = self.users.iter().filter(|(name, _)| name == user);
        of_user.flat_map(|(_, patterns)| patterns).any(|pattern| pattern.matches(address))
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
            let senders = patterns(
                user,
                "sender",
                "An address, \"@example.org\" for a whole domain, or \"*\"; may repeat.",
            );
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
    LocalConfig {
        offered: if on { Offered::Yes } else { Offered::No },
        socket,
        domain,
        users: users.into_iter().flatten().collect(),
        senders,
        recipients,
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
        for bad in ["user { sender \"*\" }", "sender \"x\"", "usr \"a\"", "domain \"a b\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
