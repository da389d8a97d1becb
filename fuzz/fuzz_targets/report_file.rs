//! Report files of strangers: DMARC (XML) and TLS (JSON), in gzip or zip or as they are, bombs included.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// What the largest report may hold, unpacked and read.
const BUDGET: usize = 128 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    fuzz::within(BUDGET, || {
        let _ = policy::report::read(data);
    });
});
