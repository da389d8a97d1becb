//! Traps of KDL's bare words: text that must be quoted and is not, and what the parser says about it.

use std::ops::Range;

/// Text as a quoted string of the configuration, in which nothing is put in.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted.replace("$(", "$$(")
}

/// Deepest nesting of blocks or comments that is given to the parser, which
/// recurses: unoptimised, about 50 levels fill a stack of 2 MiB.
pub(crate) const NESTING_MAX: usize = 24;

/// A place where a text is nested too deeply for the parser, if there is one. Counts without regard to quotes, so
/// that it errs on the safe side.
pub(crate) fn too_deep(text: &str) -> Option<usize> {
    let (mut braces, mut comments, mut at) = (0usize, 0usize, 0);
    let octets = text.as_bytes();
    while at < octets.len() {
        let pair = &octets[at..octets.len().min(at + 2)];
        match pair {
            b"/*" => comments += 1,
            b"*/" => comments = comments.saturating_sub(1),
            [b'{', ..] => braces += 1,
            [b'}', ..] => braces = braces.saturating_sub(1),
            _ => {}
        }
        if braces > NESTING_MAX || comments > NESTING_MAX {
            return Some(at);
        }
        at += if matches!(pair, b"/*" | b"*/") { 2 } else { 1 };
    }
    None
}

/// What a bare word was cut off from by the parser without a word: `https://x` becomes `https:` and a comment,
/// `${X}` becomes `$` and a block. `word` is the place of a name or value.
pub(crate) fn cut_word(text: &str, word: Range<usize>) -> Option<(String, String)> {
    let bare = text.get(word.clone())?;
    let after = text.get(word.end..)?;
    if let Some(rest) = bare.strip_prefix('\'') {
        let inner = rest.trim_end_matches('\'');
        return Some((
            "text stands in double quotes, not in single ones".to_owned(),
            format!("write \"{inner}\""),
        ));
    }
    if bare.ends_with('$') && after.starts_with('{') {
        let name: String = after[1..].chars().take_while(|c| *c != '}' && !c.is_whitespace()).collect();
        let help = format!("write \"$(env:{name})\" for the environment, or put the text in quotes");
        return Some(("`${` has no meaning here".to_owned(), help));
    }
    if !bare.ends_with('"') && !bare.starts_with('#') && !bare.ends_with('#') && after.starts_with("//") {
        let whole: String = text[word.start..].chars().take_while(|c| !c.is_whitespace()).collect();
        return Some((
            format!("`//` begins a comment, so only {bare:?} is left of this text"),
            format!("put it in quotes: \"{whole}\""),
        ));
    }
    None
}

/// A mistake of syntax: its place, the message and the help.
pub(crate) type Mistake = (Range<usize>, String, String);

/// What the parser complains of, in better words where the text shows what was meant. A complaint is the octet where it
/// points and what it says.
pub(crate) fn explain_all(text: &str, complaints: &[(Range<usize>, String, String)]) -> Vec<Mistake> {
    let explained: Vec<Option<Mistake>> =
        complaints.iter().map(|(place, ..)| explain(text, place.start)).collect();
    // After `name = value` the parser is lost, and what else it says misleads.
    let is_lost = explained.iter().flatten().any(|(place, ..)| text.get(place.clone()) == Some("="));
    let mut mistakes: Vec<Mistake> = explained
        .into_iter()
        .zip(complaints)
        .filter_map(|(better, complaint)| {
            better.or_else(|| (!is_lost).then(|| reword(text, complaint)).flatten())
        })
        .collect();
    if mistakes.is_empty() {
        mistakes.extend(complaints.iter().take(1).cloned());
    }
    mistakes.dedup();
    mistakes
}

/// The parser's own complaint in plainer words. `None` for one that only repeats another.
fn reword(text: &str, (place, message, help): &Mistake) -> Option<Mistake> {
    let at_brace = text.get(place.start..).is_some_and(|rest| rest.starts_with('}'));
    let (message, help) = match message.as_str() {
        "Closing '}' was not found after nodes" => return None,
        "No closing '}' for child block" => ("this `{` is never closed", "add a } where the block ends"),
        "Expected end of document" if at_brace => ("this `}` closes nothing", "remove it"),
        "Expected end of document" => ("this cannot be understood here", ""),
        "Found invalid node name" => ("the name of an option must stand here", ""),
        "Unexpected newline in single-line quoted string" => {
            ("this text is never closed", "add a \" at its end")
        }
        _ => (message.as_str(), help.as_str()),
    };
    Some((place.clone(), message.to_owned(), help.to_owned()))
}

/// The `=` of `name = value`, if one stands beside an octet of the text.
fn equals_sign(text: &str, at: usize) -> Option<usize> {
    let (before, after) = (text.get(..at)?, text.get(at..)?);
    let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
    if after[blanks..].starts_with('=') {
        return Some(at + blanks);
    }
    let before = before.trim_end_matches([' ', '\t']);
    before.ends_with('=').then(|| before.len() - 1)
}

/// What was meant at an octet of the text where the parser stopped, if the word there shows it.
fn explain(text: &str, at: usize) -> Option<Mistake> {
    if let Some(sign) = equals_sign(text, at) {
        let help = "write the name and the value with a blank between them: name \"value\"";
        return Some((sign..sign + 1, "no `=` stands between name and value".to_owned(), help.to_owned()));
    }
    let word = word_at(text, at)?;
    let bare = &text[word.clone()];
    if matches!(bare, "true" | "false" | "null" | "inf" | "nan" | "-inf") {
        return Some((
            word,
            format!("`{bare}` is written #{bare}"),
            format!("write #{bare}, or \"{bare}\" for text"),
        ));
    }
    if bare.starts_with('#') {
        let help = "comments begin with //; text with a # in it stands in quotes";
        return Some((word, "`#` begins no comment".to_owned(), help.to_owned()));
    }
    let first = bare.chars().next()?;
    let signed = bare.strip_prefix(['-', '+', '.']).unwrap_or(bare);
    let like_number = signed.starts_with(|c: char| c.is_ascii_digit()) && bare.parse::<f64>().is_err();
    let like_path =
        matches!(first, '/' | '~' | '[' | '.' | '\\') || bare.contains(['/', '(', '[', '#', '\\']);
    if like_number || like_path {
        let message = format!("`{bare}` must be quoted");
        let help = format!("addresses, paths, sizes, durations and URLs stand in quotes: \"{bare}\"");
        return Some((word, message, help));
    }
    None
}

/// The run of characters around an octet that are neither space, quotes, braces nor semicolons.
fn word_at(text: &str, at: usize) -> Option<Range<usize>> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '{' | '}' | ';' | '=');
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let start = text[..at]
        .rfind(ends)
        .map_or(0, |space| space + text[space..].chars().next().map_or(1, char::len_utf8));
    let length = text[start..].find(ends).unwrap_or(text.len() - start);
    (length > 0).then_some(start..start + length)
}
