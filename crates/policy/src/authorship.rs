//! Whether the author of a message is who the message says: what stands behind reports that others send.

use crate::dkim::DkimResult;
use crate::dmarc::DmarcResult;
use crate::finding::{Finding, Identity};
use crate::spf::SpfResult;
use mail::Domain;

/// What vouches for the domain in From.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authorship {
    /// Nothing does.
    Unproven,
    /// The client may send for the domain (SPF, aligned).
    Sent,
    /// A signature of the domain is good (DKIM, aligned).
    Signed,
    /// One of our own users or machines wrote it.
    Own,
}

impl Authorship {
    /// The word in listings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Sent => "spf",
            Self::Signed => "dkim",
            Self::Own => "own",
        }
    }

    /// What findings say. Without a DMARC record, names must be the very domain of the author or one above it, as in the
    /// alignment that DMARC would apply.
    pub fn of(findings: &[Finding]) -> Self {
        let dmarc = findings.iter().find_map(|finding| match finding {
            Finding::Dmarc(one) => Some(one),
            _ => None,
        });
        let Some((dmarc, author)) = dmarc.and_then(|one| Some((one, one.author.as_ref()?))) else {
            return Self::Unproven;
        };
        let (mut signed, mut sent) = match (&dmarc.applied, dmarc.result) {
            (Some(applied), _) => (applied.dkim, applied.spf),
            // A record that could not be asked for might want more.
            (None, DmarcResult::Pass | DmarcResult::None) => (false, false),
            (None, _) => return Self::Unproven,
        };
        if dmarc.applied.is_none() {
            for finding in findings {
                match finding {
                    Finding::Dkim(all) => {
                        signed |= all.iter().any(|one| {
                            one.result == DkimResult::Pass
                                && one.domain.as_ref().is_some_and(|domain| author.is_within(domain))
                        });
                    }
                    Finding::Spf(one) if one.identity != Identity::Helo => {
                        let name = one.who.rsplit_once('@').map_or(one.who.as_str(), |(_, name)| name);
                        sent |= one.outcome.result == SpfResult::Pass
                            && Domain::parse(name).is_ok_and(|name| author.is_within(&name));
                    }
                    _ => {}
                }
            }
        }
        match (signed, sent) {
            (true, _) => Self::Signed,
            (false, true) => Self::Sent,
            (false, false) => Self::Unproven,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Authorship, Config, Facts, Pipeline, Whose};
    use mail::{Address, Blob, Domain, Message, ReversePath};
    use world::fake;

    const ZONE: &str = "\
        policy.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n_dmarc.policy.example TXT \"v=DMARC1; p=none\"\n\
        strict.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n_dmarc.strict.example TXT \"v=DMARC1; p=none; aspf=s\"\n\
        bounce.strict.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
        bare.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
        slow.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n_dmarc.slow.example TIMEOUT\n";

    async fn authorship(peer: &str, from: &str, header: &str) -> &'static str {
        let world = fake::world_with(1, ZONE).unwrap();
        let pipeline = Pipeline::new(Config::default(), Domain::parse("mx.receiver.example").unwrap(), world);
        let facts = Facts {
            peer: peer.parse().unwrap(),
            whose: Whose::Client,
            local: None,
            helo: "host.example".to_owned(),
            mail_from: ReversePath::Address(Address::parse(from).unwrap()),
        };
        let message = Message::new(Blob::from_bytes(format!("{header}\r\n\r\nx\r\n").into_bytes()));
        Authorship::of(&pipeline.examine_all(&facts, &message).await.unwrap()).word()
    }

    #[tokio::test]
    async fn spf_vouches_for_the_author_s_domain_alone() {
        for (peer, from, header, want) in [
            ("192.0.2.1", "r@policy.example", "From: r@policy.example", "spf"),
            ("203.0.113.9", "r@policy.example", "From: r@policy.example", "unproven"),
            ("192.0.2.1", "r@policy.example", "From: r@bare.example", "unproven"),
            ("192.0.2.1", "r@bounce.strict.example", "From: r@strict.example", "unproven"),
            ("192.0.2.1", "r@strict.example", "From: r@strict.example", "spf"),
            ("192.0.2.1", "r@bare.example", "From: r@bare.example", "spf"),
            ("192.0.2.1", "r@bare.example", "From: r@sub.bare.example", "spf"),
            ("203.0.113.9", "r@bare.example", "From: r@bare.example", "unproven"),
            ("192.0.2.1", "r@slow.example", "From: r@slow.example", "unproven"),
            ("192.0.2.1", "r@bare.example", "From: r@bare.example\r\nFrom: r@policy.example", "unproven"),
            ("192.0.2.1", "r@bare.example", "Subject: x", "unproven"),
        ] {
            assert_eq!(authorship(peer, from, header).await, want, "{peer} {from} {header}");
        }
        let message = include_str!("../testdata/dkim/rfc8463.eml").replace('\n', "\r\n");
        let world = fake::world_with(1, include_str!("../testdata/dkim/rfc8463.zone")).unwrap();
        let pipeline = Pipeline::new(Config::default(), Domain::parse("mx.receiver.example").unwrap(), world);
        let facts = Facts {
            peer: [203, 0, 113, 9].into(),
            whose: Whose::Client,
            local: None,
            helo: "host.example".to_owned(),
            mail_from: ReversePath::Null,
        };
        let message = Message::new(Blob::from_bytes(message.into_bytes()));
        assert_eq!(
            Authorship::of(&pipeline.examine_all(&facts, &message).await.unwrap()),
            Authorship::Signed
        );
    }
}
