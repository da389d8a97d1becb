//! The base subject: what is left of a subject without the marks of replies and forwards (RFC 5256 §2.1).

/// What a subject comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) base: String,
    pub(crate) kind: Kind,
}

/// Whether marks of a reply or a forward were taken off (RFC 5256 §3, REFERENCES).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Original,
    ReplyOrForward,
}

impl Subject {
    /// Of a subject whose encoded words are decoded.
    pub(crate) fn new(text: &str) -> Self {
        let words: Vec<&str> = text.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect();
        let text = words.join(" ");
        let mut kind = Kind::Original;
        let mut rest = text.as_str();
        loop {
            rest = without_trailers(rest, &mut kind);
            rest = without_leaders(rest, &mut kind);
            let Some(inner) = forwarded(rest) else { break };
            kind = Kind::ReplyOrForward;
            rest = inner;
        }
        Self { base: rest.to_owned(), kind }
    }
}

/// Step 2: `(fwd)` and blanks at the end.
fn without_trailers<'a>(mut text: &'a str, kind: &mut Kind) -> &'a str {
    loop {
        text = text.trim_end_matches(' ');
        let Some(at) = text.len().checked_sub(5).filter(|at| text.is_char_boundary(*at)) else { return text };
        if !text[at..].eq_ignore_ascii_case("(fwd)") {
            return text;
        }
        *kind = Kind::ReplyOrForward;
        text = &text[..at];
    }
}

/// Steps 3 to 5: `Re:`, `Fw:`, `[list]` at the start. Goes over the text once.
fn without_leaders<'a>(mut text: &'a str, kind: &mut Kind) -> &'a str {
    loop {
        text = text.trim_start_matches(' ');
        let (blobs, last) = blobs(text);
        if let Some(rest) = reply_mark(blobs) {
            *kind = Kind::ReplyOrForward;
            text = rest;
            continue;
        }
        // A blob goes only if something is left without it.
        return if blobs.is_empty() { last } else { blobs };
    }
}

/// The text behind all blobs at its start, and the last of them with what follows it.
fn blobs(text: &str) -> (&str, &str) {
    let (mut rest, mut last) = (text, text);
    while let Some(after) = blob(rest) {
        last = rest;
        rest = after;
    }
    (rest, last)
}

/// `subj-blob`: the text behind `[…]` and blanks.
fn blob(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(['[', ']'])?;
    Some(inside[end..].strip_prefix(']')?.trim_start_matches(' '))
}

/// `subj-refwd`: the text behind `Re:`, `Fw:` or `Fwd:`, which may have blanks and a blob before the colon.
fn reply_mark(text: &str) -> Option<&str> {
    let rest = prefix(text, "re").or_else(|| prefix(text, "fwd")).or_else(|| prefix(text, "fw"))?;
    let rest = rest.trim_start_matches(' ');
    blob(rest).unwrap_or(rest).strip_prefix(':')
}

fn prefix<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(wanted.len())?;
    head.eq_ignore_ascii_case(wanted).then_some(rest)
}

/// Step 6: what is in `[fwd: …]`.
fn forwarded(text: &str) -> Option<&str> {
    prefix(text, "[fwd:")?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases() {
        use Kind::{Original, ReplyOrForward};
        for (text, base, kind) in [
            ("", "", Original),
            ("  a \t b  ", "a b", Original),
            ("Re: a", "a", ReplyOrForward),
            ("RE:re: FWD : Fw[5]: a", "a", ReplyOrForward),
            ("Re [2] : a", "a", ReplyOrForward),
            ("Re", "Re", Original),
            ("Re a: b", "Re a: b", Original),
            ("Reply: b", "Reply: b", Original),
            ("[list] a", "a", Original),
            ("[list] Re: [other] Re: [x] a", "a", ReplyOrForward),
            ("[a][b]", "[b]", Original),
            ("[a] [b] ", "[b]", Original),
            ("[a]", "[a]", Original),
            ("[a] Re:", "", ReplyOrForward),
            ("Re: [a]", "[a]", ReplyOrForward),
            ("[a[b] c", "[a[b] c", Original),
            ("[a", "[a", Original),
            ("a (fwd)", "a", ReplyOrForward),
            ("a (FWD) (fwd)", "a", ReplyOrForward),
            ("(fwd)", "", ReplyOrForward),
            ("a(fwd)b", "a(fwd)b", Original),
            ("[fwd: a]", "a", ReplyOrForward),
            ("[Fwd: Re: [x] a (fwd)]", "a", ReplyOrForward),
            ("Re: [fwd: [fwd: a]]", "a", ReplyOrForward),
            ("[fwd: a] b", "b", Original),
            ("[fwd:]", "", ReplyOrForward),
            ("é(fwd)", "é", ReplyOrForward),
            ("aéééé", "aéééé", Original),
            ("re: é", "é", ReplyOrForward),
            ("ré: a", "ré: a", Original),
        ] {
            let subject = Subject::new(text);
            assert_eq!((subject.base.as_str(), subject.kind), (base, kind), "{text:?}");
        }
    }

    #[test]
    fn the_base_of_a_base_is_itself_and_marks_change_nothing() {
        let mut seed = 0x5eed_u64;
        for round in 0..20_000 {
            let mut text = String::new();
            for _ in 0..8 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let parts = ["re", "fw", "d", ":", "[", "]", " ", "(fwd)", "[fwd:", "é", "a", "[b]"];
                text.push_str(parts[(seed >> 33) as usize % parts.len()]);
            }
            let base = Subject::new(&text).base;
            assert_eq!(Subject::new(&format!("Re: {text}")).base, base, "round {round}: {text:?}");
            assert_eq!(Subject::new(&base).base, base, "round {round}: {text:?}");
        }
    }
}
