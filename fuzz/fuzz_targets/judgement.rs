//! A whole message before all checks that its text can reach: DKIM, ARC, DMARC, forged results. There is a verdict, and a
//! field that a parser can read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{Address, Blob, Domain, Message, ReversePath};
use policy::{Config, Facts, Pipeline, authres};
use world::fake;

const ZONE: &str = include_str!("../seeds/zone.txt");

fuzz_target!(|data: &[u8]| {
    if data.len() > 64 * 1024 {
        return;
    }
    let world = fake::world_with(1, ZONE).expect("the zone can be read");
    let hostname = Domain::parse("mx.receiver.example").expect("a valid name");
    let facts = Facts {
        whose: policy::Whose::Client, peer: [192, 0, 2, 1].into(),
        local: None,
        helo: "mx.b.example".to_owned(),
        mail_from: ReversePath::Address(Address::parse("a@b.example").expect("a valid address")),
    };
    let field = fuzz::within(8 * 1024 * 1024 + 64 * data.len(), || {
        let pipeline = Pipeline::new(Config::default(), hostname.clone(), world);
        let message = Message::new(Blob::from_bytes(data.to_vec()));
        let judged = fuzz::block_on(pipeline.judge(&facts, &message));
        let judged = judged.expect("a message in memory can be read");
        let _ = authres::forged(data, std::slice::from_ref(&hostname));
        authres::field(&hostname, &judged.findings, judged.disposition.as_ref())
    });
    assert!(field.lines().all(|line| line.len() <= 998));
    assert!(mail::header::fields(field.as_bytes()).count() == 1, "{field:?}");
});
