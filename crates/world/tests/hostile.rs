//! A name server that lies, breaks off or sends garbage, octet by octet: each answer becomes trouble, which can be asked
//! again, or what a good answer beside it says; none is believed that was not asked for, and nothing panics or hangs.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;
use world::{DnsError, DnsName, DnsOptions, Dnssec, Kind, Proof, Resolver, SystemResolver};

/// The answer to a question, which begins with its number; `None` for silence.
type Answer = fn(&[u8]) -> Option<Vec<u8>>;

const OK: u16 = 0x8180;
const TRUNCATED: u16 = 0x8380;

/// A header with these flags and counts, and the question as it was asked.
fn head(question: &[u8], flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut octets = question[..2].to_vec();
    octets.extend(flags.to_be_bytes());
    octets.extend(counts.into_iter().flat_map(u16::to_be_bytes));
    octets.extend(asked(question));
    octets
}

/// The question section: the name up to the root, type and class.
fn asked(question: &[u8]) -> &[u8] {
    let mut end = 12;
    while question[end] != 0 {
        end += 1 + usize::from(question[end]);
    }
    &question[12..end + 5]
}

/// A record of the name that was asked for (a pointer to octet 12).
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    of(&[0xc0, 0x0c], kind, data)
}

fn of(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut octets = name.to_vec();
    octets.extend(kind.to_be_bytes());
    octets.extend([0, 1, 0, 0, 0, 60]);
    octets.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    octets.extend(data);
    octets
}

const A: u16 = 1;
const CNAME: u16 = 5;
const TXT: u16 = 16;
const ELSEWHERE: &[u8] = b"\x05other\x07example\x00";

/// What comes over UDP, what over TCP, and what becomes of the question `bank.example A`.
const CASES: &[(&str, Answer, Answer, &str)] = &[
    (
        "a good one",
        |q| Some([head(q, OK, [1, 1, 0, 0]), record(A, &[192, 0, 2, 1])].concat()),
        |_| None,
        "192.0.2.1",
    ),
    ("nothing", |_| None, |_| None, "trouble"),
    ("an empty datagram", |_| Some(Vec::new()), |_| None, "trouble"),
    ("the number alone", |q| Some(q[..2].to_vec()), |_| None, "trouble"),
    (
        "a header alone",
        |q| Some([&q[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]].concat()),
        |_| None,
        "trouble",
    ),
    (
        "another number",
        |q| {
            let mut answer = [head(q, OK, [1, 1, 0, 0]), record(A, &[192, 0, 2, 66])].concat();
            answer[0] ^= 0x55;
            Some(answer)
        },
        |_| None,
        "trouble",
    ),
    ("the question itself", |q| Some(q.to_vec()), |_| None, "trouble"),
    (
        "an answer to another question",
        |q| {
            let mut answer = head(q, OK, [1, 1, 0, 0]);
            answer.truncate(12);
            answer.extend(ELSEWHERE);
            answer.extend([0, 1, 0, 1]);
            answer.extend(record(A, &[192, 0, 2, 66]));
            Some(answer)
        },
        |_| None,
        "trouble",
    ),
    (
        "a record of another name",
        |q| Some([head(q, OK, [1, 1, 0, 0]), of(ELSEWHERE, A, &[192, 0, 2, 66])].concat()),
        |_| None,
        "none",
    ),
    (
        "a record of another type",
        |q| Some([head(q, OK, [1, 1, 0, 0]), record(TXT, b"\x01x")].concat()),
        |_| None,
        "none",
    ),
    (
        "an alias to nowhere, with a record of somebody else",
        |q| {
            let records = [record(CNAME, b"\x04gone\x07example\x00"), of(ELSEWHERE, A, &[192, 0, 2, 66])];
            Some([head(q, OK, [1, 2, 0, 0]), records.concat()].concat())
        },
        |_| None,
        "none",
    ),
    (
        "an alias to itself",
        |q| Some([head(q, OK, [1, 1, 0, 0]), record(CNAME, &[0xc0, 0x0c])].concat()),
        |_| None,
        "none",
    ),
    (
        "an address of five octets",
        |q| Some([head(q, OK, [1, 1, 0, 0]), record(A, &[1, 2, 3, 4, 5])].concat()),
        |_| None,
        "trouble",
    ),
    (
        "an address of no octets",
        |q| Some([head(q, OK, [1, 1, 0, 0]), record(A, &[])].concat()),
        |_| None,
        "trouble",
    ),
    (
        "more records than there are",
        |q| Some([head(q, OK, [1, 0xffff, 0xffff, 0xffff]), record(A, &[192, 0, 2, 66])].concat()),
        |_| None,
        "trouble",
    ),
    (
        "a name that points to itself",
        |q| Some([head(q, OK, [1, 1, 0, 0]), of(&[0xc0, 30], A, &[192, 0, 2, 66])].concat()),
        |_| None,
        "trouble",
    ),
    (
        "a name that points beyond the end",
        |q| Some([head(q, OK, [1, 1, 0, 0]), of(&[0xff, 0xff], A, &[192, 0, 2, 66])].concat()),
        |_| None,
        "trouble",
    ),
    (
        "a label of a kind that is not there",
        |q| Some([head(q, OK, [1, 1, 0, 0]), of(&[0x80, 1, 0], A, &[192, 0, 2, 66])].concat()),
        |_| None,
        "trouble",
    ),
    (
        "data that is longer than the message",
        |q| {
            let mut answer = [head(q, OK, [1, 1, 0, 0]), record(A, &[192, 0, 2, 66])].concat();
            let at = answer.len() - 6;
            answer[at..at + 2].copy_from_slice(&[0xff, 0xff]);
            Some(answer)
        },
        |_| None,
        "trouble",
    ),
    ("a format error", |q| Some(head(q, 0x8181, [1, 0, 0, 0])), |_| None, "trouble"),
    ("a server failure", |q| Some(head(q, 0x8182, [1, 0, 0, 0])), |_| None, "trouble"),
    ("not implemented", |q| Some(head(q, 0x8184, [1, 0, 0, 0])), |_| None, "trouble"),
    ("refused", |q| Some(head(q, 0x8185, [1, 0, 0, 0])), |_| None, "trouble"),
    ("a code that nobody has given out", |q| Some(head(q, 0x818f, [1, 0, 0, 0])), |_| None, "trouble"),
    ("no such name", |q| Some(head(q, 0x8183, [1, 0, 0, 0])), |_| None, "no name"),
    ("no such record", |q| Some(head(q, OK, [1, 0, 0, 0])), |_| None, "none"),
    ("half, and nobody answers over TCP", |q| Some(head(q, TRUNCATED, [1, 0, 0, 0])), |_| None, "trouble"),
    (
        "half, and the whole over TCP",
        |q| Some(head(q, TRUNCATED, [1, 0, 0, 0])),
        |q| Some([head(q, OK, [1, 1, 0, 0]), record(A, &[192, 0, 2, 1])].concat()),
        "192.0.2.1",
    ),
    (
        "half, and half over TCP",
        |q| Some(head(q, TRUNCATED, [1, 0, 0, 0])),
        |q| Some(head(q, TRUNCATED, [1, 0, 0, 0])),
        "trouble",
    ),
    (
        "half, and garbage over TCP",
        |q| Some(head(q, TRUNCATED, [1, 0, 0, 0])),
        |_| Some(vec![0xa5; 40_000]),
        "trouble",
    ),
    (
        "half, and an empty message over TCP",
        |q| Some(head(q, TRUNCATED, [1, 0, 0, 0])),
        |_| Some(Vec::new()),
        "trouble",
    ),
];

/// The same port for both.
fn bind() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("loopback has no port that is free for UDP and TCP");
}

/// Serves until the process ends.
fn serve(over_udp: Answer, over_tcp: Answer) -> SocketAddr {
    let (udp, tcp) = bind();
    let at = udp.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((n, peer)) = udp.recv_from(&mut buffer) {
            if let Some(answer) = over_udp(&buffer[..n]) {
                let _ = udp.send_to(&answer, peer);
            }
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut question).is_err() {
                continue;
            }
            if let Some(answer) = over_tcp(&question) {
                let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                let _ = stream.write_all(&[&length[..], &answer].concat());
            }
        }
    });
    at
}

fn resolver(at: SocketAddr, dnssec: Dnssec) -> SystemResolver {
    let options = DnsOptions {
        servers: vec![at],
        timeout: Duration::from_millis(150),
        retries: 1,
        patience: Duration::from_secs(3),
        cache: 100,
        dnssec,
        ..DnsOptions::default()
    };
    SystemResolver::new(&options).unwrap()
}

async fn ask(dns: &SystemResolver) -> String {
    let name = DnsName::parse("bank.example").unwrap();
    match dns.ask(&name, Kind::A, Proof::Usual).await.answer {
        Ok(records) => records.data.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(DnsError::NoName) => "no name".to_owned(),
        Err(DnsError::NoRecord) => "none".to_owned(),
        Err(error @ DnsError::Trouble(_)) => {
            assert!(error.is_temporary());
            "trouble".to_owned()
        }
    }
}

#[tokio::test]
async fn whatever_comes_is_an_answer_or_trouble() {
    let mut wrong = Vec::new();
    for (what, over_udp, over_tcp, want) in CASES {
        let at = serve(*over_udp, *over_tcp);
        let got = ask(&resolver(at, Dnssec::Off)).await;
        if got != *want {
            wrong.push(format!("{what}: {got}, not {want}"));
        }
        // Who wants proof believes none of it.
        let proven = ask(&resolver(at, Dnssec::All)).await;
        if proven != "trouble" {
            wrong.push(format!("{what}, to be proven: {proven}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Octets by chance behind the right number and question: never a panic, never an address that was not sent.
#[tokio::test]
async fn noise_is_trouble_or_an_answer_too() {
    let at = serve(noise, |_| None);
    let dns = resolver(at, Dnssec::Off);
    for n in 0..200 {
        let name = DnsName::parse(&format!("n{n}.example")).unwrap();
        let reply = dns.ask(&name, Kind::Txt, Proof::Usual).await;
        if let Ok(records) = reply.answer {
            assert!(!records.data.is_empty());
        }
    }
}

/// Made of the question, so that each is another and always the same.
fn noise(question: &[u8]) -> Option<Vec<u8>> {
    let mut state = question[12..]
        .iter()
        .fold(2_166_136_261_u32, |sum, b| (sum ^ u32::from(*b)).wrapping_mul(16_777_619));
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let mut answer = head(question, OK, [1, 1, 0, 0]);
    let length = usize::from(next()) / 2;
    answer.extend([0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0, 0, 0]);
    answer.extend((0..length).map(|_| next()));
    Some(answer)
}
