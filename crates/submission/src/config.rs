//! Options of the node `submission`.

use net::ListenTls;
use smtp_door::Entrance;
use std::time::Duration;

/// Whether logins are taken without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsecureAuth {
    Refused,
    Allowed,
}

/// The checked options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What both SMTP doors can be told.
    pub door: smtp_door::Config,
    pub insecure_auth: InsecureAuth,
    /// Failed logins after which a connection ends.
    pub login_failures: u32,
    /// Pause after the first failed login of a connection; each further one doubles it.
    pub failure_delay: Duration,
    /// How far in the future a message may be released (RFC 4865); zero offers that to nobody.
    pub max_hold: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let listen =
            vec![Entrance::anywhere(587, ListenTls::StartTls), Entrance::anywhere(465, ListenTls::Implicit)];
        Self {
            door: smtp_door::Config::usual(listen, 500),
            insecure_auth: InsecureAuth::Refused,
            login_failures: 4,
            failure_delay: Duration::from_secs(1),
            max_hold: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// Reads the node.
pub fn decode(section: &mut config::Section<'_>) -> Config {
    let default = Config::default();
    let door = smtp_door::Config::decode(section, default.door, net::decode_client_certificates);
    let insecure =
        section.flag("insecure-auth", "Take logins without TLS: for tools on loopback only.").or(false);
    Config {
        door,
        insecure_auth: if insecure { InsecureAuth::Allowed } else { InsecureAuth::Refused },
        login_failures: section
            .count("login-failures", "Failed logins after which a connection ends.")
            .within(1..=100)
            .or(default.login_failures),
        failure_delay: section
            .duration("failure-delay", "Pause after the first failed login; each further one doubles it.")
            .within(Duration::ZERO..=Duration::from_secs(10))
            .or(default.failure_delay),
        max_hold: section
            .duration(
                "max-hold",
                "How far in the future a sender may have a message released (FUTURERELEASE); \"0s\" offers it to nobody.",
            )
            .within(Duration::ZERO..=Duration::from_secs(365 * 24 * 3600))
            .or(default.max_hold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, config::Problems> {
        config::Tree::from_text("test", text, &|_| None).decode(decode)
    }

    #[test]
    fn options_are_read() {
        let text = "listen \"127.0.0.1:2587\"\nlisten \"[::1]:2465\" tls=#true\ninsecure-auth #true\n\
                    login-failures 2\nfailure-delay \"0s\"\nmax-hold \"2d\"";
        let config = read(text).unwrap();
        assert_eq!(config.door.listen.len(), 2);
        assert_eq!(config.door.listen[1].listen.tls, ListenTls::Implicit);
        assert_eq!((config.insecure_auth, config.login_failures), (InsecureAuth::Allowed, 2));
        assert_eq!(config.failure_delay, Duration::ZERO);
        assert_eq!(config.max_hold, Duration::from_secs(2 * 24 * 3600));
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn mistakes_are_told_apart() {
        for text in ["max-recipients 0", "insecure-auth 1", "login-failures 0"] {
            assert!(read(text).is_err(), "{text}");
        }
        let problems = read("insecure-aut #true").unwrap_err().to_string();
        assert!(problems.contains("insecure-auth"), "{problems}");
    }
}
