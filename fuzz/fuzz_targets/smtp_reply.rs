//! What another server says to us: one story however it is cut, and never more than its limits in memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smtp_proto::reply::ReplyReader;

const BUDGET: usize = 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else { return };
    let whole = fuzz::within(BUDGET, || read(input, input.len().max(1)));
    let cut = usize::from(cut % 8) + 1;
    assert_eq!(whole, fuzz::within(BUDGET, || read(input, cut)), "in pieces of {cut}");
});

fn read(input: &[u8], piece: usize) -> Vec<String> {
    let (mut reader, mut buffer, mut seen) = (ReplyReader::default(), Vec::new(), Vec::new());
    for octets in input.chunks(piece) {
        buffer.extend_from_slice(octets);
        loop {
            match reader.take(&mut buffer) {
                Ok(Some(reply)) => seen.push(reply.to_string()),
                Ok(None) => break,
                Err(breach) => {
                    seen.push(format!("{breach:?}"));
                    return seen;
                }
            }
        }
    }
    seen
}
