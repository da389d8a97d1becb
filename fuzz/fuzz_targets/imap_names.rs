//! Mailbox names in modified UTF-7: what is read is written the same way again.
#![no_main]

use imap_proto::utf7;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    fuzz::within(64 * 1024 + 16 * data.len(), || {
        assert_eq!(utf7::decode(&utf7::encode(text)).as_deref(), Some(text));
        if let Some(name) = utf7::decode(text) {
            assert_eq!(utf7::decode(&utf7::encode(&name)), Some(name));
        }
    });
});
