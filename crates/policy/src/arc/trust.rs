//! Whether a chain vouches for an author: pure (RFC 8617 §7.2.1).

use super::{ArcResult, Claim, Outcome, Set};
use mail::Domain;

/// Who vouches, and in what words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouching {
    pub instance: u8,
    pub sealer: Domain,
    pub claim: Claim,
    pub standing: Standing,
}

/// How sure it is that the sealer said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The chain is valid.
    Verified,
    /// The DNS did not give a key that is needed: the next try may verify it.
    Unanswered,
}

/// Finds a trusted sealer who saw the author's domain pass.
///
/// A set counts if its sealer, and everybody who sealed after it, is trusted: each of them could have changed the
/// message. It also counts if its own signature of the message is still good, because then nobody has. What it says
/// counts if it is about the very domain of the author. Of several the newest is named.
pub fn vouching(outcome: &Outcome, author: &Domain, trusted: &[Domain]) -> Option<Vouching> {
    let standing = match outcome.result {
        ArcResult::Pass => Standing::Verified,
        ArcResult::Fail if outcome.is_unanswered => Standing::Unanswered,
        ArcResult::Fail => return None,
    };
    let is_trusted = |set: &Set| trusted.iter().any(|domain| set.sealer.is_within(domain));
    let is_untouched = |set: &Set| {
        standing == Standing::Verified && outcome.oldest_pass.is_some_and(|oldest| set.instance >= oldest)
    };
    let mut all_above = true;
    for set in outcome.sets.iter().rev() {
        let counts = is_trusted(set) && (all_above || is_untouched(set));
        all_above &= is_trusted(set);
        let about_author =
            |claim: &&Claim| matches!(claim, Claim::Dmarc(who) | Claim::Dkim(who) if who == author);
        if let Some(claim) = set.claims.iter().find(about_author).filter(|_| counts) {
            let (instance, sealer, claim) = (set.instance, set.sealer.clone(), claim.clone());
            return Some(Vouching { instance, sealer, claim, standing });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    /// `sealer:claims` with `d` for DMARC, `k` for DKIM, `o` for another domain; oldest first.
    fn outcome(sets: &str, oldest_pass: u8) -> Outcome {
        let set = |(at, text): (usize, &str)| {
            let (sealer, claims) = text.split_once(':').unwrap();
            let claim = |c| match c {
                'd' => Claim::Dmarc(domain("a.example")),
                'k' => Claim::Dkim(domain("a.example")),
                _ => Claim::Dmarc(domain("sub.a.example")),
            };
            Set {
                instance: u8::try_from(at + 1).unwrap(),
                sealer: domain(sealer),
                selector: "s".to_owned(),
                claims: claims.chars().map(claim).collect(),
                remote_ip: None,
            }
        };
        Outcome {
            result: ArcResult::Pass,
            reason: String::new(),
            is_unanswered: false,
            oldest_pass: Some(oldest_pass),
            sets: sets.split(' ').enumerate().map(set).collect(),
            peer: [192, 0, 2, 1].into(),
        }
    }

    #[test]
    fn trust_has_no_gap() {
        let trusted = [domain("good.example"), domain("fine.example")];
        let instance = |sets: &str, oldest: u8| {
            vouching(&outcome(sets, oldest), &domain("a.example"), &trusted).map(|one| one.instance)
        };
        for (sets, oldest, want) in [
            ("good.example:d", 1, Some(1)),
            ("good.example:k", 1, Some(1)),
            ("mx.good.example:d", 1, Some(1)),
            ("good.example:o", 1, None),
            ("good.example:", 1, None),
            ("evil.example:d", 1, None),
            ("notgood.example:d", 1, None),
            // The newest trusted one saw it pass, or an older one did
            ("good.example:d good.example:", 2, Some(1)),
            ("fine.example:d good.example:d", 2, Some(2)),
            // The list is trusted, but did not see it pass, and he who did is not trusted
            ("evil.example:d good.example:", 2, None),
            // A stranger above may have changed everything, unless the signature below him is still good
            ("good.example:d evil.example:d", 2, None),
            ("good.example:d evil.example:d", 1, Some(1)),
            ("good.example:d evil.example:d", 0, Some(1)),
            ("good.example:d evil.example: good.example:", 3, None),
        ] {
            assert_eq!(instance(sets, oldest), want, "{sets} {oldest}");
        }
    }

    #[test]
    fn a_broken_chain_is_no_chain() {
        let (author, trusted) = (domain("a.example"), [domain("good.example")]);
        let mut broken = outcome("good.example:d", 1);
        broken.result = ArcResult::Fail;
        assert_eq!(vouching(&broken, &author, &trusted), None);
        broken.is_unanswered = true;
        let standing = vouching(&broken, &author, &trusted).map(|one| one.standing);
        assert_eq!(standing, Some(Standing::Unanswered));
        let mut unsure = outcome("good.example:d evil.example:", 0);
        (unsure.result, unsure.is_unanswered) = (ArcResult::Fail, true);
        assert_eq!(vouching(&unsure, &author, &trusted), None);
    }
}
