//! What stands under which address. Pure: a question in, a page out.

use crate::config::{Shows, StsOptions};
use crate::pages::{autoconfig, autodiscover, front, mta_sts, profile};
use mail::Domain;
use net::{Challenges, ListenTls, ServerTls};

/// Where an authority of certificates looks for its proof (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// A port where our users come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    pub port: u16,
    pub tls: ListenTls,
}

/// What the pages tell.
#[derive(Clone, Debug)]
pub struct Site {
    pub hostname: Domain,
    pub domains: Vec<Domain>,
    /// Where mail is read, and where it is sent; the best first.
    pub imap: Vec<Service>,
    pub submission: Vec<Service>,
    pub sts: StsOptions,
    pub challenges: Challenges,
    /// What signs profiles, if there is anything.
    pub tls: Option<ServerTls>,
}

/// A question, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    pub method: &'a str,
    /// In small letters, without a port.
    pub host: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub body: &'a [u8],
    /// The name in the TLS handshake, where there was one.
    pub sni: Option<&'a str>,
    pub shows: Shows,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub media_type: &'static str,
    pub body: Vec<u8>,
    /// Where to ask instead.
    pub location: Option<String>,
    /// The name under which it is to be kept.
    pub file: Option<&'static str>,
    /// The methods that would have been right.
    pub allow: Option<&'static str>,
}

/// An answer, or what must be found out for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Page(Page),
    Metrics,
    Health,
    Status,
}

impl Page {
    pub(crate) fn new(media_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, media_type, body: body.into(), location: None, file: None, allow: None }
    }

    pub(crate) fn text(body: impl Into<String>) -> Self {
        let body: String = body.into();
        Self::new("text/plain; charset=utf-8", body)
    }

    pub(crate) fn status(status: u16, words: &str) -> Self {
        Self { status, ..Self::text(format!("{words}\n")) }
    }

    fn not_found() -> Self {
        Self::status(404, "There is nothing here.")
    }

    fn wrong_method(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::status(405, "Not in this way.") }
    }
}

/// In which of its roles a host was asked.
enum Role<'a> {
    Hostname,
    MtaSts,
    Autoconfig(&'a Domain),
    Autodiscover,
    /// A domain itself; whose web site is elsewhere as a rule.
    Domain(&'a Domain),
}

impl Site {
    /// The answer to a question.
    pub fn find(&self, ask: &Ask<'_>) -> Found {
        if ask.shows == Shows::Private {
            return private(ask);
        }
        if let Some(token) = ask.path.strip_prefix(CHALLENGES) {
            return Found::Page(self.challenge(ask, token));
        }
        // One server may stand behind several certificates: who came in under one name asks under that name.
        if ask.sni.is_some_and(|sni| !sni.eq_ignore_ascii_case(ask.host)) {
            return Found::Page(Page::status(421, "This is another host."));
        }
        let Some(role) = self.role(ask.host) else { return Found::Page(Page::not_found()) };
        if ask.shows == Shows::WayToTls {
            return Found::Page(to_tls(ask));
        }
        Found::Page(self.page(ask, &role))
    }

    fn role(&self, host: &str) -> Option<Role<'_>> {
        if host == self.hostname.as_str() {
            return Some(Role::Hostname);
        }
        self.domains.iter().find_map(|domain| {
            let prefix = host.strip_suffix(domain.as_str())?;
            match prefix {
                "" => Some(Role::Domain(domain)),
                "mta-sts." => Some(Role::MtaSts),
                "autoconfig." => Some(Role::Autoconfig(domain)),
                "autodiscover." => Some(Role::Autodiscover),
                _ => None,
            }
        })
    }

    fn page(&self, ask: &Ask<'_>, role: &Role<'_>) -> Page {
        let is_discovery = ask.path.eq_ignore_ascii_case("/autodiscover/autodiscover.xml");
        if is_discovery && !matches!(role, Role::MtaSts) {
            return match ask.method {
                "POST" => autodiscover::page(self, ask.body),
                _ => Page::wrong_method("POST"),
            };
        }
        if !is_read(ask.method) {
            return Page::wrong_method("GET, HEAD");
        }
        match (role, ask.path) {
            (Role::MtaSts, "/.well-known/mta-sts.txt") => mta_sts::page(self),
            (Role::Autoconfig(domain), "/mail/config-v1.1.xml")
            | (
                Role::Autoconfig(domain) | Role::Domain(domain),
                "/.well-known/autoconfig/mail/config-v1.1.xml",
            ) => autoconfig::page(self, domain, ask.query),
            (Role::Hostname | Role::Autoconfig(_), "/profile.mobileconfig") => profile::page(self, ask.query),
            (Role::Hostname, "/") => front::page(self),
            _ => Page::not_found(),
        }
    }

    fn challenge(&self, ask: &Ask<'_>, token: &str) -> Page {
        match self.challenges.page(token) {
            _ if !is_read(ask.method) => Page::wrong_method("GET, HEAD"),
            Some(text) => Page::new("application/octet-stream", text),
            None => Page::not_found(),
        }
    }

    /// One of our domains, by the address of a user.
    pub(crate) fn domain_of(&self, address: &mail::Address) -> Option<&Domain> {
        self.domains.iter().find(|domain| *domain == address.domain())
    }
}

fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

fn private(ask: &Ask<'_>) -> Found {
    match (is_read(ask.method), ask.path) {
        (false, _) => Found::Page(Page::wrong_method("GET, HEAD")),
        (true, "/metrics") => Found::Metrics,
        (true, "/health") => Found::Health,
        (true, "/" | "/status") => Found::Status,
        _ => Found::Page(Page::not_found()),
    }
}

fn to_tls(ask: &Ask<'_>) -> Page {
    if !is_read(ask.method) {
        return Page::status(403, "Not without TLS.");
    }
    let query = if ask.query.is_empty() { String::new() } else { format!("?{}", ask.query) };
    let location = format!("https://{}{}{query}", ask.host, ask.path);
    Page { location: Some(location), ..Page::status(308, "With TLS, please.") }
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
