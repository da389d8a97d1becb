//! Secrets in files of their own: whoever may read the configuration need not know them.

use crate::files::plain;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Longest file of a secret, in octets.
pub const SECRET_MAX: u64 = 4096;
/// Rights that nobody else may have: the group may read, for a file that is root's and the server another user's.
const OTHERS: u32 = 0o027;

/// The text of a file that nobody but its owner can change, and nobody but its owner and its group can read, without
/// the ends of its last line. The error is a sentence without the name of the file.
pub fn secret_text(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| plain(&error))?;
    let mode = file.metadata().map_err(|error| plain(&error))?.mode();
    if mode & OTHERS != 0 {
        return Err(format!("others may read or change it: chmod 600 {}", path.display()));
    }
    let mut text = String::new();
    file.take(SECRET_MAX + 1).read_to_string(&mut text).map_err(|error| plain(&error))?;
    if text.len() as u64 > SECRET_MAX {
        return Err(format!("it is larger than {SECRET_MAX} octets"));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            secret_text(&path)
        };
        assert_eq!(write("abc\r\n\n", 0o600), Ok("abc".to_owned()));
        assert_eq!(write("a\nb", 0o640), Ok("a\nb".to_owned()));
        for mode in [0o644, 0o660, 0o601, 0o602] {
            assert!(write("abc", mode).unwrap_err().contains("chmod 600"), "{mode:o}");
        }
        assert!(write("\n", 0o600).unwrap_err().contains("empty"));
        assert!(write(&"x".repeat(5000), 0o600).unwrap_err().contains("larger"));
        assert_eq!(secret_text(&dir.path().join("none")), Err("it does not exist".to_owned()));
    }
}
