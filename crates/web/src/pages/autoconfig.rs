//! What Thunderbird and those who followed it ask for: config-v1.1.xml.

use crate::pages::{query, xml};
use crate::site::{Page, Service, Site};
use mail::{Address, Domain};
use net::ListenTls;

/// For the domain of the host, or of the address that is asked about, if that is ours too.
pub(crate) fn page(site: &Site, host: &Domain, query: &str) -> Page {
    let asked = query::value(query, "emailaddress").filter(|text| !text.is_empty());
    let domain = match asked.map(|text| Address::parse(&text)) {
        None => Some(host),
        Some(Ok(address)) => site.domain_of(&address),
        Some(Err(_)) => None,
    };
    let Some(domain) = domain else { return Page::status(404, "That address is not ours.") };
    Page::new("application/xml; charset=utf-8", document(site, domain))
}

fn document(site: &Site, domain: &Domain) -> String {
    let name = xml::escape(domain.as_str());
    let servers = |tag: &str, kind: &str, services: &[Service]| -> String {
        services.iter().map(|service| server(site, tag, kind, *service)).collect()
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"{name}\">\n    \
         <domain>{name}</domain>\n    <displayName>{name}</displayName>\n    <displayShortName>{name}</displayShortName>\n\
         {}{}  </emailProvider>\n</clientConfig>\n",
        servers("incomingServer", "imap", &site.imap),
        servers("outgoingServer", "smtp", &site.submission),
    )
}

fn server(site: &Site, tag: &str, kind: &str, service: Service) -> String {
    let socket = match service.tls {
        ListenTls::Implicit => "SSL",
        ListenTls::StartTls => "STARTTLS",
    };
    format!(
        "    <{tag} type=\"{kind}\">\n      <hostname>{}</hostname>\n      <port>{}</port>\n      \
         <socketType>{socket}</socketType>\n      <authentication>password-cleartext</authentication>\n      \
         <username>%EMAILADDRESS%</username>\n    </{tag}>\n",
        xml::escape(site.hostname.as_str()),
        service.port,
    )
}
