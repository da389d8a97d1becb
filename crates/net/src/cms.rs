//! Something signed with the key of a certificate, for who wants to know from whom it is: CMS SignedData (RFC 5652 §5), with what
//! was signed and the certificates inside.
//!
//! Only what is needed is written: one signer, known by issuer and number, three attributes. Nothing is read.

use aws_lc_rs::digest::{self, SHA256, SHA384, digest};
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

// Object identifiers as they are encoded, without tag and length.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05];
const OID_SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const OID_SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];

// Tags (X.690 §8).
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The tag that a place gives in the place of its own, or around it.
const PLACE_0: u8 = 0xa0;

/// A way to sign.
struct Way {
    hash: &'static digest::Algorithm,
    hash_oid: &'static [u8],
    signature: Vec<u8>,
}

impl Way {
    fn of(scheme: SignatureScheme) -> Option<Self> {
        // RFC 3370 §3.2 wants an empty parameter for RSA; RFC 5754 §3.3 none for ECDSA.
        let null = [0x05, 0x00];
        let (hash, hash_oid, signature) = match scheme {
            SignatureScheme::RSA_PKCS1_SHA256 => {
                (&SHA256, OID_SHA256, sequence(&[&tlv(OID, RSA), null.as_slice()]))
            }
            SignatureScheme::ECDSA_NISTP256_SHA256 => {
                (&SHA256, OID_SHA256, sequence(&[&tlv(OID, ECDSA_SHA256)]))
            }
            SignatureScheme::ECDSA_NISTP384_SHA384 => {
                (&SHA384, OID_SHA384, sequence(&[&tlv(OID, ECDSA_SHA384)]))
            }
            _ => return None,
        };
        Some(Self { hash, hash_oid, signature })
    }
}

/// What this module can write a signature of; the first that the key can do is taken.
const SCHEMES: [SignatureScheme; 3] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// `content`, signed at `now` (seconds since 1970, before 2050), as DER. `None` where the key is of a kind that is not written
/// here.
pub(crate) fn sign(certified: &CertifiedKey, content: &[u8], now: i64) -> Option<Vec<u8>> {
    let signer = certified.key.choose_scheme(&SCHEMES)?;
    let way = Way::of(signer.scheme())?;
    let leaf = certified.cert.first()?;
    let (_, facts) = X509Certificate::from_der(leaf).ok()?;

    let mut attributes = [
        attribute(CONTENT_TYPE, &tlv(OID, DATA)),
        attribute(SIGNING_TIME, &tlv(UTC_TIME, utc_time(now)?.as_bytes())),
        attribute(MESSAGE_DIGEST, &tlv(OCTETS, digest(way.hash, content).as_ref())),
    ];
    // The order that DER wants of a set (X.690 §11.6), since it is signed.
    attributes.sort();
    let attributes = attributes.concat();
    // They are signed as a set, whatever their place calls them (RFC 5652 §5.4).
    let signature = signer.sign(&tlv(SET, &attributes)).ok()?;

    let hash = sequence(&[&tlv(OID, way.hash_oid)]);
    let version = tlv(INTEGER, &[1]);
    let who = sequence(&[facts.issuer().as_raw(), &tlv(INTEGER, facts.raw_serial())]);
    let signer_info = sequence(&[
        &version,
        &who,
        &hash,
        &tlv(PLACE_0, &attributes),
        &way.signature,
        &tlv(OCTETS, &signature),
    ]);
    let inside = sequence(&[&tlv(OID, DATA), &tlv(PLACE_0, &tlv(OCTETS, content))]);
    let certificates: Vec<u8> = certified.cert.iter().flat_map(|one| one.as_ref().to_vec()).collect();
    let signed_data = sequence(&[
        &version,
        &tlv(SET, &hash),
        &inside,
        &tlv(PLACE_0, &certificates),
        &tlv(SET, &signer_info),
    ]);
    Some(sequence(&[&tlv(OID, SIGNED_DATA), &tlv(PLACE_0, &signed_data)]))
}

fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&tlv(OID, kind), &tlv(SET, value)])
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// Tag, length, value (X.690 §8.1.3, the shortest form).
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(value.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let octets: Vec<u8> =
                value.len().to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
            // At most eight octets of length, which seven bits hold.
            out.push(0x80 | u8::try_from(octets.len()).unwrap_or(0x7f));
            out.extend(octets);
        }
    }
    out.extend_from_slice(value);
    out
}

/// `YYMMDDHHMMSSZ`; from 2050 on another form would be needed (RFC 5652 §11.3).
fn utc_time(now: i64) -> Option<String> {
    let digits: String = mail::date::print_iso(now).chars().filter(char::is_ascii_digit).collect();
    let year: u32 = digits.get(..4)?.parse().ok()?;
    (1950..2050).contains(&year).then(|| digits.get(2..14).map(|rest| format!("{rest}Z"))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_times_have_their_form() {
        for (len, want) in
            [(0, "00"), (127, "7f"), (128, "8180"), (255, "81ff"), (256, "820100"), (70000, "83011170")]
        {
            let got: String = tlv(OCTETS, &vec![0; len])[1..]
                .iter()
                .take(want.len() / 2)
                .map(|octet| format!("{octet:02x}"))
                .collect();
            assert_eq!(got, want, "{len}");
        }
        assert_eq!(utc_time(0).as_deref(), Some("700101000000Z"));
        assert_eq!(utc_time(2_524_608_000), None);
    }
}
