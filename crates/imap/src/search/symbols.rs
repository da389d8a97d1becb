//! Texts as numbers: each text is kept once, and stands for itself by its number.

use std::hash::{BuildHasher, RandomState};

/// Texts by number, from 0 without gaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    /// All texts, one behind the other.
    text: String,
    /// Where each text ends.
    ends: Vec<usize>,
    /// Open addressing: a number plus one, 0 for none. A power of two, or empty.
    slots: Vec<u32>,
    /// With a secret of its own: the texts come from strangers.
    hasher: RandomState,
}

impl Symbols {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of a number; empty for one that was never given.
    pub(crate) fn text(&self, symbol: u32) -> &str {
        let at = symbol as usize;
        let Some(end) = self.ends.get(at) else { return "" };
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..*end]
    }

    /// The number of a text, which is a new one if the text is.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if self.slots.len() < (self.len() + 1) * 4 / 3 + 1 {
            self.grow();
        }
        let at = match self.place(text) {
            Ok(symbol) => return symbol,
            Err(at) => at,
        };
        let symbol = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.slots[at] = symbol.saturating_add(1);
        symbol
    }

    /// The number of a text, or the free slot where it belongs.
    fn place(&self, text: &str) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut at = self.hasher.hash_one(text) as usize & mask;
        loop {
            match self.slots[at].checked_sub(1) {
                None => return Err(at),
                Some(symbol) if self.text(symbol) == text => return Ok(symbol),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        self.slots.clear();
        self.slots.resize(size, 0);
        for symbol in 0..self.len() {
            let symbol = u32::try_from(symbol).unwrap_or(u32::MAX);
            // All differ, so each finds a free place.
            if let Err(at) = self.place(self.text(symbol)) {
                self.slots[at] = symbol.saturating_add(1);
            }
        }
    }

    /// About how much memory it takes.
    pub(crate) fn octets(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.slots.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_number() {
        let mut symbols = Symbols::default();
        for round in 0..2 {
            for n in 0..1000_u32 {
                assert_eq!(symbols.number(&format!("text {n}")), n, "round {round}");
            }
        }
        assert_eq!(symbols.number(""), 1000);
        assert_eq!(symbols.number(""), 1000);
        assert_eq!((symbols.len(), symbols.text(0), symbols.text(999)), (1001, "text 0", "text 999"));
        assert_eq!((symbols.text(1000), symbols.text(1001)), ("", ""));
    }
}
