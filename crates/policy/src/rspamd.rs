//! What rspamd is asked, and how its answer is read (its HTTP protocol, `/checkv2`). Pure; the connection is handed in.

use crate::facts::Facts;
use serde_json::Value;

/// Most symbols that are kept for the log and the header.
const SYMBOLS_MAX: usize = 50;
/// Longest answer in octets that is read.
pub const ANSWER_MAX: usize = 1024 * 1024;

/// What rspamd would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    Nothing,
    Greylist,
    AddHeader,
    RewriteSubject,
    SoftReject,
    Reject,
}

impl Advice {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "no action" => Self::Nothing,
            "greylist" => Self::Greylist,
            "add header" => Self::AddHeader,
            "rewrite subject" => Self::RewriteSubject,
            "soft reject" => Self::SoftReject,
            "reject" => Self::Reject,
            _ => return None,
        })
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "no action",
            Self::Greylist => "greylist",
            Self::AddHeader => "add header",
            Self::RewriteSubject => "rewrite subject",
            Self::SoftReject => "soft reject",
            Self::Reject => "reject",
        }
    }
}

/// What it found.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    pub advice: Advice,
    pub score: f64,
    /// From which score on it would refuse.
    pub required: f64,
    /// Names of the rules that held, those with the greatest weight first.
    pub symbols: Vec<String>,
    /// What it would say to the client.
    pub message: Option<String>,
}

/// The request's fields: the envelope, as far as a field can hold it.
pub fn fields(
    facts: &Facts,
    id: &str,
    recipients: &[String],
    hostname: Option<&str>,
) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("IP", facts.peer.to_string()),
        ("Helo", facts.helo.clone()),
        ("From", facts.mail_from.address().map(ToString::to_string).unwrap_or_default()),
        ("Queue-Id", id.to_owned()),
    ];
    all.extend(hostname.map(|name| ("Hostname", name.to_owned())));
    all.extend(recipients.iter().map(|address| ("Rcpt", address.clone())));
    // A name in HELO may hold anything.
    all.retain(|(_, value)| value.bytes().all(|octet| !octet.is_ascii_control()));
    all
}

/// Reads an answer. The error says what is wrong with it.
pub fn read(json: &[u8]) -> Result<Scan, String> {
    let value: Value =
        serde_json::from_slice(json).map_err(|error| format!("the answer is no JSON: {error}"))?;
    if let Some(error) = value.get("error").and_then(Value::as_str) {
        return Err(format!("rspamd says: {}", printable(error)));
    }
    let word = value.get("action").and_then(Value::as_str).ok_or("the answer has no action")?;
    let advice = Advice::read(word).ok_or_else(|| format!("the action is unknown: {}", printable(word)))?;
    let number = |key: &str| value.get(key).and_then(Value::as_f64).filter(|number| number.is_finite());
    let mut symbols: Vec<(String, f64)> = value
        .get("symbols")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, facts)| (printable(name), facts.get("score").and_then(Value::as_f64).unwrap_or(0.0)))
        .collect();
    symbols.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then_with(|| a.0.cmp(&b.0)));
    symbols.truncate(SYMBOLS_MAX);
    let message = value.pointer("/messages/smtp_message").and_then(Value::as_str).map(printable);
    Ok(Scan {
        advice,
        score: number("score").unwrap_or(0.0),
        required: number("required_score").unwrap_or(0.0),
        symbols: symbols.into_iter().map(|(name, _)| name).collect(),
        message,
    })
}

/// At most 200 octets of printable ASCII.
fn printable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~')).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let answer = br#"{"is_skipped":false,"score":8.5,"required_score":15.0,"action":"add header",
            "symbols":{"A":{"name":"A","score":0.5},"B":{"score":-7.0},"C":{}},
            "messages":{"smtp_message":"Try\r\nagain"},"message-id":"x"}"#;
        let scan = read(answer).unwrap();
        assert_eq!(scan.advice, Advice::AddHeader);
        assert_eq!((scan.score, scan.required), (8.5, 15.0));
        assert_eq!(scan.symbols, ["B", "A", "C"]);
        assert_eq!(scan.message.as_deref(), Some("Tryagain"));
    }

    #[test]
    fn what_is_no_answer() {
        for (text, want) in [
            ("", "the answer is no JSON"),
            ("[]", "the answer has no action"),
            (r#"{"action":"dance"}"#, "the action is unknown: dance"),
            (r#"{"error":"invalid\ncommand"}"#, "rspamd says: invalidcommand"),
        ] {
            assert!(read(text.as_bytes()).unwrap_err().starts_with(want), "{text}");
        }
        let scan = read(br#"{"action":"reject","score":"NaN","symbols":[1,2]}"#).unwrap();
        assert_eq!((scan.advice, scan.score, scan.symbols.len()), (Advice::Reject, 0.0, 0));
    }
}
