//! What an answer counts that could not be validated: nothing bad where the zone is proven to be unsigned, much where it should be
//! signed (RFC 7672 §2.1.1, §2.1.2).
//!
//! Validation fails now and then for names in zones that are not signed at all. So it is looked from the top of the tree: above
//! an unsigned zone there is a delegation that is proven to be without keys (RFC 4035 §5.2), and then there is nothing to protect.

use std::sync::atomic::{AtomicBool, Ordering};
use tracing::warn;
use world::{DnsName, Kind, Proof, Resolver, Security};

/// Most zones that are asked about on the way down to a name.
const DEPTH_MAX: usize = 16;

/// What is known of DNSSEC here.
#[derive(Debug, Default)]
pub struct Validation {
    /// A signature was validated since the start: so signatures arrive, and one that does not was taken away.
    works: AtomicBool,
    /// It was said in the log that none arrives.
    told: AtomicBool,
}

/// What to make of an answer that could not be validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The zone is proven to be unsigned, or no signature ever arrives here: there is no DANE to lose.
    Harmless,
    /// There should be a proof: mail waits.
    Serious,
}

impl Validation {
    /// Something was proven.
    pub fn has_proven(&self) {
        self.works.store(true, Ordering::Relaxed);
    }

    /// What to make of it that no answer about this name can be validated.
    pub async fn doubt(&self, name: &DnsName, dns: &dyn Resolver) -> Doubt {
        let mut above: Vec<DnsName> = std::iter::successors(Some(name.clone()), DnsName::parent).collect();
        above.reverse();
        for name in above.into_iter().filter(|name| !name.is_root()).take(DEPTH_MAX) {
            match dns.ask(&name, Kind::Ns, Proof::Wanted).await.security {
                Security::Secure => self.has_proven(),
                Security::Insecure => return Doubt::Harmless,
                Security::Bogus | Security::Unchecked if self.hears(dns).await => return Doubt::Serious,
                Security::Bogus | Security::Unchecked => return Doubt::Harmless,
            }
        }
        Doubt::Serious
    }

    /// Whether signatures arrive here at all: those of the root do then.
    async fn hears(&self, dns: &dyn Resolver) -> bool {
        if self.works.load(Ordering::Relaxed) {
            return true;
        }
        if dns.ask(&DnsName::root(), Kind::Ns, Proof::Wanted).await.security == Security::Secure {
            self.has_proven();
            return true;
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            warn!(
                "no DNSSEC signature arrives here, so hosts are not protected by DANE: use a resolver that passes signatures on"
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "
        ex               SECURE
        open.ex          INSECURE
        bad.ex           BOGUS
        broken.open.ex   BOGUS
        deaf             BOGUS
    ";

    #[tokio::test]
    async fn only_where_a_proof_should_be_its_lack_counts() {
        let world = world::fake::world_with(1, ZONE).unwrap();
        for (works, name, want) in [
            (true, "mx.open.ex", Doubt::Harmless),
            (true, "broken.open.ex", Doubt::Harmless),
            (true, "mx.bad.ex", Doubt::Serious),
            (true, "bad.ex", Doubt::Serious),
            (true, "mx.good.ex", Doubt::Serious),
            (false, "mx.bad.ex", Doubt::Serious),
            // Nothing was ever proven, not even the root.
            (false, "mx.deaf", Doubt::Harmless),
            (true, "mx.deaf", Doubt::Serious),
        ] {
            let validation = Validation::default();
            if works {
                validation.has_proven();
            }
            let name = DnsName::parse(name).unwrap();
            assert_eq!(validation.doubt(&name, world.dns.as_ref()).await, want, "{name} {works}");
        }
    }
}
