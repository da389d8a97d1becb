//! Two implementations, one standard: what we sign, mail-auth verifies, and the other way round.
//!
//! Where mail-auth 0.13 goes its own way (a relaxed body with trailing lines of blanks, a blank in front of a colon) nothing
//! is compared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::{Blob, Domain, Message};
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::{Canonicalization, DkimSigner};
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};
use policy::dkim::{Selectors, Signer, verify};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;
use world::fake::{self, FakeClock};

/// The only answers that mail-auth gets.
struct Keys(HashMap<Box<str>, Txt>);

impl ResolverCache<Box<str>, Txt> for Keys {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(name).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

const MAILS: &[&str] = &[
    "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHi Bob\r\n\r\nthis  is it. \r\n",
    "From: ann@example.org\r\nSubject:  folded\r\n  over\r\n\tlines  \r\nTo: a@x\r\nTo: b@x\r\n\r\nx\r\n\r\n\r\n",
    "Received: a\r\nReceived: b\r\nfrom: ann@example.org\r\nX: gr\u{fc}n\r\n\r\n",
    "From: ann@example.org\r\nContent-Type: text/plain\r\n\r\nno line break at the end",
    "From: ann@example.org\r\n\r\n \t leading\r\n\r\n\r\nand \t inner\r\n",
];

#[tokio::test]
async fn mail_auth_verifies_what_we_sign() {
    let dir = tempfile::tempdir().unwrap();
    let selectors = Selectors { rsa: "r".to_owned(), ed25519: "e".to_owned() };
    let domain = Domain::parse("example.org").unwrap();
    let signer = Signer::open(dir.path(), &[domain], &selectors, Arc::new(FakeClock::default())).unwrap();
    let keys = signer.records().into_iter().map(|record| {
        let key = DomainKey::parse(record.text.as_bytes()).unwrap();
        (format!("{}.", record.name).into_boxed_str(), Txt::DomainKey(Arc::new(key)))
    });
    let keys = Keys(keys.collect());
    let other = MessageAuthenticator::new_cloudflare().unwrap();
    for text in MAILS {
        let mut message = Message::new(Blob::from_bytes(text.as_bytes()));
        for field in signer.sign(&message).await.unwrap() {
            message.prepend(&field);
        }
        let octets = message.to_vec().unwrap();
        let parsed = AuthenticatedMessage::parse(&octets).unwrap();
        let results = other.verify_dkim(Parameters::new(&parsed).with_txt_cache(&keys)).await;
        assert_eq!(results.len(), 2);
        for one in results {
            assert_eq!(one.result(), &DkimResult::Pass, "{}", String::from_utf8_lossy(&octets));
        }
    }
}

#[tokio::test]
async fn we_verify_what_mail_auth_signs() {
    let pkcs8 = Ed25519Key::generate_pkcs8().unwrap();
    let public = STANDARD.encode(Ed25519Key::from_pkcs8_der(&pkcs8).unwrap().public_key());
    let world =
        fake::world_with(1, &format!("s._domainkey.example.org TXT \"v=DKIM1; k=ed25519; p={public}\"\n"))
            .unwrap();
    // mail-auth takes the time from the system.
    let now = world::SystemClock;
    let clock = FakeClock::at(u64::try_from(world::Clock::unix(&now)).unwrap());
    let world = world::World { clock: Arc::new(clock), ..world };
    let forms = [Canonicalization::Simple, Canonicalization::Relaxed];
    for text in MAILS {
        for (header_form, body_form) in forms.into_iter().flat_map(|a| forms.map(|b| (a, b))) {
            let signature = DkimSigner::from_key(Ed25519Key::from_pkcs8_der(&pkcs8).unwrap())
                .domain("example.org")
                .selector("s")
                .headers(["From", "Subject", "To", "To", "Received", "X"])
                .header_canonicalization(header_form)
                .body_canonicalization(body_form)
                .sign(text.as_bytes())
                .unwrap();
            let whole = format!("{}{text}", signature.to_header());
            let message = Message::new(Blob::from_bytes(whole.clone().into_bytes()));
            let outcomes = verify(&message, &[], &world).await.unwrap();
            let got: Vec<&str> = outcomes.iter().map(|one| one.reason.as_str()).collect();
            assert_eq!(got, ["the signature is good"], "{header_form:?}/{body_form:?}\n{whole}");
        }
    }
}
