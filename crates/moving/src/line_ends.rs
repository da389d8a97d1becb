//! Line ends: LF in files, CR LF in messages. What was exported comes back octet by octet.

/// What a file holds, as a message: lines that end in LF end in CR LF. A file whose first line ends in CR LF is taken as
/// it is.
pub fn to_crlf(octets: Vec<u8>) -> Vec<u8> {
    let first = octets.iter().position(|octet| *octet == b'\n');
    let as_it_is = first.is_none_or(|at| at > 0 && octets[at - 1] == b'\r');
    if as_it_is {
        return octets;
    }
    let lines = octets.iter().filter(|octet| **octet == b'\n').count();
    let mut made = Vec::with_capacity(octets.len() + lines);
    let mut before = 0;
    for octet in octets {
        if octet == b'\n' && before != b'\r' {
            made.push(b'\r');
        }
        made.push(octet);
        before = octet;
    }
    made
}

/// A message as a file holds it: with LF where that can be taken back, otherwise as it is.
pub fn to_lf(octets: Vec<u8>) -> Vec<u8> {
    if !can_be_taken_back(&octets) {
        return octets;
    }
    let mut made = Vec::with_capacity(octets.len());
    for (at, octet) in octets.iter().enumerate() {
        if *octet != b'\r' || octets.get(at + 1) != Some(&b'\n') {
            made.push(*octet);
        }
    }
    made
}

/// Every LF stands behind one CR.
fn can_be_taken_back(octets: &[u8]) -> bool {
    let mut ends = octets.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at);
    ends.all(|at| at > 0 && octets[at - 1] == b'\r' && (at < 2 || octets[at - 2] != b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_messages() {
        for (given, want) in [
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\nb\r\nc\n", "a\r\nb\r\nc\r\n"),
            ("a\r\nb\n", "a\r\nb\n"),
            ("\n\n", "\r\n\r\n"),
            ("a", "a"),
            ("", ""),
        ] {
            assert_eq!(to_crlf(given.as_bytes().to_vec()), want.as_bytes(), "{given:?}");
        }
    }

    #[test]
    fn messages_come_back() {
        for message in
            ["a\r\nb\r\n", "a", "", "\r\n", "a\r\nb", "a\r\n\nb\r\n", "a\r\nb\r\r\nc\r\n", "a\r\nb\rc\r\n"]
        {
            let file = to_lf(message.as_bytes().to_vec());
            assert_eq!(to_crlf(file), message.as_bytes(), "{message:?}");
        }
        assert_eq!(to_lf(b"a\r\nb\r\n".to_vec()), b"a\nb\n");
    }
}
