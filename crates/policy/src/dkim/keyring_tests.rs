//! The life of keys, with a DNS and a clock that do as they are told.

use super::change::{KeyChange, What};
use super::keyring::{Haste, Keyring, Rotation};
use super::ring::Stage;
use super::sign::Selectors;
use mail::{Blob, Domain, Message};
use std::sync::Arc;
use std::time::Duration;
use world::World;
use world::fake::{FakeClock, FakeRandom, FakeResolver};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Scene {
    dir: tempfile::TempDir,
    clock: FakeClock,
    dns: FakeResolver,
    keyring: Keyring,
}

fn scene(every: Option<Duration>) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (clock, dns) = (FakeClock::default(), FakeResolver::default());
    let world = World {
        clock: Arc::new(clock.clone()),
        dns: Arc::new(dns.clone()),
        random: Arc::new(FakeRandom::seeded(1)),
        meter: world::Meter::default(),
    };
    let selectors = Selectors { rsa: "r".to_owned(), ed25519: "e".to_owned() };
    let rotation = Rotation { every, keep: 14 * DAY, settle: HOUR, look: HOUR };
    let domains = vec![Domain::parse("example.org").unwrap()];
    let keyring = Keyring { dir: dir.path().join("keys"), domains, selectors, rotation, world };
    Scene { dir, clock, dns, keyring }
}

impl Scene {
    fn domain(&self) -> Domain {
        self.keyring.domains[0].clone()
    }

    /// `r signing e signing`, in the order of their making.
    fn stages(&self) -> String {
        let keys = self.keyring.list().unwrap();
        keys.iter().map(|key| format!("{} {}", key.selector, key.stage)).collect::<Vec<_>>().join(", ")
    }

    /// The selectors that a message is signed with.
    fn signs(&self) -> String {
        let signer = self.keyring.signer().unwrap();
        let message = Message::new(Blob::from_bytes(*b"From: a@example.org\r\n\r\nhi\r\n"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let fields = runtime.block_on(async { signer.sign(&message).await.unwrap() });
        let selector = |field: &String| {
            let at = field.find("s=").unwrap() + 2;
            field[at..].split(';').next().unwrap().to_owned()
        };
        fields.iter().rev().map(selector).collect::<Vec<_>>().join(" ")
    }

    /// Publishes the records of keys, all but these.
    fn publish_all_but(&self, left_out: &[&str]) {
        let keys = self.keyring.list().unwrap();
        let shown = keys.iter().filter(|key| !left_out.contains(&key.selector.as_str()));
        let lines = shown.filter_map(|key| key.record.as_ref()).map(|record| {
            let strings = record
                .text
                .as_bytes()
                .chunks(255)
                .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)));
            format!("{} TXT {}\n", record.name, strings.collect::<Vec<_>>().join(" "))
        });
        self.dns.set(&lines.collect::<String>()).unwrap();
    }

    fn tend(&self) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let done = runtime.block_on(self.keyring.tend());
        let changes = done.into_iter().flat_map(|one| one.unwrap()).collect::<Vec<_>>();
        words(&changes)
    }

    fn rotate(&self, haste: Haste) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        words(&runtime.block_on(self.keyring.rotate(&self.domain(), haste)).unwrap())
    }
}

fn words(changes: &[KeyChange]) -> String {
    let word = |change: &KeyChange| {
        let what = match &change.what {
            What::Made(stage) => format!("made {stage}"),
            What::Missing(why) => format!("missing ({why})"),
            What::Unanswered(why) => format!("unanswered ({why})"),
            What::Seen => "seen".to_owned(),
            What::Signs => "signs".to_owned(),
            What::Doubted(why) => format!("doubted ({why})"),
            What::Confirmed => "confirmed".to_owned(),
            What::Contradicted(why) => format!("contradicted ({why})"),
            What::Retiring => "retiring".to_owned(),
            What::Retired(before) => {
                assert!(before.as_ref().is_some_and(|before| before.name == change.record.name));
                format!("retired {}", change.record.text)
            }
        };
        format!("{} {what}", change.selector)
    };
    changes.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn signing_moves_over_when_the_dns_has_shown_the_record_for_a_time() {
    let scene = scene(None);
    assert_eq!(scene.signs(), "r e");
    assert_eq!(scene.stages(), "r signing, e signing");
    assert_eq!(scene.rotate(Haste::Settled), "r-20260101 made waiting, e-20260101 made waiting");
    assert_eq!(scene.signs(), "r e");
    scene.clock.advance(DAY);
    let missing = "(there is no record at this name)";
    assert_eq!(scene.tend(), format!("r-20260101 missing {missing}, e-20260101 missing {missing}"));

    // One of the two is published.
    scene.publish_all_but(&["e-20260101"]);
    assert_eq!(scene.tend(), format!("r-20260101 seen, e-20260101 missing {missing}"));
    scene.clock.advance(HOUR / 2);
    assert_eq!(scene.tend(), format!("e-20260101 missing {missing}"));
    // It goes away again: then it has to be seen anew.
    scene.dns.set("").unwrap();
    assert_eq!(scene.tend(), format!("r-20260101 missing {missing}, e-20260101 missing {missing}"));
    scene.publish_all_but(&[]);
    scene.clock.advance(HOUR);
    assert_eq!(scene.tend(), "r-20260101 seen, e-20260101 seen");
    assert_eq!(scene.signs(), "r e");
    scene.clock.advance(HOUR);
    assert_eq!(scene.tend(), "r retiring, r-20260101 signs, e retiring, e-20260101 signs");
    assert_eq!(scene.signs(), "r-20260101 e-20260101");

    scene.clock.advance(13 * DAY);
    assert_eq!(scene.tend(), "");
    let old = scene.keyring.dir.join("example.org.r.pem");
    assert!(old.exists());
    scene.clock.advance(DAY);
    assert_eq!(scene.tend(), "r retired v=DKIM1; k=rsa; p=, e retired v=DKIM1; k=ed25519; p=");
    assert!(!old.exists() && !old.with_extension("dns").exists());
    assert_eq!(scene.tend(), "");
    assert_eq!(scene.signs(), "r-20260101 e-20260101");
}

#[test]
fn only_the_right_record_counts() {
    let scene = scene(None);
    assert_eq!(scene.signs(), "r e");
    scene.rotate(Haste::Settled);
    let right = scene.keyring.list().unwrap()[2].record.clone().unwrap();
    let other = scene.keyring.list().unwrap()[0].record.clone().unwrap();
    let name = "r-20260101._domainkey.example.org";
    assert_eq!(right.name, name);
    let strings = |text: &str| {
        text.as_bytes()
            .chunks(200)
            .map(|part| format!("\"{}\" ", String::from_utf8_lossy(part)))
            .collect::<String>()
    };
    let spaced = right.text.replace("; ", " ;  ").replace("p=", "p= ");
    for (zone, want) in [
        (format!("{name} TXT {}", strings(&right.text)), "seen"),
        (format!("{name} TXT {}", strings(&format!("{spaced};"))), "seen"),
        (format!("{name} TXT {}", strings(&other.text)), "missing (the record there has another key)"),
        (format!("{name} TXT \"v=DKIM1; k=rsa; p=\""), "missing (the record there is a revoked one)"),
        (
            format!("{name} TXT {}", strings(&right.text.replace("k=rsa", "k=ed25519"))),
            "missing (the record there is for ed25519)",
        ),
        (format!("{name} TXT \"hello\""), "missing (the record there cannot be read)"),
        (
            format!("{name} TXT {}\n{name} TXT \"v=DKIM1; p=\"", strings(&right.text)),
            "missing (there are 2 records at this name)",
        ),
        (format!("{name} TIMEOUT"), "unanswered (no answer in time)"),
    ] {
        scene.dns.set(&zone).unwrap();
        let got = scene.tend();
        assert!(got.starts_with(&format!("r-20260101 {want}")), "{zone}: {got}");
        scene.dns.set("").unwrap();
        scene.tend();
    }
}

#[test]
fn keys_grow_old_and_are_replaced_by_themselves() {
    let scene = scene(Some(90 * DAY));
    assert_eq!(scene.signs(), "r e");
    scene.clock.advance(89 * DAY);
    assert_eq!(scene.tend(), "");
    scene.clock.advance(DAY);
    let got = scene.tend();
    assert!(got.starts_with("r-20260401 made waiting, e-20260401 made waiting"), "{got}");
    scene.publish_all_but(&[]);
    assert_eq!(scene.tend(), "r-20260401 seen, e-20260401 seen");
    scene.clock.advance(HOUR);
    scene.tend();
    assert_eq!(scene.signs(), "r-20260401 e-20260401");
    assert_eq!(scene.tend(), "");
}

#[test]
fn what_is_asked_for_by_hand() {
    let scene = scene(None);
    scene.signs();
    let made = words(&scene.keyring.prepare(&scene.domain()).unwrap());
    assert_eq!(made, "r-20260101 made prepared, e-20260101 made prepared");
    assert_eq!(words(&scene.keyring.prepare(&scene.domain()).unwrap()), "");
    scene.publish_all_but(&[]);
    assert_eq!(scene.tend(), "", "what is prepared waits to be asked for");
    let got = scene.rotate(Haste::AtOnce);
    assert_eq!(
        got,
        "r-20260101 seen, r retiring, r-20260101 signs, e-20260101 seen, e retiring, e-20260101 signs"
    );
    let refused = |selector: &str| scene.keyring.retire(&scene.domain(), selector).unwrap_err().to_string();
    assert!(refused("r-20260101").contains("maddy dkim rotate example.org"));
    assert!(refused("x").contains("has no key x"));
    assert_eq!(words(&scene.keyring.retire(&scene.domain(), "r").unwrap()), "r retired v=DKIM1; k=rsa; p=");
    assert!(refused("r").contains("retired already"));
    assert_eq!(scene.stages(), "r retired, e retiring, r-20260101 signing, e-20260101 signing");
    // Another on the same day has another name.
    scene.rotate(Haste::Settled);
    assert!(scene.stages().ends_with("r-20260101b waiting, e-20260101b waiting"), "{}", scene.stages());
    let stranger = Domain::parse("other.example").unwrap();
    assert!(scene.keyring.prepare(&stranger).unwrap_err().to_string().contains("not in `domains`"));
}

/// The file is written before a key is made and before one is removed: what a crash leaves is finished later.
#[test]
fn a_crash_between_two_steps_loses_nothing() {
    let scene = scene(None);
    scene.signs();
    scene.rotate(Haste::Settled);
    let key = scene.keyring.dir.join("example.org.r-20260101.pem");
    std::fs::remove_file(&key).unwrap();
    std::fs::remove_file(key.with_extension("dns")).unwrap();
    scene.tend();
    assert!(key.exists(), "a key that is named is made");
    // Removed from the file and not yet from the disk.
    scene.publish_all_but(&[]);
    scene.rotate(Haste::AtOnce);
    let old = scene.keyring.dir.join("example.org.r.pem");
    let pem = std::fs::read(&old).unwrap();
    scene.keyring.retire(&scene.domain(), "r").unwrap();
    std::fs::write(&old, pem).unwrap();
    assert_eq!(scene.signs(), "r-20260101 e-20260101");
    assert!(!old.exists(), "a key that is retired is removed");
    // A draft that was never moved into place does no harm; a file that is damaged is said, and nothing is overwritten.
    std::fs::write(scene.keyring.dir.join("example.org.new"), "half").unwrap();
    assert_eq!(scene.signs(), "r-20260101 e-20260101");
    let file = scene.keyring.dir.join("example.org.keys");
    std::fs::write(&file, "r rsa sign").unwrap();
    let error = scene.keyring.signer().unwrap_err().to_string();
    assert!(error.contains("example.org.keys"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"r rsa sign");
    drop(scene.dir);
}

/// Whoever signs with another key than the DNS shows has mail refused that would pass unsigned.
#[test]
fn a_lost_key_is_not_made_anew_under_its_name() {
    let scene = scene(None);
    assert_eq!(scene.signs(), "r e");
    scene.publish_all_but(&[]);
    std::fs::remove_file(scene.keyring.dir.join("example.org.r.pem")).unwrap();
    assert_eq!(scene.stages(), "r retired, e signing, r-20260101 waiting");
    assert_eq!(scene.signs(), "e", "the other kind goes on");
    assert_eq!(scene.stages(), "r retired, e signing, r-20260101 waiting");
    let got = scene.tend();
    assert!(got.starts_with("r-20260101 missing"), "{got}");
    // It is the same key on another day.
    scene.clock.advance(3 * DAY);
    scene.publish_all_but(&[]);
    assert_eq!(scene.tend(), "r-20260101 seen");
    scene.clock.advance(HOUR);
    assert_eq!(scene.tend(), "r-20260101 signs");
    assert_eq!(scene.signs(), "r-20260101 e");
    // Lost while the server runs: the next look sees it, and what it makes is remembered.
    std::fs::remove_file(scene.keyring.dir.join("example.org.e.pem")).unwrap();
    let got = scene.tend();
    assert!(got.starts_with("e-20260104 missing"), "{got}");
    scene.clock.advance(DAY);
    assert!(scene.stages().ends_with("r-20260101 signing, e-20260104 waiting"), "{}", scene.stages());
}

#[test]
fn a_key_that_the_dns_contradicts_signs_no_more() {
    let scene = scene(None);
    assert_eq!(scene.signs(), "r e");
    let records = |zone: &str| scene.dns.set(zone).unwrap();
    // Nothing published yet: it signs, and nobody is hurt.
    assert_eq!(scene.tend(), "");
    records("r._domainkey.example.org TIMEOUT");
    assert_eq!(scene.tend(), "");
    // A state of another time, or keys made anew: the records are those of others.
    records("r._domainkey.example.org TXT \"v=DKIM1; k=rsa; p=AAAA\"");
    assert_eq!(scene.tend(), "r contradicted (the record there has another key)");
    assert_eq!(scene.signs(), "e");
    scene.publish_all_but(&[]);
    assert_eq!(scene.tend(), "r seen");
    scene.clock.advance(HOUR);
    assert_eq!(scene.tend(), "r signs");
    assert_eq!(scene.signs(), "r e");
}

/// One answer may be wrong or forged; without signatures mail is refused.
#[test]
fn a_key_whose_record_was_there_is_contradicted_by_more_than_one_look() {
    const OTHER: &str = "r._domainkey.example.org TXT \"v=DKIM1; k=rsa; p=AAAA\"";
    let scene = scene(None);
    assert_eq!(scene.signs(), "r e");
    scene.publish_all_but(&[]);
    assert_eq!(scene.tend(), "");
    // For a moment only.
    scene.dns.set(OTHER).unwrap();
    assert_eq!(scene.tend(), "r doubted (the record there has another key)");
    assert_eq!((scene.tend().as_str(), scene.signs().as_str()), ("", "r e"));
    scene.clock.advance(HOUR / 2);
    scene.dns.set("r._domainkey.example.org TIMEOUT").unwrap();
    assert_eq!(scene.tend(), "");
    scene.publish_all_but(&[]);
    assert_eq!(scene.tend(), "r confirmed");
    scene.clock.advance(HOUR);
    assert_eq!((scene.tend().as_str(), scene.signs().as_str()), ("", "r e"));
    // It lasts, also over a restart: what is known stands in the file.
    scene.dns.set(OTHER).unwrap();
    assert_eq!(scene.tend(), "r doubted (the record there has another key)");
    scene.clock.advance(HOUR / 2);
    assert_eq!((scene.tend().as_str(), scene.signs().as_str()), ("", "r e"));
    scene.clock.advance(HOUR / 2);
    assert_eq!(scene.tend(), "r contradicted (the record there has another key)");
    assert_eq!(scene.signs(), "e");
    // A zone that is signed cannot be forged.
    scene.publish_all_but(&[]);
    assert_eq!(scene.tend(), "r seen");
    scene.clock.advance(HOUR);
    assert_eq!(scene.tend(), "r signs");
    scene.dns.set(&format!("{OTHER}\nr._domainkey.example.org BOGUS")).unwrap();
    for _ in 0..3 {
        scene.clock.advance(DAY);
        assert_eq!((scene.tend().as_str(), scene.signs().as_str()), ("", "r e"));
    }
}

/// Somebody else signs with what stands at its name: a rotation has another name, and is not held up by it.
#[test]
fn a_contradicted_key_gives_way_to_another() {
    const OTHER: &str = "r._domainkey.example.org TXT \"v=DKIM1; k=rsa; p=AAAA\"\n";
    let scene = scene(Some(90 * DAY));
    assert_eq!(scene.signs(), "r e");
    scene.dns.set(OTHER).unwrap();
    assert_eq!(scene.tend(), "r contradicted (the record there has another key)");
    let wrong = "r missing (the record there has another key)";
    assert_eq!(scene.tend(), wrong);
    let got = scene.rotate(Haste::Settled);
    assert!(got.starts_with("r-20260101 made waiting, e-20260101 made waiting"), "{got}");
    scene.publish_all_but(&["r"]);
    assert_eq!(scene.tend(), "r missing (there is no record at this name), r-20260101 seen, e-20260101 seen");
    scene.clock.advance(HOUR);
    let got = scene.tend();
    assert!(got.contains("r retired v=DKIM1; k=rsa; p=, r-20260101 signs"), "{got}");
    assert_eq!(scene.signs(), "r-20260101 e-20260101");
    assert_eq!(scene.stages(), "r retired, e retiring, r-20260101 signing, e-20260101 signing");
}

#[test]
fn a_selector_of_another_configuration_is_a_rotation() {
    let mut scene = scene(None);
    assert_eq!(scene.signs(), "r e");
    scene.keyring.selectors.rsa = "s2".to_owned();
    assert_eq!(scene.signs(), "r e");
    assert_eq!(scene.stages(), "r signing, e signing, s2 waiting");
    scene.publish_all_but(&[]);
    scene.tend();
    scene.clock.advance(HOUR);
    scene.tend();
    assert_eq!(scene.signs(), "s2 e");
    assert!(
        scene.keyring.list().unwrap().iter().any(|key| key.stage == Stage::Retiring && key.selector == "r")
    );
}
