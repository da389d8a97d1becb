//! The page for who types the name of the server into a browser.

use crate::pages::xml;
use crate::site::{Page, Service, Site};
use net::ListenTls;

pub(crate) fn page(site: &Site) -> Page {
    let host = xml::escape(site.hostname.as_str());
    let rows = |what: &str, services: &[Service]| -> String {
        let row = |service: &Service| {
            let tls = match service.tls {
                ListenTls::Implicit => "TLS",
                ListenTls::StartTls => "STARTTLS",
            };
            format!("<tr><td>{what}</td><td>{host}</td><td>{}</td><td>{tls}</td></tr>\n", service.port)
        };
        services.iter().map(row).collect()
    };
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{host}</title>\n\
         <h1>{host}</h1>\n<p>This is a mail server. It works.</p>\n\
         <p>Most mail programs find these settings by themselves. The user name is the whole mail address.</p>\n\
         <table>\n<tr><th></th><th>server</th><th>port</th><th>security</th></tr>\n{}{}</table>\n\
         <form action=\"/profile.mobileconfig\"><label>For iPhone, iPad and Mac, a profile for the address \
         <input name=\"address\" type=\"email\" required></label> <button>Get it</button></form>\n</html>\n",
        rows("reading (IMAP)", &site.imap),
        rows("sending (SMTP)", &site.submission),
    );
    Page::new("text/html; charset=utf-8", body)
}
