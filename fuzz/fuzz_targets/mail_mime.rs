//! The structure of a message, and the text of its parts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::mime;

fuzz_target!(|data: &[u8]| {
    fuzz::within(1024 * 1024 + 64 * data.len(), || check(data));
});

fn check(text: &[u8]) {
    let analysis = mime::analyse(&mut &text[..]).expect("memory can be read");
    assert_eq!(analysis.size, text.len() as u64);
    assert_eq!(mime::Parts::decode(&analysis.parts.encode()).as_ref(), Some(&analysis.parts));
    assert!(!analysis.bodystructure.contains(&0) && !analysis.envelope.contains(&0));
    let _ = mime::body(&analysis.bodystructure);
}
