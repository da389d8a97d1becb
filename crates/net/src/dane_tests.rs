//! Chains and TLSA records in, words out.

use super::*;
use crate::tls_words;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::time::Duration;

/// 2026-01-01.
const NOW: u64 = 1_767_225_600;

/// An authority, one below it, a certificate of the latter, and one of nobody.
struct Chain {
    root: CertificateDer<'static>,
    middle: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    /// The leaf's key, as it stands in a certificate.
    leaf_key: Vec<u8>,
    middle_key: Vec<u8>,
    stranger: CertificateDer<'static>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
    params
}

fn leaf(names: &[&str], end: i32) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(end, 1, 1));
    params
}

fn chain(end: i32) -> Chain {
    let key = || KeyPair::generate().unwrap();
    let root = CertifiedIssuer::self_signed(authority("root"), key()).unwrap();
    let middle = CertifiedIssuer::signed_by(authority("middle"), key(), &root).unwrap();
    let leaf_key = key();
    let one = leaf(&["mx.example.org"], end).signed_by(&leaf_key, &middle).unwrap();
    let stranger_key = key();
    let stranger = leaf(&["mx.example.org"], end).self_signed(&stranger_key).unwrap();
    let spki = |der: &CertificateDer<'_>| {
        X509Certificate::from_der(der.as_ref()).unwrap().1.tbs_certificate.subject_pki.raw.to_vec()
    };
    let middle_der = middle.der().clone();
    Chain {
        root: root.der().clone(),
        middle_key: spki(&middle_der),
        middle: middle_der,
        leaf_key: spki(one.der()),
        leaf: one.der().clone(),
        stranger: stranger.der().clone(),
    }
}

fn tlsa(usage: u8, selector: u8, matching: u8, of: &[u8]) -> Tlsa {
    let data = match matching {
        SHA_256 => digest(&SHA256, of).as_ref().to_vec(),
        SHA_512 => digest(&SHA512, of).as_ref().to_vec(),
        _ => of.to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

fn verify(records: &[Tlsa], names: &[&str], shown: &[&CertificateDer<'static>]) -> String {
    let names = names.iter().map(|name| ServerName::try_from((*name).to_owned()).unwrap()).collect();
    let verifier = DaneVerifier::new(usable(records), names, None);
    let others: Vec<CertificateDer<'static>> = shown[1..].iter().map(|one| (*one).clone()).collect();
    let name = ServerName::try_from("mx.example.org").unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    match verifier.verify_server_cert(shown[0], &others, &name, &[], now) {
        Ok(_) => "good".to_owned(),
        Err(error) => tls_words::of(&error),
    }
}

const NONE: &str = "its certificate is none of those that its TLSA records name";

#[test]
fn the_certificate_itself() {
    let good = chain(2030);
    let old = chain(2021);
    for selector in [WHOLE, PUBLIC_KEY] {
        for matching in [EXACT, SHA_256, SHA_512] {
            for chain in [&good, &old] {
                let of = if selector == WHOLE { chain.leaf.as_ref() } else { &chain.leaf_key };
                let record = tlsa(END_ENTITY, selector, matching, of);
                // Neither the name nor the time counts (RFC 7672 §3.1.1).
                assert_eq!(verify(std::slice::from_ref(&record), &["other.example"], &[&chain.leaf]), "good");
                assert_eq!(
                    verify(std::slice::from_ref(&record), &["mx.example.org"], &[&chain.stranger]),
                    NONE
                );
            }
        }
    }
    // One of several is enough.
    let both = [tlsa(3, 1, 1, b"next key"), tlsa(3, 1, 1, &good.leaf_key)];
    assert_eq!(verify(&both, &[], &[&good.leaf]), "good");
}

#[test]
fn an_authority() {
    let c = chain(2030);
    let whole = [&c.leaf, &c.middle, &c.root];
    let name = ["mx.example.org"];
    for (records, names, shown, want) in [
        (vec![tlsa(2, 0, 1, c.root.as_ref())], &name[..], &whole[..], "good"),
        (vec![tlsa(2, 1, 2, &c.middle_key)], &name, &whole[..2], "good"),
        (vec![tlsa(2, 0, 0, c.middle.as_ref())], &name, &whole[..1], "good"),
        (vec![tlsa(2, 0, 1, c.middle.as_ref())], &["next-hop.example", "mx.example.org"], &whole, "good"),
        // The authority must be shown, or stand in the record.
        (vec![tlsa(2, 0, 1, c.middle.as_ref())], &name, &whole[..1], NONE),
        (
            vec![tlsa(2, 0, 1, c.root.as_ref())],
            &["other.example"],
            &whole,
            "its certificate is for another name: DnsName(\"mx.example.org\")",
        ),
        // It vouches for nothing that it has not signed.
        (
            vec![tlsa(2, 0, 1, c.root.as_ref())],
            &name,
            &[&c.stranger, &c.root],
            "its certificate comes from an authority that is not trusted here",
        ),
        // What is signed by itself is no authority.
        (vec![tlsa(2, 0, 1, c.stranger.as_ref())], &name, &[&c.stranger], NONE),
    ] {
        assert_eq!(verify(&records, names, shown), want, "{records:?} {names:?}");
    }
    let old = chain(2021);
    let got = verify(&[tlsa(2, 0, 1, old.root.as_ref())], &name, &[&old.leaf, &old.middle, &old.root]);
    assert_eq!(got, "its certificate has expired");
}

#[test]
fn which_records_count() {
    let c = chain(2030);
    for (record, want) in [
        (tlsa(0, 0, 1, b"x"), 0),
        (tlsa(1, 1, 1, b"x"), 0),
        (tlsa(4, 1, 1, b"x"), 0),
        (tlsa(3, 2, 1, b"x"), 0),
        (tlsa(3, 1, 3, b"x"), 0),
        (Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0; 31] }, 0),
        (Tlsa { usage: 3, selector: 1, matching: 2, data: vec![0; 32] }, 0),
        (tlsa(3, 0, 0, b"no certificate"), 0),
        (tlsa(3, 1, 0, b""), 0),
        (tlsa(2, 0, 0, c.root.as_ref()), 1),
        (tlsa(3, 1, 1, b"x"), 1),
    ] {
        assert_eq!(usable(std::slice::from_ref(&record)).len(), want, "{record:?}");
    }
    // The stronger digest of the same use counts alone (RFC 7671 §9).
    let both = [tlsa(3, 1, 1, &c.leaf_key), tlsa(3, 1, 2, b"other")];
    assert_eq!(usable(&both), both[1..]);
    assert_eq!(verify(&both, &[], &[&c.leaf]), NONE);
    let apart = [tlsa(3, 0, 1, c.leaf.as_ref()), tlsa(3, 1, 2, b"other")];
    assert_eq!(verify(&apart, &[], &[&c.leaf]), "good");
    assert_eq!(usable(&vec![tlsa(3, 1, 1, b"x"); 100]).len(), RECORDS_MAX);
}
