//! An MTA-STS policy file, and the record that announces it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::mtasts::{StsPolicy, record_id};

fuzz_target!(|data: &[u8]| {
    fuzz::within(64 * 1024 + 64 * data.len(), || {
        let _ = StsPolicy::parse(data);
        let _ = record_id(&[String::from_utf8_lossy(data).into_owned()]);
    });
});
