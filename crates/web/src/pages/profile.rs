//! A profile that sets up the mail program of an iPhone, an iPad or a Mac. It holds no password: the device asks for it.

use crate::pages::{query, xml};
use crate::site::{Page, Service, Site};
use mail::Address;
use net::ListenTls;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What devices take for a profile.
const MEDIA_TYPE: &str = "application/x-apple-aspen-config; charset=utf-8";

/// The same where it is signed, and so no text.
const SIGNED_TYPE: &str = "application/x-apple-aspen-config";

pub(crate) fn page(site: &Site, query: &str) -> Page {
    let asked = query::value(query, "address").map(|text| Address::parse(&text));
    let Some(Ok(address)) = asked else {
        return Page::status(400, "Ask for /profile.mobileconfig?address=you@example.org");
    };
    match (site.domain_of(&address), document(site, &address)) {
        (Some(_), Some(text)) => {
            // Devices show who has signed it, and warn of a profile that nobody has.
            let signed = site.tls.as_ref().and_then(|tls| tls.sign(site.hostname.as_str(), text.as_bytes()));
            let page = match signed {
                Some(signed) => Page::new(SIGNED_TYPE, signed),
                None => Page::new(MEDIA_TYPE, text),
            };
            Page { file: Some("mail.mobileconfig"), ..page }
        }
        _ => Page::status(404, "That address is not ours."),
    }
}

/// Where a device finds the profile of an address.
pub fn url(site: &Site, address: &Address) -> String {
    format!("https://{}/profile.mobileconfig?address={}", site.hostname, query::escape(&address.to_string()))
}

/// The profile as a property list; `None` where mail cannot be read and sent with TLS.
pub fn document(site: &Site, address: &Address) -> Option<String> {
    let (imap, smtp) = (site.imap.first()?, site.submission.first()?);
    let shown = xml::escape(&address.to_string());
    let host = xml::escape(site.hostname.as_str());
    let account: String = [
        string("EmailAccountType", "EmailTypeIMAP"),
        string("EmailAccountDescription", &shown),
        string("EmailAccountName", ""),
        string("EmailAddress", &shown),
        server("Incoming", *imap, &host, &shown),
        server("Outgoing", *smtp, &host, &shown),
        "<key>OutgoingPasswordSameAsIncomingPassword</key><true/>\n".to_owned(),
        payload("com.apple.mail.managed", address, site, "account"),
        string("PayloadDisplayName", &shown),
    ]
    .concat();
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n<key>PayloadContent</key>\n<array>\n<dict>\n{account}</dict>\n</array>\n{}{}{}</dict>\n</plist>\n",
        payload("Configuration", address, site, "profile"),
        string("PayloadDisplayName", &format!("Mail for {shown}")),
        string("PayloadOrganization", &xml::escape(address.domain().as_str())),
    ))
}

fn server(way: &str, service: Service, host: &str, login: &str) -> String {
    // STARTTLS is tried by itself where SSL is off.
    let ssl = service.tls == ListenTls::Implicit;
    [
        string(&format!("{way}MailServerHostName"), host),
        format!("<key>{way}MailServerPortNumber</key><integer>{}</integer>\n", service.port),
        format!("<key>{way}MailServerUseSSL</key><{ssl}/>\n"),
        string(&format!("{way}MailServerAuthentication"), "EmailAuthPassword"),
        string(&format!("{way}MailServerUsername"), login),
    ]
    .concat()
}

/// What every part of a profile says of itself. The same address gives the same names, so that a new profile takes the
/// place of the old one.
fn payload(kind: &str, address: &Address, site: &Site, part: &str) -> String {
    let name = format!("{part}.{}.{}", site.hostname, address);
    [
        string("PayloadType", kind),
        "<key>PayloadVersion</key><integer>1</integer>\n".to_owned(),
        string("PayloadIdentifier", &xml::escape(&format!("maddy.{name}"))),
        string("PayloadUUID", &uuid(&name)),
    ]
    .concat()
}

fn string(key: &str, value: &str) -> String {
    format!("<key>{key}</key><string>{value}</string>\n")
}

/// A number in the form of a UUID that follows from a name (RFC 9562 §5.8: made in a way of our own).
fn uuid(name: &str) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, name).hash(&mut hasher);
        hasher.finish()
    };
    let high = half(1) & !0xf000 | 0x8000;
    let low = half(2) & !(0b11 << 62) | 0b10 << 62;
    let (high, low) = (format!("{high:016X}"), format!("{low:016X}"));
    format!("{}-{}-{}-{}-{}", &high[..8], &high[8..12], &high[12..], &low[..4], &low[4..])
}
