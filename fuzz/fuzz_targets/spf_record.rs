//! An SPF record of a stranger, with macros, includes of itself and whatever else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::spf::{Question, check_host};
use world::fake;

fuzz_target!(|data: &[u8]| {
    let [record, local, helo] = fuzz::parts(data);
    let quoted: String =
        record.iter().filter(|octet| matches!(octet, 32..=126) && !matches!(octet, b'"' | b'\\')).map(|octet| char::from(*octet)).collect();
    if quoted.len() > 4000 {
        return;
    }
    let zone = format!(
        "a.example TXT \"{quoted}\"\nb.example TXT \"{quoted}\"\na.example MX 10 m.a.example\nm.a.example A 192.0.2.7\n"
    );
    let Ok(world) = fake::world_with(1, &zone) else { return };
    let (local, helo) = (String::from_utf8_lossy(&local), String::from_utf8_lossy(&helo));
    let question = Question {
        ip: [192, 0, 2, 1].into(),
        domain: "a.example",
        local: &local,
        helo: &helo,
        receiver: "mx.receiver.example",
    };
    let outcome = fuzz::within(4 * 1024 * 1024, || fuzz::block_on(check_host(&question, &world)));
    assert!(outcome.lookups.len() <= 150, "{} look-ups", outcome.lookups.len());
    if let Some(explanation) = outcome.explanation {
        assert!(explanation.bytes().all(|octet| matches!(octet, 32..=126)));
    }
});
