//! The server's session as a player.
//!
//! Options: `tls=offered|required|on`, `auth=PLAIN,LOGIN`, `clear-auth`, `login` (mail only after AUTH),
//! `hold=seconds`, `size=`, `recipients=`, `errors=`, `refusals=`, `idle=`, `mails=`, `without=KEYWORD`, `with=KEYWORD`.
//! Answers: a reply, `ok` for the usual one, `challenge base64`.

use super::{options, reply};
use mail::{Body, Domain, Notify, Release, Reply, Ret, Status};
use smtp_proto::Extension;
use smtp_proto::server::{
    Answer, Channel, ClearAuth, HoldLimits, MailFrom, Options, Question, Senders, Session, StartTls,
};
use wire::transcript::{Event, Player};
use wire::{Machine, Step};

pub(crate) struct Server {
    session: Session,
    last: Option<Question>,
}

impl Server {
    pub(crate) fn new(chat: &str) -> Self {
        let mut settings = Options::new(Domain::parse("mx.example.org").unwrap());
        settings.home = Domain::parse("example.org").unwrap();
        settings.limits.message_size = 100;
        let mut channel = Channel::Clear;
        for word in options(chat) {
            set(&mut settings, &mut channel, word);
        }
        Self { session: Session::new(settings, channel), last: None }
    }
}

fn set(settings: &mut Options, channel: &mut Channel, word: &str) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    let number = || value.parse().unwrap();
    let extension = || Extension::ALL.into_iter().find(|one| one.keyword() == value).unwrap();
    let limits = &mut settings.limits;
    match (name, value) {
        ("tls", "offered") => settings.starttls = StartTls::Offered,
        ("tls", "required") => settings.starttls = StartTls::Required,
        ("tls", "on") => *channel = Channel::Tls,
        ("auth", _) => settings.auth.mechanisms = value.split(',').map(str::to_owned).collect(),
        ("clear-auth", _) => settings.auth.clear = ClearAuth::Allowed,
        ("login", _) => settings.senders = Senders::Authenticated,
        ("size", _) => limits.message_size = value.parse().unwrap(),
        ("recipients", _) => limits.recipients = number(),
        ("errors", _) => limits.errors = number(),
        ("refusals", _) => limits.refusals = number(),
        ("idle", _) => limits.idle_commands = number(),
        ("hold", _) => {
            settings.hold = Some(HoldLimits { interval: value.parse().unwrap(), until: 1_800_000_000 });
        }
        ("mails", _) => limits.mails = number(),
        ("without", _) => settings.extensions = settings.extensions.without(extension()),
        ("with", _) => settings.extensions = settings.extensions.with(extension()),
        _ => panic!("no such option: {word}"),
    }
}

fn mail_text(mail: &MailFrom) -> String {
    let mut text = format!("mail <{}>", mail.from);
    match mail.params.body {
        Body::SevenBit => {}
        Body::EightBitMime => text.push_str(" 8bit"),
        Body::BinaryMime => text.push_str(" binary"),
    }
    if mail.params.utf8 {
        text.push_str(" utf8");
    }
    if let Some(size) = mail.size {
        text.push_str(&format!(" size={size}"));
    }
    match mail.params.ret {
        Some(Ret::Full) => text.push_str(" ret=full"),
        Some(Ret::Headers) => text.push_str(" ret=headers"),
        None => {}
    }
    if let Some(envid) = &mail.params.envid {
        text.push_str(&format!(" envid={envid}"));
    }
    if mail.params.require_tls {
        text.push_str(" requiretls");
    }
    if mail.params.priority.get() != 0 {
        text.push_str(&format!(" priority={}", mail.params.priority.get()));
    }
    match mail.params.release {
        Some(Release::After(seconds)) => text.push_str(&format!(" hold={seconds}")),
        Some(Release::At(time)) => text.push_str(&format!(" until={time}")),
        None => {}
    }
    if let Some(by) = mail.params.by {
        text.push_str(&format!(" by={} {:?}{}", by.seconds, by.mode, if by.trace { " trace" } else { "" }));
    }
    text
}

fn text_of(question: &Question) -> String {
    match question {
        Question::Hello { kind, name } => format!("hello {kind:?} {name}"),
        Question::AuthBegin { mechanism, initial } => match initial {
            Some(initial) => format!("auth {mechanism} {}", String::from_utf8_lossy(initial.expose())),
            None => format!("auth {mechanism}"),
        },
        Question::AuthRespond(octets) => format!("respond {}", String::from_utf8_lossy(octets.expose())),
        Question::Mail(mail) => mail_text(mail),
        Question::Rcpt(recipient) => {
            let mut text = format!("rcpt <{}>", recipient.address);
            match recipient.notify {
                Notify::Default => {}
                Notify::Never => text.push_str(" never"),
                Notify::On { success, failure, delay } => {
                    text.push_str(&format!(" success={success} failure={failure} delay={delay}"));
                }
            }
            if let Some(original) = &recipient.original {
                text.push_str(&format!(" orcpt={};{}", original.kind, original.address));
            }
            text
        }
        Question::Data => "data".to_owned(),
        Question::EndOfData => "end".to_owned(),
        Question::Reset => "reset".to_owned(),
        Question::Xclient(behalf) => format!("xclient {:?} {:?}", behalf.address, behalf.hello),
        Question::Xforward(behalf) => format!("xforward {:?} {:?}", behalf.address, behalf.hello),
    }
}

impl Player for Server {
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
        let question = self.last.take().ok_or("nothing was asked")?;
        let done = |text: &str| Answer::Reply(Reply::new(250, Status::success(0, 0), text));
        let answer = match (answer, &question) {
            (_, Question::Reset) => Answer::Noted,
            ("ok", Question::Data) => Answer::Reply(Reply::bare(354, "Go on")),
            ("ok", Question::AuthBegin { .. } | Question::AuthRespond(_)) => {
                Answer::Reply(Reply::new(235, Status::success(7, 0), "Welcome"))
            }
            ("ok", Question::Hello { .. }) => done(""),
            ("ok", _) => done("OK"),
            (text, _) => match text.strip_prefix("challenge") {
                Some(base64) => Answer::Challenge(base64.trim().to_owned()),
                None => Answer::Reply(reply(text)?),
            },
        };
        self.session.answer(answer);
        Ok(())
    }

    fn act(&mut self, what: &str) -> Result<(), String> {
        match what {
            "tls" => self.session.tls_started(),
            _ => self.session.farewell(reply(what)?),
        }
        Ok(())
    }
}
