//! Whether somebody elsewhere has agreed to get the reports about a domain (RFC 9990, "Verifying External Destinations").

use super::TIME_MAX;
use super::record::addresses;
use super::walk::{has_version, organizational};
use crate::tags::is_blank;
use mail::Domain;
use world::{DnsError, Resolver};

/// What a record of consent may put in place of the address that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// `rua=`
    Aggregate,
    /// `ruf=`
    Failure,
}

/// What a host says of reports about a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    Given,
    /// They are to go to these URIs, which are of the same host; nowhere, if none of them can be used.
    Instead(Vec<String>),
    Refused,
}

/// Asks whether `host` wants reports about the domain whose record stands at `domain`. Hosts of the same organization need
/// not be asked. The error is DNS trouble: another time the answer may be known. Ends within [`TIME_MAX`].
pub async fn consent(
    domain: &Domain,
    host: &Domain,
    kind: ReportKind,
    dns: &dyn Resolver,
) -> Result<Consent, String> {
    if host == domain {
        return Ok(Consent::Given);
    }
    let asked = tokio::time::timeout(TIME_MAX, ask(domain, host, kind, dns)).await;
    asked.unwrap_or_else(|_| Err(format!("{host} takes too long to say whether it wants reports")))
}

async fn ask(
    domain: &Domain,
    host: &Domain,
    kind: ReportKind,
    dns: &dyn Resolver,
) -> Result<Consent, String> {
    // Names that have no end in common belong to no one organization.
    let top = |name: &Domain| name.as_str().rsplit('.').next().unwrap_or_default().to_owned();
    if top(host) == top(domain) && organizational(host, dns).await? == organizational(domain, dns).await? {
        return Ok(Consent::Given);
    }
    let name = format!("{domain}._report._dmarc.{host}");
    let texts = match dns.txt(&name).await {
        Ok(texts) => texts,
        Err(DnsError::Trouble(text)) => return Err(format!("{name} TXT: {text}")),
        Err(_) => return Ok(Consent::Refused),
    };
    let mut records = texts.iter().filter(|text| has_version(text)).peekable();
    if records.peek().is_none() {
        return Ok(Consent::Refused);
    }
    let wanted = match kind {
        ReportKind::Aggregate => "rua",
        ReportKind::Failure => "ruf",
    };
    let others: Vec<String> = records.flat_map(|text| addresses(tag(text, wanted))).collect();
    // Whoever leads on to a third is believed in nothing.
    if others.iter().filter_map(|uri| host_of(uri)).any(|other| other != *host) {
        return Ok(Consent::Refused);
    }
    Ok(if others.is_empty() { Consent::Given } else { Consent::Instead(others) })
}

/// The first value of a tag.
fn tag<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let mut tags = text.split(';').filter_map(|spec| spec.split_once('='));
    tags.find(|(name, _)| name.trim_matches(is_blank) == wanted)
        .map(|(_, value)| value.trim_matches(is_blank))
}

/// The host of a URI, as far as it has one.
fn host_of(uri: &str) -> Option<Domain> {
    if let Some((address, _)) = crate::report::destination(uri) {
        return Some(address.domain().clone());
    }
    let authority = uri.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let is_port = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let host = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(host, _)| host);
    Domain::parse(host).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::fake;

    const ZONE: &str = "
        _dmarc.o.example TXT \"v=DMARC1; p=reject\"
        o.example._report._dmarc.yes.test TXT \"v=DMARC1\"
        o.example._report._dmarc.also.example TXT \" v = DMARC1 ; \"
        o.example._report._dmarc.text.test TXT \"yes, please\"
        o.example._report._dmarc.two.test TXT \"other\"
        o.example._report._dmarc.two.test TXT \"v=DMARC1;\"
        o.example._report._dmarc.lead.test TXT \"v=DMARC1; rua=mailto:new@lead.test!1m ; ruf=mailto:f@lead.test\"
        o.example._report._dmarc.on.test TXT \"v=DMARC1; rua=mailto:new@victim.test,https://on.test/\"
        o.example._report._dmarc.off.test TXT \"v=DMARC1; rua=mailto:new@off.test,https://victim.test:443?x\"
        o.example._report._dmarc.web.test TXT \"v=DMARC1; rua=https://a@web.test:444/x\"
        o.example._report._dmarc.slow.test TIMEOUT
        _dmarc.co.uk TXT \"v=DMARC1; p=none; psd=y\"
        _dmarc.far.slow TIMEOUT
    ";

    #[tokio::test]
    async fn those_elsewhere_are_asked() {
        let world = fake::world_with(1, ZONE).unwrap();
        for (domain, host, want) in [
            ("o.example", "o.example", "Given"),
            ("o.example", "reports.o.example", "Given"),
            ("a.o.example", "b.o.example", "Given"),
            ("a.o.example", "o.example", "Given"),
            ("o.example", "yes.test", "Given"),
            ("o.example", "also.example", "Given"),
            ("o.example", "two.test", "Given"),
            ("o.example", "text.test", "Refused"),
            ("o.example", "gone.test", "Refused"),
            ("o.example", "gone.example", "Refused"),
            ("other.example", "yes.test", "Refused"),
            // Neighbours below a public suffix are strangers, and so is the suffix.
            ("a.co.uk", "b.co.uk", "Refused"),
            ("a.co.uk", "co.uk", "Refused"),
            ("o.example", "lead.test", "Instead([\"mailto:new@lead.test!1m\"])"),
            // Not to a third, nor to whoever would lead there.
            ("o.example", "on.test", "Refused"),
            ("o.example", "off.test", "Refused"),
            ("o.example", "web.test", "Instead([\"https://a@web.test:444/x\"])"),
        ] {
            let (domain, host) = (Domain::parse(domain).unwrap(), Domain::parse(host).unwrap());
            let got = consent(&domain, &host, ReportKind::Aggregate, world.dns.as_ref()).await.unwrap();
            assert_eq!(format!("{got:?}"), want, "{domain} to {host}");
        }
        let (domain, host) = (Domain::parse("o.example").unwrap(), Domain::parse("lead.test").unwrap());
        let got = consent(&domain, &host, ReportKind::Failure, world.dns.as_ref()).await;
        assert_eq!(got, Ok(Consent::Instead(vec!["mailto:f@lead.test".to_owned()])));
        for (domain, host) in [("o.example", "slow.test"), ("a.slow", "far.slow")] {
            let (domain, host) = (Domain::parse(domain).unwrap(), Domain::parse(host).unwrap());
            let got = consent(&domain, &host, ReportKind::Aggregate, world.dns.as_ref()).await;
            assert!(got.is_err(), "{domain} to {host}: {got:?}");
        }
    }
}
