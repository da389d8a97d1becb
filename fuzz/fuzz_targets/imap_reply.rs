//! What another IMAP server says while mail is fetched from it: the same whole and in pieces, within its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moving::imap::{Heard, ImapClient};
use wire::{Machine, Step};

const BUDGET: usize = 8 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else { return };
    let whole = fuzz::within(BUDGET, || heard(input, input.len().max(1)));
    let cut = usize::from(cut % 8) + 1;
    assert_eq!(whole, fuzz::within(BUDGET, || heard(input, cut)), "in pieces of {cut}");
});

fn heard(text: &[u8], size: usize) -> Vec<String> {
    let mut client = ImapClient::new();
    let mut list = Vec::new();
    for piece in text.chunks(size) {
        client.feed(piece);
        while let Step::Ask(heard) = client.step() {
            match heard {
                Heard::Response(response) => list.push(format!("{response:?}")),
                Heard::Broken(why) => {
                    list.push(why.to_owned());
                    return list;
                }
            }
        }
    }
    list
}
