//! XCLIENT of Postfix from the client's side: a server that trusts us hears who brought the message.

use super::exchange::Expect;
use super::session::Session;
use crate::params::to_xtext;
use mail::Client;
use std::net::IpAddr;

/// Longest value of an attribute, in octets before it is encoded; a longer one is as good as unknown.
const VALUE_MAX: usize = 255;
/// Said of what nobody knows.
const UNAVAILABLE: &str = "[UNAVAILABLE]";

impl Session {
    /// Whether the peer lets us say who the client is.
    pub fn takes_xclient(&self) -> bool {
        self.offers.xclient.iter().any(|name| name == "ADDR")
    }

    /// XCLIENT; when it is taken, all begins anew with EHLO.
    pub(super) fn begin_xclient(&mut self, client: &Client) {
        let line = command(client, &self.offers.xclient);
        self.send(&line, Expect::Xclient);
    }
}

/// The command, with what is offered and no more.
fn command(client: &Client, offered: &[String]) -> String {
    let here = client.here;
    let unknown = || UNAVAILABLE.to_owned();
    let text = |value: Option<&str>| match value {
        Some(value) if !value.is_empty() && value.len() <= VALUE_MAX => to_xtext(value),
        _ => unknown(),
    };
    let mut line = String::from("XCLIENT");
    for name in offered {
        let value = match name.as_str() {
            "NAME" => text(client.name.as_deref()),
            "ADDR" => address(client.address),
            "PORT" if client.port == 0 => unknown(),
            "PORT" => client.port.to_string(),
            "PROTO" => if client.extended { "ESMTP" } else { "SMTP" }.to_owned(),
            "HELO" => text(client.hello.as_deref()),
            "LOGIN" => text(client.login.as_deref()),
            "DESTADDR" => here.map_or_else(unknown, |here| address(here.ip())),
            "DESTPORT" => here.map_or_else(unknown, |here| here.port().to_string()),
            _ => continue,
        };
        line.push_str(&format!(" {name}={value}"));
    }
    line.push_str("\r\n");
    line
}

fn address(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("IPV6:{ip}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_said() {
        let mut client = Client {
            address: "192.0.2.1".parse().unwrap(),
            port: 4711,
            here: Some("[2001:db8::1]:587".parse().unwrap()),
            hello: Some("a+b c.example".to_owned()),
            extended: true,
            name: None,
            login: Some("alice@example.org".to_owned()),
        };
        let said = |client: &Client, offered: &str| {
            let offered: Vec<String> = offered.split(' ').map(str::to_owned).collect();
            command(client, &offered)
        };
        assert_eq!(
            said(&client, "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT FUTURE"),
            "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=4711 PROTO=ESMTP HELO=a+2Bb+20c.example \
             LOGIN=alice@example.org DESTADDR=IPV6:2001:db8::1 DESTPORT=587\r\n"
        );
        assert_eq!(said(&client, "ADDR HELO"), "XCLIENT ADDR=192.0.2.1 HELO=a+2Bb+20c.example\r\n");
        client = Client {
            address: "2001:db8::9".parse().unwrap(),
            port: 0,
            here: None,
            hello: Some("x".repeat(300)),
            extended: false,
            name: Some("mx.s.example\r\nQUIT".to_owned()),
            login: None,
        };
        assert_eq!(
            said(&client, "NAME ADDR PORT PROTO HELO LOGIN DESTPORT"),
            "XCLIENT NAME=mx.s.example+0D+0AQUIT ADDR=IPV6:2001:db8::9 PORT=[UNAVAILABLE] PROTO=SMTP \
             HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]\r\n"
        );
    }
}
