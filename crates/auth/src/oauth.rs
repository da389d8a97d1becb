//! OAUTHBEARER (RFC 7628) and XOAUTH2, its forerunner: a token of an authorization server in place of a password.

use crate::exchange::Refusal;
use crate::login::{Secret, account_name, check_user};
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};

/// Separates the key/value pairs (RFC 7628 §3.1).
const SEPARATOR: char = '\x01';
/// Longest token that is taken, in octets: those that carry signed claims have some thousand.
pub const TOKEN_MAX: usize = 8 * 1024;

/// A token, and whose it is said to be.
#[derive(Clone, Debug)]
pub struct TokenClaim {
    /// The account name, where the client gave one.
    pub user: Option<String>,
    pub token: Secret,
}

impl TokenClaim {
    /// Under what the token is remembered: nobody without the key can tell which one it was.
    pub fn tag(&self, key: &[u8; 32]) -> [u8; 16] {
        let key = Key::new(HMAC_SHA256, key);
        let mut tag = [0; 16];
        let digest = hmac::sign(&key, self.token.reveal().as_bytes());
        tag.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        tag
    }
}

/// What clients are told whose token was refused. Neither may hold quotes, backslashes or control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// What a token must be good for.
    pub scope: Option<String>,
    /// Where the authorization server describes itself.
    pub openid_configuration: Option<String>,
}

impl Discovery {
    /// The answer to a token that is not good (RFC 7628 §3.2.2); `schemes` is what older clients look for.
    pub(crate) fn error(&self, status: &str) -> String {
        let mut json = format!("{{\"status\":\"{status}\",\"schemes\":\"bearer\"");
        for (key, value) in [("scope", &self.scope), ("openid-configuration", &self.openid_configuration)] {
            if let Some(value) = value {
                json.push_str(&format!(",\"{key}\":\"{value}\""));
            }
        }
        json.push('}');
        json
    }
}

/// Reads the client's response of OAUTHBEARER (RFC 7628 §3.1).
pub(crate) fn bearer(octets: &[u8]) -> Result<TokenClaim, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|_| Refusal::BadText)?;
    let (header, pairs) = text.split_once(SEPARATOR).ok_or(Refusal::Malformed)?;
    let mut parts = header.split(',');
    let (Some(flag), Some(authorize), Some(""), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    if !matches!(flag, "n" | "y") {
        return Err(if flag.starts_with("p=") { Refusal::UnknownBinding } else { Refusal::Malformed });
    }
    let user = match authorize {
        "" => None,
        given => Some(name(&unescape(given.strip_prefix("a=").ok_or(Refusal::Malformed)?)?)?),
    };
    Ok(TokenClaim { user, token: token(pairs)? })
}

/// Reads the client's response of XOAUTH2: `user=…`, `auth=Bearer …`.
pub(crate) fn xoauth2(octets: &[u8]) -> Result<TokenClaim, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|_| Refusal::BadText)?;
    let (user, pairs) = text.split_once(SEPARATOR).ok_or(Refusal::Malformed)?;
    let user = user.strip_prefix("user=").ok_or(Refusal::Malformed)?;
    Ok(TokenClaim { user: Some(name(user)?), token: token(pairs)? })
}

/// The token among the pairs, each of which ends with a separator, as does their list.
fn token(pairs: &str) -> Result<Secret, Refusal> {
    let pairs = pairs.strip_suffix(SEPARATOR).ok_or(Refusal::Malformed)?;
    let mut found = None;
    for pair in pairs.split_terminator(SEPARATOR) {
        let (key, value) = pair.split_once('=').ok_or(Refusal::Malformed)?;
        if key.eq_ignore_ascii_case("auth") && found.replace(value).is_some() {
            return Err(Refusal::Malformed);
        }
    }
    let (scheme, token) = found.and_then(|auth| auth.split_once(' ')).ok_or(Refusal::Malformed)?;
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("Bearer") || token.is_empty() || token.len() > TOKEN_MAX {
        return Err(Refusal::Malformed);
    }
    // RFC 6750 §2.1: b64token, which needs no escaping anywhere.
    let is_token =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    if !token.bytes().all(is_token) {
        return Err(Refusal::Malformed);
    }
    Ok(Secret::new(token.to_owned()))
}

fn name(written: &str) -> Result<String, Refusal> {
    check_user(written)?;
    Ok(account_name(written))
}

/// `=2C` is a comma, `=3D` an equals sign (RFC 5801 §4).
fn unescape(written: &str) -> Result<String, Refusal> {
    let mut parts = written.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (letter, rest) = match part.get(..2) {
            Some("2C") => (',', &part[2..]),
            Some("3D") => ('=', &part[2..]),
            _ => return Err(Refusal::Malformed),
        };
        plain.push(letter);
        plain.push_str(rest);
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(claim: Result<TokenClaim, Refusal>) -> String {
        match claim {
            Ok(claim) => format!("{:?} {}", claim.user.as_deref().unwrap_or("-"), claim.token.reveal()),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    #[test]
    fn bearer_responses() {
        for (text, want) in [
            // RFC 7628 §4.1
            (
                "n,a=user@example.com,^host=server.example.com^port=143^auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==^^",
                "\"user@example.com\" vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
            ),
            ("n,,^auth=bearer abc^^", "\"-\" abc"),
            ("y,,^AUTH=Bearer   abc^x=y^^", "\"-\" abc"),
            ("n,a=A=2Cb=3Dc@Example.ORG,^auth=Bearer abc^^", "\"a,b=c@example.org\" abc"),
            ("n,a=a=2c,^auth=Bearer abc^^", "Malformed"),
            ("p=tls-exporter,,^auth=Bearer abc^^", "UnknownBinding"),
            ("x,,^auth=Bearer abc^^", "Malformed"),
            ("n,^auth=Bearer abc^^", "Malformed"),
            ("n,,,^auth=Bearer abc^^", "Malformed"),
            ("n,b=x,^auth=Bearer abc^^", "Malformed"),
            ("n,,^auth=Bearer abc^", "\"-\" abc"),
            ("n,,^auth=Bearer abc", "Malformed"),
            ("n,,^auth=Basic abc^^", "Malformed"),
            ("n,,^auth=Bearer^^", "Malformed"),
            ("n,,^auth=Bearer ^^", "Malformed"),
            ("n,,^auth=Bearer a b^^", "Malformed"),
            ("n,,^auth=Bearer a&b^^", "Malformed"),
            ("n,,^auth=Bearer a^auth=Bearer b^^", "Malformed"),
            ("n,,^host=x^^", "Malformed"),
            ("n,,^x^^", "Malformed"),
            ("n,,^^", "Malformed"),
            ("^", "Malformed"),
            ("", "Malformed"),
            ("n,a=,^auth=Bearer abc^^", "BadText"),
        ] {
            assert_eq!(shown(bearer(text.replace('^', "\x01").as_bytes())), want, "{text}");
        }
        let long = format!("n,,\x01auth=Bearer {}\x01\x01", "x".repeat(TOKEN_MAX + 1));
        assert_eq!(shown(bearer(long.as_bytes())), "Malformed");
        assert_eq!(shown(bearer(b"n,,\x01auth=Bearer \xff\x01\x01")), "BadText");
    }

    #[test]
    fn xoauth2_responses() {
        for (text, want) in [
            ("user=Someuser@Example.com^auth=Bearer ya29.vF9^^", "\"someuser@example.com\" ya29.vF9"),
            ("user=^auth=Bearer x^^", "BadText"),
            ("auth=Bearer x^user=a@b.c^^", "Malformed"),
            ("user=a@b.c^^", "Malformed"),
            ("user=a@b.c", "Malformed"),
        ] {
            assert_eq!(shown(xoauth2(text.replace('^', "\x01").as_bytes())), want, "{text}");
        }
    }

    #[test]
    fn errors_are_json() {
        assert_eq!(
            Discovery::default().error("invalid_token"),
            r#"{"status":"invalid_token","schemes":"bearer"}"#
        );
        let discovery = Discovery {
            scope: Some("mail".to_owned()),
            openid_configuration: Some("https://id.example/.well-known/openid-configuration".to_owned()),
        };
        assert_eq!(
            discovery.error("invalid_token"),
            r#"{"status":"invalid_token","schemes":"bearer","scope":"mail","openid-configuration":"https://id.example/.well-known/openid-configuration"}"#
        );
    }
}
