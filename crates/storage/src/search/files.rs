//! Where the indexes lie: `<state-dir>/search/<account>.db`, readable for the owner only.

use crate::ids::AccountId;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

/// The file that holds the highest number of a content that any index may have.
const NEWEST: &str = "newest";
/// What SQLite adds to the name of a database.
const COMPANIONS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// The folder of the indexes.
pub(super) struct Files {
    dir: PathBuf,
    /// What the file says.
    newest: AtomicI64,
}

impl Files {
    /// Makes the folder. If some index knows a content that the store has not had yet, the store was put back to an older
    /// state, and what it numbers from now on is something else: then all indexes go.
    pub(super) fn prepare(state: &Path, newest: i64) -> io::Result<Self> {
        let files = Self { dir: state.join("search"), newest: AtomicI64::new(i64::MIN) };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&files.dir)?;
        let known = match fs::read_to_string(files.dir.join(NEWEST)) {
            Ok(text) => text.trim().parse().unwrap_or(i64::MAX),
            Err(error) if error.kind() == io::ErrorKind::NotFound => i64::MIN,
            Err(error) => return Err(error),
        };
        let lost = known == i64::MIN && files.accounts()?.next().is_some();
        if known > newest || lost {
            tracing::warn!("the search indexes are not of this database, and are made anew");
            for entry in fs::read_dir(&files.dir)? {
                fs::remove_file(entry?.path())?;
            }
        } else {
            files.newest.store(known, Ordering::SeqCst);
        }
        Ok(files)
    }

    /// To be called before an index is written that knows contents up to `newest`.
    pub(super) fn note_newest(&self, newest: i64) -> io::Result<()> {
        if self.newest.fetch_max(newest, Ordering::SeqCst) >= newest {
            return Ok(());
        }
        let draft = self.dir.join("newest.new");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(newest.to_string().as_bytes())?;
        fs::rename(draft, self.dir.join(NEWEST))
    }

    pub(super) fn path(&self, account: AccountId) -> PathBuf {
        self.dir.join(format!("{account}.db"))
    }

    pub(super) fn exists(&self, account: AccountId) -> bool {
        self.path(account).exists()
    }

    /// Octets on disk.
    pub(super) fn size(&self, account: AccountId) -> u64 {
        self.all_of(account).filter_map(|path| path.metadata().ok()).map(|data| data.len()).sum()
    }

    /// Makes an empty file, unless there is one, with the right mode: SQLite gives the same to its companions. What an
    /// index that is gone has left behind must not be taken for part of the new one.
    pub(super) fn make(&self, account: AccountId) -> io::Result<PathBuf> {
        if !self.exists(account) {
            self.remove(account)?;
        }
        let path = self.path(account);
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(path)
    }

    pub(super) fn remove(&self, account: AccountId) -> io::Result<()> {
        for path in self.all_of(account) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn all_of(&self, account: AccountId) -> impl Iterator<Item = PathBuf> {
        let base = self.path(account).into_os_string();
        COMPANIONS.iter().map(move |tail| {
            let mut path = base.clone();
            path.push(tail);
            PathBuf::from(path)
        })
    }

    /// Whose indexes there are.
    pub(super) fn accounts(&self) -> io::Result<impl Iterator<Item = AccountId>> {
        let names = fs::read_dir(&self.dir)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| Some(AccountId(name.strip_suffix(".db")?.parse().ok()?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_from_the_future_go() {
        let state = tempfile::tempdir().unwrap();
        let account = AccountId(7);
        let files = Files::prepare(state.path(), 5).unwrap();
        files.make(account).unwrap();
        files.note_newest(5).unwrap();
        assert_eq!(files.path(account).metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            Files::prepare(state.path(), 5).unwrap().accounts().unwrap().collect::<Vec<_>>(),
            [account]
        );
        for (text, newest, kept) in
            [(Some("6"), 6, true), (Some("6"), 5, false), (Some("x"), 9, false), (None, 9, false)]
        {
            files.make(account).unwrap();
            match text {
                Some(text) => fs::write(state.path().join("search/newest"), text).unwrap(),
                None => fs::remove_file(state.path().join("search/newest")).unwrap_or(()),
            }
            Files::prepare(state.path(), newest).unwrap();
            assert_eq!(files.exists(account), kept, "{text:?}");
        }
    }

    #[test]
    fn a_log_that_was_left_behind_does_not_come_back() {
        let state = tempfile::tempdir().unwrap();
        let files = Files::prepare(state.path(), 5).unwrap();
        fs::write(state.path().join("search/7.db-wal"), "old").unwrap();
        files.make(AccountId(7)).unwrap();
        assert!(!state.path().join("search/7.db-wal").exists());
        files.remove(AccountId(7)).unwrap();
        assert!(!files.exists(AccountId(7)));
    }
}
