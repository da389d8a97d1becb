//! Backups and restores: whole or not at all, everything as it was, and nothing said again that readers have seen.

use crate::help::*;
use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use storage::backup::*;
use storage::*;

const NAME: &str = "a@a.example";

fn silent(_: Step) {}

fn plan(bench: &Bench, to: &Path, keep: usize) -> BackupPlan {
    BackupPlan {
        state_dir: bench.dir.path().to_owned(),
        to: to.to_owned(),
        extra: Vec::new(),
        keep,
        pace: Pace::Full,
        now: bench.world.clock.unix(),
        version: "test".to_owned(),
    }
}

async fn made(bench: &Bench, to: &Path) -> BackupReport {
    back_up(plan(bench, to, 3), &silent).await.unwrap()
}

fn restoring(from: &Path, state: &Path, now: i64) -> RestorePlan {
    RestorePlan {
        from: from.to_owned(),
        generation: None,
        state_dir: state.to_owned(),
        former: Former::Refused,
        owner: None,
        queued: Queued::Kept,
        now,
    }
}

fn sql(database: &Path, text: &str) {
    Connection::open(database).unwrap().execute_batch(text).unwrap();
}

fn big(seed: u8) -> String {
    format!("{seed:03} ").repeat(80_000)
}

/// A bench with some mail, and where a backup goes.
async fn scene() -> (Bench, MailboxId, tempfile::TempDir) {
    let bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    bench.append(inbox, "small").await;
    bench.append(inbox, &big(1)).await;
    fs::create_dir(bench.dir.path().join("dkim")).unwrap();
    fs::write(bench.dir.path().join("dkim/key"), "secret").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", bench.dir.path().join("link")).unwrap();
    (bench, inbox, tempfile::tempdir().unwrap())
}

fn file_of(bench: &Bench, number: usize) -> PathBuf {
    let name = &bench.body_files()[number];
    bench.dir.path().join("bodies").join(&name[..2]).join(name)
}

#[tokio::test]
async fn everything_comes_back_under_new_numbers() {
    let (bench, inbox, to) = scene().await;
    let report = made(&bench, to.path()).await;
    assert_eq!((report.files, report.bodies, report.new_bodies), (1, 1, 1));
    assert_eq!(report.left, ["link"]);
    assert_eq!(check_backup(to.path().to_owned(), &silent).await.unwrap().findings, [""; 0]);
    let before = bench.show(inbox).await;
    let old = bench.store.snapshot(inbox).await.unwrap().mailbox;
    // What readers see after the backup was made must never be said of anything else.
    let later = bench.append(inbox, "seen by readers").await;
    let rows = bench.store.fetch(inbox, &UidSet::one(later), Columns::NONE, 1).await.unwrap();
    let new = bench.store.create_mailbox(bench.account(NAME).await, "New", None).await.unwrap();
    let new_validity = bench.store.mailbox_by_id(new).await.unwrap().uidvalidity;

    let state = tempfile::tempdir().unwrap();
    let now = bench.world.clock.unix();
    let restored = restore(restoring(to.path(), state.path(), now), &silent).await.unwrap();
    assert_eq!((restored.bodies, restored.damaged.len(), restored.generation), (1, 0, report.generation));
    assert_eq!(fs::read_to_string(state.path().join("dkim/key")).unwrap(), "secret");
    let mut back = Bench::new().await;
    back.store.close().await;
    back.dir = state;
    back.reopen().await;
    assert_eq!(back.store.verify().await.unwrap(), [""; 0]);
    let inbox = back.inbox(NAME).await;
    assert_eq!(back.show(inbox).await, before);
    let mailbox = back.store.snapshot(inbox).await.unwrap().mailbox;
    assert!(mailbox.uidvalidity > old.uidvalidity && mailbox.uidvalidity > new_validity);
    assert!(mailbox.modseq > old.modseq + 1000);
    let uid = back.append(inbox, "another").await;
    let again = back.store.fetch(inbox, &UidSet::one(uid), Columns::NONE, 1).await.unwrap();
    assert!(again[0].email > rows[0].email, "a number of a message is given again");
    let other = back.store.create_mailbox(back.account(NAME).await, "Other", None).await.unwrap();
    assert!(other > new, "a number of a mailbox is given again");
}

#[tokio::test]
async fn generations_share_bodies_and_go() {
    let (bench, inbox, to) = scene().await;
    let mut names = vec![made(&bench, to.path()).await.generation];
    bench.append(inbox, &big(2)).await;
    let second = back_up(plan(&bench, to.path(), 3), &silent).await.unwrap();
    assert_eq!((second.bodies, second.new_bodies), (2, 1));
    names.push(second.generation);
    assert_ne!(names[0], names[1]);
    let list = generations(to.path()).unwrap();
    assert_eq!(list.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), names);
    bench.store.expunge(inbox, &UidSet::all(), Which::Any).await.unwrap();
    bench.settle_down(|bench| bench.body_files().is_empty()).await;
    let third = back_up(plan(&bench, to.path(), 2), &silent).await.unwrap();
    assert_eq!(third.removed, [names[0].clone()]);
    assert_eq!(pool(to.path(), "bodies").len(), 2);
    // Each file is read once, however many generations have it.
    let check = check_backup(to.path().to_owned(), &silent).await.unwrap();
    assert_eq!((check.files, check.findings.len()), (2 + 2 + pool(to.path(), "pieces").len() as u64, 0));
    let last = back_up(plan(&bench, to.path(), 1), &silent).await.unwrap();
    assert_eq!(last.removed.len(), 2);
    assert_eq!(pool(to.path(), "bodies").len(), 0);
    let pieces: u64 = pool(to.path(), "pieces").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(pieces <= last.database, "pieces that nobody names stay");
    assert_eq!(check_backup(to.path().to_owned(), &silent).await.unwrap().findings, [""; 0]);
}

/// The files that generations share.
fn pool(to: &Path, name: &str) -> Vec<PathBuf> {
    let folders = fs::read_dir(to.join(name)).unwrap();
    folders
        .flat_map(|dir| fs::read_dir(dir.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect()
}

#[tokio::test]
async fn only_what_has_changed_of_the_database_is_kept_anew() {
    let (bench, inbox, to) = scene().await;
    for number in 0..60_u64 {
        // Hexadecimal digits, of which a half can be saved at most.
        let words =
            (0..3000).map(|at| blake3::hash(&[number.to_be_bytes(), u64::to_be_bytes(at)].concat()).to_hex());
        bench.append(inbox, &words.map(|word| word.to_string()).collect::<String>()).await;
    }
    let first = made(&bench, to.path()).await;
    assert_eq!(first.new_database, first.database);
    assert!(first.database > 5_000_000, "{first:?}");
    bench.append(inbox, "a small one").await;
    let second = made(&bench, to.path()).await;
    assert!(second.new_database > 0 && second.new_database * 5 < second.database, "{second:?}");
    assert_eq!(made(&bench, to.path()).await.new_database, 0);
    // Each is whole, whatever they share; and a piece that was changed is found by both.
    let before = bench.show(inbox).await;
    let state = tempfile::tempdir().unwrap();
    restore(restoring(to.path(), state.path(), 0), &silent).await.unwrap();
    let mut back = Bench::new().await;
    back.store.close().await;
    back.dir = state;
    back.reopen().await;
    assert_eq!(back.store.verify().await.unwrap(), [""; 0]);
    assert_eq!(back.show(back.inbox(NAME).await).await, before);
    let piece = pool(to.path(), "pieces").remove(0);
    let mut octets = fs::read(&piece).unwrap();
    octets[100] ^= 1;
    fs::write(&piece, octets).unwrap();
    let findings = check_backup(to.path().to_owned(), &silent).await.unwrap().findings;
    let name = piece.strip_prefix(to.path()).unwrap().display();
    assert_eq!(findings, [format!("{name}: its octets have changed")]);
}

#[tokio::test]
async fn what_was_copied_while_somebody_wrote_is_one_moment() {
    let (bench, inbox, to) = scene().await;
    for number in 0..30 {
        bench.append(inbox, &format!("{number:06} ").repeat(20_000)).await;
    }
    // A gentle copy rests, and others write in its rests.
    let plan = BackupPlan { pace: Pace::Gentle, ..plan(&bench, to.path(), 3) };
    let (mut over, mut count) = (false, 0);
    let mut backup = std::pin::pin!(back_up(plan, &silent));
    while !over {
        tokio::select! {
            done = &mut backup => over = done.map(|_| true).unwrap(),
            _ = bench.append(inbox, "meanwhile") => count += 1,
        }
    }
    assert!(count > 0);
    let state = tempfile::tempdir().unwrap();
    restore(restoring(to.path(), state.path(), 0), &silent).await.unwrap();
    let store = Store::open(Config::new(state.path()), bench.world.clone()).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_backup_of_the_form_before_can_be_restored() {
    let (bench, inbox, to) = scene().await;
    let before = bench.show(inbox).await;
    let made = made(&bench, to.path()).await;
    bench.store.close().await;
    // The database was a file of the generation.
    let dir = to.path().join(&made.generation);
    fs::copy(bench.dir.path().join("maddy.db"), dir.join("maddy.db")).unwrap();
    let octets = fs::read(dir.join("maddy.db")).unwrap();
    let manifest = fs::read_to_string(dir.join("manifest")).unwrap();
    let file = format!("file {} {} 600 maddy.db", blake3::hash(&octets), octets.len());
    let lines = manifest.replace("maddy-backup 2", "maddy-backup 1");
    let lines = lines.lines().filter(|line| !line.starts_with("piece ") && !line.starts_with("end "));
    let lines = lines.map(|line| if line.starts_with("database ") { &file } else { line });
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(dir.join("manifest"), format!("{text}end {}\n", blake3::hash(text.as_bytes()))).unwrap();
    fs::remove_dir_all(to.path().join("pieces")).unwrap();
    assert_eq!(check_backup(to.path().to_owned(), &silent).await.unwrap().findings, [""; 0]);
    let state = tempfile::tempdir().unwrap();
    restore(restoring(to.path(), state.path(), 0), &silent).await.unwrap();
    let store = Store::open(Config::new(state.path()), bench.world.clone()).await.unwrap();
    let back = Bench { store, ..bench };
    assert_eq!(back.show(back.inbox(NAME).await).await, before);
}

#[tokio::test]
async fn damage_is_told_on_both_ways_and_the_rest_is_there() {
    let (bench, inbox, to) = scene().await;
    bench.append(inbox, &big(2)).await;
    fs::write(file_of(&bench, 0), "x").unwrap();
    let report = made(&bench, to.path()).await;
    assert_eq!((report.damaged.len(), report.new_bodies), (1, 1));
    assert_eq!(check_backup(to.path().to_owned(), &silent).await.unwrap().findings, [""; 0]);
    let state = tempfile::tempdir().unwrap();
    let restored = restore(restoring(to.path(), state.path(), 0), &silent).await.unwrap();
    assert_eq!((restored.damaged, restored.bodies), (report.damaged, 1));
    // A file of the backup itself.
    let key = to.path().join(&report.generation).join("state/dkim/key");
    fs::write(key, "secreT").unwrap();
    let findings = check_backup(to.path().to_owned(), &silent).await.unwrap().findings;
    assert_eq!(findings, [format!("{}/state/dkim/key: its octets have changed", report.generation)]);
    let state = tempfile::tempdir().unwrap();
    let refused = restore(restoring(to.path(), state.path(), 0), &silent).await.unwrap_err();
    assert!(refused.to_string().contains("not what it was"), "{refused}");
    // It was broken off: no daemon starts there, and a sound backup ends it.
    let open = Store::open(Config::new(state.path()), bench.world.clone()).await.unwrap_err();
    assert!(open.to_string().contains("maddy restore"), "{open}");
    let good = tempfile::tempdir().unwrap();
    made(&bench, good.path()).await;
    restore(restoring(good.path(), state.path(), 0), &silent).await.unwrap();
    Store::open(Config::new(state.path()), bench.world.clone()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_damaged_manifest_is_told_and_hurts_no_other() {
    let (bench, inbox, to) = scene().await;
    let first = made(&bench, to.path()).await.generation;
    bench.store.expunge(inbox, &UidSet::all(), Which::Any).await.unwrap();
    let second = made(&bench, to.path()).await.generation;
    let manifest = to.path().join(&first).join("manifest");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, &text[..text.len() - 10]).unwrap();
    assert_eq!(generations(to.path()).unwrap().len(), 1);
    let findings = check_backup(to.path().to_owned(), &silent).await.unwrap().findings;
    assert_eq!(findings, [format!("{first}: its manifest is cut off or changed")]);
    let third = back_up(plan(&bench, to.path(), 1), &silent).await.unwrap();
    assert_eq!(third.removed, [second]);
    fs::write(&manifest, text).unwrap();
    assert_eq!(check_backup(to.path().to_owned(), &silent).await.unwrap().findings, [""; 0]);
}

#[tokio::test]
async fn what_is_there_is_not_overwritten() {
    let (bench, _, to) = scene().await;
    made(&bench, to.path()).await;
    let in_use = restore(restoring(to.path(), bench.dir.path(), 0), &silent).await;
    assert_eq!(in_use, Err(Error::Trouble(Trouble::InUse)));
    bench.store.close().await;
    let refused = restore(restoring(to.path(), bench.dir.path(), 0), &silent).await;
    assert_eq!(refused, Err(Error::NotAllowed("the state directory is not empty")));
    let plan = RestorePlan { former: Former::SetAside, ..restoring(to.path(), bench.dir.path(), 7) };
    let report = restore(plan, &silent).await.unwrap();
    let aside = report.set_aside.unwrap();
    assert_eq!(aside, bench.dir.path().join("before-restore-7"));
    assert!(aside.join("maddy.db").exists() && aside.join("dkim/key").exists());
    Store::open(Config::new(bench.dir.path()), bench.world.clone()).await.unwrap().close().await;
    let inside = BackupPlan { to: bench.dir.path().join("backup"), ..self::plan(&bench, to.path(), 1) };
    assert!(matches!(back_up(inside, &silent).await, Err(Error::NotAllowed(_))));
}

#[tokio::test]
async fn a_restore_that_was_broken_off_is_given_again() {
    let (bench, inbox, to) = scene().await;
    made(&bench, to.path()).await;
    let before = bench.show(inbox).await;
    bench.store.close().await;
    let state = bench.dir.path();
    // While the former state was set aside: some of it is, some is not.
    fs::write(state.join("restore-unfinished"), "before-restore-5").unwrap();
    fs::create_dir(state.join("before-restore-5")).unwrap();
    fs::rename(state.join("dkim"), state.join("before-restore-5/dkim")).unwrap();
    let again = restoring(to.path(), state, 9);
    let report = restore(again.clone(), &silent).await.unwrap();
    let aside = report.set_aside.unwrap();
    assert!(
        aside.ends_with("before-restore-5")
            && aside.join("maddy.db").exists()
            && aside.join("dkim/key").exists()
    );
    // While it got its names: what is there is ours.
    fs::write(state.join("restore-unfinished"), "").unwrap();
    fs::remove_file(state.join("maddy.db")).unwrap();
    fs::create_dir(state.join(".restoring")).unwrap();
    restore(again, &silent).await.unwrap();
    assert!(aside.join("maddy.db").exists());
    let store = Store::open(Config::new(state), bench.world.clone()).await.unwrap();
    let back = Bench { store, ..bench };
    assert_eq!(back.show(back.inbox(NAME).await).await, before);
    assert_eq!(back.store.verify().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn mail_that_waits_goes_along_or_not() {
    let (bench, _, to) = scene().await;
    bench.store.accept(acceptance("out", &[], &["b@b.example"])).await.unwrap();
    made(&bench, to.path()).await;
    for (queued, count) in [(Queued::Kept, 1), (Queued::Dropped, 0)] {
        let state = tempfile::tempdir().unwrap();
        let plan = RestorePlan { queued, ..restoring(to.path(), state.path(), 0) };
        restore(plan, &silent).await.unwrap();
        let store = Store::open(Config::new(state.path()), bench.world.clone()).await.unwrap();
        assert_eq!(store.queue(None, 10).await.unwrap().len(), count);
        assert_eq!(store.verify().await.unwrap(), [""; 0]);
        store.close().await;
    }
}

/// Waits until so many bodies have rows.
async fn wait_bodies(bench: &Bench, wanted: u64) {
    loop {
        let (count, _) = Inspection::open(bench.dir.path()).await.unwrap().count_bodies().await.unwrap();
        if count == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn bodies_stay_while_they_are_held() {
    let (mut bench, inbox, _) = scene().await;
    bench.store.hold_bodies(1, HOLD_MAX).unwrap();
    bench.store.expunge(inbox, &UidSet::all(), Which::Any).await.unwrap();
    let gone = bench.inbox("b@a.example").await;
    bench.append(gone, "so that the writer goes on").await;
    wait_bodies(&bench, 1).await;
    assert_eq!(bench.body_files().len(), 1);
    // Also over a restart, at which files that no row names are swept; and what is taken away after it stays, too.
    bench.append(gone, &big(9)).await;
    bench.store.close().await;
    bench.reopen().await;
    assert!(bench.dir.path().join("backup-hold").exists());
    bench.store.expunge(gone, &UidSet::all(), Which::Any).await.unwrap();
    wait_bodies(&bench, 0).await;
    assert_eq!(bench.body_files().len(), 2);
    bench.store.release_bodies(1);
    assert!(!bench.dir.path().join("backup-hold").exists());
    bench.settle_down(|bench| bench.body_files().is_empty()).await;
}

#[tokio::test]
async fn what_can_be_mended_is() {
    let (mut bench, inbox, _) = scene().await;
    bench.append(inbox, "another").await;
    bench.store.accept(acceptance("held", &[], &["b@b.example"])).await.unwrap();
    bench.store.hold(QueueFilter::default(), 0).await.unwrap();
    bench.store.close().await;
    let database = bench.dir.path().join("maddy.db");
    let wrong = "UPDATE mailbox SET messages = 9, unseen = 7, size = 1, uidnext = 2, modseq = 0 WHERE name = 'INBOX'; \
                 UPDATE account SET used_octets = 5, modseq = 0; UPDATE message SET size = 3 WHERE uid = 1; \
                 INSERT INTO vanished (mailbox, modseq, first, last) SELECT mailbox, 1, 1, 1 FROM message WHERE uid = 1; \
                 INSERT INTO content (id, body, prefix) SELECT 900, id, x'' FROM body LIMIT 1";
    sql(&database, wrong);
    let stray = bench.dir.path().join("bodies/ab");
    fs::create_dir_all(&stray).unwrap();
    let stray = stray.join("abcdef-word-1");
    fs::write(&stray, "x").unwrap();
    bench.reopen_with(|config| config.search.index = false).await;
    let found = bench.store.verify().await.unwrap();
    assert!(found.len() >= 6, "{found:?}");
    let done = bench.store.repair(Indexes::Anew).await.unwrap();
    assert!(done.len() >= 6, "{done:?}");
    assert_eq!(bench.store.verify().await.unwrap(), [""; 0]);
    assert_eq!(bench.store.queue(None, 10).await.unwrap().len(), 1, "mail that is held is not mended away");
    assert_eq!(bench.append(inbox, "next").await, 4);
    assert_eq!(bench.store.repair(Indexes::Stay).await.unwrap(), []);
}

#[tokio::test]
async fn an_inspection_finds_what_is_wrong() {
    let (bench, inbox, _) = scene().await;
    let inspection = Inspection::open(bench.dir.path()).await.unwrap();
    assert_eq!(inspection.database().await.unwrap(), [""; 0]);
    let read = inspection.bodies(0).await.unwrap().unwrap();
    assert_eq!((read.bodies, read.findings.len()), (2, 0));
    assert_eq!(inspection.bodies(read.last).await.unwrap(), None);
    let mut octets = fs::read(file_of(&bench, 0)).unwrap();
    octets[7] ^= 1;
    fs::write(file_of(&bench, 0), octets).unwrap();
    let read = inspection.bodies(0).await.unwrap().unwrap();
    assert!(read.findings[0].contains("its octets have changed"), "{:?}", read.findings);
    let stray = file_of(&bench, 0).with_file_name("feedbeef-word-1");
    fs::write(&stray, "x").unwrap();
    let written = fs::metadata(&stray).unwrap().modified().unwrap();
    let now = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert!(inspection.strays(now).await.unwrap().is_empty());
    assert!(
        inspection.strays(now + 4000).await.unwrap().iter().any(|path| path.ends_with("feedbeef-word-1"))
    );
    bench.store.hold_bodies(7, std::time::Duration::from_secs(60)).unwrap();
    assert!(bench.store.remove_strays(now + 4000).await.is_err(), "a backup may need it");
    assert!(stray.exists());
    bench.store.release_bodies(7);
    assert_eq!(bench.store.remove_strays(now).await.unwrap(), 0, "it may still be written");
    assert_eq!(bench.store.remove_strays(now + 4000).await.unwrap(), 1);
    assert!(!stray.exists() && inspection.strays(now + 4000).await.unwrap().is_empty());
    inspection.close().await;
    assert!(Inspection::open(Path::new("/nowhere")).await.is_err());
    assert_eq!(bench.store.mailbox_by_id(inbox).await.unwrap().messages, 2);
}
