//! What OpenSSL finds to be offered: TLS 1.2 and 1.3 with keys that are forgotten and ciphers that prove what they hide,
//! and nothing older.

use crate::program::{Heard, is_missing, run};
use crate::scene;
use tests::Daemon;

fn shake(maddy: &Daemon, more: &[&str]) -> Heard {
    let at = format!("127.0.0.1:{}", maddy.ports().imaps);
    let ca = maddy.setup.ca().display().to_string();
    // Old things are tried with what OpenSSL itself still allows at its lowest level.
    let usual =
        ["s_client", "-connect", &at, "-CAfile", &ca, "-servername", "localhost", "-verify_return_error"];
    run(maddy.setup.dir(), "openssl", &[&usual, more].concat())
}

#[test]
fn only_what_is_modern_is_offered() {
    if is_missing("only_what_is_modern_is_offered", "openssl") {
        return;
    }
    let maddy = scene().start();
    for (more, version, cipher) in [
        (&["-tls1_3"][..], "TLSv1.3", "TLS_"),
        (&["-tls1_2"], "TLSv1.2", "ECDHE-"),
        (&["-tls1_2", "-cipher", "ECDHE+AESGCM"], "TLSv1.2", "GCM"),
        (&["-tls1_2", "-cipher", "ECDHE+CHACHA20"], "TLSv1.2", "CHACHA20"),
    ] {
        let heard = shake(&maddy, more).fine().says(version).says("Verify return code: 0 (ok)");
        let line = heard.text.lines().find(|line| line.contains("Cipher is ")).unwrap_or_default();
        assert!(line.contains(cipher), "{more:?}: {line}");
    }
    for refused in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        // Without forward secrecy, with CBC, with finite-field Diffie-Hellman, with nothing at all.
        &["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"],
        &[
            "-tls1_2",
            "-cipher",
            "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA:@SECLEVEL=0",
        ],
        &["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "NULL:aNULL:@SECLEVEL=0"],
        &["-tls1_3", "-groups", "ffdhe2048"],
    ] {
        let heard = shake(&maddy, refused);
        // OpenSSL names the cipher of a handshake that came about, and (NONE) otherwise.
        let agreed = heard.text.lines().find(|line| line.contains("Cipher is ") && !line.contains("(NONE)"));
        assert!(!heard.status.success() && agreed.is_none(), "{refused:?} was taken\n{heard}");
    }
}
