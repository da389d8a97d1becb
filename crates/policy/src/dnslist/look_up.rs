//! Asks the lists (RFC 5782 §2, §5).

use super::{List, Listing, Outcome, Subject, TEXT_MAX};
use crate::facts::Facts;
use futures_util::future::join_all;
use mail::Domain;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use world::{Data, DnsError, DnsName, Kind, Proof, World};

/// Longest that one question may take. All lists are asked at once.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(5);
/// How long it is believed that a list is in order, in seconds.
const TESTED_FOR: i64 = 3600;
/// Most tests that are remembered; more are only made when lists change, and then all are forgotten.
const TESTS_MAX: usize = 256;
/// Never listed by a list that is in order (RFC 5782 §5).
const UNLISTED_V4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const UNLISTED_NAME: &str = "invalid";

/// Which lists were found in order, and when. Shared by all messages.
#[derive(Debug, Default)]
pub struct Known {
    tests: Mutex<HashMap<String, Test>>,
}

impl Known {
    fn get(&self, name: &str, now: i64) -> Option<Result<(), String>> {
        let tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, result) = tests.get(name)?;
        (now.saturating_sub(*at) < TESTED_FOR).then(|| result.clone())
    }

    fn set(&self, name: &str, now: i64, result: &Result<(), String>) {
        let mut tests = self.tests.lock().unwrap_or_else(PoisonError::into_inner);
        if tests.len() >= TESTS_MAX {
            tests.clear();
        }
        tests.insert(name.to_owned(), (now, result.clone()));
    }
}

/// When a list was tested, in unix seconds, and what is wrong with it.
type Test = (i64, Result<(), String>);

/// One question: what about, as it is shown, and the name that is asked for.
struct Question<'a> {
    list: &'a List,
    subject: Subject,
    what: String,
    name: String,
    /// A name in the same list that must not be listed.
    unlisted: String,
}

/// Asks all lists about the client and its names.
pub async fn check(lists: &[List], facts: &Facts, known: &Known, world: &World) -> Outcome {
    let questions: Vec<Question<'_>> = lists.iter().flat_map(|list| questions(list, facts)).collect();
    let answers = join_all(questions.iter().map(|question| ask(question, known, world))).await;
    let mut outcome = Outcome::default();
    for (question, answer) in questions.iter().zip(answers) {
        match answer {
            Ok(Some(listing)) => outcome.listings.push(listing),
            Ok(None) => {}
            Err(reason) => outcome.troubles.push(format!("{}: {reason}", question.list.name)),
        }
    }
    outcome
}

fn questions<'a>(list: &'a List, facts: &Facts) -> Vec<Question<'a>> {
    let zone = &list.zone;
    let mut all = Vec::new();
    if let Some(client) = facts.client().filter(|_| list.asked_for.client) {
        let ip = client.to_canonical();
        let unlisted = match ip {
            IpAddr::V4(_) => IpAddr::V4(UNLISTED_V4),
            IpAddr::V6(_) => IpAddr::V6(UNLISTED_V4.to_ipv6_mapped()),
        };
        all.push(Question {
            list,
            subject: Subject::Client,
            what: ip.to_string(),
            name: format!("{}.{zone}", reversed(ip)),
            unlisted: format!("{}.{zone}", reversed(unlisted)),
        });
    }
    let helo = Domain::parse(&facts.helo).ok();
    let sender = facts.mail_from.address().map(|address| address.domain().clone());
    let named = [
        (Subject::Helo, helo.filter(|_| list.asked_for.helo)),
        (Subject::Sender, sender.filter(|_| list.asked_for.sender)),
    ];
    for (subject, domain) in named {
        let Some(domain) = domain.filter(|name| name.literal().is_none() && name.as_str().contains('.'))
        else {
            continue;
        };
        all.push(Question {
            list,
            subject,
            what: domain.to_unicode(),
            name: format!("{domain}.{zone}"),
            unlisted: format!("{UNLISTED_NAME}.{zone}"),
        });
    }
    all
}

/// The octets or nibbles of an address from the last to the first (RFC 5782 §2.1, §2.4).
fn reversed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(v6) => nibbles(v6),
    }
}

fn nibbles(v6: Ipv6Addr) -> String {
    let nibbles = v6.octets().into_iter().rev().flat_map(|b| [b & 15, b >> 4]);
    nibbles.map(|n| format!("{n:x}")).collect::<Vec<_>>().join(".")
}

async fn ask(question: &Question<'_>, known: &Known, world: &World) -> Result<Option<Listing>, String> {
    let codes = addresses(&question.name, world).await?;
    if codes.is_empty() {
        return Ok(None);
    }
    if let Some(odd) = codes.iter().find(|code| !is_listing(**code)) {
        return Err(format!("the answer {odd} is no listing: {}", meaning(*odd)));
    }
    let counted = count(question.list, &codes);
    let Some((score, said)) = counted else { return Ok(None) };
    test(question, known, world).await?;
    let text = match said {
        Some(text) => Some(text),
        None if score > 0 => reason(&question.name, world).await,
        None => None,
    };
    Ok(Some(Listing {
        list: question.list.name.clone(),
        subject: question.subject,
        what: question.what.clone(),
        codes,
        score,
        text,
    }))
}

/// The sum of all codes that match, each once, and the first text; `None` if no code matches.
fn count(list: &List, answers: &[Ipv4Addr]) -> Option<(i32, Option<String>)> {
    if list.codes.is_empty() {
        return Some((list.score, None));
    }
    let matches =
        |code: &&super::Code| answers.iter().any(|answer| code.answer.contains(IpAddr::V4(*answer)));
    let matching: Vec<_> = list.codes.iter().filter(matches).collect();
    let score = matching.iter().map(|code| code.score).fold(0, i32::saturating_add);
    let text = matching.iter().find_map(|code| code.text.clone());
    (!matching.is_empty()).then_some((score, text))
}

/// Answers that mean "listed": in 127.0.0.0/8, but for those that lists use to say that something is wrong.
fn is_listing(code: Ipv4Addr) -> bool {
    let [first, second, third, _] = code.octets();
    first == 127 && code != UNLISTED_V4 && (second, third) != (255, 255)
}

fn meaning(code: Ipv4Addr) -> &'static str {
    match code.octets() {
        [127, 255, 255, 252] => "the name of the list is mistyped",
        [127, 255, 255, 254] => "the list does not answer to public resolvers",
        [127, 255, 255, 255] => "too many questions were asked",
        [127, 255, 255, _] => "the list refuses to answer",
        [127, ..] => "lists do not use it",
        _ => "it is not in 127.0.0.0/8, so somebody else answers for the list",
    }
}

/// A list that lists everything, because its domain was sold or its server answers everything, is not believed.
async fn test(question: &Question<'_>, known: &Known, world: &World) -> Result<(), String> {
    let now = world.clock.unix();
    if let Some(result) = known.get(&question.unlisted, now) {
        return result;
    }
    let answers = addresses(&question.unlisted, world).await?;
    let result = match answers.first() {
        None => Ok(()),
        Some(_) => Err("it lists what no list may list, so it lists everything (RFC 5782 §5)".to_owned()),
    };
    known.set(&question.unlisted, now, &result);
    result
}

/// The A records of a name; none if there are none. The error is trouble.
async fn addresses(name: &str, world: &World) -> Result<Vec<Ipv4Addr>, String> {
    // A name that is too long to be asked for cannot be listed.
    let Ok(name) = DnsName::from_octets(name.as_bytes()) else { return Ok(Vec::new()) };
    let asked = timeout(QUESTION_TIME_MAX, world.dns.ask(&name, Kind::A, Proof::Usual)).await;
    let v4 = |data: Data| match data {
        Data::A(ip) => Some(ip),
        _ => None,
    };
    match asked.map(|reply| reply.read(v4)) {
        Ok(Ok(ips)) => Ok(ips),
        Ok(Err(DnsError::Trouble(text))) => Err(text),
        Ok(Err(_)) => Ok(Vec::new()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// What the list says about it (RFC 5782 §2.1), in printable ASCII.
async fn reason(name: &str, world: &World) -> Option<String> {
    let texts = timeout(QUESTION_TIME_MAX, world.dns.txt(name)).await.ok()?.ok()?;
    let text: String = texts.first()?.chars().take(TEXT_MAX).collect();
    let text: String = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    Some(text).filter(|text| !text.trim().is_empty())
}
