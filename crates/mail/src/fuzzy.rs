//! Words that are nearly those that are looked for: other endings, and slips of the pen (RFC 6203 §3).
//!
//! No language is known here. Two words are kin if they begin alike and neither goes on for long; a longer word may have
//! a letter or two that are missing, too many, others, or in each other's place. What has the text itself always fits.

use unicode_normalization::char::is_combining_mark;

/// Most words of one text that is looked for.
const WORDS_MAX: usize = 16;
/// Most words of a text that are compared with them; behind these only the text itself is found. It bounds the work.
const LOOKED_MAX: usize = 100_000;
/// Longest word in characters; of longer ones the beginning counts.
const WORD_MAX: usize = 40;
/// From this length on a word may have one slip, or two.
const ONE_SLIP: usize = 4;
const TWO_SLIPS: usize = 8;
/// A beginning of so many characters makes two words one, if neither goes on for long behind it.
const STEM_MIN: usize = 4;
const ENDING_MAX: usize = 4;
/// What a word counts for, of 100: the same, the same words but not as they were written, one that goes on, one with
/// another ending, with one slip, with two.
const SAME: u32 = 100;
const APART: u32 = 95;
const LONGER: u32 = 90;
const RELATED: u32 = 75;
const ONE_WRONG: u32 = 70;
const TWO_WRONG: u32 = 55;
/// The least that a word counts for is told as 1, and what all of it counts for as 100.
const LEAST: u32 = 50;

/// A text that is looked for, as words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fuzzy {
    words: Vec<Word>,
    /// Folded; for a text without words.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    chars: Vec<char>,
    /// Which letters it has: a bit for some of all characters.
    letters: u64,
}

impl Word {
    fn new(chars: &[char]) -> Self {
        Self { letters: letters(chars), chars: chars.to_vec() }
    }
}

fn letters(chars: &[char]) -> u64 {
    chars.iter().fold(0, |bits, c| bits | 1 << (u32::from(*c) % 64))
}

impl Fuzzy {
    /// Of a text that is folded by [`crate::casemap::fold`].
    pub fn new(text: &str) -> Self {
        let mut words: Vec<Word> = Vec::new();
        each_word(text, |chars| {
            let word = Word::new(chars);
            if !words.contains(&word) {
                words.push(word);
            }
            words.len() < WORDS_MAX
        });
        Self { words, text: text.to_owned() }
    }

    /// How well a folded text fits, from 1 to 100; `None`: it does not. Every word must be in it, or one that is nearly it.
    pub fn score(&self, text: &str) -> Option<u8> {
        let mean = match (text.contains(&self.text), self.mean(text)) {
            (true, mean) => mean.max(LONGER),
            (false, mean) => mean.min(APART),
        };
        let told = 1 + mean.saturating_sub(LEAST) * 99 / (SAME - LEAST);
        u8::try_from(told).ok().filter(|_| mean > 0)
    }

    /// What its words count for, of 100; 0 if one is missing, or if there are none.
    fn mean(&self, text: &str) -> u32 {
        let mut best = vec![0; self.words.len()];
        let mut looked = 0;
        each_word(text, |chars| {
            let letters = letters(chars);
            for (word, best) in self.words.iter().zip(&mut best) {
                if *best < SAME {
                    *best = likeness(word, chars, letters).max(*best);
                }
            }
            looked += 1;
            looked < LOOKED_MAX && best.iter().any(|best| *best < SAME)
        });
        if best.is_empty() || best.contains(&0) {
            return 0;
        }
        best.iter().sum::<u32>() / u32::try_from(best.len()).unwrap_or(1)
    }
}

/// Letters and digits that stand together; accents are left out. `take` says whether more are wanted.
fn each_word(text: &str, mut take: impl FnMut(&[char]) -> bool) {
    let mut word = Vec::with_capacity(WORD_MAX);
    for c in text.chars() {
        if c.is_alphanumeric() {
            if word.len() < WORD_MAX {
                word.push(c);
            }
        } else if !is_combining_mark(c) && !word.is_empty() {
            if !take(&word) {
                return;
            }
            word.clear();
        }
    }
    if !word.is_empty() {
        take(&word);
    }
}

/// What a word that is there counts for; 0 if it is another.
fn likeness(wanted: &Word, there: &[char], letters: u64) -> u32 {
    let chars = wanted.chars.as_slice();
    if chars == there {
        return SAME;
    }
    if chars.len() >= 3 && there.starts_with(chars) {
        return LONGER;
    }
    let stem = chars.iter().zip(there).take_while(|(a, b)| a == b).count();
    let longer = chars.len().max(there.len());
    if stem >= STEM_MIN && longer - stem <= ENDING_MAX && 2 * stem >= longer {
        return RELATED;
    }
    let slips = match chars.len() {
        0..ONE_SLIP => return 0,
        ONE_SLIP..TWO_SLIPS => 1,
        _ => 2,
    };
    // A slip changes at most one letter here and one there.
    if chars.len().abs_diff(there.len()) > slips
        || (wanted.letters ^ letters).count_ones() as usize > 2 * slips
    {
        return 0;
    }
    match distance(chars, there, slips) {
        Some(1) => ONE_WRONG,
        Some(_) => TWO_WRONG,
        None => 0,
    }
}

/// Characters that are missing, too many, others, or changed places with the next; `None`: more than `most`.
fn distance(a: &[char], b: &[char], most: usize) -> Option<usize> {
    let mut before = [0; WORD_MAX + 1];
    let mut row: [usize; WORD_MAX + 1] = std::array::from_fn(|at| at);
    for (i, x) in a.iter().enumerate() {
        let mut next = [0; WORD_MAX + 1];
        next[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let mut least = (row[j] + usize::from(x != y)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            next[j + 1] = least;
        }
        // Two neighbours that changed places may still make a row one less.
        if next[..=b.len()].iter().all(|least| *least > most + 1) {
            return None;
        }
        before = std::mem::replace(&mut row, next);
    }
    Some(row[b.len()]).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::casemap::fold;

    fn score(wanted: &str, text: &str) -> Option<u8> {
        Fuzzy::new(&fold(wanted)).score(&fold(text))
    }

    #[test]
    fn near_words_are_found() {
        for (wanted, text, fits) in [
            ("Helo", "hello", true),
            ("Helo", "help!", true),
            ("Helo", "yellow", false),
            ("IMAP break", "IMAP is broken", false),
            ("IMAP break", "breaking the imap", true),
            ("meetings", "the Meeting", true),
            ("meeting", "meetnig", true),
            ("recieve", "receive", true),
            ("Grüße", "GRUSSE", false),
            ("grusse", "gruse", true),
            ("resume", "résumé", true),
            ("conference", "confernce", true),
            ("conference", "cnferenec", true),
            ("conference", "cnfrene", false),
            ("cat", "car", false),
            ("cat", "category", true),
            ("eti", "meeting", true),
            ("сидит", "сидел", false),
            ("сидит", "сидят", true),
            ("...", "a...b", true),
            ("...", "a..b", false),
            ("", "anything", true),
            ("", "", true),
            ("a b", "b", false),
        ] {
            assert_eq!(score(wanted, text).is_some(), fits, "{wanted} in {text}");
        }
    }

    #[test]
    fn the_nearer_counts_more() {
        for (wanted, text, want) in [
            ("meeting", "a meeting", 100),
            ("big meeting", "a meeting, a big one", 90),
            ("meeting", "meetings", 80),
            ("meeting", "meets", 50),
            ("meeting", "meating", 40),
            ("meeting", "a meating meeting", 100),
            ("conference", "cnferenec", 10),
            ("conference room", "cnferenec room", 54),
        ] {
            assert_eq!(score(wanted, text), Some(want), "{wanted} in {text}");
        }
    }

    /// Whoever knows the text itself must find it.
    #[test]
    fn a_part_of_a_text_fits_it() {
        let text = "Ärger mit dem\tzweiten-Treffen, 14:30 (Köln) \u{1f600} 東京";
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        for (n, from) in ends.iter().enumerate() {
            for to in &ends[n..] {
                let wanted = &text[*from..*to];
                assert!(score(wanted, text) >= Some(80), "{wanted:?}");
            }
        }
    }

    #[test]
    fn rubbish_costs_little() {
        let endless = "x".repeat(1_000_000);
        assert_eq!(score(&endless, &endless), Some(100));
        assert_eq!(score(&"x".repeat(WORD_MAX - 1), &endless), Some(80));
        let many: String = (0..1000).map(|n| format!("w{n} ")).collect();
        assert_eq!(Fuzzy::new(&many).words.len(), WORDS_MAX);
        let late = format!("{}needle", "hay ".repeat(LOOKED_MAX));
        assert_eq!((score("needel", &late), score("needle", &late)), (None, Some(80)));
        assert_eq!(distance(&['a'; WORD_MAX], &['b'; WORD_MAX], 2), None);
    }
}
