//! The real resolver against a name server on loopback that serves a zone written as text.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, rdata};
use mail::Domain;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use world::zone::{Answer, Failure, Zone};
use world::{Data, DnsError, DnsName, DnsOptions, Kind, Mx, Proof, Resolver, SystemResolver};

const ZONE: &str = "example.org MX 20 mx2.example.org
example.org MX 10 mx.example.org
example.org TXT \"v=spf1 \" \"-all\"
null.example MX 0 .
mx.example.org A 127.0.0.1
mx.example.org AAAA ::1
four.example A 192.0.2.4
alias.example CNAME four.example
broken.example SERVFAIL
half.example A 192.0.2.5
half.example AAAA SERVFAIL
slow.example TIMEOUT
noise.example GARBAGE
no.example REFUSED
a\\032b._spf.example A 192.0.2.6
_25._tcp.mx.example.org TLSA 3 1 1 00ff
1.2.0.192.in-addr.arpa PTR mx.example.org
";

fn kind_of(kind: RecordType) -> Kind {
    let word = kind.to_string();
    Kind::ALL.iter().find(|(_, known)| *known == word).unwrap().0
}

fn record(owner: &DnsName, data: Data) -> Record {
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
        world::Data::Caa(caa) => {
            let length = u8::try_from(caa.tag.len()).unwrap();
            let octets = [&[caa.flags, length][..], caa.tag.as_bytes(), &caa.value].concat();
            RData::Unknown { code: RecordType::CAA, rdata: rdata::NULL::with(octets) }
        }
    };
    Record::from_rdata(name(owner), 300, data)
}

async fn serve(zone: &str) -> (SocketAddr, Arc<AtomicUsize>) {
    let zone = Zone::parse(zone).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((n, peer)) = socket.recv_from(&mut buffer).await {
            counter.fetch_add(1, Ordering::SeqCst);
            let question = Message::from_vec(&buffer[..n]).unwrap();
            let query = question.queries[0].clone();
            let mut answer = Message::response(question.metadata.id, OpCode::Query);
            answer.metadata.message_type = MessageType::Response;
            answer.metadata.recursion_available = true;
            answer.add_query(query.clone());
            let asked_for = DnsName::from_labels(query.name().iter()).unwrap();
            match zone.ask(&asked_for, kind_of(query.query_type())) {
                Answer::Records(found) => {
                    answer.add_answers(found.into_iter().map(|(owner, data)| record(&owner, data)));
                }
                Answer::NoName => answer.metadata.response_code = ResponseCode::NXDomain,
                Answer::NoRecord => {}
                Answer::Fails(Failure::ServFail) => answer.metadata.response_code = ResponseCode::ServFail,
                Answer::Fails(Failure::Refused) => answer.metadata.response_code = ResponseCode::Refused,
                Answer::Fails(Failure::Timeout) => continue,
                Answer::Fails(Failure::Garbage) => {
                    socket.send_to(&buffer[..2], peer).await.unwrap();
                    continue;
                }
            }
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    (at, asked)
}

fn resolver(at: SocketAddr) -> SystemResolver {
    SystemResolver::new(&DnsOptions {
        servers: vec![at],
        timeout: Duration::from_millis(200),
        retries: 1,
        patience: Duration::from_secs(2),
        cache: 100,
        ..DnsOptions::default()
    })
    .unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

#[tokio::test]
async fn records_come_as_they_are_and_failures_are_told_apart() {
    let (at, _) = serve(ZONE).await;
    let dns = resolver(at);
    let mut mx = dns.mx(&domain("Example.ORG")).await.unwrap();
    mx.sort_by_key(|mx| mx.preference);
    assert_eq!(mx[0], Mx { preference: 10, exchange: Some(domain("mx.example.org")) });
    assert_eq!(mx.len(), 2);
    assert_eq!(dns.mx(&domain("null.example")).await.unwrap(), [Mx { preference: 0, exchange: None }]);
    let ips = |texts: &[&str]| texts.iter().map(|t| t.parse::<IpAddr>().unwrap()).collect::<Vec<_>>();
    for (host, want) in [
        ("mx.example.org", ips(&["::1", "127.0.0.1"])),
        ("four.example", ips(&["192.0.2.4"])),
        ("alias.example", ips(&["192.0.2.4"])),
        ("half.example", ips(&["192.0.2.5"])),
        ("[IPv6:2001:db8::1]", ips(&["2001:db8::1"])),
    ] {
        assert_eq!(dns.addresses(&domain(host)).await.unwrap(), want, "{host}");
    }
    assert_eq!(dns.txt("example.org").await.unwrap(), ["v=spf1 -all"]);
    assert_eq!(dns.names("192.0.2.1".parse().unwrap()).await.unwrap(), [domain("mx.example.org")]);

    assert_eq!(dns.mx(&domain("four.example")).await, Err(DnsError::NoRecord));
    assert_eq!(dns.mx(&domain("[192.0.2.1]")).await, Err(DnsError::NoRecord));
    assert_eq!(dns.mx(&domain("gone.example")).await, Err(DnsError::NoName));
    assert_eq!(dns.addresses(&domain("gone.example")).await, Err(DnsError::NoName));
    for name in ["broken.example", "slow.example", "noise.example", "no.example"] {
        let error = dns.mx(&domain(name)).await.unwrap_err();
        assert!(error.is_temporary(), "{name}: {error}");
    }
}

#[tokio::test]
async fn names_of_any_octets_and_types_by_themselves() {
    let (at, _) = serve(ZONE).await;
    let dns = resolver(at);
    let ask = async |name: &[u8], kind| {
        let reply = dns.ask(&DnsName::from_octets(name).unwrap(), kind, Proof::Usual).await;
        reply.answer.map(|records| format!("{} {}", records.owner, records.data[0]))
    };
    for (name, kind, want) in [
        (&b"a b._spf.example"[..], Kind::A, "a\\032b._spf.example 192.0.2.6"),
        (b"_25._tcp.mx.example.org", Kind::Tlsa, "_25._tcp.mx.example.org 3 1 1 00ff"),
        (b"alias.example", Kind::A, "four.example 192.0.2.4"),
        (b"alias.example", Kind::Cname, "alias.example four.example"),
    ] {
        assert_eq!(ask(name, kind).await.unwrap(), want);
    }
    let half = dns.families(&DnsName::parse("half.example").unwrap(), Proof::Usual).await;
    assert_eq!(half.four, Ok(vec!["192.0.2.5".parse().unwrap()]));
    assert!(half.six.unwrap_err().is_temporary());
    assert_eq!(dns.txt("a..b").await, Err(DnsError::NoName));
}

#[tokio::test]
async fn an_answer_is_kept() {
    let (at, asked) = serve(ZONE).await;
    let dns = resolver(at);
    for _ in 0..20 {
        dns.mx(&domain("example.org")).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
