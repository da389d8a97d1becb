//! The client's session when somebody on the way puts replies behind the consent to TLS: said in clear, they may never be taken
//! for what the server says after TLS has begun (RFC 3207 §5, CVE-2011-0411 and its like).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests end where something is wrong")]

use mail::Domain;
use smtp_proto::client::{Event, Next, Options, Protocol, Question, Session, Timeouts};
use smtp_proto::{Breach, Extension};
use wire::{Machine, Step};

const OFFER: &[u8] = b"220 mx.example ESMTP\r\n250-mx.example\r\n250 STARTTLS\r\n";

/// A session that has asked for TLS.
fn asked() -> Session {
    let hello = Domain::parse("client.example").unwrap();
    let options = Options { hello, timeouts: Timeouts::default(), protocol: Protocol::Smtp };
    let mut session = Session::new(options);
    let mut offer = OFFER.split_inclusive(|octet| *octet == b'\n');
    loop {
        match session.step() {
            Step::Read => session.feed(offer.next().unwrap()),
            Step::Write(octets) if octets == b"STARTTLS\r\n" => return session,
            Step::Write(_) => {}
            Step::Ask(Question::Next(Event::Hello)) => session.next(Next::StartTls),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn text_behind_the_consent_ends_the_session() {
    for behind in ["250 mx.evil\r\n", "250-mx.evil\r\n250 AUTH PLAIN\r\n", "2", "\r\n", "\0", "220 again\r\n"]
    {
        let mut session = asked();
        session.feed(format!("220 go on\r\n{behind}").as_bytes());
        let step = session.step();
        let broken = Event::Broken(Breach::TextBeforeTls);
        assert!(
            matches!(&step, Step::Ask(Question::Next(event)) if *event == broken),
            "{behind:?}: {step:?}"
        );
        // Whatever is asked of it then: not a word more is said in clear, and TLS does not begin.
        session.next(Next::StartTls);
        let end = session.step();
        assert!(matches!(end, Step::Close), "{behind:?}: {end:?}");
    }
}

/// What comes in a piece of its own after the consent goes to TLS, which takes it for a handshake gone wrong: nothing is read by
/// the session before TLS has begun, and what it knew in clear is forgotten then.
#[test]
fn nothing_is_kept_over_the_beginning_of_tls() {
    let mut session = asked();
    session.feed(b"220 go");
    assert!(matches!(session.step(), Step::Read));
    session.feed(b" on\r\n");
    assert!(matches!(session.step(), Step::StartTls));
    session.tls_started();
    assert!(!session.offers().has(Extension::StartTls), "what was offered in clear");
    assert!(matches!(session.step(), Step::Write(hello) if hello == b"EHLO client.example\r\n"));
    assert!(matches!(session.step(), Step::Read));
}
