//! Which way mail takes: the hosts in the DNS, or the next host of a route, and from which address of ours.

use crate::config::{Config, Smarthost};
use crate::lanes::Terms;
use config::{Arg, Section};
use mail::{Address, Domain, ReversePath};
use net::Connector;
use policy::Rate;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use storage::LaneOf;

/// Most routes.
const ROUTES_MAX: usize = 1000;
/// What stands between a destination and the route by which it is reached, in the name of both.
const BY: &str = " by ";

/// How some mail leaves. The first route that fits a sender and a domain is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub name: String,
    /// Domains of recipients; empty: any.
    pub recipients: Vec<Pattern>,
    /// Senders; empty: any.
    pub senders: Vec<Pattern>,
    /// The next host; `None`: as if there were no route.
    pub to: Option<Smarthost>,
    pub family: Family,
    /// Addresses to connect from; empty: the usual ones.
    pub source_addresses: Vec<IpAddr>,
    pub concurrency: Option<usize>,
    pub rate: Option<Rate>,
}

/// Which addresses of a host are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// In the order of the resolver.
    #[default]
    Any,
    V4Only,
    V6Only,
    V4First,
    V6First,
}

impl Family {
    pub(crate) const WORDS: [(&'static str, Self); 5] = [
        ("any", Self::Any),
        ("ipv4-only", Self::V4Only),
        ("ipv6-only", Self::V6Only),
        ("ipv4-first", Self::V4First),
        ("ipv6-first", Self::V6First),
    ];

    /// The addresses that may be tried, in their order.
    pub(crate) fn of(self, mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        match self {
            Self::Any => {}
            Self::V4Only => addresses.retain(IpAddr::is_ipv4),
            Self::V6Only => addresses.retain(IpAddr::is_ipv6),
            Self::V4First => addresses.sort_by_key(|ip| !ip.is_ipv4()),
            Self::V6First => addresses.sort_by_key(|ip| !ip.is_ipv6()),
        }
        addresses
    }
}

/// Whom a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Domain(Domain),
    /// Every domain below this one.
    Below(Domain),
    Address(Address),
    /// Notices.
    Null,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::Address(address) => address.fmt(f),
            Self::Null => f.write_str("<>"),
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "<>" {
            return Ok(Self::Null);
        }
        if text.contains('@') {
            return Address::parse(text).map(Self::Address).map_err(|error| error.to_string());
        }
        let (domain, kind): (&str, fn(Domain) -> Self) = match text.strip_prefix("*.") {
            Some(domain) => (domain, Self::Below),
            None => (text, Self::Domain),
        };
        Domain::parse(domain).map(kind).map_err(|error| error.to_string())
    }

    fn fits_domain(&self, domain: &Domain) -> bool {
        match self {
            Self::Domain(one) => one == domain,
            Self::Below(one) => {
                domain.as_str().strip_suffix(one.as_str()).is_some_and(|front| front.ends_with('.'))
            }
            Self::Address(_) | Self::Null => false,
        }
    }

    fn fits_sender(&self, from: &ReversePath) -> bool {
        match (self, from.address()) {
            (Self::Null, sender) => sender.is_none(),
            (Self::Address(one), Some(sender)) => one.key() == sender.key(),
            (_, Some(sender)) => self.fits_domain(sender.domain()),
            (_, None) => false,
        }
    }
}

impl Route {
    fn fits(&self, from: &ReversePath, domain: &Domain) -> bool {
        let to = self.recipients.is_empty() || self.recipients.iter().any(|one| one.fits_domain(domain));
        to && (self.senders.is_empty() || self.senders.iter().any(|one| one.fits_sender(from)))
    }
}

/// The way that one message takes.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    /// The next host, if it is not looked up in the DNS.
    pub next: Option<&'a Smarthost>,
    pub family: Family,
    pub connector: &'a Connector,
    route: Option<&'a Route>,
}

impl Way<'_> {
    /// What shares connections and limits: the next host or the domain, and the route.
    pub(crate) fn destination(&self, domain: &Domain) -> String {
        destination(self.next, self.route, domain)
    }
}

fn destination(next: Option<&Smarthost>, route: Option<&Route>, domain: &Domain) -> String {
    let place = match next {
        Some(next) => next.place(),
        None => domain.to_string(),
    };
    match route {
        Some(route) => format!("{place}{BY}{}", route.name),
        None => place,
    }
}

/// The destination of mail, for the order of the queue.
pub(crate) fn lane_of(config: &Config) -> LaneOf {
    let (routes, smarthost) = (config.routes.clone(), config.smarthost.clone());
    Arc::new(move |from, domain| {
        let route = routes.iter().find(|route| route.fits(from, domain));
        let next = route.and_then(|route| route.to.as_ref()).or(smarthost.as_ref());
        destination(next, route, domain)
    })
}

/// All ways, with a connector for each.
pub(crate) struct Ways {
    routes: Vec<(Route, Connector)>,
    usual: Connector,
}

impl Ways {
    pub(crate) fn new(config: &Config, usual: &Connector) -> Self {
        let connector = |route: &Route| {
            if route.source_addresses.is_empty() {
                return usual.clone();
            }
            route
                .source_addresses
                .iter()
                .fold(usual.clone().without_sources(), |connector, ip| connector.source(*ip))
        };
        let routes = config.routes.iter().map(|route| (route.clone(), connector(route))).collect();
        Self { routes, usual: usual.clone() }
    }

    /// The way from a sender to a domain.
    pub(crate) fn find<'a>(&'a self, config: &'a Config, from: &ReversePath, domain: &Domain) -> Way<'a> {
        let smarthost = config.smarthost.as_ref();
        match self.routes.iter().find(|(route, _)| route.fits(from, domain)) {
            Some((route, connector)) => Way {
                next: route.to.as_ref().or(smarthost),
                family: route.family,
                connector,
                route: Some(route),
            },
            None => Way { next: smarthost, family: config.family, connector: &self.usual, route: None },
        }
    }

    /// What a destination may have, by its name from [`Way::destination`].
    pub(crate) fn terms(&self, config: &Config, destination: &str) -> Terms {
        let name = destination.rsplit_once(BY).map(|(_, name)| name);
        let route = name.and_then(|name| self.routes.iter().find(|(route, _)| route.name == name));
        let route = route.map(|(route, _)| route);
        Terms {
            concurrency: route.and_then(|route| route.concurrency).unwrap_or(config.per_destination),
            rate: route.and_then(|route| route.rate).or(config.rate),
        }
    }
}

/// Reads the nodes `route`.
pub(crate) fn decode(
    section: &mut Section<'_>,
    next_host: fn(&mut Section<'_>) -> Option<Smarthost>,
) -> Vec<Route> {
    let routes = section.each(
        "route",
        "Another way for some mail; the first that fits sender and domain is taken. May stand several times.",
        |section| decode_route(section, next_host),
    );
    let routes: Vec<Route> = routes.into_iter().flatten().collect();
    let span = section.child_span("route");
    if routes.len() > ROUTES_MAX {
        section.problem(span, format!("there are more than {ROUTES_MAX} routes"), "");
    }
    for (at, route) in routes.iter().enumerate() {
        if routes[..at].iter().any(|other| other.name == route.name) {
            section.problem(
                span,
                format!("two routes are called \"{}\"", route.name),
                "give each its own name",
            );
        }
    }
    routes
}

fn decode_route(
    section: &mut Section<'_>,
    next_host: fn(&mut Section<'_>) -> Option<Smarthost>,
) -> Option<Route> {
    let name = section.text(Arg("name"), "What it is called in the log.").required();
    let recipients = section
        .parsed(
            "recipients",
            "a domain, or *.domain",
            |text| match Pattern::parse(text)? {
                Pattern::Address(_) | Pattern::Null => Err("a route is for whole domains".to_owned()),
                pattern => Ok(pattern),
            },
            "Domains of recipients (\"*.example.net\": all below it); any, if not given. May repeat.",
        )
        .many();
    let senders = section
        .parsed(
            "senders",
            "a domain, *.domain, an address or <>",
            Pattern::parse,
            "Senders: domains, addresses, or \"<>\" for notices; any, if not given. May repeat.",
        )
        .many();
    let to = section.child_if_present("to", "The next host; as usual, if not given.", next_host).flatten();
    let family = section
        .choice("family", &Family::WORDS, "Which addresses of its hosts are tried, and which first.")
        .or(Family::Any);
    let source_addresses = crate::config::decode_sources(section);
    let concurrency = section
        .count(
            "concurrency",
            "Deliveries at the same time to one destination on this way; as usual, if not given.",
        )
        .within(1..=1000)
        .optional();
    let rate = section
        .parsed("rate", "a rate like \"60/1m\"", Rate::parse, "Messages to one destination on this way.")
        .optional();
    Some(Route { name: name?, recipients, senders, to, family, source_addresses, concurrency, rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit() {
        let sender = |text: &str| match text {
            "" => ReversePath::Null,
            text => ReversePath::Address(Address::parse(text).unwrap()),
        };
        for (pattern, from, want) in [
            ("example.org", "a@Example.org", true),
            ("example.org", "a@x.example.org", false),
            ("*.example.org", "a@x.example.org", true),
            ("*.example.org", "a@x.y.example.org", true),
            ("*.example.org", "a@example.org", false),
            ("*.example.org", "a@notexample.org", false),
            ("a@example.org", "A@example.org", true),
            ("a@example.org", "b@example.org", false),
            ("<>", "", true),
            ("<>", "a@example.org", false),
            ("example.org", "", false),
        ] {
            let fits = Pattern::parse(pattern).unwrap().fits_sender(&sender(from));
            assert_eq!(fits, want, "{pattern} {from}");
        }
        for bad in ["", "*", "*.", "a@", "a b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn families_choose_and_order() {
        let all: Vec<IpAddr> =
            ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"].map(|ip| ip.parse().unwrap()).to_vec();
        for (family, want) in [
            (Family::Any, "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2"),
            (Family::V4Only, "192.0.2.1 192.0.2.2"),
            (Family::V6Only, "2001:db8::1 2001:db8::2"),
            (Family::V4First, "192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2"),
            (Family::V6First, "2001:db8::1 2001:db8::2 192.0.2.1 192.0.2.2"),
        ] {
            let got: Vec<String> = family.of(all.clone()).iter().map(ToString::to_string).collect();
            assert_eq!(got.join(" "), want, "{family:?}");
        }
    }
}
