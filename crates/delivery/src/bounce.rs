//! What a sender is told: failure, delay and success notices (RFC 3461 §4 to §6, RFC 3464).

use crate::route::NOTIFIER;
use mail::dsn::{self, Notice, Report};
use mail::trace::Charset;
use mail::{
    Address, Blob, Domain, Envelope, Mail, MailParams, Message, Notify, Recipient, Release, Ret, ReversePath,
};
use std::io;
use world::World;

/// Letters of the left part of a notice's Message-ID.
const MESSAGE_ID_LETTERS: usize = 16;

/// The message that a notice is about.
pub(crate) struct About<'a> {
    pub from: &'a ReversePath,
    pub params: &'a MailParams,
    pub mail_id: &'a str,
    /// Seconds since 1970 at which it was accepted.
    pub arrived: i64,
    /// From when on its sender wanted it delivered.
    pub release: Option<Release>,
}

/// Who writes notices.
pub(crate) struct Writer<'a> {
    pub hostname: &'a Domain,
    pub world: &'a World,
    /// Largest message that goes back whole, in octets.
    pub full_max: u64,
}

impl Writer<'_> {
    /// The notice to the sender of a message; `None` if nobody is to be told: a null sender (RFC 5321 §4.5.5) or nothing
    /// to report. Reads the message, so it may block on the disk.
    pub(crate) fn notice(
        &self,
        about: &About<'_>,
        message: &Message,
        reports: &[Report],
    ) -> io::Result<Option<Mail>> {
        let Some(to) = about.from.address().filter(|_| !reports.is_empty()) else { return Ok(None) };
        let Ok(from) = Address::new(NOTIFIER, self.hostname.clone()) else { return Ok(None) };
        let notice = Notice {
            reporting_mta: self.hostname.as_str(),
            from: &from,
            to,
            now: self.world.clock.unix(),
            arrival: Some(about.arrived),
            deliver_by: about.params.by.map(|by| about.arrived.saturating_add(by.seconds)),
            release: about.release,
            message_id: &self.world.random.word(MESSAGE_ID_LETTERS),
            envid: about.params.envid.as_deref(),
            queue_id: Some(about.mail_id),
            ret: ret_of(about.params),
            charset: if about.params.utf8 { Charset::Utf8 } else { Charset::Ascii },
            full_max: self.full_max,
            original: message,
            recipients: reports,
        };
        let composed = dsn::compose(&notice)?;
        Ok(Some(as_mail(to.clone(), composed, about.params)))
    }
}

/// How much of the message goes back. What was to travel over TLS alone must not come back whole (RFC 8689 §5).
fn ret_of(params: &MailParams) -> Ret {
    if params.require_tls { Ret::Headers } else { params.ret.unwrap_or(Ret::Full) }
}

/// RFC 3461 §6.1: a null sender, no RET, and no notice about the notice. It is protected as the message was (RFC 8689 §5), and
/// as urgent (RFC 6710 §4.6).
fn as_mail(to: Address, composed: dsn::Composed, about: &MailParams) -> Mail {
    let params = MailParams {
        body: composed.body,
        utf8: composed.utf8,
        require_tls: about.require_tls,
        priority: about.priority,
        ..MailParams::default()
    };
    let recipient = Recipient { address: to, notify: Notify::Never, original: None };
    Mail {
        envelope: Envelope { from: ReversePath::Null, params, recipients: vec![recipient] },
        message: Message::new(Blob::from_bytes(composed.message)),
    }
}
