//! The configuration that `maddy quickstart` writes: short, and with a word on each thing.

use ::config::quote;
use mail::{Address, Domain};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the state of a service is.
pub(crate) const STATE_DIR: &str = "/var/lib/maddy";

/// Where the certificate comes from.
pub(crate) enum Tls {
    Acme,
    Files { chain: PathBuf, key: PathBuf },
    SelfSigned,
}

/// What shall be made.
pub(crate) struct Plan {
    pub(crate) you: Address,
    pub(crate) hostname: Domain,
    pub(crate) file: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) tls: Tls,
    /// Whom the server becomes when root starts it; None if it is not to be started by root.
    pub(crate) user: Option<&'static str>,
    /// Ports are the well-known ones plus this, on loopback only.
    pub(crate) port_base: Option<u16>,
    pub(crate) resolver: Option<SocketAddr>,
}

impl Plan {
    /// What is about to happen.
    pub(crate) fn question(&self) -> String {
        format!(
            "The mail server {} for {} with the account {}: {} and {} will be made.",
            self.hostname,
            self.you.domain(),
            self.you,
            self.file.display(),
            self.state_dir.display()
        )
    }

    pub(crate) fn text(&self) -> String {
        let (you, domain) = (quote(&self.you.to_string()), self.you.domain());
        let mut text = format!(
            "\
// Written by `maddy quickstart`. After a change: `maddy config check`, then `maddy reload`.
// maddy.conf.example shows every option.

// The name of this server. Its address in the DNS leads here, and the address leads back to it.
hostname {hostname}

// The domains whose mail ends here.
domains {domain}

// Mail, accounts, keys and the queue.
state-dir {state}
{runtime}
// Who gets what is written to postmaster and abuse, which every domain must take.
postmaster {you}
aliases {{
    {abuse} {you}
}}

",
            hostname = quote(self.hostname.as_str()),
            domain = quote(domain.as_str()),
            state = path(&self.state_dir),
            runtime = self.runtime(),
            abuse = quote(&format!("abuse@{domain}")),
        );
        if let Some(user) = self.user {
            let _ = write!(text, "// Who the server is once its ports are open.\nuser {}\n\n", quote(user));
        }
        text.push_str(&self.tls_text());
        if let Some(resolver) = self.resolver {
            let _ = write!(text, "// Who is asked about the DNS.\ndns {{\n    server \"{resolver}\"\n}}\n\n");
        }
        text.push_str(&self.doors());
        text
    }

    /// A state directory of the system is closed to all others, so the sockets go where programs look for them.
    fn runtime(&self) -> &'static str {
        if self.state_dir == Path::new(STATE_DIR) {
            "\n// The sockets, of `maddy` and of `sendmail`.\nruntime-dir \"/run/maddy\"\n"
        } else {
            ""
        }
    }

    fn tls_text(&self) -> String {
        match &self.tls {
            Tls::Acme => "// Certificates come from Let's Encrypt and are renewed by themselves; using this means to agree to its terms.\n\
                          tls {\n    acme\n}\n\n"
                .to_owned(),
            Tls::Files { chain, key } => format!(
                "// The files are read again when they change. `acme` in their place gets certificates by itself.\n\
                 tls {{\n    certificate {} key={}\n}}\n\n",
                path(chain),
                path(key)
            ),
            Tls::SelfSigned => "// Clients warn of this certificate; `acme` in its place gets good ones by itself.\n\
                                tls {\n    self-signed\n}\n\n"
                .to_owned(),
        }
    }

    /// Mail has its usual ports by default; the web must be asked for.
    fn doors(&self) -> String {
        let base = self.port_base.unwrap_or(0);
        let at = |port: u16| match self.port_base {
            Some(base) => format!("\"127.0.0.1:{}\"", base + port),
            None => format!("\"[::]:{port}\""),
        };
        let mut text = format!(
            "// Pages for mail programs and other servers; metrics and health for yourself (docs/web.md).\n\
             web {{\n    listen {}\n    listen {} tls=#true\n    listen \"127.0.0.1:{}\" private=#true\n    \
             // \"enforce\" when the reports say that TLS always works.\n    mta-sts {{\n        mode \"testing\"\n    }}\n}}\n",
            at(80),
            at(443),
            base + 9980,
        );
        if self.port_base.is_some() {
            let _ = write!(
                text,
                "\n// Ports for a try, which only this machine can reach.\nsmtp {{\n    listen {}\n}}\nsubmission {{\n    listen {}\n    \
                 listen {} tls=#true\n}}\nimap {{\n    listen {}\n    listen {} tls=#true\n}}\n",
                at(25),
                at(587),
                at(465),
                at(143),
                at(993),
            );
        }
        text
    }
}

fn path(path: &Path) -> String {
    quote(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use net::config::CertificateFiles;

    #[test]
    fn what_is_written_is_understood() {
        for (tls, port_base) in [
            (Tls::Acme, None),
            (Tls::SelfSigned, Some(2000)),
            (Tls::Files { chain: PathBuf::from("/a \"b\"/c.pem"), key: PathBuf::from("/k.pem") }, None),
        ] {
            let plan = Plan {
                you: Address::parse("you@example.org").unwrap(),
                hostname: Domain::parse("mail.example.org").unwrap(),
                file: PathBuf::from("/x/maddy.conf"),
                state_dir: PathBuf::from("/x/the \"state\""),
                tls,
                user: None,
                port_base,
                resolver: Some("127.0.0.1:53".parse().unwrap()),
            };
            let text = plan.text();
            let tree = ::config::Tree::from_text("t", &text, &|_| None);
            let config = Config::from_tree(&tree, CertificateFiles::Unread)
                .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            assert_eq!(config.state_dir(), plan.state_dir);
            assert_eq!(config.postmaster, Some(plan.you));
            let ports: Vec<u16> =
                crate::listeners::wanted(&config).iter().map(|one| one.address.port()).collect();
            let base = port_base.unwrap_or(0);
            let want: Vec<u16> =
                [25, 587, 465, 143, 993, 80, 443, 9980].iter().map(|port| base + port).collect();
            assert_eq!(ports, want);
        }
    }
}
