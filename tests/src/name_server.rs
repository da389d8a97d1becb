//! A name server on loopback, over UDP and TCP, that serves a zone written as text (`world::zone`).

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use world::zone::{Answer, Failure, Zone};
use world::{Data, DnsName, Kind};

/// Serves until the process ends.
pub struct NameServer {
    at: SocketAddr,
    served: Arc<Mutex<Served>>,
}

struct Served {
    text: String,
    zone: Zone,
    asked: Vec<String>,
    /// How long answers may be kept, in seconds.
    ttl: u32,
}

impl NameServer {
    pub fn start() -> Self {
        let served = Served { text: String::new(), zone: Zone::default(), asked: Vec::new(), ttl: 0 };
        let served = Arc::new(Mutex::new(served));
        let (udp, tcp) = bind();
        let at = udp.local_addr().unwrap();
        thread::spawn({
            let served = served.clone();
            move || serve_udp(&udp, &served)
        });
        thread::spawn({
            let served = served.clone();
            move || serve_tcp(&tcp, &served)
        });
        Self { at, served }
    }

    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Adds records.
    pub fn add(&self, zone: &str) {
        let mut served = self.served.lock().unwrap();
        served.text.push_str(zone);
        served.text.push('\n');
        served.zone = Zone::parse(&served.text).unwrap();
    }

    /// Serves just these records from now on.
    pub fn set(&self, zone: &str) {
        self.served.lock().unwrap().text.clear();
        self.add(zone);
    }

    /// Lets answers be kept for so many seconds; at first none is, so that a zone that changes is seen at once. That there
    /// is nothing may be kept as well.
    pub fn let_keep(&self, seconds: u32) {
        self.served.lock().unwrap().ttl = seconds;
    }

    /// The questions so far, as `example.org MX`.
    pub fn asked(&self) -> Vec<String> {
        self.served.lock().unwrap().asked.clone()
    }
}

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

fn serve_udp(socket: &UdpSocket, served: &Mutex<Served>) {
    let mut buffer = [0; 4096];
    while let Ok((n, peer)) = socket.recv_from(&mut buffer) {
        if let Some(answer) = answer(&buffer[..n], served) {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

fn serve_tcp(listener: &TcpListener, served: &Arc<Mutex<Served>>) {
    for stream in listener.incoming().flatten() {
        let served = served.clone();
        thread::spawn(move || while_asked(stream, &served));
    }
}

fn while_asked(mut stream: TcpStream, served: &Mutex<Served>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question)?;
        if let Some(answer) = answer(&question, served) {
            let length = u16::try_from(answer.len()).expect("an answer fits into 64 KiB");
            stream.write_all(&length.to_be_bytes())?;
            stream.write_all(&answer)?;
        }
    }
}

/// `None` where the zone says that nothing is said.
fn answer(question: &[u8], served: &Mutex<Served>) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?.clone();
    let name = DnsName::from_labels(query.name().iter()).ok()?;
    let mut served = served.lock().unwrap();
    served.asked.push(format!("{name} {}", query.query_type()));
    let found = match kind_of(query.query_type()) {
        Some(kind) => served.zone.ask(&name, kind),
        None => Answer::NoRecord,
    };
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.metadata.recursion_available = true;
    answer.add_query(query);
    match found {
        Answer::Records(found) => {
            answer.add_answers(found.into_iter().map(|(owner, data)| record(&owner, data, served.ttl)));
        }
        Answer::NoName => answer.metadata.response_code = ResponseCode::NXDomain,
        Answer::NoRecord => {}
        Answer::Fails(Failure::ServFail) => answer.metadata.response_code = ResponseCode::ServFail,
        Answer::Fails(Failure::Refused) => answer.metadata.response_code = ResponseCode::Refused,
        Answer::Fails(Failure::Timeout) => return None,
        Answer::Fails(Failure::Garbage) => return Some(garbage(&question)),
    }
    if answer.answers.is_empty() && served.ttl > 0 {
        answer.add_authority(authority(&name, served.ttl));
    }
    Some(answer.to_vec().unwrap())
}

/// How long it may be kept that there is nothing (RFC 2308 §3).
fn authority(name: &DnsName, ttl: u32) -> Record {
    let at = name.parent().unwrap_or_else(|| name.clone());
    let written = |name: &DnsName| Name::from_labels(name.labels()).unwrap();
    let soa = rdata::SOA::new(written(&at), written(&at), 1, 3600, 600, 86400, ttl);
    Record::from_rdata(written(&at), ttl, RData::SOA(soa))
}

/// The right number and nothing else that makes sense: records are promised that are not there.
fn garbage(question: &Message) -> Vec<u8> {
    let mut octets = question.metadata.id.to_be_bytes().to_vec();
    octets.extend([0x81, 0x80, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c, 0x3f, 0xff, 0x00]);
    octets
}

fn kind_of(kind: RecordType) -> Option<Kind> {
    let word = kind.to_string();
    Kind::ALL.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind)
}

fn record(owner: &DnsName, data: Data, ttl: u32) -> Record {
    let name = |name: &DnsName| Name::from_labels(name.labels()).unwrap();
    let data = match data {
        Data::A(ip) => RData::A(ip.into()),
        Data::Aaaa(ip) => RData::AAAA(ip.into()),
        Data::Mx { preference, exchange } => RData::MX(rdata::MX::new(preference, name(&exchange))),
        Data::Txt(strings) => RData::TXT(rdata::TXT::from_bytes(strings.iter().map(Vec::as_slice).collect())),
        Data::Cname(to) => RData::CNAME(rdata::CNAME(name(&to))),
        Data::Ptr(to) => RData::PTR(rdata::PTR(name(&to))),
        Data::Ns(to) => RData::NS(rdata::NS(name(&to))),
        Data::Srv { priority, weight, port, target } => {
            RData::SRV(rdata::SRV::new(priority, weight, port, name(&target)))
        }
        Data::Tlsa(tlsa) => RData::TLSA(rdata::TLSA::new(
            tlsa.usage.into(),
            tlsa.selector.into(),
            tlsa.matching.into(),
            tlsa.data,
        )),
        Data::Caa(caa) => {
            let length = u8::try_from(caa.tag.len()).unwrap();
            let octets = [&[caa.flags, length][..], caa.tag.as_bytes(), &caa.value].concat();
            RData::Unknown { code: RecordType::CAA, rdata: rdata::NULL::with(octets) }
        }
    };
    Record::from_rdata(name(owner), ttl, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &NameServer, name: &str) -> Message {
        let mut question = Message::query();
        let name = Name::from_ascii(name).unwrap();
        question.add_query(hickory_proto::op::Query::query(name, RecordType::A));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&question.to_vec().unwrap(), server.at()).unwrap();
        let mut buffer = [0; 1500];
        let n = socket.recv(&mut buffer).unwrap();
        Message::from_vec(&buffer[..n]).unwrap()
    }

    #[test]
    fn a_zone_is_served_and_may_change() {
        let server = NameServer::start();
        assert_eq!(ask(&server, "a.test.").metadata.response_code, ResponseCode::NXDomain);
        server.add("a.test A 127.0.0.9");
        server.add("b.test SERVFAIL");
        assert_eq!(
            ask(&server, "a.test.").answers[0].data,
            RData::A(std::net::Ipv4Addr::new(127, 0, 0, 9).into())
        );
        assert_eq!(ask(&server, "b.test.").metadata.response_code, ResponseCode::ServFail);
        server.set("b.test A 127.0.0.8");
        assert_eq!(ask(&server, "a.test.").metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(server.asked().len(), 4);
        assert_eq!(server.asked()[0], "a.test A");
    }
}
