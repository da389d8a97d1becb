//! A DMARC record of a stranger.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::dmarc::Record;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    fuzz::within(64 * 1024 + 64 * data.len(), || {
        let _ = Record::parse(text);
        let _ = Record::parse(&format!("v=DMARC1;{text}"));
    });
});
