//! What rspamd answers, and what a program writes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    fuzz::within(256 * 1024 + 256 * data.len(), || {
        let _ = policy::rspamd::read(data);
        for field in policy::program::fields(data).unwrap_or_default() {
            assert_eq!(mail::header::fields(field.as_bytes()).count(), 1, "{field:?}");
        }
    });
});
