//! Aliases as they are configured: an address, or all of a domain, leads to other addresses.

use mail::address::AddressError;
use mail::{Address, Domain};
use std::collections::BTreeMap;
use std::fmt;

/// Most aliases that lead one to the next.
pub const ALIAS_DEPTH_MAX: usize = 10;
/// Most addresses that one alias leads to, all that it leads to further included.
pub const ALIAS_TARGETS_MAX: usize = 1000;

/// What an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasKey {
    Address(Address),
    /// `*@domain`: every address of the domain that nothing else answers to.
    CatchAll(Domain),
}

impl AliasKey {
    /// Reads `sales@example.org` or `*@example.org`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("*@") {
            Some(domain) => Ok(Self::CatchAll(Domain::parse(domain)?)),
            None => Address::parse(text).map(Self::Address),
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Address(address) => address.key(),
            Self::CatchAll(domain) => catch_all_key(domain),
        }
    }

    fn domain(&self) -> &Domain {
        match self {
            Self::Address(address) => address.domain(),
            Self::CatchAll(domain) => domain,
        }
    }
}

impl fmt::Display for AliasKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::CatchAll(domain) => write!(f, "*@{domain}"),
        }
    }
}

fn catch_all_key(domain: &Domain) -> String {
    format!("*@{domain}")
}

/// All aliases, by [`Address::key`] or `*@domain`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases {
    entries: BTreeMap<String, Vec<Address>>,
    domains: BTreeMap<String, Domain>,
}

/// What is wrong with an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasProblem {
    alias: String,
    kind: ProblemKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ProblemKind {
    NoTargets,
    ForeignDomain,
    Cycle(Vec<String>),
    TooDeep,
    TooMany,
}

impl AliasProblem {
    /// The alias as it is compared: lower case, `*@domain` for a catch-all.
    pub fn alias(&self) -> &str {
        &self.alias
    }
}

impl fmt::Display for AliasProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alias = &self.alias;
        match &self.kind {
            ProblemKind::NoTargets => write!(f, "the alias {alias} leads nowhere: name at least one address"),
            ProblemKind::ForeignDomain => {
                write!(
                    f,
                    "the alias {alias} is of a domain that is not in `domains`, so nothing can reach it"
                )
            }
            ProblemKind::Cycle(path) => {
                write!(f, "the alias {alias} leads back to itself: {}", path.join(" -> "))
            }
            ProblemKind::TooDeep => {
                write!(f, "the alias {alias} goes through more than {ALIAS_DEPTH_MAX} aliases")
            }
            ProblemKind::TooMany => {
                write!(f, "the alias {alias} leads to more than {ALIAS_TARGETS_MAX} addresses")
            }
        }
    }
}

impl std::error::Error for AliasProblem {}

impl Aliases {
    /// Adds an alias; targets of the same alias given twice are joined.
    pub fn insert(&mut self, alias: &AliasKey, to: Vec<Address>) {
        let key = alias.key();
        self.domains.insert(key.clone(), alias.domain().clone());
        let targets = self.entries.entry(key).or_default();
        for target in to {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }

    /// Adds an alias, unless there is one of that name.
    pub fn insert_if_absent(&mut self, alias: &AliasKey, to: Vec<Address>) {
        if !self.entries.contains_key(&alias.key()) {
            self.insert(alias, to);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where exactly this address leads.
    pub(crate) fn of_address(&self, address: &Address) -> Option<&[Address]> {
        self.entries.get(&address.key()).map(Vec::as_slice)
    }

    /// Where all that is left of a domain leads.
    pub(crate) fn of_domain(&self, domain: &Domain) -> Option<&[Address]> {
        self.entries.get(&catch_all_key(domain)).map(Vec::as_slice)
    }

    /// Problems that only show when all is known. An alias that names itself among others is none: it keeps a
    /// copy in the account of that name.
    pub fn check(&self, local_domains: &[Domain]) -> Vec<AliasProblem> {
        let mut problems = Vec::new();
        for (alias, targets) in &self.entries {
            let mut report = |kind| problems.push(AliasProblem { alias: alias.clone(), kind });
            if targets.is_empty() {
                report(ProblemKind::NoTargets);
            }
            if self.domains.get(alias).is_some_and(|domain| !local_domains.contains(domain)) {
                report(ProblemKind::ForeignDomain);
            }
            let mut walk = Walk { aliases: self, path: vec![alias.clone()], seen: 0 };
            if let Err(kind) = walk.follow(targets) {
                report(kind);
            }
        }
        problems
    }
}

/// Follows one alias to all its ends.
struct Walk<'a> {
    aliases: &'a Aliases,
    path: Vec<String>,
    seen: usize,
}

impl Walk<'_> {
    fn follow(&mut self, targets: &[Address]) -> Result<(), ProblemKind> {
        for target in targets {
            self.seen += 1;
            if self.seen > ALIAS_TARGETS_MAX {
                return Err(ProblemKind::TooMany);
            }
            let key = target.key();
            let Some(further) = self.aliases.entries.get(&key) else { continue };
            if self.path.last() == Some(&key) {
                continue;
            }
            if self.path.first() == Some(&key) {
                let mut path = self.path.clone();
                path.push(key);
                return Err(ProblemKind::Cycle(path));
            }
            // A circle that does not hold the first alias is reported with those it holds.
            if self.path.contains(&key) {
                continue;
            }
            if self.path.len() > ALIAS_DEPTH_MAX {
                return Err(ProblemKind::TooDeep);
            }
            self.path.push(key);
            self.follow(further)?;
            self.path.pop();
        }
        Ok(())
    }
}

/// The `aliases { … }` node: every child is an alias, its arguments are where it leads.
pub fn decode(section: &mut config::Section<'_>) -> Aliases {
    let mut aliases = Aliases::default();
    let entries = section.entries(
        "alias",
        "An address or `*@domain`, and the addresses that get its mail.",
        |name, entry| {
            let targets =
                entry.parsed(config::Arg("address"), "an address", Address::parse, "Where it leads.").many();
            match AliasKey::parse(&name.value) {
                Ok(alias) => Some((alias, targets)),
                Err(error) => {
                    entry.problem(
                        name.span,
                        format!("{} is no alias: {error}", name.value),
                        "write an address, or *@ and a domain",
                    );
                    None
                }
            }
        },
    );
    for (alias, targets) in entries.into_iter().flatten() {
        aliases.insert(&alias, targets);
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `alias: target target; alias: target` as aliases.
    pub(crate) fn aliases(text: &str) -> Aliases {
        let mut aliases = Aliases::default();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (alias, targets) = entry.split_once(':').unwrap();
            let targets = targets.split_whitespace().map(|target| Address::parse(target).unwrap()).collect();
            aliases.insert(&AliasKey::parse(alias.trim()).unwrap(), targets);
        }
        aliases
    }

    #[test]
    fn problems() {
        let many: String = (0..1001).map(|n| format!(" u{n}@x.example")).collect();
        let deep: String = (0..12).map(|n| format!("a{n}@o.ex: a{}@o.ex;", n + 1)).collect();
        for (text, want) in [
            ("a@o.ex: b@o.ex; B@o.ex: c@x.example", ""),
            ("a@o.ex: a@o.ex b@x.example", ""),
            ("a@o.ex:", "the alias a@o.ex leads nowhere: name at least one address"),
            ("*@o.ex: a@o.ex; a@o.ex: b@x.example", ""),
            (
                "a@x.example: b@o.ex",
                "the alias a@x.example is of a domain that is not in `domains`, so nothing can reach it",
            ),
            (
                "a@o.ex: B@o.ex; b@o.ex: A@o.ex",
                "the alias a@o.ex leads back to itself: a@o.ex -> b@o.ex -> a@o.ex; \
                 the alias b@o.ex leads back to itself: b@o.ex -> a@o.ex -> b@o.ex",
            ),
            (
                "z@o.ex: a@o.ex; a@o.ex: b@o.ex; b@o.ex: a@o.ex",
                "the alias a@o.ex leads back to itself: a@o.ex -> b@o.ex -> a@o.ex; \
                 the alias b@o.ex leads back to itself: b@o.ex -> a@o.ex -> b@o.ex",
            ),
            (&format!("a@o.ex:{many}"), "the alias a@o.ex leads to more than 1000 addresses"),
            (&deep, "the alias a0@o.ex goes through more than 10 aliases"),
        ] {
            let problems = aliases(text).check(&[Domain::parse("o.ex").unwrap()]);
            let got: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(got.join("; "), want, "{text}");
        }
    }

    #[test]
    fn the_node() {
        let read = |text: &str| {
            config::Tree::from_text("test", text, &|_| None)
                .decode(|top| top.child("aliases", "", decode))
                .map_err(|problems| problems.to_string())
        };
        let text = "aliases { \"Sales@o.ex\" \"a@o.ex\" \"b@x.ex\"; \"*@p.ex\" \"a@o.ex\"; \"sales@O.ex\" \"b@x.ex\" \"c@o.ex\" }";
        assert_eq!(read(text).unwrap(), aliases("sales@o.ex: a@o.ex b@x.ex c@o.ex; *@p.ex: a@o.ex"));
        assert!(read("").unwrap().is_empty());
        for (text, want) in [
            ("aliases { \"sales\" \"a@o.ex\" }", "test:1:11: sales is no alias: the address has no @"),
            ("aliases { \"a@o.ex\" \"b\" }", "test:1:20: "),
            ("aliases { \"*@\" \"a@o.ex\" }", "*@ is no alias: the domain is empty"),
        ] {
            let got = read(text).unwrap_err();
            assert!(got.contains(want), "{text}\n{got}");
        }
    }
}
