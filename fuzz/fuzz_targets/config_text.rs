//! A configuration file: problems lie within it, and nothing overflows.
#![no_main]

use config::{Arg, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    fuzz::within(16 * 1024 * 1024 + 1024 * data.len(), || {
        let tree = Tree::from_text("fuzz", text, &|_| None);
        let _ = tree.decode(|section| {
            let _ = section.text("hostname", "").required();
            section.child("smtp", "", |smtp| {
                let _ = smtp.each("listen", "", |listen| {
                    (listen.socket(Arg("address"), "").required(), listen.flag("tls", "").or(false))
                });
                let _ = smtp.size("max-message-size", "").within(1..=1u64 << 40).or(1);
                let _ = smtp.duration("patience", "").optional();
            });
            let _ = section.entries("name", "", |_, entry| entry.text(Arg("value"), "").many());
        });
    });
});
