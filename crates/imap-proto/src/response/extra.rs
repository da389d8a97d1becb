//! Responses of NAMESPACE (RFC 2342 §5), METADATA (RFC 5464 §4.4) and QUOTA (RFC 9208 §4.2).

use super::{line_begin, mailbox, string};
use crate::parse::Names;

/// One limited resource of a quota root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `STORAGE`, in units of 1,024 octets, or `MESSAGE`.
    pub name: &'static str,
    pub used: u64,
    pub limit: u64,
}

/// Personal mailboxes without a prefix, those of other users with one, and none that belong to nobody.
pub(super) fn namespace(delimiter: char, others: &str, out: &mut Vec<u8>) {
    let line = format!("* NAMESPACE ((\"\" \"{delimiter}\")) ((\"{others}\" \"{delimiter}\")) NIL\r\n");
    out.extend_from_slice(line.as_bytes());
}

/// Entries with their values; `None` is the server as a whole.
pub(super) fn metadata(
    name: Option<&str>,
    values: &[(String, Option<Vec<u8>>)],
    names: Names,
    out: &mut Vec<u8>,
) {
    metadata_begin(name, names, out);
    out.extend_from_slice(b"(");
    for (at, (entry, value)) in values.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        entry_name(entry, out);
        out.push(b' ');
        match value {
            None => out.extend_from_slice(b"NIL"),
            Some(value) if value.contains(&0) => {
                // Only a literal8 can hold NUL (RFC 5464 §5).
                out.extend_from_slice(format!("~{{{}}}\r\n", value.len()).as_bytes());
                out.extend_from_slice(value);
            }
            Some(value) => string(value, out),
        }
    }
    out.extend_from_slice(b")\r\n");
}

/// Entries that changed, without their values (RFC 5464 §4.4.2).
pub(super) fn metadata_changed(name: Option<&str>, entries: &[String], names: Names, out: &mut Vec<u8>) {
    metadata_begin(name, names, out);
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        entry_name(entry, out);
    }
    out.extend_from_slice(b"\r\n");
}

fn metadata_begin(name: Option<&str>, names: Names, out: &mut Vec<u8>) {
    line_begin("METADATA ", out);
    match name {
        None => out.extend_from_slice(b"\"\""),
        Some(name) => mailbox(name, names, out),
    }
    out.push(b' ');
}

/// As an atom where that is possible: many clients know no other form.
fn entry_name(entry: &str, out: &mut Vec<u8>) {
    if entry.bytes().all(crate::lex::is_astring) {
        out.extend_from_slice(entry.as_bytes());
    } else {
        string(entry.as_bytes(), out);
    }
}

pub(super) fn quota(root: &str, resources: &[Resource], out: &mut Vec<u8>) {
    line_begin("QUOTA ", out);
    string(root.as_bytes(), out);
    let list: Vec<String> =
        resources.iter().map(|one| format!("{} {} {}", one.name, one.used, one.limit)).collect();
    out.extend_from_slice(format!(" ({})\r\n", list.join(" ")).as_bytes());
}

pub(super) fn quota_root(name: &str, roots: &[String], names: Names, out: &mut Vec<u8>) {
    line_begin("QUOTAROOT ", out);
    mailbox(name, names, out);
    for root in roots {
        out.push(b' ');
        string(root.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}
