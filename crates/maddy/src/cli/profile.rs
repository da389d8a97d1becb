//! `account profile`: what sets up a mail program of Apple.

use crate::admin::address_name;
use crate::certificates;
use crate::cli::args::Global;
use crate::cli::{Trouble, output};
use crate::config::Source;
use crate::website;
use mail::Address;
use qrcodegen::{QrCode, QrCodeEcc};
use serde_json::json;

/// Empty columns and rows around a code, which cameras want.
const MARGIN: i32 = 4;

pub(crate) fn print(typed: &str, qr: bool, global: &Global) -> Result<(), Trouble> {
    if global.state_dir.is_some() {
        return Err(Trouble::usage(
            "account profile goes by a configuration, which names the ports: use --config",
        ));
    }
    let config = Source { config: global.config(), state_dir: None }.read_settings()?;
    let address = Address::parse(&address_name(typed)?).map_err(|error| Trouble::usage(error.to_string()))?;
    if !config.domains.contains(address.domain()) {
        return Err(Trouble::usage(format!("{} is not in `domains`", address.domain())));
    }
    let Some((profile, url)) = website::profile(&config, &address) else {
        return Err(Trouble::new("the configuration has no port for reading mail, or none for sending it"));
    };
    if global.json {
        return output::json(&json!({ "account": address.to_string(), "profile": profile, "url": url }));
    }
    if !qr {
        let clock = world::SystemClock;
        let signed = certificates::of_hostname(&config)
            .and_then(|files| net::sign_with(&files, profile.as_bytes(), &clock));
        if signed.is_none() {
            eprintln!(
                "note: it is not signed, for want of a certificate that others believe in and of which this user may read the key"
            );
        }
        return output::octets(signed.as_deref().unwrap_or(profile.as_bytes()));
    }
    if !config.web.listen.iter().any(|entrance| entrance.shows == web::Shows::Pages) {
        return Err(Trouble::new(
            "the code leads to this server's web pages, which are off: write `web { listen \"[::]:443\" tls=#true; }`",
        ));
    }
    let code = QrCode::encode_text(&url, QrCodeEcc::Medium)
        .map_err(|_| Trouble::new("the address is too long for a code"))?;
    output::line(&format!("{}\n{url}", picture(&code)))
}

/// Two rows of a code in one line of text. Dark on light, whatever the colours of the terminal are.
fn picture(code: &QrCode) -> String {
    let ends = -MARGIN..code.size() + MARGIN;
    let mut text = String::new();
    for y in ends.clone().step_by(2) {
        text.push_str("\u{1b}[30;107m");
        for x in ends.clone() {
            text.push(match (code.get_module(x, y), code.get_module(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        text.push_str("\u{1b}[0m\n");
    }
    text
}
