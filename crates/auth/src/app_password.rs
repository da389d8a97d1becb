//! App passwords: made up by us, so long that nobody can guess them, and so kept without the cost of a slow hash.

use crate::login::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

/// 32 letters and digits, without those that are easily mixed up: each stands for five bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters of an app password: 140 bits.
pub const APP_PASSWORD_LETTERS: usize = 28;
/// Letters between two dashes.
const GROUP: usize = 4;

/// An app password as it is shown to its owner, from random octets: `abcd-efgh-…`.
pub fn app_password(random: &[u8; APP_PASSWORD_LETTERS]) -> Secret {
    let mut text = String::with_capacity(APP_PASSWORD_LETTERS / GROUP * (GROUP + 1));
    for (at, octet) in random.iter().enumerate() {
        if at > 0 && at % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(octet % 32)]));
    }
    Secret::new(text)
}

/// What is kept of an app password. Blanks, dashes and case do not matter; `None` if it cannot be one.
pub fn app_password_digest(typed: &Secret) -> Option<[u8; 32]> {
    let mut plain = Zeroizing::new(String::with_capacity(APP_PASSWORD_LETTERS));
    for c in typed.reveal().chars().filter(|c| !matches!(c, ' ' | '-')) {
        let c = c.to_ascii_lowercase();
        if plain.len() == APP_PASSWORD_LETTERS || !u8::try_from(c).is_ok_and(|octet| LETTERS.contains(&octet))
        {
            return None;
        }
        plain.push(c);
    }
    if plain.len() < APP_PASSWORD_LETTERS {
        return None;
    }
    let mut octets = [0; 32];
    for (to, from) in octets.iter_mut().zip(digest(&SHA256, plain.as_bytes()).as_ref()) {
        *to = *from;
    }
    Some(octets)
}

/// Which of some digests this is, if any; takes the same time wherever it stands.
pub fn find_digest<'a, K>(digest: &[u8; 32], kept: impl Iterator<Item = (K, &'a [u8])>) -> Option<K> {
    let mut found = None;
    for (key, one) in kept {
        if aws_lc_rs::constant_time::verify_slices_are_equal(one, digest).is_ok() {
            found = Some(key);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_known_again_however_they_are_typed() {
        let random = std::array::from_fn(|at| u8::try_from(at * 37 % 256).unwrap());
        let made = app_password(&random);
        assert_eq!(made.reveal().len(), 34);
        assert_eq!(made.reveal().split('-').map(str::len).collect::<Vec<_>>(), [4; 7]);
        let digest = app_password_digest(&made);
        assert!(digest.is_some());
        for typed in [
            made.reveal().to_uppercase(),
            made.reveal().replace('-', ""),
            format!(" {} ", made.reveal().replace('-', " ")),
        ] {
            assert_eq!(app_password_digest(&Secret::new(typed)), digest);
        }
        for other in [
            "",
            "secret",
            &made.reveal()[1..],
            &format!("{}a", made.reveal()),
            &made.reveal().replace('-', "0"),
        ] {
            assert_eq!(app_password_digest(&Secret::new(other.to_owned())), None, "{other}");
        }
    }

    #[test]
    fn digests_are_found() {
        let digest = [7; 32];
        let kept: [&[u8]; 4] = [&[1; 32], &[7; 31], &[7; 32], &[]];
        assert_eq!(find_digest(&digest, kept.into_iter().enumerate()), Some(2));
        assert_eq!(find_digest(&[8; 32], kept.into_iter().enumerate()), None);
    }
}
