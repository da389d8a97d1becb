//! Who gets a message: the rules of our domains, as arithmetic over what the directory knows.
//!
//! First [`Rules::questions`] says which accounts could matter, then one look into the directory answers them all
//! ([`Known`]), then [`Rules::resolve`] and [`Rules::plan`] decide without asking anybody.

use crate::aliases::{ALIAS_DEPTH_MAX, ALIAS_TARGETS_MAX, Aliases};
use crate::srs::Srs;
use mail::{Address, Domain, Reply, Status};
use std::collections::{BTreeSet, HashSet};

/// The settings that decide who gets a message; joined from the top-level nodes of the configuration.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Our name; `postmaster` is deliverable here too (RFC 5321 §4.5.1, RFC 3461 §9.3).
    pub hostname: Domain,
    /// The domains whose mail ends here. The first one is ours where one must be chosen.
    pub local_domains: Vec<Domain>,
    pub aliases: Aliases,
    /// What divides `user` from `tag` in a subaddress (RFC 5233); `None` switches them off.
    pub subaddress: Option<char>,
    /// Who gets the mail to postmaster; without it, the first account.
    pub postmaster: Option<Address>,
}

/// What the directory answered.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Names of accounts that exist; the others that were asked for do not.
    pub accounts: HashSet<String>,
    /// The oldest account, which gets postmaster's mail where nobody else is named.
    pub first: Option<String>,
}

/// What must be known before the rules can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions {
    /// Account names whose existence decides.
    pub names: Vec<String>,
    pub first: First,
}

/// Whether the oldest account matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Needed,
    NotNeeded,
}

/// Where an address leads in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A mailbox here.
    Mailbox {
        /// The account's name: an [`Address::key`].
        account: String,
        /// The address that led to the account, with its tag: goes into Delivered-To.
        address: Address,
    },
    /// Somewhere else.
    Remote {
        address: Address,
        /// The address of ours whose mail goes there; `None` if the address itself was given.
        via: Option<Address>,
    },
}

/// What an address is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// An address of ours: mailboxes and remote addresses that it leads to, at least one.
    Ours(Vec<Target>),
    /// Not a domain of ours.
    Remote,
    /// It is elsewhere or leads there, and mail does not leave this server.
    Closed,
    /// A domain of ours, but nobody there.
    Unknown,
    /// Its aliases lead in a circle, too far or to too many.
    AliasLoop,
    /// Nothing can be said now; the reply says why.
    Temporary(Reply),
}

/// Who asks for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Anybody: may reach our own domains only.
    Stranger,
    /// Somebody who has shown who he is, or whom the configuration trusts: may relay.
    Own,
}

impl Resolved {
    /// What the sender hears if the address is not accepted.
    pub fn refusal(&self, address: &Address, sender: Sender) -> Option<Reply> {
        match self {
            Self::Ours(_) => None,
            Self::Remote if sender == Sender::Own => None,
            Self::Remote => Some(Reply::new(
                550,
                Status::permanent(7, 1),
                format!(
                    "<{address}> is no address of ours, and relaying is only for our own users: log in first"
                ),
            )),
            Self::Closed => Some(Reply::new(
                550,
                Status::permanent(7, 1),
                format!("<{address}> is elsewhere, and this server delivers to its own domains only"),
            )),
            Self::Unknown => Some(Reply::new(
                550,
                Status::permanent(1, 1),
                format!("<{address}> is unknown here: please check the address"),
            )),
            Self::AliasLoop => Some(Reply::new(
                550,
                Status::permanent(4, 6),
                format!("<{address}> leads in a circle through its aliases: please tell its postmaster"),
            )),
            Self::Temporary(reply) => Some(reply.clone()),
        }
    }
}

/// The rules, without the directory.
#[derive(Debug)]
pub struct Rules {
    config: RouteConfig,
    srs: Srs,
    exit: Exit,
}

/// Whether mail may leave this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Open,
    Closed,
}

/// Where one step leads.
enum Hop<'a> {
    Mailbox(String),
    Alias(String, &'a [Address]),
    /// A bounce to a sender whom we rewrote.
    Back(Address),
    Remote,
    Unknown,
    NoAccounts,
}

impl Rules {
    /// Rules made of settings; `srs` holds the secret under which senders are rewritten.
    pub fn new(config: RouteConfig, srs: Srs) -> Self {
        Self { config, srs, exit: Exit::Open }
    }

    /// The same rules for a server that mail may leave, or not.
    pub fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    pub fn config(&self) -> &RouteConfig {
        &self.config
    }

    pub fn srs(&self) -> &Srs {
        &self.srs
    }

    /// Whether the domain is one of those whose mail ends here.
    pub fn is_local(&self, domain: &Domain) -> bool {
        self.config.local_domains.contains(domain)
    }

    /// Whether the mail of this address ends here: all of our domains, and postmaster of the host.
    fn is_ours(&self, address: &Address) -> bool {
        self.is_local(address.domain())
            || (address.domain() == &self.config.hostname && is_postmaster(address))
    }

    /// The domain of ours that stands where one must be chosen.
    pub fn primary(&self) -> &Domain {
        self.config.local_domains.first().unwrap_or(&self.config.hostname)
    }

    /// What decides about these addresses.
    pub fn questions<'a>(&self, addresses: impl IntoIterator<Item = &'a Address>) -> Questions {
        let (mut names, mut first) = (BTreeSet::new(), First::NotNeeded);
        let mut waiting: Vec<Address> = addresses.into_iter().cloned().collect();
        let mut seen = BTreeSet::new();
        while let Some(address) = waiting.pop() {
            // A name is followed once, so this ends when all aliases have been seen.
            if !self.is_ours(&address) || !seen.insert(address.key()) {
                continue;
            }
            names.insert(address.key());
            let mut follow = |targets: Option<&[Address]>| waiting.extend_from_slice(targets.unwrap_or(&[]));
            follow(self.config.aliases.of_address(&address));
            follow(self.config.aliases.of_domain(address.domain()));
            if let Some(plain) = self.without_tag(&address) {
                names.insert(plain.key());
                follow(self.config.aliases.of_address(&plain));
            }
            if is_postmaster(&address) {
                first = First::Needed;
                follow(self.config.postmaster.as_ref().map(std::slice::from_ref));
            }
        }
        Questions { names: names.into_iter().collect(), first }
    }

    fn without_tag(&self, address: &Address) -> Option<Address> {
        address.without_tag(self.config.subaddress?)
    }

    /// What the address is to us. `now` in seconds since 1970 (it dates bounces to rewritten senders).
    pub fn resolve(&self, address: &Address, known: &Known, now: i64) -> Resolved {
        let mut walk = Walk { rules: self, known, now, path: Vec::new(), targets: Vec::new(), followed: 0 };
        match walk.follow(address, None) {
            Err(Stop::Remote) if self.exit == Exit::Closed => Resolved::Closed,
            Err(Stop::Remote) => Resolved::Remote,
            Err(Stop::Closed) => Resolved::Closed,
            Err(Stop::Loop) => Resolved::AliasLoop,
            Err(Stop::NoAccounts) => Resolved::Temporary(Reply::new(
                450,
                Status::transient(2, 1),
                "This server has no account yet that could take mail for postmaster: try again later",
            )),
            Err(Stop::Unknown) => Resolved::Unknown,
            Ok(()) => Resolved::Ours(walk.targets),
        }
    }

    /// Whether mail to the address reaches the account, so that the account may send under it.
    pub fn owns(&self, account: &str, address: &Address, known: &Known, now: i64) -> bool {
        match self.resolve(address, known, now) {
            Resolved::Ours(targets) => targets
                .iter()
                .any(|target| matches!(target, Target::Mailbox { account: owner, .. } if owner == account)),
            _ => false,
        }
    }

    /// One step from an address. `path` are the aliases that led here: none of them is followed twice, so that an
    /// alias which names itself reaches the account of the same name.
    fn hop(&self, address: &Address, path: &[String], known: &Known, now: i64) -> Hop<'_> {
        if !self.is_ours(address) {
            return Hop::Remote;
        }
        if let Some(hop) = self.exact(address, path, known) {
            return hop;
        }
        if let Some(hop) = self.without_tag(address).and_then(|plain| self.exact(&plain, path, known)) {
            return hop;
        }
        if is_postmaster(address) {
            return self.postmaster(path, known);
        }
        match self.srs.reverse(address, now) {
            Some(Ok(sender)) => return Hop::Back(sender),
            Some(Err(_)) => return Hop::Unknown,
            None => {}
        }
        // What a catch-all leads to is not caught again.
        let step = format!("*@{}", address.domain());
        match self.config.aliases.of_domain(address.domain()) {
            Some(targets) if !path.contains(&step) => Hop::Alias(step, targets),
            _ => Hop::Unknown,
        }
    }

    fn exact(&self, address: &Address, path: &[String], known: &Known) -> Option<Hop<'_>> {
        let key = address.key();
        if let Some(targets) = self.config.aliases.of_address(address).filter(|_| !path.contains(&key)) {
            return Some(Hop::Alias(key, targets));
        }
        known.accounts.contains(&key).then_some(Hop::Mailbox(key))
    }

    fn postmaster(&self, path: &[String], known: &Known) -> Hop<'_> {
        const STEP: &str = "postmaster";
        match &self.config.postmaster {
            Some(named) if !path.iter().any(|step| step == STEP) => {
                Hop::Alias(STEP.to_owned(), std::slice::from_ref(named))
            }
            _ => match &known.first {
                Some(first) => Hop::Mailbox(first.clone()),
                None => Hop::NoAccounts,
            },
        }
    }
}

/// The name from which notices come. Answers to them go to postmaster.
pub const NOTIFIER: &str = "MAILER-DAEMON";

/// Postmaster in any case (RFC 5321 §2.3.5), or the name from which notices come.
fn is_postmaster(address: &Address) -> bool {
    ["postmaster", NOTIFIER].iter().any(|name| address.local().eq_ignore_ascii_case(name))
}

enum Stop {
    Remote,
    /// An alias leads elsewhere, and mail may not leave.
    Closed,
    Unknown,
    Loop,
    NoAccounts,
}

/// Follows one address to all its ends.
struct Walk<'a> {
    rules: &'a Rules,
    known: &'a Known,
    now: i64,
    path: Vec<String>,
    targets: Vec<Target>,
    /// Addresses followed so far, at most [`ALIAS_TARGETS_MAX`].
    followed: usize,
}

impl Walk<'_> {
    /// `via` is the address of ours that led here, if there is one.
    fn follow(&mut self, address: &Address, via: Option<&Address>) -> Result<(), Stop> {
        self.followed += 1;
        if self.followed > ALIAS_TARGETS_MAX {
            return Err(Stop::Loop);
        }
        match self.rules.hop(address, &self.path, self.known, self.now) {
            Hop::Mailbox(account) => self.mailbox(account, address.clone()),
            Hop::Remote => match via {
                None => Err(Stop::Remote),
                Some(via) => self.remote(address.clone(), via.clone()),
            },
            Hop::Back(sender) => match self.rules.is_ours(&sender) {
                // A sender of ours is never rewritten, so nobody honest sends this.
                true => Err(Stop::Unknown),
                false => self.remote(sender, address.clone()),
            },
            Hop::Alias(step, targets) => self.alias(step, targets, address),
            Hop::Unknown if self.path.iter().any(|step| *step == address.key()) => Err(Stop::Loop),
            Hop::Unknown => Err(Stop::Unknown),
            Hop::NoAccounts => Err(Stop::NoAccounts),
        }
    }

    /// Ends where at least one target does; otherwise as its last target did.
    fn alias(&mut self, step: String, targets: &[Address], address: &Address) -> Result<(), Stop> {
        if self.path.contains(&step) || self.path.len() >= ALIAS_DEPTH_MAX {
            return Err(Stop::Loop);
        }
        let fallback = step == "postmaster";
        self.path.push(step);
        let mut end = Err(Stop::Unknown);
        for target in targets {
            match self.follow(target, Some(address)) {
                Ok(()) => end = Ok(()),
                Err(stop) => end = end.or(Err(stop)),
            }
        }
        // Postmaster is deliverable even if the one who is named for it is not (RFC 5321 §4.5.1).
        if fallback && end.is_err() {
            end = match self.known.first.clone() {
                Some(first) => self.mailbox(first, address.clone()),
                None => Err(Stop::NoAccounts),
            };
        }
        self.path.pop();
        end
    }

    fn mailbox(&mut self, account: String, address: Address) -> Result<(), Stop> {
        let is_new = !self
            .targets
            .iter()
            .any(|target| matches!(target, Target::Mailbox { account: other, .. } if *other == account));
        if is_new {
            self.targets.push(Target::Mailbox { account, address });
        }
        Ok(())
    }

    fn remote(&mut self, address: Address, via: Address) -> Result<(), Stop> {
        if self.rules.exit == Exit::Closed {
            return Err(Stop::Closed);
        }
        let is_new = !self
            .targets
            .iter()
            .any(|target| matches!(target, Target::Remote { address: other, .. } if *other == address));
        if is_new {
            self.targets.push(Target::Remote { address, via: Some(via) });
        }
        Ok(())
    }
}
