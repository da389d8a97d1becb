//! How the way to one host must be protected, decided from what is known: a pure function, told in words why.
//!
//! In this order: what the sender demands, TLSA records (RFC 7672), the policy of the domain (RFC 8461 §2: never in place of
//! DANE that fails), the configuration. The strictest of them holds; the first that demands it is the reason.

use mail::{Domain, Reply, Status, TlsWhy};

/// What the sender has asked for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Wish {
    #[default]
    Usual,
    /// REQUIRETLS (RFC 8689 §4.2.1).
    Required,
    /// `TLS-Required: No` (RFC 8689 §4.2.2): delivered rather than protected.
    NotRequired,
}

/// The least that the configuration demands for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Minimum {
    /// Nothing: TLS where it is offered, with any certificate.
    #[default]
    None,
    /// TLS, with any certificate.
    Encrypted,
    /// TLS with a host that has proved who it is.
    Authenticated,
}

/// How the name of a host is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It stands in the configuration, or is the recipients' domain itself.
    Certain,
    /// MX records that DNSSEC proves.
    Proven,
    /// MX records that are not signed, or of which nothing could be proven.
    Open,
}

/// What TLSA records say of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tlsa {
    /// There are none, or nobody has signed them.
    None,
    Usable,
    /// There are some, none of which can be used (RFC 7672 §2.2).
    Unusable,
    /// It could not be found out whether there are any.
    Unknown,
}

/// What the policy of the domain says of a host (RFC 8461 §4.1, §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sts {
    /// There is no policy, or one in mode `none`.
    None,
    Testing(Names),
    Enforce(Names),
}

/// Whether a policy names a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Host,
    OthersOnly,
}

/// What is known of a host and of the mail for it.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    pub wish: Wish,
    pub minimum: Minimum,
    pub known: Known,
    /// The configuration vouches for the name: it is one of those given for the destination, or below the domain.
    pub is_ours_to_trust: Trusted,
    pub tlsa: Tlsa,
    pub sts: Sts,
}

/// Whether the configuration trusts a host's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    Yes,
    No,
}

/// Who must have proved what before mail goes over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// TLS if it can be had, and any certificate.
    Nothing,
    /// TLS, and any certificate.
    Encryption,
    /// An authority that is trusted vouches for the host's name.
    Root,
    /// TLSA records name the certificate.
    Dane,
    /// Both.
    DaneAndRoot,
}

/// How the way to a host must be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    pub proof: Proof,
    pub why: TlsWhy,
}

/// Why a host is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The signed DNS gave no answer about its TLSA records: nobody knows how it must be reached.
    TlsaUnknown,
    /// The policy of the domain does not name it.
    NotInPolicy,
    /// REQUIRETLS, and nobody vouches for the name.
    NotVouchedForSender,
    /// The configuration demands a host that is authenticated, and nobody vouches for the name.
    NotVouched,
}

impl Refusal {
    pub(crate) fn reply(self, host: &Domain, domain: &Domain) -> Reply {
        let temporary = |text: String| Reply::new(451, Status::transient(7, 5), text);
        match self {
            Self::TlsaUnknown => temporary(format!(
                "It cannot be found out how {host} must be protected: the DNSSEC answer about its TLSA records is missing or wrong"
            )),
            Self::NotInPolicy => {
                temporary(format!("The MTA-STS policy of {domain} does not name the mail host {host}"))
            }
            Self::NotVouchedForSender => crate::work::no_tls(format!(
                "the name {host} is vouched for neither by DNSSEC nor by MTA-STS"
            )),
            Self::NotVouched => temporary(format!(
                "An authenticated host is demanded for {domain}, and nobody vouches for the name {host}"
            )),
        }
    }
}

/// How the way to a host must be protected, or why mail must not go there.
pub fn decide(inputs: &Inputs) -> Result<Demand, Refusal> {
    let Inputs { wish, minimum, known, tlsa, sts, .. } = *inputs;
    if wish == Wish::NotRequired {
        // The recipient's wishes are passed over, those of the administrator are not.
        return Ok(match minimum {
            Minimum::None => Demand { proof: Proof::Nothing, why: TlsWhy::TlsRequiredNo },
            Minimum::Encrypted => Demand { proof: Proof::Encryption, why: TlsWhy::Local },
            Minimum::Authenticated => local(inputs)?,
        });
    }
    if tlsa == Tlsa::Unknown {
        return Err(Refusal::TlsaUnknown);
    }
    // DANE for hosts that DNSSEC names needs no policy beside it; other hosts must be in the policy as well.
    let by_policy = match sts {
        Sts::Enforce(_) if tlsa == Tlsa::Usable && known != Known::Open => None,
        Sts::Enforce(Names::OthersOnly) => return Err(Refusal::NotInPolicy),
        Sts::Enforce(Names::Host) => Some(Demand { proof: Proof::Root, why: TlsWhy::MtaSts }),
        Sts::None | Sts::Testing(_) => None,
    };
    let by_tlsa = match tlsa {
        Tlsa::Usable => Some(Demand { proof: Proof::Dane, why: TlsWhy::Dane }),
        Tlsa::Unusable => Some(Demand { proof: Proof::Encryption, why: TlsWhy::DaneUnusable }),
        Tlsa::None | Tlsa::Unknown => None,
    };
    let by_us = match minimum {
        Minimum::None => None,
        Minimum::Encrypted => Some(Demand { proof: Proof::Encryption, why: TlsWhy::Local }),
        Minimum::Authenticated => Some(local(inputs)?),
    };
    let by_sender = match wish {
        Wish::Required => Some(required(inputs)?),
        Wish::Usual | Wish::NotRequired => None,
    };
    let demands = [by_sender, by_tlsa, by_policy, by_us];
    let strictest = demands.into_iter().flatten().reduce(stricter);
    let why = match sts {
        Sts::Testing(_) => TlsWhy::MtaStsTesting,
        Sts::None | Sts::Enforce(_) => TlsWhy::Opportunistic,
    };
    Ok(strictest.unwrap_or(Demand { proof: Proof::Nothing, why }))
}

/// What the configuration comes to where it wants an authenticated host.
fn local(inputs: &Inputs) -> Result<Demand, Refusal> {
    let is_vouched = inputs.known != Known::Open
        || inputs.is_ours_to_trust == Trusted::Yes
        || matches!(inputs.sts, Sts::Testing(Names::Host) | Sts::Enforce(Names::Host));
    match is_vouched {
        true => Ok(Demand { proof: of_host(inputs), why: TlsWhy::Local }),
        false => Err(Refusal::NotVouched),
    }
}

/// What REQUIRETLS comes to (RFC 8689 §4.2.1, steps 2 and 4).
fn required(inputs: &Inputs) -> Result<Demand, Refusal> {
    let is_vouched = inputs.known != Known::Open
        || matches!(inputs.sts, Sts::Testing(Names::Host) | Sts::Enforce(Names::Host));
    match is_vouched {
        true => Ok(Demand { proof: of_host(inputs), why: TlsWhy::RequireTls }),
        false => Err(Refusal::NotVouchedForSender),
    }
}

/// How a host proves who it is.
fn of_host(inputs: &Inputs) -> Proof {
    match (inputs.tlsa, inputs.wish) {
        (Tlsa::Usable, Wish::Usual | Wish::Required) => Proof::Dane,
        _ => Proof::Root,
    }
}

/// Both demands in one; the reason is the first's unless it demands less.
fn stricter(first: Demand, second: Demand) -> Demand {
    let proof = match (first.proof, second.proof) {
        (Proof::DaneAndRoot, _)
        | (_, Proof::DaneAndRoot)
        | (Proof::Dane, Proof::Root)
        | (Proof::Root, Proof::Dane) => Proof::DaneAndRoot,
        (Proof::Dane, _) | (_, Proof::Dane) => Proof::Dane,
        (Proof::Root, _) | (_, Proof::Root) => Proof::Root,
        (Proof::Encryption, _) | (_, Proof::Encryption) => Proof::Encryption,
        (Proof::Nothing, Proof::Nothing) => Proof::Nothing,
    };
    let is_second = first.proof == Proof::Encryption && proof != Proof::Encryption;
    Demand { proof, why: if is_second { second.why } else { first.why } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `wish minimum known trust tlsa sts`, as words.
    fn inputs(text: &str) -> Inputs {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [wish, minimum, known, trust, tlsa, sts] = words[..] else { panic!("{text}") };
        Inputs {
            wish: match wish {
                "usual" => Wish::Usual,
                "required" => Wish::Required,
                "no" => Wish::NotRequired,
                other => panic!("{other}"),
            },
            minimum: match minimum {
                "none" => Minimum::None,
                "encrypted" => Minimum::Encrypted,
                "authenticated" => Minimum::Authenticated,
                other => panic!("{other}"),
            },
            known: match known {
                "certain" => Known::Certain,
                "proven" => Known::Proven,
                "open" => Known::Open,
                other => panic!("{other}"),
            },
            is_ours_to_trust: if trust == "trusted" { Trusted::Yes } else { Trusted::No },
            tlsa: match tlsa {
                "-" => Tlsa::None,
                "usable" => Tlsa::Usable,
                "unusable" => Tlsa::Unusable,
                "unknown" => Tlsa::Unknown,
                other => panic!("{other}"),
            },
            sts: match sts {
                "-" => Sts::None,
                "testing" => Sts::Testing(Names::Host),
                "testing-others" => Sts::Testing(Names::OthersOnly),
                "enforce" => Sts::Enforce(Names::Host),
                "enforce-others" => Sts::Enforce(Names::OthersOnly),
                other => panic!("{other}"),
            },
        }
    }

    #[test]
    fn the_table() {
        const TABLE: &str = include_str!("tls_policy.table");
        let mut rows = 0;
        for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (asked, want) = line.split_once('|').unwrap();
            let got = match decide(&inputs(asked)) {
                Ok(Demand { proof, why }) => format!("{proof:?} {why}"),
                Err(refusal) => format!("refused {refusal:?}"),
            };
            assert_eq!(got, want.trim(), "{asked}");
            rows += 1;
        }
        assert!(rows > 30, "{rows}");
    }

    /// Whatever the facts are: who demands is never given less.
    #[test]
    fn no_demand_is_ever_forgotten() {
        for wish in ["usual", "required", "no"] {
            for minimum in ["none", "encrypted", "authenticated"] {
                for known in ["certain", "proven", "open"] {
                    for trust in ["trusted", "-"] {
                        for tlsa in ["-", "usable", "unusable", "unknown"] {
                            for sts in ["-", "testing", "testing-others", "enforce", "enforce-others"] {
                                let text = format!("{wish} {minimum} {known} {trust} {tlsa} {sts}");
                                check(&text, &inputs(&text));
                            }
                        }
                    }
                }
            }
        }
    }

    fn check(text: &str, inputs: &Inputs) {
        let Ok(demand) = decide(inputs) else { return };
        let is_authenticated = matches!(demand.proof, Proof::Root | Proof::Dane | Proof::DaneAndRoot);
        let has_dane = matches!(demand.proof, Proof::Dane | Proof::DaneAndRoot);
        let heeds_recipient = inputs.wish != Wish::NotRequired;
        assert!(inputs.wish != Wish::Required || is_authenticated, "{text}");
        assert!(inputs.minimum != Minimum::Authenticated || is_authenticated, "{text}");
        assert!(inputs.minimum != Minimum::Encrypted || demand.proof != Proof::Nothing, "{text}");
        assert!(!heeds_recipient || inputs.tlsa != Tlsa::Usable || has_dane, "{text}");
        assert!(
            !heeds_recipient || inputs.tlsa != Tlsa::Unusable || demand.proof != Proof::Nothing,
            "{text}"
        );
        assert!(!heeds_recipient || !matches!(inputs.sts, Sts::Enforce(_)) || is_authenticated, "{text}");
    }
}
