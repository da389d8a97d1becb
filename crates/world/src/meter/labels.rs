//! The labels, each with all its values.

use std::fmt::Debug;

/// A label whose values are known.
pub trait Label: Copy + Debug + 'static {
    /// Its name; empty: there is no label.
    const NAME: &'static str;
    const ALL: &'static [Self];

    fn word(self) -> &'static str;

    /// Its place in [`Label::ALL`].
    fn index(self) -> usize;
}

impl Label for () {
    const NAME: &'static str = "";
    const ALL: &'static [Self] = &[()];

    fn word(self) -> &'static str {
        ""
    }

    fn index(self) -> usize {
        0
    }
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident $label:literal { $($(#[$value_doc:meta])* $value:ident = $word:literal),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $name {
                $($(#[$value_doc])* $value,)*
            }

            impl Label for $name {
                const NAME: &'static str = $label;
                const ALL: &'static [Self] = &[$(Self::$value),*];

                fn word(self) -> &'static str {
                    match self {
                        $(Self::$value => $word,)*
                    }
                }

                fn index(self) -> usize {
                    self as usize
                }
            }
        )*
    };
}

labels! {
    /// By which door somebody came.
    Door "door" {
        Smtp = "smtp",
        Submission = "submission",
        Imap = "imap",
        Web = "web",
        /// The socket for programs of the same machine.
        Local = "local",
    }

    /// What became of a message at a door.
    Outcome "result" {
        Accepted = "accepted",
        PutOff = "put off",
        Refused = "refused",
    }

    /// What was refused.
    Refused "what" {
        Client = "client",
        Sender = "sender",
        Recipient = "recipient",
        Message = "message",
    }

    /// Why something was refused, as the enhanced status says (RFC 3463 §3), and some reasons of their own.
    Reason "reason" {
        Address = "address",
        Mailbox = "mailbox",
        TooLarge = "too large",
        System = "system",
        Network = "network",
        Protocol = "protocol",
        Content = "content",
        Policy = "policy",
        Greylisted = "greylisted",
        EarlyTalker = "early talker",
        Filter = "filter",
        TooMuch = "too much",
        Other = "other",
    }

    /// Why a connection was not let in.
    TurnedAway "reason" {
        Full = "full",
        Address = "address",
        Network = "network",
        Proxy = "proxy",
        Banned = "banned",
    }

    /// The verdict of the checks.
    Judged "verdict" {
        Accept = "accept",
        Mark = "mark",
        Quarantine = "quarantine",
        Reject = "reject",
        Defer = "defer",
    }

    /// What came of an attempt, for one recipient.
    Fate "fate" {
        Sent = "sent",
        Deferred = "deferred",
        Failed = "failed",
        GivenUp = "given up",
    }

    /// Whether a host took part in a conversation.
    Way "way" {
        Through = "through",
        None = "none",
    }

    /// Where mail went.
    Delivered "to" {
        Here = "here",
        Elsewhere = "elsewhere",
    }

    /// Who began a connection.
    Side "side" {
        In = "in",
        Out = "out",
    }

    /// How a connection is protected.
    TlsLevel "tls" {
        Clear = "none",
        Tls12 = "1.2",
        Tls13 = "1.3",
        Failed = "failed",
    }

    /// How a login ended.
    Login "result" {
        Good = "good",
        Failed = "failed",
        /// Too many guesses came from there.
        Blocked = "blocked",
        /// It could not be found out whether it is right.
        Unavailable = "unavailable",
    }

    /// A command of IMAP.
    ImapVerb "command" {
        Acl = "acl",
        Append = "append",
        Close = "close",
        Copy = "copy",
        Expunge = "expunge",
        Fetch = "fetch",
        Folder = "folder",
        List = "list",
        Login = "login",
        Metadata = "metadata",
        Move = "move",
        Noop = "noop",
        Notify = "notify",
        Other = "other",
        Quota = "quota",
        Search = "search",
        Select = "select",
        Sort = "sort",
        Status = "status",
        Store = "store",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<L: Label>() {
        for (at, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.index(), at);
            let word = value.word();
            assert!(!word.contains(['"', '\\', '\n']), "{word}");
            assert_eq!(L::ALL.iter().filter(|other| other.word() == word).count(), 1, "{word}");
        }
    }

    #[test]
    fn every_value_has_a_word_and_a_place_of_its_own() {
        all::<()>();
        all::<Door>();
        all::<Outcome>();
        all::<Refused>();
        all::<Reason>();
        all::<TurnedAway>();
        all::<Judged>();
        all::<Fate>();
        all::<Way>();
        all::<Delivered>();
        all::<Side>();
        all::<TlsLevel>();
        all::<Login>();
        all::<ImapVerb>();
    }
}
