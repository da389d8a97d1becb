//! Why TLS failed, in words for people: they stand in the log and in the notices that senders get.

use crate::dane::NoTlsaMatch;
use crate::tls::TlsFault;
use rustls::{CertificateError, Error, OtherError};
use std::error::Error as _;
use std::io;

/// Of a handshake or a connection that broke. Errors that are not of TLS are told as the system tells them.
pub(crate) fn of_io(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => of(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the other side closed the connection in the midst of it".to_owned()
        }
        None => error.to_string(),
    }
}

/// The kind of what [`of_io`] puts into words.
pub(crate) fn fault_of_io(error: &io::Error) -> TlsFault {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).map_or(TlsFault::Other, fault)
}

pub(crate) fn fault(error: &Error) -> TlsFault {
    let Error::InvalidCertificate(problem) = error else { return TlsFault::Other };
    match problem {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsFault::Name,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
        CertificateError::Other(other) if other.0.is::<NoTlsaMatch>() => TlsFault::Tlsa,
        _ => TlsFault::Untrusted,
    }
}

pub(crate) fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(problem) => of_certificate(problem),
        Error::AlertReceived(alert) => {
            format!("the other side broke it off: {}", spaced(&format!("{alert:?}")))
        }
        Error::PeerIncompatible(_) => "no version and cipher of TLS suits both sides".to_owned(),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => "what the other side sent is not TLS".to_owned(),
        Error::NoCertificatesPresented => "the other side showed no certificate".to_owned(),
        other => other.to_string(),
    }
}

fn of_certificate(problem: &CertificateError) -> String {
    use CertificateError::{
        BadEncoding, BadSignature, Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext,
        NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, Other, Revoked,
        UnknownIssuer,
    };
    match problem {
        UnknownIssuer => "its certificate comes from an authority that is not trusted here",
        NotValidForName => "its certificate is for another name",
        NotValidForNameContext { presented, .. } if presented.is_empty() => "its certificate has no name",
        NotValidForNameContext { presented, .. } => {
            return format!("its certificate is for another name: {}", presented.join(", "));
        }
        Expired | ExpiredContext { .. } => "its certificate has expired",
        NotValidYet | NotValidYetContext { .. } => "its certificate is not valid yet",
        Revoked => "its certificate was revoked",
        BadEncoding => "its certificate cannot be read",
        BadSignature => "the signature on its certificate is wrong",
        InvalidPurpose | InvalidPurposeContext { .. } => "its certificate is not for servers",
        Other(other) => return of_other(other),
        other => return format!("its certificate is not acceptable: {other}"),
    }
    .to_owned()
}

/// What has no name of its own in rustls.
fn of_other(other: &OtherError) -> String {
    if let Some(none) = other.0.downcast_ref::<NoTlsaMatch>() {
        return none.to_string();
    }
    let name = other.source().map_or_else(|| other.to_string(), ToString::to_string);
    match name.as_str() {
        "CaUsedAsEndEntity" => {
            "its certificate is that of an authority, or signed by itself, and none for servers".to_owned()
        }
        other => format!("its certificate is not acceptable: {}", spaced(other)),
    }
}

/// `HandshakeFailure` as "handshake failure".
fn spaced(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before = ' ';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push(' ');
        }
        out.push(c.to_ascii_lowercase());
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription;

    #[test]
    fn in_words() {
        let certificate = |problem| Error::InvalidCertificate(problem);
        for (error, want) in [
            (certificate(CertificateError::UnknownIssuer), "an authority that is not trusted here"),
            (certificate(CertificateError::Expired), "its certificate has expired"),
            (certificate(CertificateError::NotValidForName), "its certificate is for another name"),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), "broke it off: handshake failure"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "broke it off: unknown ca"),
        ] {
            let said = of_io(&io::Error::new(io::ErrorKind::InvalidData, error));
            assert!(said.ends_with(want), "{said}");
        }
        let eof = of_io(&io::ErrorKind::UnexpectedEof.into());
        assert!(eof.starts_with("the other side closed"), "{eof}");
    }
}
