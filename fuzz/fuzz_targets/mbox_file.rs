//! An mbox of somebody else, with each way to quote: nothing is made up, whatever lengths it claims.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moving::Source;
use moving::mbox::{Mbox, Quoting};
use std::fs;

const BUDGET: usize = 4 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let path = fuzz::scratch().join("mbox");
    let text = [b"From - Thu Jan  1 12:00:00 2026\n", data].concat();
    fs::write(&path, &text).expect("the directory can be written to");
    let count = |octets: &[u8]| octets.iter().filter(|octet| !matches!(octet, b'\r' | b'\n')).count();
    for (_, quoting) in Quoting::NAMES {
        let octets = fuzz::within(BUDGET + 64 * text.len(), || {
            let source = Mbox::open(&path, quoting, "INBOX").expect("it begins as one");
            let mut octets = 0;
            for message in source.messages(0).expect("it can be read") {
                if let Ok(found) = message.expect("the disk works") {
                    octets += count(&found.octets);
                }
            }
            octets
        });
        assert!(octets <= count(&text), "octets that were not there");
    }
});
