//! What each command means at this point of the conversation (RFC 5321 §4.1.4).

use super::session::{Asked, Phase, Session};
use super::{Channel, ClearAuth, HoldLimits, MailFrom, Question, Senders, StartTls};
use crate::behalf;
use crate::command::{Command, Fault, HelloKind, LINE_MAX};
use crate::ext::Extension;
use crate::params::{MailArgs, RcptArgs};
use crate::path::ForwardPath;
use crate::secret::Secret;
use mail::trace::Charset;
use mail::{Body, MailParams, Recipient, Release, Reply, ReversePath, Status, date};

/// Bad sequence of commands.
pub(super) fn out_of_order(text: &str) -> Reply {
    Reply::new(503, Status::permanent(5, 1), text)
}

impl Session {
    /// Whether the connection was ended for its errors, or for commands that were refused for good while no message of it
    /// was taken: what no honest client does.
    pub fn was_abused(&self) -> bool {
        let limits = &self.options.limits;
        let counts = &self.counts;
        counts.errors >= limits.errors || counts.accepted == 0 && counts.rejections >= limits.refusals
    }

    /// One command line, without its CRLF.
    pub(super) fn command(&mut self, line: &[u8]) {
        if line.len() + 2 > LINE_MAX && !Command::may_be_long(line) {
            let text = format!("The line is longer than {LINE_MAX} octets");
            return self.error(Reply::new(500, Status::permanent(5, 2), text));
        }
        // RFC 4954 §5: AUTH= of MAIL is known wherever AUTH is.
        let offered = if self.options.auth.mechanisms.is_empty() {
            self.options.extensions
        } else {
            self.options.extensions.with(Extension::Auth)
        };
        // RFC 8689 §2: what is not protected itself cannot demand protection.
        let offered = match self.channel {
            Channel::Clear => offered.without(Extension::RequireTls),
            Channel::Tls => offered,
        };
        let offered = match self.options.hold {
            None => offered.without(Extension::FutureRelease),
            Some(_) => offered,
        };
        match Command::parse(line, offered) {
            Ok(command) => self.obey(command),
            Err(fault) => self.misunderstood(&fault),
        }
    }

    fn misunderstood(&mut self, fault: &Fault) {
        if matches!(fault, Fault::Http | Fault::BadChunk) {
            self.refuse(fault.reply());
            return self.close();
        }
        self.error(fault.reply());
    }

    fn obey(&mut self, command: Command) {
        if let Some(reply) = self.not_yet(&command) {
            // The octets of a chunk are no commands, whatever becomes of it.
            if let Command::Bdat { size, last } = command {
                return self.drain_chunk(size, last, reply);
            }
            return self.error(reply);
        }
        match command {
            Command::Hello { kind, name } => {
                self.reset();
                self.hello = None;
                self.ask(Question::Hello { kind, name }, Asked::Hello(kind));
                self.count_idle();
            }
            Command::Mail { from, args } => self.mail(from, args),
            Command::Rcpt { to, args } => self.rcpt(to, args),
            Command::Data => self.data(),
            Command::Bdat { size, last } => self.bdat(size, last),
            Command::Rset => {
                self.reset();
                self.push(Reply::new(250, Status::success(0, 0), "Forgotten"));
                self.count_idle();
            }
            Command::Noop => self.say(250, "Yes?"),
            Command::Quit => {
                self.push(Reply::new(221, Status::success(0, 0), "Goodbye"));
                self.close();
            }
            // RFC 5321 §3.5.3: 252 is for those who do not tell.
            Command::Vrfy => self.say(252, "Send the mail and see"),
            Command::Expn => {
                self.error(Reply::new(502, Status::permanent(5, 1), "Lists are not shown here"));
            }
            Command::Help => self.say(214, "RFC 5321 explains it; EHLO shows what is offered"),
            Command::StartTls => self.starttls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Xclient(behalf) => self.behalf(Question::Xclient(behalf), Asked::Xclient),
            Command::Xforward(behalf) => self.behalf(Question::Xforward(behalf), Asked::Xforward),
        }
    }

    fn behalf(&mut self, question: Question, asked: Asked) {
        if self.transaction.is_some() {
            return self.error(out_of_order("Not within a transaction; RSET ends it"));
        }
        self.ask(question, asked);
        self.count_idle();
    }

    /// The peer speaks for another client now: all begins anew (but TLS, which cannot be taken back).
    pub(super) fn new_client(&mut self) {
        self.hello = None;
        self.is_authenticated = false;
        self.greet();
    }

    fn say(&mut self, code: u16, text: &str) {
        self.push_now(Reply::new(code, Status::success(0, 0), text));
        self.count_idle();
    }

    /// Why a command may not come yet: TLS or a login is missing.
    fn not_yet(&self, command: &Command) -> Option<Reply> {
        let always = matches!(
            command,
            Command::Hello { .. }
                | Command::Noop
                | Command::Rset
                | Command::Quit
                | Command::StartTls
                | Command::Xclient(_)
                | Command::Xforward(_)
        );
        if always {
            return None;
        }
        let needed = Status::permanent(7, 0);
        if self.options.starttls == StartTls::Required && self.channel == Channel::Clear {
            return Some(Reply::new(530, needed, "Say STARTTLS first"));
        }
        let is_login = matches!(command, Command::Auth { .. });
        if self.options.senders == Senders::Authenticated && !self.is_authenticated && !is_login {
            return Some(Reply::new(530, needed, "Log in first, with AUTH"));
        }
        None
    }

    /// The reply to HELO or EHLO.
    pub(super) fn welcome(&self, kind: HelloKind, text: &str) -> Reply {
        let mut lines = format!("{} {}", self.options.hostname, text.replace('\n', " "));
        lines.truncate(lines.trim_end().len());
        if kind == HelloKind::Ehlo {
            for extension in Extension::ALL {
                if let Some(line) = self.announced(extension) {
                    lines.push('\n');
                    lines.push_str(&line);
                }
            }
        }
        Reply::bare(250, lines)
    }

    /// The EHLO line of an extension, if it is offered now.
    fn announced(&self, extension: Extension) -> Option<String> {
        let keyword = extension.keyword();
        let limits = &self.options.limits;
        let is_on = match extension {
            Extension::StartTls => self.tls_is_possible(),
            Extension::Auth => self.auth_is_possible() && !self.is_authenticated,
            // RFC 3030 §3: BINARYMIME is nothing without CHUNKING. RFC 8689 §2: REQUIRETLS only over TLS.
            Extension::BinaryMime => self.options.extensions.has(Extension::Chunking),
            Extension::RequireTls => self.channel == Channel::Tls,
            Extension::FutureRelease => self.options.hold.is_some(),
            _ => true,
        };
        let is_set = match extension {
            Extension::StartTls | Extension::Auth => true,
            other => self.options.extensions.has(other),
        };
        (is_on && is_set).then(|| match extension {
            Extension::Size => format!("{keyword} {}", limits.message_size),
            Extension::Auth => format!("{keyword} {}", self.options.auth.mechanisms.join(" ")),
            Extension::Xclient => format!("{keyword} {}", behalf::XCLIENT),
            Extension::Xforward => format!("{keyword} {}", behalf::XFORWARD),
            Extension::FutureRelease => match self.options.hold {
                Some(hold) => format!("{keyword} {} {}", hold.interval, date::print_iso(hold.until)),
                None => keyword.to_owned(),
            },
            Extension::Limits => format!("{keyword} RCPTMAX={} MAILMAX={}", limits.recipients, limits.mails),
            _ => keyword.to_owned(),
        })
    }

    fn tls_is_possible(&self) -> bool {
        self.channel == Channel::Clear && self.options.starttls != StartTls::Absent && !self.is_authenticated
    }

    fn auth_is_possible(&self) -> bool {
        let may = self.channel == Channel::Tls || self.options.auth.clear == ClearAuth::Allowed;
        may && !self.options.auth.mechanisms.is_empty()
    }

    fn mail(&mut self, from: ReversePath, args: MailArgs) {
        if self.hello.is_none() {
            return self.error(out_of_order("Say EHLO first"));
        }
        if self.transaction.is_some() {
            return self.error(out_of_order("A transaction is open already; RSET ends it"));
        }
        let limits = &self.options.limits;
        if self.counts.mails >= limits.mails {
            let text = "Enough messages on one connection; open another for the rest";
            self.refuse(Reply::new(421, Status::transient(5, 0), text));
            return self.close();
        }
        if args.size.is_some_and(|size| size > limits.message_size) {
            let reply = self.too_big();
            self.count_refusal(&reply);
            self.refuse(reply);
            return self.close_if_over_limits();
        }
        let MailArgs { params, size } = args;
        self.charset = if params.utf8 { Charset::Utf8 } else { Charset::Ascii };
        if let Some(what) = self.is_out_of_time(&params) {
            return self.error(Fault::BadParameter { what }.reply());
        }
        let asked = Asked::Mail { body: params.body, utf8: params.utf8 };
        self.ask(Question::Mail(MailFrom { from, params, size }), asked);
        self.count_idle();
    }

    /// What of the times that a sender wishes cannot be had.
    fn is_out_of_time(&self, params: &MailParams) -> Option<&'static str> {
        let hold = self.options.hold.unwrap_or(HoldLimits { interval: 0, until: 0 });
        // Seconds from now.
        let (wait, is_too_far) = match params.release? {
            Release::After(seconds) => (i64::from(seconds), seconds > hold.interval),
            Release::At(time) => {
                (time.saturating_sub(hold.until).saturating_add(hold.interval.into()), time > hold.until)
            }
        };
        // RFC 4865 §5.2.2: one of the two wishes could not be met.
        let is_over_before = wait > 0 && params.by.is_some_and(|by| wait >= by.seconds);
        match (is_too_far, is_over_before) {
            (true, _) => Some("it would be held for longer than FUTURERELEASE of the EHLO reply allows"),
            (false, true) => Some("the time of BY is over before the message may be delivered"),
            (false, false) => None,
        }
    }

    fn rcpt(&mut self, to: ForwardPath, args: RcptArgs) {
        let Some(transaction) = &self.transaction else {
            return self.error(out_of_order("Say MAIL first"));
        };
        if transaction.incoming.is_some() {
            return self.error(out_of_order("Recipients come before the message"));
        }
        if to.needs_utf8() && !transaction.utf8 {
            return self.error(Fault::NeedsUtf8.reply());
        }
        // RFC 5321 §4.5.3.1.10: the client sends the rest in a second transaction.
        if transaction.recipients >= self.options.limits.recipients {
            let text = "Too many recipients; send the rest in another transaction";
            self.counts.surplus += 1;
            self.refuse(Reply::new(452, Status::transient(5, 3), text));
            return self.close_if_over_limits();
        }
        match to.into_address(&self.options.home) {
            Ok(address) => {
                let recipient = Recipient { address, notify: args.notify, original: args.original };
                self.ask(Question::Rcpt(recipient), Asked::Rcpt);
            }
            Err(fault) => self.error(fault.reply()),
        }
    }

    fn data(&mut self) {
        let Some(transaction) = &self.transaction else {
            return self.error(out_of_order("Say MAIL first"));
        };
        if transaction.incoming.is_some() {
            return self.error(out_of_order("DATA and BDAT do not mix in one transaction; RSET ends it"));
        }
        if transaction.body == Body::BinaryMime {
            return self.error(out_of_order("A BINARYMIME message is sent with BDAT"));
        }
        if transaction.recipients == 0 {
            return self.error(no_recipients());
        }
        self.ask(Question::Data, Asked::Data);
    }

    fn starttls(&mut self) {
        if self.channel == Channel::Tls {
            return self.error(out_of_order("TLS is on already"));
        }
        if self.options.starttls == StartTls::Absent {
            return self.error(Reply::new(502, Status::permanent(5, 1), "STARTTLS is not offered here"));
        }
        if self.hello.is_none() {
            return self.error(out_of_order("Say EHLO first"));
        }
        if self.is_authenticated {
            return self.error(out_of_order("STARTTLS comes before AUTH"));
        }
        // What stands behind STARTTLS in clear was put there by somebody who wants it to be believed as if it
        // had come over TLS (RFC 3207 §6).
        if self.has_input() {
            let text = "Nothing may be sent behind STARTTLS before its reply; closing";
            self.refuse(Reply::new(554, Status::permanent(5, 0), text));
            return self.close();
        }
        self.reset();
        self.push_now(Reply::new(220, Status::success(0, 0), "Begin TLS"));
        self.phase = Phase::StartTls;
    }

    fn auth(&mut self, mechanism: String, initial: Option<Secret>) {
        if self.options.auth.mechanisms.is_empty() {
            return self.error(Reply::new(502, Status::permanent(5, 1), "AUTH is not offered here"));
        }
        if self.hello != Some(HelloKind::Ehlo) {
            return self.error(out_of_order("Say EHLO first"));
        }
        if self.is_authenticated {
            return self.error(out_of_order("You are logged in already"));
        }
        if self.transaction.is_some() {
            return self.error(out_of_order("Log in before MAIL"));
        }
        if !self.auth_is_possible() {
            let text = "Passwords are not taken in clear; say STARTTLS first";
            return self.error(Reply::new(538, Status::permanent(7, 11), text));
        }
        if !self.options.auth.mechanisms.contains(&mechanism) {
            let text = format!("Mechanisms here: {}", self.options.auth.mechanisms.join(" "));
            return self.error(Reply::new(504, Status::permanent(5, 4), text));
        }
        self.ask(Question::AuthBegin { mechanism, initial }, Asked::Auth);
        self.count_idle();
    }

    /// A line of the client within AUTH.
    pub(super) fn response(&mut self, line: &[u8]) {
        self.phase = Phase::Command;
        self.ask(Question::AuthRespond(Secret::new(line)), Asked::Auth);
    }

    pub(super) fn challenge(&mut self, base64: &str) {
        self.push_challenge(base64);
        self.phase = Phase::Response;
    }
}

pub(super) fn no_recipients() -> Reply {
    Reply::new(554, Status::permanent(5, 1), "No valid recipients; say RCPT first")
}
