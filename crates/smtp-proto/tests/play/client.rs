//! The client's session as a player.
//!
//! Option `lmtp`. Answers to `hello`, `sent …`, …: `starttls`, `auth user password`, `quit`, or
//! `send from=a@b to=c@d,e@f size=5` with `kind=7bit|8bit|binary`, `utf8-header`, `utf8`, `requiretls`,
//! `priority=n`, `by=n;R|N`, `ret=full|headers`, `envid=`, `notify=never|success,failure,delay`, `orcpt=type;address`.
//! Answers to `body n`: the octets, or `fail`. `! lost` is a lost connection.

use super::unescape;
use mail::{
    Address, ByMode, DeliverBy, Domain, Envelope, MailParams, Notify, OriginalRecipient, Priority, Recipient,
    Ret, ReversePath,
};
use smtp_proto::client::{
    Credentials, Event as Happened, Next, Options, Outcome, Protocol, Question, Report, Session, Timeouts,
    Transaction,
};
use smtp_proto::{Content, ContentKind, Secret};
use wire::transcript::{Event, Player};
use wire::{Machine, Step};

pub(crate) struct Client {
    session: Session,
    last: Option<Question>,
}

impl Client {
    pub(crate) fn new(chat: &str) -> Self {
        let hello = Domain::parse("client.example").unwrap();
        let is_lmtp = super::options(chat).any(|word| word == "lmtp");
        let protocol = if is_lmtp { Protocol::Lmtp } else { Protocol::Smtp };
        let options = Options { hello, timeouts: Timeouts::default(), protocol };
        Self { session: Session::new(options), last: None }
    }
}

fn report_text(report: &Report) -> String {
    let mut text = format!("sent {:?}", report.connection);
    for outcome in &report.outcomes {
        text.push_str(" | ");
        text.push_str(&match outcome {
            Outcome::Accepted(reply) => format!("accepted {reply}"),
            Outcome::Refused { at, reply } => format!("refused at {at}: {reply}"),
            Outcome::Unsupported(need) => format!("unsupported {}", need.reply()),
            Outcome::Lost { at, why } => format!("lost at {at}: {why}"),
            Outcome::NotTried => "not tried".to_owned(),
        });
    }
    text
}

fn text_of(question: &Question) -> String {
    match question {
        Question::Body { max } => format!("body {max}"),
        Question::Next(Happened::Hello) => "hello".to_owned(),
        Question::Next(Happened::Refused { at, reply }) => format!("refused at {at}: {reply}"),
        Question::Next(Happened::Broken(breach)) => format!("broken: {breach}"),
        Question::Next(Happened::Authenticated(reply)) => format!("authenticated {reply}"),
        Question::Next(Happened::Sent(report)) => report_text(report),
    }
}

fn transaction(words: &str) -> Transaction {
    let mut from = ReversePath::Null;
    let mut params = MailParams::default();
    let mut recipients = Vec::new();
    let mut content = Content::default();
    for word in words.split_ascii_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match (name, value) {
            ("from", "") => {}
            ("from", address) => from = ReversePath::Address(Address::parse(address).unwrap()),
            ("to", addresses) => recipients.extend(
                addresses.split(',').map(|address| Recipient::plain(Address::parse(address).unwrap())),
            ),
            ("size", size) => content.size = size.parse().unwrap(),
            ("kind", "8bit") => content.kind = ContentKind::EightBit,
            ("kind", "binary") => content.kind = ContentKind::Binary,
            ("utf8-header", _) => content.utf8_header = true,
            ("utf8", _) => params.utf8 = true,
            ("requiretls", _) => params.require_tls = true,
            ("priority", number) => params.priority = Priority::new(number.parse().unwrap()).unwrap(),
            ("by", value) => {
                let (seconds, mode) = value.split_once(';').unwrap();
                let mode = if mode == "R" { ByMode::Return } else { ByMode::Notify };
                params.by = Some(DeliverBy { seconds: seconds.parse().unwrap(), mode, trace: false });
            }
            ("ret", "full") => params.ret = Some(Ret::Full),
            ("ret", "headers") => params.ret = Some(Ret::Headers),
            ("envid", envid) => params.envid = Some(envid.to_owned()),
            ("notify", "never") => recipients.iter_mut().for_each(|one| one.notify = Notify::Never),
            ("notify", words) => {
                let has = |word| words.split(',').any(|one| one == word);
                let notify =
                    Notify::On { success: has("success"), failure: has("failure"), delay: has("delay") };
                recipients.iter_mut().for_each(|one| one.notify = notify);
            }
            ("orcpt", value) => {
                let (kind, address) = value.split_once(';').unwrap();
                let original = OriginalRecipient { kind: kind.to_owned(), address: address.to_owned() };
                recipients.iter_mut().for_each(|one| one.original = Some(original.clone()));
            }
            _ => panic!("no such word: {word}"),
        }
    }
    Transaction { envelope: Envelope { from, params, recipients }, content }
}

impl Player for Client {
    fn feed(&mut self, octets: &[u8]) {
        self.session.feed(octets);
    }

    fn step(&mut self) -> Event {
        match self.session.step() {
            Step::Read => Event::Read,
            Step::Write(octets) => Event::Write(octets),
            Step::Ask(question) => {
                let text = text_of(&question);
                self.last = Some(question);
                Event::Ask(text)
            }
            Step::Body(octets) => Event::Body(octets),
            Step::StartTls => Event::StartTls,
            Step::Close => Event::Close,
        }
    }

    fn answer(&mut self, answer: &str) -> Result<(), String> {
        match self.last.take().ok_or("nothing was asked")? {
            Question::Body { .. } if answer == "fail" => self.session.body_failed(),
            Question::Body { .. } => self.session.body(&unescape(answer)),
            Question::Next(_) => {
                let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
                self.session.next(match word {
                    "starttls" => Next::StartTls,
                    "quit" => Next::Quit,
                    "xclient" => Next::Xclient(client(rest)?),
                    "send" => Next::Send(transaction(rest)),
                    "auth" => {
                        let (user, password) = rest.split_once(' ').ok_or("auth user password")?;
                        Next::Auth(Credentials { user: user.to_owned(), password: Secret::new(password) })
                    }
                    _ => return Err(format!("no such answer: {answer}")),
                });
            }
        }
        Ok(())
    }

    fn act(&mut self, what: &str) -> Result<(), String> {
        match what.split_once(' ') {
            None if what == "tls" => self.session.tls_started(),
            None if what == "lost" => {
                self.session.abandon();
            }
            Some(("lost", want)) => {
                let got = self.session.abandon().map(|report| report_text(&report)).unwrap_or_default();
                if got != want {
                    return Err(format!("wanted {want}, got {got}"));
                }
            }
            _ => return Err(format!("no such act: {what}")),
        }
        Ok(())
    }
}

/// `address hello login`, with `-` for what is not known.
fn client(text: &str) -> Result<mail::Client, String> {
    let mut words = text.split(' ').map(|word| (word != "-").then(|| word.to_owned()));
    let address =
        words.next().flatten().and_then(|ip| ip.parse().ok()).ok_or("xclient address hello login")?;
    let (hello, login) = (words.next().flatten(), words.next().flatten());
    Ok(mail::Client { address, port: 4711, here: None, hello, extended: true, name: None, login })
}
