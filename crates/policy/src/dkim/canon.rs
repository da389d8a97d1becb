//! The canonical forms that are hashed (RFC 6376 §3.4, §3.7). Bodies are taken in pieces.

use crate::head::{RawField, RawFields};
use aws_lc_rs::digest;
use mail_auth::dkim::Canonicalization;
use std::collections::HashMap;

/// Hashes a body as it comes by.
pub(crate) struct BodyHash {
    form: Canonicalization,
    context: digest::Context,
    /// `l=`: only so many octets of the canonical body are hashed.
    limit: Option<u64>,
    /// Octets of the canonical body so far.
    length: u64,
    /// A CR that may begin a line break.
    held_cr: bool,
    /// Blanks that count only if something follows them on the line.
    held_blank: bool,
    /// Line breaks that count only if something follows them.
    held_breaks: u64,
    is_empty: bool,
}

/// What a body comes to.
pub(crate) struct Hashed {
    pub(crate) digest: Vec<u8>,
    /// Length of the whole canonical body.
    pub(crate) length: u64,
}

impl BodyHash {
    pub(crate) fn new(form: Canonicalization, limit: Option<u64>) -> Self {
        Self {
            form,
            context: digest::Context::new(&digest::SHA256),
            limit,
            length: 0,
            held_cr: false,
            held_blank: false,
            held_breaks: 0,
            is_empty: true,
        }
    }

    pub(crate) fn push(&mut self, octets: &[u8]) {
        // Runs of plain octets go to the hash in one piece.
        let mut run = 0;
        for (at, &octet) in octets.iter().enumerate() {
            let is_blank = self.form == Canonicalization::Relaxed && matches!(octet, b' ' | b'\t');
            let special = is_blank || matches!(octet, b'\r' | b'\n');
            if !special {
                if run == at {
                    self.flush_held();
                }
                continue;
            }
            self.emit(&octets[run..at]);
            run = at + 1;
            self.take_special(octet);
        }
        self.emit(&octets[run..]);
    }

    fn take_special(&mut self, octet: u8) {
        match octet {
            b'\n' if self.held_cr => {
                self.held_cr = false;
                self.held_blank = false;
                self.held_breaks += 1;
            }
            b'\r' => {
                if self.held_cr {
                    self.flush_held();
                }
                self.held_cr = true;
            }
            b'\n' => {
                self.flush_held();
                self.emit(b"\n");
            }
            _ => {
                if self.held_cr {
                    self.flush_held();
                }
                self.held_blank = true;
            }
        }
    }

    /// Something follows: what was held back counts. Blanks stood before a CR that turned out to be alone.
    fn flush_held(&mut self) {
        while self.held_breaks > 0 {
            self.emit(b"\r\n");
            self.held_breaks -= 1;
        }
        if std::mem::take(&mut self.held_blank) {
            self.emit(b" ");
        }
        if std::mem::take(&mut self.held_cr) {
            self.emit(b"\r");
        }
    }

    fn emit(&mut self, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        self.is_empty = false;
        let room = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.length));
        let take = usize::try_from(room).unwrap_or(usize::MAX).min(octets.len());
        self.context.update(&octets[..take]);
        self.length += octets.len() as u64;
    }

    pub(crate) fn finish(mut self) -> Hashed {
        if self.held_cr {
            self.flush_held();
        }
        // An empty body is one line break in the simple form and nothing in the relaxed one.
        if self.form == Canonicalization::Simple || !self.is_empty {
            self.emit(b"\r\n");
        }
        Hashed { digest: self.context.finish().as_ref().to_vec(), length: self.length }
    }
}

/// The octets that are signed: the named fields, each name from the bottom up, then the signature itself.
///
/// `own` is the signature's field with an empty `b=` and without its line break; `own_at` is where it stands,
/// because it never counts among the fields it names.
pub(crate) fn signed_header(
    fields: &RawFields<'_>,
    names: &[String],
    form: Canonicalization,
    own_at: Option<usize>,
    own: RawField<'_>,
) -> Vec<u8> {
    // For each name, how many of its fields are still left above the last one taken.
    let mut left: HashMap<&str, usize> = HashMap::new();
    let mut picked = Vec::with_capacity(names.len() + 1);
    for name in names {
        let all = fields.named(name);
        let left = left.entry(name).or_insert(all.len());
        while *left > 0 {
            *left -= 1;
            if Some(all[*left]) != own_at {
                let field = &fields.all[all[*left]];
                picked.push((field.name, field.value));
                break;
            }
        }
    }
    picked.push((own.name, own.value));
    let mut out = Vec::new();
    form.canonicalize_headers(picked.into_iter(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(form: Canonicalization, limit: Option<u64>, body: &[u8], piece: usize) -> Hashed {
        let mut hash = BodyHash::new(form, limit);
        body.chunks(piece).for_each(|piece| hash.push(piece));
        hash.finish()
    }

    /// The hash of a body is that of its canonical form, however it is cut.
    #[test]
    fn bodies_have_the_form_of_the_standard() {
        use Canonicalization::{Relaxed, Simple};
        for (form, body, canonical) in [
            // RFC 6376 §3.4.5
            (Relaxed, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
            (Simple, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n"),
            (Simple, "", "\r\n"),
            (Relaxed, "", ""),
            (Simple, "\r\n\r\n", "\r\n"),
            (Relaxed, "\r\n\r\n", ""),
            (Relaxed, " \t\r\n  \r\n", ""),
            (Simple, "a", "a\r\n"),
            (Relaxed, "a", "a\r\n"),
            (Relaxed, "a  \t", "a\r\n"),
            // Trailing lines of blanks
            (Relaxed, "a\r\n \r\n\t\r\n", "a\r\n"),
            (Simple, "a\r\n \r\n", "a\r\n \r\n"),
            (Relaxed, "a\r\n \r\nb\r\n", "a\r\n\r\nb\r\n"),
            // Line breaks that are none
            (Relaxed, "a\rb\nc\r\n", "a\rb\nc\r\n"),
            (Relaxed, "a \r b\r\r\n", "a \r b\r\r\n"),
            (Simple, "a\r\r\n\r", "a\r\r\n\r\r\n"),
        ] {
            for piece in 1..6 {
                let got = hash(form, None, body.as_bytes(), piece);
                let want = digest::digest(&digest::SHA256, canonical.as_bytes());
                assert_eq!(got.digest, want.as_ref(), "{form:?} {body:?} in pieces of {piece}");
                assert_eq!(got.length, canonical.len() as u64);
            }
        }
    }

    #[test]
    fn a_limit_cuts_the_canonical_body() {
        for piece in 1..6 {
            let got = hash(Canonicalization::Relaxed, Some(4), b"a  b\r\nmore\r\n", piece);
            let want = digest::digest(&digest::SHA256, b"a b\r");
            assert_eq!(got.digest, want.as_ref());
            assert_eq!(got.length, 11);
        }
    }
}
