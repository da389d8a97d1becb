//! Header fields, addresses, encoded words, dates.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{Address, Domain, address_list, date, header, words};

fuzz_target!(|data: &[u8]| {
    fuzz::within(256 * 1024 + 256 * data.len(), || check(data));
});

fn check(text: &[u8]) {
    let mut at = 0;
    for field in header::fields(text) {
        assert_eq!(field.start, at);
        at = field.end;
        assert!(!field.text().chars().any(char::is_control));
    }
    assert_eq!(header::except(text, &[]), text);
    assert!(!words::decode(text).chars().any(char::is_control));
    for mailbox in address_list::mailboxes(text) {
        if let Some(address) = mailbox.address() {
            assert_eq!(Address::parse(&address.to_string()), Ok(address));
        }
    }
    if let Some(stamp) = date::parse(text) {
        let again = date::parse(date::print(stamp.seconds).as_bytes()).map(|stamp| stamp.seconds);
        assert_eq!(again, Some(stamp.seconds));
    }
    let Ok(text) = std::str::from_utf8(text) else { return };
    assert!(words::encode(text).split("\r\n").all(|line| !line.contains(['\r', '\n', '\0'])));
    if let Ok(domain) = Domain::parse(text) {
        assert_eq!(Domain::parse(domain.as_str()), Ok(domain));
    }
    if let Ok(address) = Address::parse(text) {
        assert_eq!(Address::parse(&address.to_string()), Ok(address));
    }
}
