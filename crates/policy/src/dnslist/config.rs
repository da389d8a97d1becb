//! The node `checks { dnsbl { … } }`.

use super::{Code, LISTS_MAX, List, SCORE_MAX, Subjects, TEXT_MAX, Thresholds};
use config::{Arg, Network, Section};
use mail::Domain;

/// Reads the lists and the thresholds.
pub fn decode(section: &mut Section<'_>) -> (Vec<List>, Thresholds) {
    let usual = Thresholds::default();
    let usual = i64::from(usual.quarantine.unwrap_or(1));
    let doc = "Sum of scores from which on a message goes to Junk.";
    let quarantine = whole(section, "quarantine", doc).or(usual);
    let thresholds = Thresholds {
        mark: threshold(section, "mark", "Sum of scores from which on a message is marked."),
        quarantine: Some(narrow(quarantine)),
        reject: threshold(section, "reject", "Sum of scores from which on a message is refused."),
        defer: threshold(section, "defer", "Sum of scores from which on a client has to come again."),
    };
    let lists: Vec<List> = section
        .each(
            "list",
            "A list to ask: of those who send what nobody wants, or with a negative score of good ones.",
            decode_list,
        )
        .into_iter()
        .flatten()
        .collect();
    if lists.len() > LISTS_MAX {
        section.problem(section.span(), format!("there are more than {LISTS_MAX} lists"), "");
    }
    (lists, thresholds)
}

fn decode_list(list: &mut Section<'_>) -> Option<List> {
    let zone = list
        .parsed(Arg("zone"), "a domain name", Domain::parse, "Domain under which the list is asked.")
        .required();
    let name = list
        .text("name", "What the list is called in the log, in header fields and in replies; its zone if not given. For lists whose zone holds a key.")
        .check(|text| check_text(text))
        .optional();
    let asked_for = Subjects {
        client: list.flag("client", "Whether it is asked about the address of the client.").or(true),
        helo: list.flag("helo", "Whether it is asked about the name in HELO.").or(false),
        sender: list.flag("sender", "Whether it is asked about the domain in MAIL FROM.").or(false),
    };
    let score = whole(list, "score", "What an answer counts, if there are no codes.").or(1);
    let codes =
        list.each("code", "What one answer counts; answers without a code count nothing then.", decode_code);
    let zone = zone?;
    Some(List {
        name: name.unwrap_or_else(|| zone.to_string()),
        zone,
        asked_for,
        score: narrow(score),
        codes: codes.into_iter().flatten().collect(),
    })
}

fn decode_code(code: &mut Section<'_>) -> Option<Code> {
    let answer = code
        .parsed(
            Arg("answer"),
            "a network",
            answer,
            "The answer, or a network of answers, like \"127.0.0.4/30\".",
        )
        .required();
    let score = whole(code, "score", "What it counts.").or(1);
    let text = code
        .text("text", "Said in the reply and the header instead of what the list says.")
        .check(|text| check_text(text))
        .optional();
    answer.map(|answer| Code { answer, score: narrow(score), text })
}

fn whole<'s, 'a>(section: &'s mut Section<'a>, key: &'static str, doc: &str) -> config::Opt<'s, 'a, i64> {
    section.integer(key, doc).within(-i64::from(SCORE_MAX)..=i64::from(SCORE_MAX))
}

fn threshold(section: &mut Section<'_>, key: &'static str, doc: &str) -> Option<i32> {
    whole(section, key, doc).optional().map(narrow)
}

/// Within [`SCORE_MAX`] already, or reported.
fn narrow(score: i64) -> i32 {
    i32::try_from(score).unwrap_or(0).clamp(-SCORE_MAX, SCORE_MAX)
}

fn answer(text: &str) -> Result<Network, String> {
    let loopback = Network::parse("127.0.0.0/8")?;
    let network = Network::parse(text)?;
    let ip = text.split('/').next().unwrap_or("").parse().map_err(|_| "not an address".to_owned())?;
    if loopback.contains(ip) { Ok(network) } else { Err("answers of lists are in 127.0.0.0/8".to_owned()) }
}

fn check_text(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > TEXT_MAX || !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err(format!("must be 1 to {TEXT_MAX} printable ASCII letters"));
    }
    Ok(())
}
