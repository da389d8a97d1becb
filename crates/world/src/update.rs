//! Changes to a zone, asked of its own name server (RFC 2136) and signed with a key that both sides know (TSIG, RFC 8945).
//! Pure: octets of questions out, octets of answers in. Answers count only if the same key has signed them.

use crate::name::DnsName;
use crate::name_server::{read_data, read_name, type_of, written};
use crate::record::{Data, Kind};
use crate::resolver::DnsError;
use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_resolver::proto::rr::rdata::{self, NULL};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigVerifier, TSigner};
use std::fmt;
use std::net::IpAddr;

/// How far apart the clocks of both sides may be, in seconds (RFC 8945 §10).
const FUDGE: u16 = 300;
/// Most changes in one message.
pub const CHANGES_MAX: usize = 500;

/// How messages are signed (RFC 8945 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

impl Algorithm {
    /// Every algorithm, with its word.
    pub const ALL: &[(&'static str, Self)] = &[
        ("hmac-sha256", Self::HmacSha256),
        ("hmac-sha384", Self::HmacSha384),
        ("hmac-sha512", Self::HmacSha512),
    ];
}

/// A key that a name server knows, too. `Debug` shows nothing of its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct UpdateKey {
    pub name: DnsName,
    pub algorithm: Algorithm,
    pub secret: Vec<u8>,
}

impl fmt::Debug for UpdateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpdateKey({}, {:?}, …)", self.name, self.algorithm)
    }
}

/// One change of a zone. A record is taken out only as it is known: what somebody else has put in its place stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a record; `ttl` in seconds.
    Add {
        name: DnsName,
        ttl: u32,
        data: Data,
    },
    Remove {
        name: DnsName,
        data: Data,
    },
}

/// Why there is no answer, or a zone is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateError {
    /// The name server says no.
    Refused(String),
    /// It does not hold the zone.
    NotHere,
    /// What came is not what was asked, or is not signed by it.
    Nonsense(String),
    /// It cannot be asked.
    Trouble(String),
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the name server refuses: {why}"),
            Self::NotHere => f.write_str("the name server does not hold the zone"),
            Self::Nonsense(why) => write!(f, "the answer of the name server cannot be believed: {why}"),
            Self::Trouble(why) => write!(f, "the name server cannot be asked: {why}"),
        }
    }
}

impl std::error::Error for UpdateError {}

/// A question that was written, and what its answer is held against.
pub struct Asked {
    id: u16,
    op_code: OpCode,
    verifier: TSigVerifier,
}

/// What a name server says of a name in a zone that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Records of the name itself and of the kind that was asked for. A CNAME in its place is not followed, and is
    /// [`Said::alias`].
    pub data: Vec<Data>,
    pub alias: Option<DnsName>,
    /// Where the zone begins, where the answer says so.
    pub zone: Option<DnsName>,
}

impl UpdateKey {
    fn signer(&self) -> Result<TSigner, UpdateError> {
        let algorithm = match self.algorithm {
            Algorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
            Algorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
            Algorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
        };
        let signer = TSigner::new(self.secret.clone(), algorithm, name(&self.name)?, FUDGE);
        signer.map_err(|error| UpdateError::Trouble(error.to_string()))
    }

    /// Octets that ask for the records of a name; [`None`] asks where its zone begins. `now` in seconds since 1970.
    pub fn question(
        &self,
        about: &DnsName,
        kind: Option<Kind>,
        id: u16,
        now: i64,
    ) -> Result<(Vec<u8>, Asked), UpdateError> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        let kind = kind.map_or(RecordType::SOA, type_of);
        message.add_query(Query::query(name(about)?, kind));
        self.sign(message, now)
    }

    /// Octets that ask for changes of a zone: all are made, or none.
    pub fn changes(
        &self,
        zone: &DnsName,
        changes: &[Change],
        id: u16,
        now: i64,
    ) -> Result<(Vec<u8>, Asked), UpdateError> {
        if changes.len() > CHANGES_MAX {
            return Err(UpdateError::Trouble(format!("more than {CHANGES_MAX} changes at once")));
        }
        let mut message = Message::new(id, MessageType::Query, OpCode::Update);
        // The sections have other names in an update: the question is the zone, the authority what changes (RFC 2136 §2).
        message.add_query(Query::query(name(zone)?, RecordType::SOA));
        for change in changes {
            message.add_authority(match change {
                Change::Add { name: at, ttl, data } => {
                    Record::from_rdata(name(at)?, *ttl, written_data(data)?)
                }
                Change::Remove { name: at, data } => {
                    // RFC 2136 §2.5.4.
                    let mut record = Record::from_rdata(name(at)?, 0, written_data(data)?);
                    record.dns_class = DNSClass::NONE;
                    record
                }
            });
        }
        self.sign(message, now)
    }

    fn sign(&self, mut message: Message, now: i64) -> Result<(Vec<u8>, Asked), UpdateError> {
        let broken =
            |error: &dyn fmt::Display| UpdateError::Trouble(format!("it cannot be written: {error}"));
        let now = u64::try_from(now).map_err(|error| broken(&error))?;
        let (id, op_code) = (message.metadata.id, message.metadata.op_code);
        let verifier = message.finalize(&self.signer()?, now).map_err(|error| broken(&error))?;
        let octets = message.to_vec().map_err(|error| broken(&error))?;
        let verifier = verifier.ok_or_else(|| broken(&"there is no signature"))?;
        Ok((octets, Asked { id, op_code, verifier }))
    }
}

impl Asked {
    /// An answer that is one, and is signed.
    fn read(mut self, octets: &[u8]) -> Result<Message, UpdateError> {
        let bad = |why: &dyn fmt::Display| UpdateError::Nonsense(why.to_string());
        let message = Message::from_vec(octets).map_err(|error| bad(&error))?;
        let head = &message.metadata;
        if head.id != self.id || head.op_code != self.op_code || head.message_type != MessageType::Response {
            return Err(bad(&"it belongs to another question"));
        }
        let code = head.response_code;
        let about_key = message.signature.as_ref().and_then(|signature| signature.data.error);
        match self.verifier.verify(octets) {
            Ok(_) => {}
            // Who does not know our key cannot sign; that it says so changes nothing here (RFC 8945 §5.3.2).
            Err(_) if code != ResponseCode::NoError => return Err(refused(code, about_key)),
            Err(error) => return Err(bad(&error)),
        }
        match code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(message),
            ResponseCode::NotZone => Err(UpdateError::NotHere),
            // RFC 2136 §3.1.2: "not authoritative for the zone", where the signature was good.
            ResponseCode::NotAuth if about_key.is_none() => Err(UpdateError::NotHere),
            code => Err(refused(code, about_key)),
        }
    }

    /// What was said to [`UpdateKey::question`].
    pub fn answer(self, about: &DnsName, kind: Option<Kind>, octets: &[u8]) -> Result<Said, UpdateError> {
        let message = match self.read(octets) {
            // Without recursion this is how one says that the zone is somebody else's.
            Err(UpdateError::Refused(why)) if why.starts_with("REFUSED") => return Err(UpdateError::NotHere),
            other => other?,
        };
        if !message.metadata.authoritative {
            return Err(UpdateError::NotHere);
        }
        let mut said = Said { data: Vec::new(), alias: None, zone: None };
        for record in message.answers.iter().chain(&message.authorities) {
            if let RData::SOA(_) = &record.data {
                said.zone = said.zone.or_else(|| read_name(&record.name));
            }
        }
        for record in message.answers.iter().filter(|record| read_name(&record.name).as_ref() == Some(about))
        {
            match read_data(&record.data) {
                Some(data) if Some(data.kind()) == kind => said.data.push(data),
                Some(Data::Cname(to)) => said.alias = Some(to),
                _ => {}
            }
        }
        Ok(said)
    }

    /// Whether the changes of [`UpdateKey::changes`] were made.
    pub fn done(self, octets: &[u8]) -> Result<(), UpdateError> {
        match self.read(octets)?.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            code => Err(refused(code, None)),
        }
    }
}

fn refused(code: ResponseCode, about_key: Option<TsigError>) -> UpdateError {
    let help = match about_key {
        Some(TsigError::BadKey) => "; it does not know the key of this name and kind",
        Some(TsigError::BadSig) => "; its secret of the key is another",
        Some(TsigError::BadTime) => "; the clocks of both sides differ by more than five minutes",
        Some(_) => "; it does not like the signature",
        None => "",
    };
    let word = match code {
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::NotAuth => "NOTAUTH".to_owned(),
        other => other.to_string(),
    };
    UpdateError::Refused(format!("{word}{help}"))
}

fn name(of: &DnsName) -> Result<Name, UpdateError> {
    written(of).map_err(|error: DnsError| UpdateError::Trouble(error.to_string()))
}

fn written_data(data: &Data) -> Result<RData, UpdateError> {
    Ok(match data {
        Data::A(ip) => RData::A((*ip).into()),
        Data::Aaaa(ip) => RData::AAAA((*ip).into()),
        Data::Mx { preference, exchange } => RData::MX(rdata::MX::new(*preference, name(exchange)?)),
        Data::Txt(strings) => RData::TXT(rdata::TXT::from_bytes(strings.iter().map(Vec::as_slice).collect())),
        Data::Cname(to) => RData::CNAME(rdata::CNAME(name(to)?)),
        Data::Ptr(to) => RData::PTR(rdata::PTR(name(to)?)),
        Data::Ns(to) => RData::NS(rdata::NS(name(to)?)),
        Data::Srv { priority, weight, port, target } => {
            RData::SRV(rdata::SRV::new(*priority, *weight, *port, name(target)?))
        }
        Data::Tlsa(tlsa) => RData::TLSA(rdata::TLSA::new(
            tlsa.usage.into(),
            tlsa.selector.into(),
            tlsa.matching.into(),
            tlsa.data.clone(),
        )),
        Data::Caa(caa) => {
            let length = u8::try_from(caa.tag.len());
            let length = length.map_err(|_| UpdateError::Trouble("a tag of CAA is too long".to_owned()))?;
            let octets = [&[caa.flags, length][..], caa.tag.as_bytes(), &caa.value].concat();
            RData::Unknown { code: RecordType::CAA, rdata: NULL::with(octets) }
        }
    })
}

/// A text in strings of lawful length (RFC 1035 §3.3).
pub fn text(text: &str) -> Data {
    Data::Txt(text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect())
}

/// The record of an address.
pub fn address(ip: IpAddr) -> Data {
    match ip {
        IpAddr::V4(ip) => Data::A(ip),
        IpAddr::V6(ip) => Data::Aaaa(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Caa;
    use hickory_resolver::proto::rr::TSigResponseContext;

    const NOW: i64 = 1_700_000_000;

    fn key(secret: &[u8]) -> UpdateKey {
        let name = DnsName::parse("k.example").unwrap();
        UpdateKey { name, algorithm: Algorithm::HmacSha512, secret: secret.to_vec() }
    }

    fn dns(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    /// What a server answers that knows `key`.
    fn answered(question: &[u8], key: &UpdateKey, change: impl Fn(&mut Message)) -> Vec<u8> {
        let question = Message::from_vec(question).unwrap();
        let mac = question.signature.as_ref().unwrap().data.mac.clone();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.authoritative = true;
        change(&mut answer);
        let plain = answer.to_vec().unwrap();
        let context = TSigResponseContext::new(
            answer.metadata.id,
            u64::try_from(NOW).unwrap(),
            key.signer().unwrap(),
            mac,
            None,
        );
        answer.set_signature(context.sign(&plain).unwrap());
        answer.to_vec().unwrap()
    }

    #[test]
    fn changes_are_signed_and_answers_counted_only_if_they_are() {
        let ours = key(b"a secret");
        assert!(!format!("{ours:?}").contains("secret"), "{ours:?}");
        let caa = Caa { flags: 0, tag: "issue".to_owned(), value: b"ca.example".to_vec() };
        let changes = [
            Change::Remove { name: dns("a.o.ex"), data: Data::A([192, 0, 2, 1].into()) },
            Change::Add { name: dns("o.ex"), ttl: 60, data: text(&"x".repeat(300)) },
            Change::Add { name: dns("o.ex"), ttl: 60, data: Data::Caa(caa.clone()) },
        ];
        let ask = || ours.changes(&dns("o.ex"), &changes, 7, NOW).unwrap();
        let (octets, asked) = ask();
        let sent = Message::from_vec(&octets).unwrap();
        assert_eq!(sent.metadata.op_code, OpCode::Update);
        assert_eq!(sent.authorities[0].dns_class, DNSClass::NONE);
        assert_eq!(read_data(&sent.authorities[1].data).unwrap(), text(&"x".repeat(300)));
        assert_eq!(read_data(&sent.authorities[2].data).unwrap(), Data::Caa(caa));
        assert_eq!(asked.done(&answered(&octets, &ours, |_| {})), Ok(()));

        let (octets, asked) = ask();
        let forged = answered(&octets, &key(b"another"), |_| {});
        assert!(matches!(asked.done(&forged), Err(UpdateError::Nonsense(_))));
        let (octets, asked) = ask();
        let other = answered(&octets, &ours, |answer| answer.metadata.id = 8);
        assert!(matches!(asked.done(&other), Err(UpdateError::Nonsense(_))));
        for (code, want) in [
            (ResponseCode::Refused, UpdateError::Refused("REFUSED".to_owned())),
            (ResponseCode::NotZone, UpdateError::NotHere),
            (ResponseCode::NotAuth, UpdateError::NotHere),
        ] {
            let (octets, asked) = ask();
            let answer = answered(&octets, &ours, |answer| answer.metadata.response_code = code);
            assert_eq!(asked.done(&answer), Err(want), "{code}");
        }
        for cut in 0..octets.len() {
            let (_, asked) = ask();
            assert!(asked.done(&octets[..cut]).is_err());
        }
    }

    #[test]
    fn only_what_its_own_server_says_counts() {
        let ours = key(b"a secret");
        let mx = Record::from_rdata(
            name(&dns("o.ex")).unwrap(),
            60,
            RData::MX(rdata::MX::new(10, name(&dns("mx.o.ex")).unwrap())),
        );
        let ask = || ours.question(&dns("o.ex"), Some(Kind::Mx), 9, NOW).unwrap();
        let (octets, asked) = ask();
        let answer = answered(&octets, &ours, |answer| {
            answer.add_answer(mx.clone());
        });
        let said = asked.answer(&dns("o.ex"), Some(Kind::Mx), &answer).unwrap();
        assert_eq!(said.data, [Data::Mx { preference: 10, exchange: dns("mx.o.ex") }]);
        let (octets, asked) = ask();
        let answer = answered(&octets, &ours, |answer| answer.metadata.authoritative = false);
        assert_eq!(asked.answer(&dns("o.ex"), Some(Kind::Mx), &answer), Err(UpdateError::NotHere));
    }
}
