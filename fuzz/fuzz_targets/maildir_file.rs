//! A maildir of somebody else: names of messages and folders, keywords, subscriptions, a message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moving::Source;
use moving::maildir::Maildir;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

const BUDGET: usize = 4 * 1024 * 1024;
/// Longest name that the file system takes.
const NAME_MAX: usize = 200;

fuzz_target!(|data: &[u8]| {
    let [name, folder, keywords, subscriptions, message] = fuzz::parts(data);
    let root = fuzz::scratch().join("maildir");
    let _ = fs::remove_dir_all(&root);
    let clean = |octets: &[u8]| -> Vec<u8> {
        octets.iter().copied().filter(|octet| !matches!(octet, 0 | b'/' | b'\n')).take(NAME_MAX).collect()
    };
    let place = |octets: &[u8]| match clean(octets) {
        name if matches!(name.as_slice(), b"" | b"." | b"..") => root.clone(),
        name => root.join(OsStr::from_bytes(&name)),
    };
    let folder = place(&folder);
    for dir in [root.join("cur"), root.join("new"), folder.join("cur")] {
        fs::create_dir_all(dir).expect("the directory can be written to");
    }
    let name = match clean(&name) {
        name if matches!(name.as_slice(), b"" | b"." | b"..") => b"1".to_vec(),
        name => name,
    };
    for (file, octets) in [
        (root.join("dovecot-keywords"), &keywords),
        (root.join("subscriptions"), &subscriptions),
        (folder.join("cur").join(OsStr::from_bytes(&name)), &message),
    ] {
        // Where a folder has the name already there is no such file.
        let _ = fs::write(file, octets);
    }
    fuzz::within(BUDGET + 64 * data.len(), || {
        let Ok(source) = Maildir::open(&root) else { return };
        for (at, folder) in source.folders().iter().enumerate() {
            let is_bad = |level: &str| {
                level.is_empty() || level.contains(['%', '*']) || level.chars().any(char::is_control)
            };
            assert!(!folder.name.split('/').any(is_bad), "{:?}", folder.name);
            for found in source.messages(at).expect("it can be read") {
                let _ = found.expect("the disk works");
            }
        }
    });
});
