//! The keywords of a folder and their letters, as Dovecot keeps them in `dovecot-keywords`.

use super::LETTERS_MAX;
use std::fmt::Write;

/// Longest keyword that is read, in octets.
const KEYWORD_MAX: usize = 200;

/// Keywords by letter; those in between may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Letters(Vec<Option<String>>);

impl Letters {
    /// The first keywords get letters.
    pub(super) fn of(names: &[String]) -> Self {
        Self(names.iter().filter(|name| !name.is_empty()).take(LETTERS_MAX).cloned().map(Some).collect())
    }

    /// Reads the file; lines that make no sense are passed over.
    pub(super) fn read(octets: &[u8]) -> Self {
        let mut letters = Self(vec![None; LETTERS_MAX]);
        for line in String::from_utf8_lossy(octets).split('\n') {
            let Some((number, name)) = line.trim_end().split_once(' ') else { continue };
            let place = number.parse().ok().and_then(|number: usize| letters.0.get_mut(number));
            if let Some(place) = place.filter(|_| !name.is_empty() && name.len() <= KEYWORD_MAX) {
                *place = Some(name.to_owned());
            }
        }
        letters
    }

    pub(super) fn print(&self) -> String {
        let mut text = String::new();
        for (number, name) in self.0.iter().enumerate() {
            if let Some(name) = name {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{number} {name}");
            }
        }
        text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub(super) fn name(&self, letter: char) -> Option<String> {
        let number = (letter as usize).checked_sub('a' as usize)?;
        self.0.get(number).cloned().flatten()
    }

    pub(super) fn letter(&self, name: &str) -> Option<char> {
        let is_it =
            |known: &Option<String>| known.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(name));
        let number = self.0.iter().position(is_it)?;
        char::from_u32('a' as u32 + u32::try_from(number).ok()?)
    }
}
