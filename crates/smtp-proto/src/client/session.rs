//! The client's session as a machine: hello, TLS, login and what comes next. Transactions go on in `exchange`.

use super::exchange::Expect;
use super::transaction::Under;
use super::{
    Connection, Credentials, Event, Loss, Next, Options, Outcome, Protocol, Question, Report, Stage,
};
use crate::ext::{Extension, Offers};
use crate::reply::{Breach, ReplyReader, with_status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail::reply::Verdict;
use mail::{Reply, Status};
use std::collections::VecDeque;
use std::time::Duration;
use wire::{Machine, Step, UnderWay};

/// Longest AUTH line in octets that carries the response in it (RFC 4954 §4).
const AUTH_LINE: usize = 512;

/// One connection, seen by the client.
#[derive(Debug)]
pub struct Session {
    pub(super) options: Options,
    pub(super) offers: Offers,
    peer_name: String,
    input: Vec<u8>,
    pub(super) out: Vec<u8>,
    replies: ReplyReader,
    /// Whole replies so far.
    replies_seen: u64,
    /// Replies that are still to come, in order.
    pub(super) expected: VecDeque<Expect>,
    event: Option<Event>,
    state: State,
    pub(super) under: Option<Under>,
    /// The peer has something of an earlier transaction: RSET goes before the next.
    pub(super) is_dirty: bool,
    mails: usize,
}

/// Who has to do something.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The peer: the replies in `expected`.
    Talking,
    /// The owner: a [`Question::Next`] was asked.
    Asked,
    /// The owner: a [`Question::Body`] was asked.
    AskedBody,
    StartTls,
    Negotiating,
    Closing,
}

impl Session {
    /// The first step reads the greeting.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            offers: Offers::default(),
            peer_name: String::new(),
            input: Vec::new(),
            out: Vec::new(),
            replies: ReplyReader::default(),
            replies_seen: 0,
            expected: VecDeque::from([Expect::Greeting]),
            event: None,
            state: State::Talking,
            under: None,
            is_dirty: false,
            mails: 0,
        }
    }

    /// What the last EHLO reply said.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Leaves an extension alone that the peer offers but does not master, until the next EHLO.
    pub fn forgo(&mut self, extension: Extension) {
        self.offers.set = self.offers.set.without(extension);
    }

    /// What the peer calls itself: the first word of its last reply to EHLO or HELO, before that of its greeting
    /// (RFC 5321 §4.2, §4.1.1.1). Empty if it says nothing.
    pub fn peer_name(&self) -> &str {
        &self.peer_name
    }

    /// The owner has begun TLS. What was said in clear is forgotten, and EHLO said again (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        self.input.clear();
        self.replies = ReplyReader::default();
        self.offers = Offers::default();
        self.state = State::Talking;
        self.say_ehlo();
    }

    /// Answers [`Question::Next`].
    pub fn next(&mut self, next: Next) {
        if self.state == State::Closing {
            if let Next::Send(transaction) = next {
                let lost = Outcome::Lost { at: Stage::Mail, why: Loss::Connection };
                self.report(vec![lost; transaction.envelope.recipients.len()]);
            }
            return;
        }
        debug_assert!(self.state == State::Asked, "an answer without a question");
        self.state = State::Talking;
        if !self.input.is_empty() && !self.input.starts_with(b"421") {
            // A reply too many: from here on each would be taken for the answer to another command.
            self.broken(Breach::Unasked);
            if let Next::Send(transaction) = next {
                let count = transaction.envelope.recipients.len();
                self.report(vec![
                    Outcome::Lost { at: Stage::Mail, why: Loss::Breach(Breach::Unasked) };
                    count
                ]);
            }
            return;
        }
        match next {
            Next::StartTls => self.send("STARTTLS\r\n", Expect::StartTls),
            Next::Xclient(client) => self.begin_xclient(&client),
            Next::Auth(credentials) => self.begin_auth(&credentials),
            Next::Send(transaction) => {
                self.mails += 1;
                match Under::new(transaction, &self.offers, self.options.protocol) {
                    Ok(under) => {
                        self.under = Some(under);
                        self.begin_transaction();
                    }
                    Err((need, count)) => self.report(vec![Outcome::Unsupported(need); count]),
                }
            }
            Next::Quit => self.send("QUIT\r\n", Expect::Quit),
        }
    }

    /// Answers [`Question::Body`] with the next octets of the message.
    pub fn body(&mut self, octets: &[u8]) {
        debug_assert!(self.state == State::AskedBody, "an answer without a question");
        if self.state == State::AskedBody {
            self.state = State::Talking;
            self.take_body(octets);
        }
    }

    /// Answers [`Question::Body`]: the message cannot be read. It is not completed; the connection ends.
    pub fn body_failed(&mut self) {
        self.state = State::Talking;
        self.lose(Loss::Content);
    }

    /// The connection is lost or has timed out: what became of the transaction under way, if there is one.
    pub fn abandon(&mut self) -> Option<Report> {
        self.state = State::Closing;
        if let Some(Event::Sent(report)) = self.event.take() {
            return Some(report);
        }
        let mut under = self.under.take()?;
        // With LMTP some may have heard what became of them.
        while let Some(Expect::EndFor(at)) = self.expected.front()
            && let Ok(Some(reply)) = self.replies.take(&mut self.input)
        {
            let reply = with_status(reply);
            under.settle_one(
                *at,
                if reply.is_done() {
                    Outcome::Accepted(reply)
                } else {
                    Outcome::Refused { at: Stage::Content, reply }
                },
            );
            self.expected.pop_front();
        }
        if under.stage == Stage::Content
            && let Ok(Some(reply)) = self.replies.take(&mut self.input)
            && !reply.is_done()
        {
            // It had heard enough of the message and closed; what was sent to it since has been in vain.
            under.settle_accepted(&Outcome::Refused { at: Stage::Content, reply: with_status(reply) });
        }
        let outcomes = under.into_outcomes(Loss::Connection);
        Some(Report { outcomes, connection: Connection::Over })
    }

    pub(super) fn send(&mut self, line: &str, expect: Expect) {
        self.out.extend_from_slice(line.as_bytes());
        self.expected.push_back(expect);
    }

    fn say_ehlo(&mut self) {
        let verb = match self.options.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let line = format!("{verb} {}\r\n", self.options.hello);
        self.send(&line, Expect::Ehlo);
    }

    pub(super) fn happened(&mut self, event: Event) {
        self.event = Some(event);
    }

    /// A transaction is over.
    pub(super) fn report(&mut self, outcomes: Vec<Outcome>) {
        let is_full = self.offers.mail_max.is_some_and(|most| self.mails >= most);
        let is_over = is_full || self.state == State::Closing;
        let connection = if is_over { Connection::Over } else { Connection::Usable };
        self.happened(Event::Sent(Report { outcomes, connection }));
    }

    /// Nothing that comes from this peer can be trusted to be an answer.
    pub(super) fn broken(&mut self, breach: Breach) {
        if self.under.is_some() {
            self.lose(Loss::Breach(breach));
        } else {
            self.close();
            self.happened(Event::Broken(breach));
        }
    }

    /// The transaction ends with what is known, and the connection with it.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.close();
        self.out.clear();
        if let Some(under) = self.under.take() {
            self.report(under.into_outcomes(loss));
        }
    }

    pub(super) fn close(&mut self) {
        self.state = State::Closing;
        self.expected.clear();
    }

    fn begin_auth(&mut self, credentials: &Credentials) {
        if self.offers.has_mechanism("PLAIN") {
            let mut message = vec![0];
            message.extend_from_slice(credentials.user.as_bytes());
            message.push(0);
            message.extend_from_slice(credentials.password.expose());
            let response = BASE64.encode(message);
            let line = format!("AUTH PLAIN {response}\r\n");
            if line.len() <= AUTH_LINE {
                self.send(&line, Expect::Auth(VecDeque::new()));
            } else {
                self.send("AUTH PLAIN\r\n", Expect::Auth(VecDeque::from([response])));
            }
        } else if self.offers.has_mechanism("LOGIN") {
            let answers = [BASE64.encode(&credentials.user), BASE64.encode(credentials.password.expose())];
            self.send("AUTH LOGIN\r\n", Expect::Auth(VecDeque::from(answers)));
        } else {
            let text = "The server offers neither AUTH PLAIN nor AUTH LOGIN";
            let reply = Reply::new(504, Status::permanent(5, 4), text);
            self.happened(Event::Refused { at: Stage::Auth, reply });
        }
    }

    /// A whole reply.
    fn replied(&mut self, reply: Reply) {
        self.replies_seen += 1;
        let Some(expect) = self.expected.pop_front() else {
            return self.broken(Breach::Unasked);
        };
        let reply = if expect.is_plain() { reply } else { with_status(reply) };
        // RFC 5321 §3.8: it may come at any time, and then the connection ends.
        if reply.code == 421 && expect != Expect::Quit {
            return self.closed_by_peer(&expect, reply);
        }
        if expect.is_plain() && reply.is_done() {
            self.peer_name = reply.text.split_ascii_whitespace().next().unwrap_or_default().to_owned();
        }
        match expect {
            Expect::Greeting if reply.is_done() => self.say_ehlo(),
            Expect::Greeting => self.happened(Event::Refused { at: Stage::Greeting, reply }),
            Expect::Xclient if reply.is_done() => {
                self.offers = Offers::default();
                self.say_ehlo();
            }
            Expect::Xclient => self.happened(Event::Refused { at: Stage::Xclient, reply }),
            Expect::Ehlo if reply.is_permanent() && self.options.protocol == Protocol::Smtp => {
                // RFC 5321 §3.2: servers that do not know EHLO.
                let line = format!("HELO {}\r\n", self.options.hello);
                self.send(&line, Expect::Helo);
            }
            Expect::Ehlo | Expect::Helo if !reply.is_done() => {
                self.happened(Event::Refused { at: Stage::Hello, reply });
            }
            Expect::Ehlo => {
                self.offers = Offers::parse(&reply.text);
                self.happened(Event::Hello);
            }
            Expect::Helo => {
                self.offers = Offers::default();
                self.happened(Event::Hello);
            }
            Expect::StartTls if reply.is_done() => self.tls_consented(),
            Expect::StartTls => self.happened(Event::Refused { at: Stage::StartTls, reply }),
            Expect::Auth(answers) => self.auth_replied(answers, reply),
            Expect::Quit => self.close(),
            expect => self.transaction_replied(expect, reply),
        }
    }

    fn tls_consented(&mut self) {
        if self.input.is_empty() {
            self.state = State::StartTls;
        } else {
            self.broken(Breach::TextBeforeTls);
        }
    }

    fn auth_replied(&mut self, mut answers: VecDeque<String>, reply: Reply) {
        match (reply.verdict(), answers.pop_front()) {
            (Verdict::Done, _) => self.happened(Event::Authenticated(reply)),
            (Verdict::GoOn, Some(answer)) => {
                self.send(&format!("{answer}\r\n"), Expect::Auth(answers));
            }
            // One challenge too many: end the exchange (RFC 4954 §4).
            (Verdict::GoOn, None) => self.send("*\r\n", Expect::Auth(answers)),
            _ => self.happened(Event::Refused { at: Stage::Auth, reply }),
        }
    }

    fn closed_by_peer(&mut self, expect: &Expect, reply: Reply) {
        self.close();
        self.out.clear();
        if let Some(mut under) = self.under.take() {
            under.settle_open(&Outcome::Refused { at: expect.stage(), reply });
            return self.report(under.into_outcomes(Loss::Connection));
        }
        self.happened(Event::Refused { at: expect.stage(), reply });
    }
}

impl Machine for Session {
    type Question = Question;

    fn feed(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
    }

    fn step(&mut self) -> Step<Question> {
        loop {
            if !self.out.is_empty() {
                return Step::Write(std::mem::take(&mut self.out));
            }
            if let Some(event) = self.event.take() {
                if self.state != State::Closing {
                    self.state = State::Asked;
                }
                return Step::Ask(Question::Next(event));
            }
            match self.state {
                State::Talking => {}
                State::StartTls => {
                    self.state = State::Negotiating;
                    return Step::StartTls;
                }
                State::Asked | State::AskedBody | State::Negotiating | State::Closing => return Step::Close,
            }
            if let Some(max) = self.wanted_body() {
                self.state = State::AskedBody;
                return Step::Ask(Question::Body { max });
            }
            match self.replies.take(&mut self.input) {
                Ok(Some(reply)) => self.replied(reply),
                Ok(None) => return Step::Read,
                Err(breach) => self.broken(breach),
            }
        }
    }

    fn patience(&self) -> Duration {
        let timeouts = &self.options.timeouts;
        match self.expected.front() {
            Some(Expect::Greeting) => timeouts.greeting,
            Some(Expect::Data) => timeouts.data,
            Some(Expect::Chunk | Expect::End | Expect::EndFor(_)) => timeouts.end_of_data,
            Some(Expect::Quit) => timeouts.quit,
            _ => timeouts.command,
        }
    }

    /// A reply must be whole in the time that RFC 5321 §4.5.3.2 gives it, in however many pieces it comes: no peer may
    /// keep a message from being tried elsewhere.
    fn under_way(&self) -> Option<UnderWay> {
        Some(UnderWay { number: self.replies_seen, patience: self.patience() })
    }
}
