//! The walk up the DNS tree that finds policies and organizational domains (RFC 9989, "DNS Tree Walk").

use super::record::{Policy, Psd, Record};
use super::{Identifiers, QUERIES_MAX, QUERY_TIME_MAX, TIME_MAX};
use crate::author::Author;
use mail::Domain;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use world::{DnsError, Resolver};

/// The record that applies to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applicable {
    /// Where the record stands.
    pub at: Domain,
    pub record: Record,
    /// What it says about this author: its `p`, `sp` or `np`.
    pub policy: Policy,
}

/// All that DMARC needs to know from the DNS about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub author: Author,
    /// `Ok(None)`: there is no record. `Err`: the DNS gave no answer; the text says to what.
    pub policy: Result<Option<Applicable>, String>,
    /// The organizational domain of each domain that was looked at, or why it is not known.
    pub organizational: BTreeMap<Domain, Result<Domain, String>>,
}

impl Evidence {
    /// Finds the policy for the author, and the organizational domains of author and identifiers where the
    /// alignment depends on them. Ends within [`TIME_MAX`].
    pub async fn gather(author: Author, identifiers: &Identifiers, dns: &dyn Resolver) -> Self {
        let gathering = Self::gather_all(author.clone(), identifiers, dns);
        tokio::time::timeout(TIME_MAX, gathering).await.unwrap_or_else(|_| Self {
            author,
            policy: Err("the DNS took too long to tell the DMARC policy".to_owned()),
            organizational: BTreeMap::new(),
        })
    }

    async fn gather_all(author: Author, identifiers: &Identifiers, dns: &dyn Resolver) -> Self {
        let mut evidence = Self { author, policy: Ok(None), organizational: BTreeMap::new() };
        let Author::One(domain) = &evidence.author else { return evidence };
        let domain = domain.clone();
        let mut walker = Walker { dns, known: BTreeMap::new() };
        evidence.policy = walker.policy(&domain).await;
        let Ok(Some(applicable)) = &evidence.policy else { return evidence };
        let mut asked = identifiers.relaxed(&applicable.record);
        asked.retain(|one| *one != domain);
        if asked.is_empty() {
            return evidence;
        }
        let own = walker.organizational(&domain).await;
        // An organizational domain is the end of the name it belongs to, so that names elsewhere need no walk,
        // and a stranger's broken name servers cannot put off the verdict.
        asked.retain(|one| own.as_ref().is_ok_and(|own| one.is_within(own)));
        evidence.organizational.insert(domain, own);
        for one in asked {
            if let Entry::Vacant(place) = evidence.organizational.entry(one) {
                let found = walker.organizational(place.key()).await;
                place.insert(found);
            }
        }
        evidence
    }
}

/// The organizational domain of a name by itself. The error is DNS trouble.
pub(super) async fn organizational(domain: &Domain, dns: &dyn Resolver) -> Result<Domain, String> {
    Walker { dns, known: BTreeMap::new() }.organizational(domain).await
}

/// Asks for records, each only once.
struct Walker<'a> {
    dns: &'a dyn Resolver,
    known: BTreeMap<String, Result<At, String>>,
}

/// What stands at a name.
#[derive(Clone)]
enum At {
    Nothing,
    /// A record that asks for nothing that can be understood.
    Unusable,
    Record(Box<Record>),
}

/// Records on the way up, the longest name first.
type Found = Vec<(Domain, Record)>;

impl Walker<'_> {
    /// The one DMARC record of a name. Several are as good as none.
    async fn record_at(&mut self, domain: &str) -> Result<At, String> {
        if let Some(known) = self.known.get(domain) {
            return known.clone();
        }
        let name = format!("_dmarc.{domain}");
        let found = match tokio::time::timeout(QUERY_TIME_MAX, self.dns.txt(&name)).await {
            Ok(Ok(texts)) => {
                let is_dmarc = |text: &&String| has_version(text);
                let mut records = texts.iter().filter(is_dmarc);
                match (records.next(), records.next()) {
                    (Some(only), None) => {
                        Ok(Record::parse(only).map_or(At::Unusable, |record| At::Record(Box::new(record))))
                    }
                    _ => Ok(At::Nothing),
                }
            }
            Ok(Err(DnsError::Trouble(text))) => Err(format!("{name} TXT: {text}")),
            Ok(Err(_)) => Ok(At::Nothing),
            Err(_) => Err(format!("{name} TXT: no answer in time")),
        };
        self.known.insert(domain.to_owned(), found.clone());
        found
    }

    async fn walk(&mut self, start: &Domain) -> Result<Found, String> {
        let mut found = Found::new();
        for name in names_up(start) {
            let At::Record(record) = self.record_at(name).await? else { continue };
            let Ok(domain) = Domain::parse(name) else { continue };
            let stops = record.psd != Psd::Unsaid;
            found.push((domain, *record));
            if stops {
                break;
            }
        }
        Ok(found)
    }

    async fn organizational(&mut self, start: &Domain) -> Result<Domain, String> {
        Ok(organizational_of(start, &self.walk(start).await?))
    }

    /// The record for an author: its own, that of its organizational domain, or that of its public suffix.
    async fn policy(&mut self, author: &Domain) -> Result<Option<Applicable>, String> {
        if author.literal().is_some() {
            return Ok(None);
        }
        match self.record_at(author.as_str()).await? {
            At::Record(record) => {
                return Ok(Some(Applicable { at: author.clone(), policy: record.p, record: *record }));
            }
            // Who has a record of his own is not judged by that of another.
            At::Unusable => return Ok(None),
            At::Nothing => {}
        }
        let found = self.walk(author).await?;
        let organizational = organizational_of(author, &found);
        let own = found.iter().find(|(domain, _)| *domain == organizational);
        let Some((at, record)) = own.or_else(|| found.iter().find(|(_, record)| record.psd == Psd::Yes))
        else {
            return Ok(None);
        };
        let policy = match record.np {
            Some(np) if !self.exists(author).await => np,
            _ => record.sp.unwrap_or(record.p),
        };
        Ok(Some(Applicable { at: at.clone(), record: record.clone(), policy }))
    }

    /// Whether a name is in the DNS at all (RFC 8020). In doubt it is.
    async fn exists(&self, domain: &Domain) -> bool {
        let answer = tokio::time::timeout(QUERY_TIME_MAX, self.dns.txt(domain.as_str())).await;
        !matches!(answer, Ok(Err(DnsError::NoName)))
    }
}

/// `v=DMARC1` at the beginning, which is what tells a DMARC record from others.
pub(super) fn has_version(text: &str) -> bool {
    let (name, rest) = text.split_once('=').unwrap_or(("", ""));
    let value = rest.split(';').next().unwrap_or("");
    name.trim() == "v" && value.trim() == "DMARC1"
}

/// The names that a walk asks for: at most [`QUERIES_MAX`]; long names lose their middle.
fn names_up(start: &Domain) -> Vec<&str> {
    let whole = start.as_str();
    let mut names = vec![whole];
    let mut starts = whole.match_indices('.').map(|(at, _)| &whole[at + 1..]).collect::<Vec<_>>();
    let too_many = (starts.len() + 1).saturating_sub(QUERIES_MAX);
    names.extend(starts.drain(too_many.min(starts.len())..));
    names
}

fn organizational_of(start: &Domain, found: &Found) -> Domain {
    for (domain, record) in found {
        match record.psd {
            Psd::No => return domain.clone(),
            Psd::Yes if domain != start => return one_label_below(domain, start),
            Psd::Yes | Psd::Unsaid => {}
        }
    }
    found.last().map_or_else(|| start.clone(), |(domain, _)| domain.clone())
}

/// The name on the way from `suffix` down to `start`.
fn one_label_below(suffix: &Domain, start: &Domain) -> Domain {
    let head = start.as_str().strip_suffix(suffix.as_str()).unwrap_or("").trim_end_matches('.');
    let label = head.rsplit('.').next().unwrap_or("");
    Domain::parse(&format!("{label}.{suffix}")).unwrap_or_else(|_| start.clone())
}
