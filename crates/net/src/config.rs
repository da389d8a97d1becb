//! The nodes `limits` and `tls` of the configuration.

use crate::acme::{self, AcmeOptions};
use crate::bans::BanOptions;
use crate::certificate_files::{CertFiles, examine};
use crate::limit::{Limits, Loopback};
use config::{Arg, Network, Section};
use std::time::Duration;

/// Checked node `tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsOptions {
    /// Certificates from files; the first is for clients that name no server we know. Never empty.
    Files(Vec<CertFiles>),
    /// One that signs itself, for a server that nobody has to trust yet.
    SelfSigned,
    /// From an authority, by itself.
    Acme(Box<AcmeOptions>),
}

/// Reads the node `limits`.
pub fn decode_limits(section: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    let most = |section: &mut Section<'_>, key: &'static str, doc: &str, default: usize| {
        section.count(key, doc).within(1..=1_000_000).or(default)
    };
    Limits {
        connections: most(section, "connections", "Most connections at once, in all.", default.connections),
        per_address: most(
            section,
            "per-address",
            "Most connections at once from one address.",
            default.per_address,
        ),
        per_network: most(
            section,
            "per-network",
            "Most connections at once from one network (a /24 of IPv4, a /64 of IPv6).",
            default.per_network,
        ),
        loopback: if section
            .flag("exempt-loopback", "Whether connections from this machine are counted only in all.")
            .or(default.loopback == Loopback::Exempt)
        {
            Loopback::Exempt
        } else {
            Loopback::Counted
        },
        write_stall: section
            .duration("write-timeout", "How long output may wait for a peer that takes none of it.")
            .within(Duration::from_secs(1)..=Duration::from_secs(3600))
            .or(default.write_stall),
    }
}

/// Reads the node `bans`.
pub fn decode_bans(section: &mut Section<'_>) -> BanOptions {
    let usual = BanOptions::default();
    let second = Duration::from_secs(1);
    let year = Duration::from_secs(365 * 24 * 3600);
    BanOptions {
        automatic: section
            .flag("automatic", "Whether offenders are banned by themselves; `maddy bans` works in any case.")
            .or(usual.automatic),
        never: section
            .parsed("never", "an address or a network", Network::parse, "Never banned, like your own networks; may repeat.")
            .many(),
        private: section
            .flag("private", "Whether addresses of this machine and of private networks may be banned by themselves.")
            .or(usual.private),
        offences: section
            .count("offences", "Offences of one address (a /64 of IPv6) that ban it: a wrong password is one, a connection ended for its errors is five.")
            .within(1..=1_000_000u32)
            .or(usual.offences),
        addresses: section
            .count("addresses", "Bans of its addresses that ban a network as a whole (a /24 of IPv4, a /48 of IPv6).")
            .within(1..=1_000_000u32)
            .or(usual.addresses),
        time: section
            .duration("time", "The first ban; each further one takes twice as long.")
            .within(second..=year)
            .or(usual.time),
        max_time: section.duration("max-time", "No ban takes longer.").within(second..=year).or(usual.max_time),
        forget: section
            .duration("forget", "Time without offences that forgives one, and when none are left, one ban.")
            .within(second..=year)
            .or(usual.forget),
    }
}

/// Whether the files that a configuration names are looked at while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFiles {
    /// Files that cannot be used are problems of the configuration: for a server that is to show them.
    Examined,
    /// They are nobody's business: for whoever needs other settings.
    Unread,
}

/// Reads the node `tls`.
pub fn decode_tls(section: &mut Section<'_>, looking: CertificateFiles) -> TlsOptions {
    let files: Vec<Option<CertFiles>> = section.each(
        "certificate",
        "A certificate; may stand several times. The server name in the handshake chooses, the first is the default.",
        |certificate| {
            let chain = certificate
                .path(Arg("chain"), "PEM file with the certificate and those that lead to its root.")
                .required();
            let key = certificate.path("key", "PEM file with the private key.").required();
            let files = CertFiles { chain: chain?, key: key? };
            if looking == CertificateFiles::Examined {
                for error in examine(&files) {
                    certificate.problem(certificate.span(), format!("the certificate cannot be used: {error}"), "");
                }
            }
            Some(files)
        },
    );
    let is_self_signed = section
        .flag(
            "self-signed",
            "Make a certificate that signs itself. Clients will warn; other servers do not mind.",
        )
        .or(false);
    let doc = "Have an authority make certificates, and renew them, without anybody's doing (ACME). Using it means to agree to the terms of the authority.";
    let acme = section.child_if_present("acme", doc, acme::decode);
    let span = section.span();
    match (files.is_empty(), is_self_signed, acme) {
        (true, true, None) => TlsOptions::SelfSigned,
        (false, false, None) => TlsOptions::Files(files.into_iter().flatten().collect()),
        (true, false, Some(acme)) => {
            acme.map_or(TlsOptions::SelfSigned, |options| TlsOptions::Acme(Box::new(options)))
        }
        (true, false, None) => {
            let help = "write `acme` to get certificates by themselves, `certificate \"chain.pem\" key=\"key.pem\"` for your own, or `self-signed` for a start";
            section.problem(span, "tls has no certificate", help);
            TlsOptions::SelfSigned
        }
        _ => {
            let message = "tls has more than one of certificates, acme and self-signed";
            section.problem(span, message, "keep one of them");
            TlsOptions::SelfSigned
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Tree;

    fn limits(text: &str) -> String {
        match Tree::from_text("test", text, &|_| None).decode(decode_limits) {
            Ok(limits) => format!("{limits:?}"),
            Err(problems) => problems.to_string(),
        }
    }

    fn tls(text: &str) -> String {
        match Tree::from_text("test", text, &|_| None)
            .decode(|section| decode_tls(section, CertificateFiles::Unread))
        {
            Ok(TlsOptions::SelfSigned) => "self-signed".to_owned(),
            Ok(TlsOptions::Acme(options)) => format!("acme {}", options.directory),
            Ok(TlsOptions::Files(files)) => files
                .iter()
                .map(|files| format!("{} {}", files.chain.display(), files.key.display()))
                .collect::<Vec<_>>()
                .join(", "),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn limits_are_read_with_their_defaults() {
        assert_eq!(limits(""), format!("{:?}", Limits::default()));
        let all = limits(
            "connections 5\nper-address 2\nper-network 3\nexempt-loopback #true\nwrite-timeout \"5s\"",
        );
        assert_eq!(
            all,
            "Limits { connections: 5, per_address: 2, per_network: 3, loopback: Exempt, write_stall: 5s }"
        );
        assert!(limits("per-address 0").contains("test:1:"), "{}", limits("per-address 0"));
    }

    #[test]
    fn bans_are_read_with_their_defaults() {
        let read = |text: &str| {
            Tree::from_text("test", text, &|_| None)
                .decode(decode_bans)
                .map_err(|problems| problems.to_string())
        };
        assert_eq!(read(""), Ok(BanOptions::default()));
        let all = "automatic #false\nnever \"192.0.2.0/24\" \"::1\"\nprivate #true\noffences 3\naddresses 2\ntime \"1s\"\n\
                   max-time \"1h\"\nforget \"1m\"";
        let want = BanOptions {
            automatic: false,
            never: vec![Network::parse("192.0.2.0/24").unwrap(), Network::parse("::1").unwrap()],
            private: true,
            offences: 3,
            addresses: 2,
            time: Duration::from_secs(1),
            max_time: Duration::from_secs(3600),
            forget: Duration::from_secs(60),
        };
        assert_eq!(read(all), Ok(want));
        assert!(read("offences 0").is_err());
    }

    #[test]
    fn certificates_come_from_files_or_from_ourselves() {
        let two = "certificate \"/a.pem\" key=\"/a.key\"\ncertificate \"/b.pem\" key=\"/b.key\"";
        assert_eq!(tls(two), "/a.pem /a.key, /b.pem /b.key");
        assert_eq!(tls("self-signed"), "self-signed");
        assert_eq!(tls("acme"), "acme https://acme-v02.api.letsencrypt.org/directory");
        assert_eq!(tls("acme { directory \"https://ca.test/dir\"; }"), "acme https://ca.test/dir");
        for (text, want) in [
            ("", "tls has no certificate"),
            ("certificate \"/a.pem\"", "key"),
            ("self-signed\ncertificate \"/a.pem\" key=\"/a.key\"", "keep one of them"),
            ("self-signed\nacme", "keep one of them"),
            ("acme { hooks \"/x\"; }", "hook"),
        ] {
            assert!(tls(text).contains(want), "{text}: {}", tls(text));
        }
    }
}
