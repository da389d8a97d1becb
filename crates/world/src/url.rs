//! URLs that we ask over HTTP: read once, so that a wrong one never gets further.

use mail::Domain;
use std::fmt;
use std::net::IpAddr;

/// Longest URL in octets; what RFC 9110 §4.1 asks everybody to take.
pub const URL_MAX: usize = 8000;

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Name(Domain),
    Address(IpAddr),
}

/// An `http` or `https` URL without user, password and fragment (RFC 3986 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: Host,
    port: u16,
    target: String,
}

/// Why a text is no URL for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    TooLong,
    /// Neither `http://` nor `https://`.
    Scheme,
    /// A user or a password stands in it: secrets do not belong into a URL.
    UserInfo,
    Host,
    Port,
    /// A blank, a control character or one that is not ASCII.
    Character,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a URL may have {URL_MAX} octets"),
            Self::Scheme => {
                f.write_str("a URL begins with https:// (or http:// for a service on this machine)")
            }
            Self::UserInfo => f.write_str("a URL may not hold a user name or a password"),
            Self::Host => f.write_str("the URL has no valid host name or address"),
            Self::Port => f.write_str("the port of a URL is a number from 1 to 65535"),
            Self::Character => {
                f.write_str("blanks and characters outside ASCII must be written as %XX in a URL")
            }
        }
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// Reads a URL. A fragment is dropped, for it is never sent (RFC 9110 §7.1).
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > URL_MAX {
            return Err(UrlError::TooLong);
        }
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_authority(authority)?;
        if target.bytes().any(|octet| !octet.is_ascii_graphic()) {
            return Err(UrlError::Character);
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let port = match port {
            None => scheme.port(),
            Some(text) => text.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?,
        };
        Ok(Self { scheme, host, port, target })
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as they are sent; begins with a slash.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether what is said stays on this machine, so that it may be said in clear.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name.as_str() == "localhost",
            Host::Address(ip) => ip.is_loopback(),
        }
    }

    /// What stands in the `Host` field (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let host = match &self.host {
            Host::Name(name) => name.as_str().to_owned(),
            Host::Address(IpAddr::V4(ip)) => ip.to_string(),
            Host::Address(IpAddr::V6(ip)) => format!("[{ip}]"),
        };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

fn split_authority(text: &str) -> Result<(Host, Option<&str>), UrlError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, after) = rest.split_once(']').ok_or(UrlError::Host)?;
        let ip = inner.parse().map(IpAddr::V6).map_err(|_| UrlError::Host)?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or(UrlError::Port)?),
        };
        return Ok((Host::Address(ip), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if let Ok(ip) = host.parse() {
        return Ok((Host::Address(IpAddr::V4(ip)), port));
    }
    Ok((Host::Name(Domain::parse(host).map_err(|_| UrlError::Host)?), port))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.target)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones() {
        for (text, want) in [
            ("https://example.org", "https://example.org/"),
            ("HTTPS://Example.ORG:443/a?b=c#d", "https://example.org/a?b=c"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            ("http://[::1]:8080", "http://[::1]:8080/"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
            ("https://example.org?q", "https://example.org/?q"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.to_string()), Ok(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn bad_ones() {
        use UrlError as E;
        for (text, want) in [
            ("", E::Scheme),
            ("example.org", E::Scheme),
            ("ftp://example.org/", E::Scheme),
            ("https://", E::Host),
            ("https:///x", E::Host),
            ("https://u:p@example.org/", E::UserInfo),
            ("https://example.org:0/", E::Port),
            ("https://example.org:65536/", E::Port),
            ("https://[::1]x/", E::Port),
            ("https://[::1/", E::Host),
            ("https://exa mple.org/", E::Host),
            ("https://example.org/a b", E::Character),
            ("https://example.org/\r\nX: y", E::Character),
            ("https://example.org/ä", E::Character),
        ] {
            assert_eq!(Url::parse(text), Err(want), "{text}");
        }
        assert_eq!(Url::parse(&format!("https://example.org/{}", "a".repeat(URL_MAX))), Err(E::TooLong));
    }

    #[test]
    fn what_stays_on_this_machine() {
        for (text, want) in [
            ("http://localhost/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]/", true),
            ("http://10.0.0.1/", false),
            ("http://localhost.example.org/", false),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.is_loopback()), Ok(want), "{text}");
        }
    }
}
