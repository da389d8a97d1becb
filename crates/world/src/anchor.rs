//! Trust anchors: the keys from which all proof begins, as keys or as digests of keys (RFC 4033 §2, RFC 4034 §5).

use crate::name_server::understand;
use crate::resolver::DnsError;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, PublicKey, TrustAnchors};
use hickory_resolver::proto::rr::{LowerName, Name, RData, RecordType};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Largest file of trust anchors that is read, in octets.
const FILE_MAX: u64 = 64 * 1024;
/// Most digests in a file: for each name that has some the keys are asked for.
const DIGESTS_MAX: usize = 32;

/// What is trusted from the start.
pub(crate) struct Anchors {
    /// `None`: only digests are known.
    keys: Option<TrustAnchors>,
    digests: Vec<Digest>,
}

/// A DS record: the digest of a key of this name.
struct Digest {
    name: Name,
    ds: DS,
}

/// A key that a digest proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    name: Name,
    key: DNSKEY,
}

impl Anchors {
    /// The keys of the root that are built in, or DNSKEY and DS records from a file in place of them.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, String> {
        let Some(path) = file else {
            return Ok(Self { keys: Some(TrustAnchors::default()), digests: Vec::new() });
        };
        let shown = path.display();
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_MAX).read_to_string(&mut text))
            .map_err(|error| format!("the trust anchors {shown} cannot be read: {error}"))?;
        Self::parse(&text).map_err(|error| format!("the trust anchors {shown} make no sense: {error}"))
    }

    /// Records, one a line, without the comments that tools put behind them.
    fn parse(text: &str) -> Result<Self, String> {
        let (mut keys, mut digests) = (String::new(), Vec::new());
        for line in text.lines() {
            let line = line.split(';').next().unwrap_or_default().trim();
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let Some((name, rest)) = words.split_first() else { continue };
            let at = |kind: &str| rest.iter().position(|word| word.eq_ignore_ascii_case(kind));
            // Only full names have a meaning here.
            let dot = if name.ends_with('.') { "" } else { "." };
            let name = format!("{name}{dot}");
            if words.contains(&"(") {
                return Err("a trust anchor stands on more than one line".to_owned());
            } else if at("DNSKEY").is_some() {
                keys.push_str(&format!("{name} {}\n", rest.join(" ")));
            } else if let Some(at) = at("DS") {
                digests.push(digest(&name, rest.get(at + 1..).unwrap_or_default())?);
            }
        }
        if keys.is_empty() && digests.is_empty() {
            return Err("no trust anchor is in it: DNSKEY or DS records are needed".to_owned());
        }
        if digests.len() > DIGESTS_MAX {
            return Err(format!("there are more than {DIGESTS_MAX} DS records"));
        }
        let keys = match keys.as_str() {
            "" => None,
            keys => Some(keys.parse().map_err(|error| format!("a DNSKEY record cannot be read: {error}"))?),
        };
        Ok(Self { keys, digests })
    }

    /// Whether keys must be asked for, and again from time to time, because only their digests are known.
    pub(crate) fn have_digests(&self) -> bool {
        !self.digests.is_empty()
    }

    /// The keys that the digests prove. Whoever answers need not be believed: a digest fits its key alone.
    pub(crate) async fn prove(&self, plain: &TokioResolver) -> Result<Vec<Proven>, DnsError> {
        let mut proven: Vec<Proven> = Vec::new();
        let mut asked: Vec<&Name> = Vec::new();
        for Digest { name, .. } in &self.digests {
            if asked.contains(&name) {
                continue;
            }
            asked.push(name);
            let answer = match plain.lookup(name.clone(), RecordType::DNSKEY).await {
                Ok(answer) => answer,
                Err(error) => match understand(&error) {
                    DnsError::NoName | DnsError::NoRecord => continue,
                    trouble => return Err(trouble),
                },
            };
            for record in answer.answers() {
                let RData::DNSSEC(DNSSECRData::DNSKEY(key)) = &record.data else { continue };
                if record.name == *name && self.fits(name, key) {
                    proven.push(Proven { name: name.clone(), key: key.clone() });
                }
            }
        }
        Ok(proven)
    }

    /// A key that was revoked is trusted no more (RFC 5011 §2.1).
    fn fits(&self, name: &Name, key: &DNSKEY) -> bool {
        let covers = |one: &Digest| {
            one.name == *name
                && one.ds.algorithm() == key.public_key().algorithm()
                && key.calculate_key_tag().is_ok_and(|tag| tag == one.ds.key_tag())
                && one.ds.covers(name, key).unwrap_or(false)
        };
        !key.revoke() && self.digests.iter().any(covers)
    }

    /// All keys to trust; `None` if there is none.
    pub(crate) fn with(&self, proven: &[Proven]) -> Option<Arc<TrustAnchors>> {
        if self.keys.is_none() && proven.is_empty() {
            return None;
        }
        let mut all = self.keys.clone().unwrap_or_else(TrustAnchors::empty);
        for Proven { name, key } in proven {
            all.insert_with_name(key.public_key(), LowerName::from(name));
        }
        Some(Arc::new(all))
    }
}

/// The words behind `DS`: tag, algorithm, digest type, digest in hexadecimal digits (RFC 4034 §5.3).
fn digest(name: &str, words: &[&str]) -> Result<Digest, String> {
    let name = Name::from_ascii(name).map_err(|error| format!("{name} is no name: {error}"))?;
    let [tag, algorithm, kind, digest @ ..] = words else {
        return Err("a DS record needs a tag, an algorithm, a digest type and a digest".to_owned());
    };
    let number = |what: &str, text: &str| {
        text.parse().map_err(|_| format!("the {what} {text:?} of a DS record is no number below 256"))
    };
    let tag: u16 =
        tag.parse().map_err(|_| format!("the tag {tag:?} of a DS record is no number below 65536"))?;
    let (algorithm, kind) = (number("algorithm", algorithm)?, number("digest type", kind)?);
    // RFC 8624 §3.3 wants no other: SHA-1 is broken.
    let (kind, length) = match kind {
        2 => (DigestType::SHA256, 32),
        4 => (DigestType::SHA384, 48),
        other => {
            return Err(format!(
                "the digest type {other} of a DS record is neither 2 (SHA-256) nor 4 (SHA-384)"
            ));
        }
    };
    let octets = hex(&digest.concat()).filter(|octets| octets.len() == length);
    let octets = octets
        .ok_or_else(|| format!("the digest of a DS record is not {length} octets in hexadecimal digits"))?;
    Ok(Digest { name, ds: DS::new(tag, Algorithm::from_u8(algorithm), kind, octets) })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the root of 2017 and its digest as IANA publishes them.
    const KEY: &str = "257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU=";
    const DS: &str = "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";

    /// How many keys of the root, and how many digests; or what is wrong.
    fn read(text: &str) -> Result<(usize, usize), String> {
        let anchors = Anchors::parse(text)?;
        Ok((anchors.keys.map_or(0, |keys| keys.len()), anchors.digests.len()))
    }

    #[test]
    fn anchors_are_read_as_tools_write_them() {
        let many: String = (0..33).map(|_| format!(". IN DS {DS}\n")).collect();
        for (text, want) in [
            (format!("; autotrust\n. 172800 IN DNSKEY {KEY} ;{{id = 20326 (ksk)}} ;;state=2\n"), Ok((1, 0))),
            (format!("test IN DNSKEY {KEY}\n"), Ok((0, 0))),
            (format!(".\t86400\tIN\tDS\t{DS}\n"), Ok((0, 1))),
            (format!(". ds {}\ntest. IN DNSKEY {KEY}\n", DS.replace("4571", "45 71")), Ok((0, 1))),
            (format!(". IN DNSKEY {KEY}\n. IN DS {DS}\n"), Ok((1, 1))),
            (String::new(), Err("no trust anchor is in it")),
            (". IN NS a.root-servers.net.\n".to_owned(), Err("no trust anchor is in it")),
            (". IN DS 20326 8 2 E06D44B8\n".to_owned(), Err("not 32 octets")),
            (format!(". IN DS {}0\n", DS), Err("not 32 octets")),
            (". IN DS 20326 8 1 00\n".to_owned(), Err("digest type 1")),
            (". IN DS 20326 8\n".to_owned(), Err("needs a tag")),
            (". IN DS 70000 8 2 00\n".to_owned(), Err("the tag \"70000\"")),
            (". IN DS 1 x 2 00\n".to_owned(), Err("the algorithm \"x\"")),
            (". IN DS ( 20326 8 2\n".to_owned(), Err("more than one line")),
            (". IN DNSKEY 257 3 8 !!!\n".to_owned(), Err("a DNSKEY record cannot be read")),
            (many, Err("more than 32")),
        ] {
            match (read(&text), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{text}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (got, want) => panic!("{text}: {got:?}, not {want:?}"),
            }
        }
        assert!(Anchors::read(Some(Path::new("/nowhere/root.key"))).is_err());
        assert_eq!(Anchors::read(None).unwrap().keys.unwrap().len(), 2);
    }

    #[test]
    fn a_digest_fits_its_key_alone() {
        let keys = TrustAnchors::default();
        let key = |at: usize, flags| DNSKEY::with_flags(flags, keys.get(at).unwrap().clone());
        let anchors = |ds: &str| Anchors::parse(&format!(". IN DS {ds}\n")).unwrap();
        let (root, other) = (Name::root(), Name::from_ascii("test.").unwrap());
        let good = anchors(DS);
        assert!(good.fits(&root, &key(0, 257)));
        assert!(!good.fits(&root, &key(1, 257)), "another key");
        assert!(!good.fits(&other, &key(0, 257)), "the same key of another name");
        assert!(!good.fits(&root, &key(0, 257 + 128)), "a revoked key");
        assert!(!good.fits(&root, &key(0, 1)), "no key of a zone");
        assert!(!anchors(&DS.replace("20326", "20327")).fits(&root, &key(0, 257)), "another tag");
        assert!(!anchors(&DS.replace(" 8 2", " 13 2")).fits(&root, &key(0, 257)), "another algorithm");
        assert!(!anchors(&DS.replace("E06D", "E06E")).fits(&root, &key(0, 257)), "another digest");
        assert!(good.with(&[]).is_none());
        let proven = Proven { name: root, key: key(0, 257) };
        assert_eq!(good.with(&[proven]).unwrap().len(), 1);
    }
}
