//! A signature of a stranger, and the record in the DNS with its key; the same with the fields of an ARC chain.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{Blob, Domain, Message};
use policy::{arc, dkim};
use world::fake;

/// Most octets of a field that is still looked at whole; no DNS record has more than this.
const LENGTH_MAX: usize = 16 * 1024;

fuzz_target!(|data: &[u8]| {
    if data.len() > LENGTH_MAX {
        return;
    }
    let [signature, key, seal] = fuzz::parts(data);
    let key: String = key.iter().filter(|octet| matches!(octet, 32..=126) && !matches!(octet, b'"' | b'\\')).map(|octet| char::from(*octet)).collect();
    let zone = format!("s._domainkey.a.example TXT \"{key}\"\n");
    let Ok(world) = fake::world_with(1, &zone) else { return };
    // What stands in one field stays in it: the header ends where it should.
    let field = |octets: &[u8]| String::from_utf8_lossy(octets).replace('\r', "").trim_end_matches('\n').replace('\n', "\r\n ");
    let (signature, seal) = (field(&signature), field(&seal));
    let text = format!(
        "ARC-Seal: {seal}\r\nARC-Message-Signature: i=1; {signature}\r\nARC-Authentication-Results: i=1; {seal}\r\n\
         DKIM-Signature: {signature}\r\nDKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; {signature}\r\n\
         From: b@a.example\r\nSubject: x\r\n\r\nhello\r\n"
    );
    let budget = 4 * 1024 * 1024 + 64 * data.len();
    let outcomes = fuzz::within(budget, || {
        let message = Message::new(Blob::from_bytes(text.into_bytes()));
        let authors = [Domain::parse("a.example").expect("a valid name")];
        let outcomes = fuzz::block_on(dkim::verify(&message, &authors, &world)).expect("a message in memory can be read");
        let _ = fuzz::block_on(arc::verify(&message, [192, 0, 2, 1].into(), &world)).expect("a message in memory can be read");
        outcomes
    });
    // One more says that others were not looked at.
    assert!(outcomes.len() <= dkim::SIGNATURES_MAX + 1, "{} outcomes", outcomes.len());
    for one in &outcomes {
        assert!(!one.reason.is_empty(), "{one:?}");
    }
});
