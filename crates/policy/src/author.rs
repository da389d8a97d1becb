//! Who a message says wrote it: the domain that DMARC and signatures are about (RFC 9989, RFC 5322 §3.6.2).

use mail::{Domain, address_list, header};

/// Most different author domains that are kept.
const DOMAINS_MAX: usize = 10;

/// The domain of From.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// One From field, and all its addresses in one domain.
    One(Domain),
    /// Several domains, in one field or in several.
    Several(Vec<Domain>),
    /// There is a From field, but an address in it cannot be read.
    Unreadable,
    /// There is no From field.
    Missing,
}

impl Author {
    /// Reads the From fields of a header.
    pub fn of(header: &[u8]) -> Self {
        let mut domains: Vec<Domain> = Vec::new();
        let mut fields = 0;
        for field in header::fields(header).filter(|field| field.is("From")) {
            fields += 1;
            let mailboxes = address_list::mailboxes(field.value);
            if mailboxes.is_empty() {
                return Self::Unreadable;
            }
            for mailbox in mailboxes {
                let domain =
                    std::str::from_utf8(&mailbox.domain).ok().and_then(|text| Domain::parse(text).ok());
                let Some(domain) = domain else { return Self::Unreadable };
                if !domains.contains(&domain) && domains.len() < DOMAINS_MAX {
                    domains.push(domain);
                }
            }
        }
        match (fields, domains.len()) {
            (0, _) => Self::Missing,
            // Readers show one of the fields, and nobody knows which.
            (1, 1) => domains.pop().map_or(Self::Missing, Self::One),
            _ => Self::Several(domains),
        }
    }

    /// All domains that were read.
    pub fn domains(&self) -> &[Domain] {
        match self {
            Self::One(domain) => std::slice::from_ref(domain),
            Self::Several(domains) => domains,
            Self::Unreadable | Self::Missing => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_has_one_domain_or_a_name_for_its_trouble() {
        let domain = |text: &str| Domain::parse(text).unwrap();
        let several = |texts: &[&str]| Author::Several(texts.iter().map(|text| domain(text)).collect());
        for (header, want) in [
            ("From: A <a@b.example>\r\n\r\n", Author::One(domain("b.example"))),
            ("from: a@B.Example\r\n\r\n", Author::One(domain("b.example"))),
            ("From: \"x@evil.example\" <a@b.example>\r\n\r\n", Author::One(domain("b.example"))),
            ("From: a@b.example, c@b.example\r\n\r\n", Author::One(domain("b.example"))),
            ("From: a@bücher.example\r\n\r\n", Author::One(domain("xn--bcher-kva.example"))),
            ("From: a@b.example, c@d.example\r\n\r\n", several(&["b.example", "d.example"])),
            ("From: a@b.example\r\nFrom: c@d.example\r\n\r\n", several(&["b.example", "d.example"])),
            ("From: a@b.example\r\nFrom: a@b.example\r\n\r\n", several(&["b.example"])),
            ("From: nobody\r\n\r\n", Author::Unreadable),
            ("From:\r\n\r\n", Author::Unreadable),
            ("From: undisclosed:;\r\n\r\n", Author::Unreadable),
            ("From: a@b.example, broken\r\n\r\n", Author::Unreadable),
            ("From: a@b..example\r\n\r\n", Author::Unreadable),
            ("Subject: x\r\n\r\nFrom: a@b.example\r\n", Author::Missing),
        ] {
            assert_eq!(Author::of(header.as_bytes()), want, "{header:?}");
        }
    }
}
