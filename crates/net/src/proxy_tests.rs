//! The two versions of the PROXY header: tables of octets, and octets by chance.

use super::*;

/// All octets as `take` would be given them by a socket: never more than it asked for.
fn read_all(octets: &[u8]) -> Result<(String, usize), String> {
    let mut least = 0;
    loop {
        match take(octets.get(..least).unwrap_or(octets)) {
            Taken::Whole(header, used) => return Ok((format!("{header:?}"), used)),
            Taken::Bad(why) => return Err(why.to_owned()),
            Taken::More(_) if least >= octets.len() => return Err("more".to_owned()),
            Taken::More(more) => {
                assert!(more > least, "it goes forward");
                least = more;
            }
        }
    }
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    out.extend([command, family]);
    out.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

#[test]
fn version_1() {
    for (line, want) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25", "Client(192.0.2.1:56324)"),
        ("PROXY TCP6 2001:db8::1 ::1 56324 25", "Client([2001:db8::1]:56324)"),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25", "Client(192.0.2.1:1)"),
        ("PROXY UNKNOWN", "Unknown"),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535", "Unknown"),
    ] {
        let octets = format!("{line}\r\nEHLO");
        assert_eq!(read_all(octets.as_bytes()), Ok((want.to_owned(), line.len() + 2)), "{line}");
    }
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 25 x\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 056324 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +5 25\r\n",
        "PROXY TCP4 2001:db8::1 ::1 5 25\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 5 25\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.1 5 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 5 25\n",
        "proxy TCP4 192.0.2.1 198.51.100.1 5 25\r\n",
        "EHLO mail.example.org\r\n",
        "\r\n\r\nEHLO mail.example.org\r\n",
    ] {
        assert!(read_all(line.as_bytes()).is_err_and(|why| why != "more"), "{line}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    assert_eq!(read_all(long.as_bytes()), Err("the PROXY line is too long".to_owned()));
}

#[test]
fn version_2() {
    let ip4 = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x34, 0, 25];
    let mut ip6 = [0; 36];
    ip6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    ip6[15] = 7;
    ip6[33] = 9;
    let with_tlv = [&ip4[..], &[0x04, 0, 2, 1, 2]].concat();
    for (octets, want) in [
        (v2(0x21, 0x11, &ip4), "Client(192.0.2.1:4660)"),
        (v2(0x21, 0x11, &with_tlv), "Client(192.0.2.1:4660)"),
        (v2(0x21, 0x21, &ip6), "Client([2001:db8::7]:9)"),
        (v2(0x20, 0x00, &[]), "Itself"),
        (v2(0x20, 0x11, &ip4), "Itself"),
        (v2(0x21, 0x00, &[]), "Unknown"),
        (v2(0x21, 0x31, &[0; 216]), "Unknown"),
    ] {
        let length = octets.len();
        let more = [&octets[..], b"EHLO"].concat();
        assert_eq!(read_all(&more), Ok((want.to_owned(), length)));
        assert_eq!(read_all(&octets[..length - 1]), Err("more".to_owned()));
    }
    for octets in [
        v2(0x11, 0x11, &ip4),
        v2(0x22, 0x11, &ip4),
        v2(0x21, 0x11, &ip4[..11]),
        v2(0x21, 0x21, &ip6[..35]),
        v2(0x21, 0x11, &vec![0; V2_MAX + 1]),
    ] {
        assert!(read_all(&octets).is_err_and(|why| why != "more"));
    }
}

#[test]
fn any_octets_end_somewhere() {
    let seed = 4;
    println!("seed {seed}");
    let random = world::fake::FakeRandom::seeded(seed);
    for _ in 0..20_000 {
        let mut octets = [0; 64];
        world::Random::fill(&random, &mut octets);
        let begin = match octets[0] % 3 {
            0 => SIGNATURE.to_vec(),
            1 => b"PROXY TCP4 ".to_vec(),
            _ => Vec::new(),
        };
        let octets = [&begin[..], &octets[..]].concat();
        if let Ok((_, used)) = read_all(&octets) {
            assert!(used <= octets.len());
        }
    }
}
