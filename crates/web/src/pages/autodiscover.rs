//! What Outlook asks for: Autodiscover in its plain form (POX).

use crate::pages::xml;
use crate::site::{Page, Service, Site};
use mail::Address;
use net::ListenTls;

pub(crate) fn page(site: &Site, body: &[u8]) -> Page {
    let text = std::str::from_utf8(body).ok().and_then(|text| xml::text_of(text, "EMailAddress"));
    let Some(Ok(address)) = text.map(|text| Address::parse(&text)) else {
        return Page::status(400, "There is no EMailAddress in the question.");
    };
    if site.domain_of(&address).is_none() {
        return Page::status(404, "That address is not ours.");
    }
    Page::new("application/xml; charset=utf-8", document(site, &address))
}

fn document(site: &Site, address: &Address) -> String {
    let imap = site.imap.first().map(|service| protocol(site, address, "IMAP", *service));
    let smtp = site.submission.first().map(|service| protocol(site, address, "SMTP", *service));
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\n  \
         <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">\n    \
         <User>\n      <DisplayName>{name}</DisplayName>\n    </User>\n    <Account>\n      \
         <AccountType>email</AccountType>\n      <Action>settings</Action>\n{}{}    </Account>\n  </Response>\n</Autodiscover>\n",
        imap.unwrap_or_default(),
        smtp.unwrap_or_default(),
        name = xml::escape(&address.to_string()),
    )
}

fn protocol(site: &Site, address: &Address, kind: &str, service: Service) -> String {
    let (ssl, encryption) = match service.tls {
        ListenTls::Implicit => ("on", "SSL"),
        ListenTls::StartTls => ("on", "TLS"),
    };
    format!(
        "      <Protocol>\n        <Type>{kind}</Type>\n        <Server>{}</Server>\n        <Port>{}</Port>\n        \
         <LoginName>{}</LoginName>\n        <DomainRequired>off</DomainRequired>\n        <SPA>off</SPA>\n        \
         <SSL>{ssl}</SSL>\n        <Encryption>{encryption}</Encryption>\n        <AuthRequired>on</AuthRequired>\n      \
         </Protocol>\n",
        xml::escape(site.hostname.as_str()),
        service.port,
        xml::escape(&address.to_string()),
    )
}
