//! Sender rewriting: a forwarded message leaves with a sender of ours, so that SPF still holds, and its bounce
//! finds the way back (the SRS0 and SRS1 forms of the Sender Rewriting Scheme).
//!
//! `a@source.example` forwarded by `sales@ours.example` becomes `SRS0=hash=day=source.example=a@ours.example`. A sender
//! that another forwarder has rewritten becomes `SRS1=hash=first.example==rest@ours.example`, which returns straight to
//! that first forwarder. Addresses may come back in another case, so the hash ignores case.

use mail::address::AddressError;
use mail::{Address, Domain};

/// Days that a rewritten address may still be answered.
pub const VALID_DAYS: i64 = 21;
/// Longest local part that is made here, in octets: what everybody must take (RFC 5321 §4.5.3.1.1).
pub const REWRITTEN_MAX: usize = 64;
/// The day is kept modulo this: two letters of base32.
const DAYS: i64 = 1024;
/// Letters of the hash: 30 bits, enough against guessing one address within its 21 days.
const HASH_LETTERS: usize = 6;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECONDS_A_DAY: i64 = 24 * 3600;

/// Rewrites and reverses senders. The key is a secret of this server.
#[derive(Clone)]
pub struct Srs {
    key: [u8; 32],
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Srs(…)")
    }
}

/// Why a rewritten address is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReverseError {
    /// The address has the form, but the hash is not ours.
    Forged,
    /// The hash is ours, but older than [`VALID_DAYS`].
    Expired,
    /// The parts do not make an address.
    Malformed,
}

impl Srs {
    /// `key` are 32 octets from the random source of secrets.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Whether the address has one of our forms, genuine or not.
    pub fn is_rewritten(address: &Address) -> bool {
        form(address.local()).is_some()
    }

    /// The sender under which a message of `sender` is forwarded from `domain`. `now` in seconds since 1970.
    ///
    /// Fails where the result would be longer than [`REWRITTEN_MAX`].
    pub fn forward(&self, sender: &Address, domain: &Domain, now: i64) -> Result<Address, AddressError> {
        let local = match form(sender.local()) {
            Some((Form::Zero, rest)) => {
                let body = format!("{}={rest}", sender.domain());
                format!("SRS1={}={body}", self.hash(&body))
            }
            Some((Form::One, rest)) => {
                // hash=first.example=rest: only the hash is replaced; the first forwarder stays the way back.
                let body = rest.split_once('=').map_or(rest, |(_, body)| body);
                format!("SRS1={}={body}", self.hash(body))
            }
            None => {
                let body = format!("{}={}={}", day_text(now), sender.domain(), sender.local());
                format!("SRS0={}={body}", self.hash(&body))
            }
        };
        if local.len() > REWRITTEN_MAX {
            return Err(AddressError::LocalTooLong);
        }
        Address::new(&local, domain.clone())
    }

    /// The sender behind a rewritten address; `None` if the address has no such form.
    pub fn reverse(&self, address: &Address, now: i64) -> Option<Result<Address, ReverseError>> {
        let (form, rest) = form(address.local())?;
        Some(match form {
            Form::Zero => self.reverse_zero(rest, now),
            Form::One => self.reverse_one(rest),
        })
    }

    fn reverse_zero(&self, rest: &str, now: i64) -> Result<Address, ReverseError> {
        let (hash, body) =
            rest.trim_start_matches(SEPARATORS).split_once('=').ok_or(ReverseError::Malformed)?;
        if !self.is_ours(hash, body) {
            return Err(ReverseError::Forged);
        }
        let mut parts = body.splitn(3, '=');
        let mut part = || parts.next().ok_or(ReverseError::Malformed);
        let (day, domain, local) = (part()?, part()?, part()?);
        let day = read_day(day).ok_or(ReverseError::Malformed)?;
        if (now.div_euclid(SECONDS_A_DAY) - day).rem_euclid(DAYS) > VALID_DAYS {
            return Err(ReverseError::Expired);
        }
        join(local, domain)
    }

    fn reverse_one(&self, rest: &str) -> Result<Address, ReverseError> {
        let (hash, body) =
            rest.trim_start_matches(SEPARATORS).split_once('=').ok_or(ReverseError::Malformed)?;
        if !self.is_ours(hash, body) {
            return Err(ReverseError::Forged);
        }
        let (domain, rest) = body.split_once('=').ok_or(ReverseError::Malformed)?;
        join(&format!("SRS0{rest}"), domain)
    }

    /// Hash of what stands behind it, in whatever case it comes back.
    fn hash(&self, body: &str) -> String {
        let digest = blake3::keyed_hash(&self.key, body.to_lowercase().as_bytes());
        digest
            .as_bytes()
            .iter()
            .take(HASH_LETTERS)
            .map(|octet| char::from(BASE32[usize::from(octet & 31)]))
            .collect()
    }

    /// Compares in a time that does not depend on where the difference is.
    fn is_ours(&self, hash: &str, body: &str) -> bool {
        let want = self.hash(body);
        let differences = want
            .bytes()
            .zip(hash.bytes())
            .fold(0, |seen, (want, got)| seen | (want ^ got.to_ascii_uppercase()));
        hash.len() == want.len() && differences == 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Zero,
    One,
}

/// What may stand behind `SRS0`: each implementation has its own favourite.
const SEPARATORS: [char; 3] = ['=', '+', '-'];

/// The form of a local part and what stands behind the tag: for `SRS0` the separator is kept, for it goes into SRS1.
fn form(local: &str) -> Option<(Form, &str)> {
    let (tag, rest) = local.split_at_checked(4)?;
    if !rest.starts_with(SEPARATORS) {
        return None;
    }
    if tag.eq_ignore_ascii_case("SRS0") {
        Some((Form::Zero, rest))
    } else if tag.eq_ignore_ascii_case("SRS1") {
        Some((Form::One, &rest[1..]))
    } else {
        None
    }
}

fn join(local: &str, domain: &str) -> Result<Address, ReverseError> {
    let domain = Domain::parse(domain).map_err(|_| ReverseError::Malformed)?;
    Address::new(local, domain).map_err(|_| ReverseError::Malformed)
}

fn day_text(now: i64) -> String {
    let day = now.div_euclid(SECONDS_A_DAY).rem_euclid(DAYS);
    let letter = |index: i64| char::from(BASE32[usize::try_from(index).unwrap_or(0) & 31]);
    [letter(day >> 5), letter(day & 31)].iter().collect()
}

fn read_day(text: &str) -> Option<i64> {
    let letters = text.as_bytes();
    if letters.len() != 2 {
        return None;
    }
    let value = |letter: u8| BASE32.iter().position(|b| *b == letter.to_ascii_uppercase());
    let day = value(letters[0])? * 32 + value(letters[1])?;
    i64::try_from(day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use world::Random as _;

    const NOW: i64 = 1_763_000_000;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn forward(srs: &Srs, sender: &str) -> Address {
        srs.forward(&address(sender), &Domain::parse("ours.example").unwrap(), NOW).unwrap()
    }

    #[test]
    fn forms() {
        let srs = Srs::new([7; 32]);
        // What comes out, with the hash masked.
        for (sender, want) in [
            ("a@source.example", "SRS0=#=2=source.example=a@ours.example"),
            ("a=b+c@source.example", "SRS0=#=2=source.example=a=b+c@ours.example"),
            ("SRS0=x=y=s.example=a@first.example", "SRS1=#=first.example==x=y=s.example=a@ours.example"),
            ("srs0+x=y=s.example=a@first.example", "SRS1=#=first.example=+x=y=s.example=a@ours.example"),
            ("SRS1=h=first.example==x=y=s.ex=a@second.ex", "SRS1=#=first.example==x=y=s.ex=a@ours.example"),
            ("SRS0@source.example", "SRS0=#=2=source.example=SRS0@ours.example"),
        ] {
            let got = forward(&srs, sender).to_string();
            let mut parts: Vec<&str> = got.split('=').collect();
            assert_eq!(parts[1].len(), HASH_LETTERS, "{got}");
            parts[1] = "#";
            if parts[0] == "SRS0" {
                assert_eq!(parts[2], day_text(NOW));
                parts[2] = "2";
            }
            assert_eq!(parts.join("="), want);
        }
    }

    #[test]
    fn there_and_back() {
        let srs = Srs::new([7; 32]);
        for (sender, back) in [
            ("a@source.example", "a@source.example"),
            ("a=b+c@source.example", "a=b+c@source.example"),
            ("SRS0=x=y=s.example=a@first.example", "SRS0=x=y=s.example=a@first.example"),
            ("srs0+x=y=s.example=a@first.example", "SRS0+x=y=s.example=a@first.example"),
            ("SRS1=h=first.example==x=y=s.ex=a@second.ex", "SRS0=x=y=s.ex=a@first.example"),
        ] {
            let there = forward(&srs, sender);
            assert!(Srs::is_rewritten(&there));
            assert_eq!(srs.reverse(&there, NOW), Some(Ok(address(back))), "{there}");
            let shouted = Address::new(&there.local().to_uppercase(), there.domain().clone()).unwrap();
            let got = srs.reverse(&shouted, NOW).unwrap().unwrap();
            assert_eq!(got.key(), address(back).key(), "{shouted}");
        }
        assert_eq!(srs.reverse(&address("a@ours.example"), NOW), None);
        assert_eq!(srs.reverse(&address("SRS0x=a@ours.example"), NOW), None);
    }

    #[test]
    fn what_is_not_ours_is_not_answered() {
        let srs = Srs::new([7; 32]);
        let other = Srs::new([8; 32]);
        let there = forward(&srs, "a@source.example");
        assert_eq!(other.reverse(&there, NOW), Some(Err(ReverseError::Forged)));
        let changed = address(&there.to_string().replace("=a@", "=b@"));
        assert_eq!(srs.reverse(&changed, NOW), Some(Err(ReverseError::Forged)));
        for (days, want) in [(0, true), (21, true), (22, false), (500, false)] {
            let back = srs.reverse(&there, NOW + days * SECONDS_A_DAY);
            assert_eq!(back == Some(Ok(address("a@source.example"))), want, "{days} days");
        }
        let one = forward(&srs, "SRS0=x=y=s.example=a@first.example");
        assert_eq!(other.reverse(&one, NOW), Some(Err(ReverseError::Forged)));
        for text in
            ["SRS0=@ours.example", "SRS0=AAAAAA@ours.example", "SRS1==@ours.example", "SRS0===@ours.example"]
        {
            let got = srs.reverse(&address(text), NOW);
            assert!(matches!(got, Some(Err(_))), "{text}: {got:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let srs = Srs::new([7; 32]);
        let long = address(&format!("{}@source.example", "x".repeat(50)));
        let got = srs.forward(&long, &Domain::parse("ours.example").unwrap(), NOW);
        assert_eq!(got, Err(AddressError::LocalTooLong));
        assert!(!format!("{srs:?}").contains('7'));
    }

    #[test]
    fn strange_addresses_do_no_harm() {
        let seed = world::system::SystemRandom.u64();
        let random = world::fake::world(seed).random;
        let srs = Srs::new([7; 32]);
        let pieces =
            ["SRS0", "SRS1", "srs0", "=", "==", "+", "-", "a", "é", "ABCDEF", "AA", "x.example", " ", "ß"];
        for round in 0..5000 {
            let count = 1 + random.below(8);
            let local: String =
                (0..count).map(|_| pieces[random.below(pieces.len() as u64) as usize]).collect();
            let Ok(sender) = Address::new(&local, Domain::parse("s.example").unwrap()) else { continue };
            assert!(
                !matches!(srs.reverse(&sender, NOW), Some(Ok(_))),
                "seed {seed}, round {round}: {sender}"
            );
            if let Ok(there) = srs.forward(&sender, &Domain::parse("ours.example").unwrap(), NOW) {
                let back = srs.reverse(&there, NOW).expect("a rewritten address has the form");
                assert!(
                    matches!(back, Ok(_) | Err(ReverseError::Malformed)),
                    "seed {seed}, round {round}: {sender} -> {there} -> {back:?}"
                );
            }
        }
    }
}
