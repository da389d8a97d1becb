//! What a name server answers, over UDP on loopback: each answer is records of the kind that was asked for, or a reason why
//! there are none, and nothing is believed for longer than the question.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;
use world::{DnsName, DnsOptions, Dnssec, Kind, Proof, Resolver, SystemResolver};

const BUDGET: usize = 16 * 1024 * 1024;
/// The largest datagram that is sent.
const DATAGRAM_MAX: usize = 4096;

struct Scene {
    answer: Arc<Mutex<Vec<u8>>>,
    resolver: SystemResolver,
    runtime: tokio::runtime::Runtime,
}

/// Answers each question with what lies ready, under the number of the question, and behind the question itself where the
/// first octet is even.
fn serve(socket: &UdpSocket, answer: &Mutex<Vec<u8>>) {
    let mut question = [0; 1500];
    while let Ok((n, from)) = socket.recv_from(&mut question) {
        let question = &question[..n];
        let answer = answer.lock().expect("nobody panics here").clone();
        let (Some(first), Some(number)) = (answer.first(), question.get(..2)) else { continue };
        let mut octets = number.to_vec();
        let rest = &answer[1..];
        if first % 2 == 0 {
            // Flags and counts of the answer, with the one question.
            octets.extend(rest.iter().chain([0; 10].iter()).take(10));
            octets[4..6].copy_from_slice(&[0, 1]);
            octets.extend(question.get(12..).unwrap_or_default());
            octets.extend(rest.get(10..).unwrap_or_default());
        } else {
            octets.extend(rest);
        }
        octets.truncate(DATAGRAM_MAX);
        let _ = socket.send_to(&octets, from);
    }
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let at = socket.local_addr().expect("it is bound");
        let answer = Arc::new(Mutex::new(Vec::new()));
        let served = answer.clone();
        thread::spawn(move || serve(&socket, &served));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a run-time can be made");
        let options = DnsOptions {
            servers: vec![at],
            timeout: Duration::from_millis(50),
            retries: 0,
            patience: Duration::from_millis(200),
            cache: 0,
            dnssec: Dnssec::Off,
            ..DnsOptions::default()
        };
        let resolver = runtime.block_on(async { SystemResolver::new(&options) }).expect("a resolver can be made");
        Scene { answer, resolver, runtime }
    })
}

fuzz_target!(|data: &[u8]| {
    let scene = scene();
    let Some((kind, answer)) = data.split_first() else { return };
    let (kind, word) = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    *scene.answer.lock().expect("nobody panics here") = answer.to_vec();
    let name = DnsName::from_octets(b"a.example").expect("a valid name");
    let reply = fuzz::within(BUDGET, || scene.runtime.block_on(scene.resolver.ask(&name, kind, Proof::Usual)));
    if let Ok(records) = reply.answer {
        assert!(!records.data.is_empty(), "no records are an answer of their own");
        for data in &records.data {
            assert_eq!(data.kind(), kind, "{word} was asked for");
            let _ = data.to_string();
        }
    }
});
