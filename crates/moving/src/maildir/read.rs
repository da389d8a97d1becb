//! Reads a maildir with its folders.

use super::keywords::Letters;
use super::{KEYWORDS, SUBSCRIPTIONS, parse_name};
use crate::described::{self, Described};
use crate::folder::{Bad, Found, Messages, Source, SourceFolder};
use crate::line_ends::to_crlf;
use crate::place::Place;
use crate::{FOLDERS_MAX, LEVELS_MAX, MESSAGE_MAX, NAMES_MAX, names};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Largest `dovecot-keywords` and `subscriptions` that are read, in octets.
const KEYWORDS_OCTETS_MAX: u64 = 64 * 1024;
const SUBSCRIPTIONS_OCTETS_MAX: u64 = 8 * 1024 * 1024;

/// A maildir.
#[derive(Debug)]
pub struct Maildir {
    root: Place,
    folders: Vec<SourceFolder>,
    /// As the folders: the names of directories that lead to them.
    ways: Vec<Vec<OsString>>,
}

impl Maildir {
    /// Opens a maildir and finds its folders.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = Place::open(path)?;
        let mut ways = Vec::new();
        find(&root, &mut Vec::new(), &mut ways)?;
        if ways.is_empty() {
            let path = path.display();
            let why = format!("{path} is no maildir, and none is in it: there is no directory cur or new");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let described = described::read(root.text(described::FILE, described::OCTETS_MAX)?);
        let subscribed = root.text(SUBSCRIPTIONS, SUBSCRIPTIONS_OCTETS_MAX)?;
        let subscribed = subscriptions(&subscribed.unwrap_or_default());
        let mut folders: Vec<SourceFolder> =
            ways.iter().map(|way| folder(way, &described, &subscribed)).collect();
        let mut order: Vec<usize> = (0..folders.len()).collect();
        order.sort_by(|a, b| folders[*a].name.cmp(&folders[*b].name));
        folders = order.iter().map(|at| folders[*at].clone()).collect();
        let ways = order.iter().map(|at| ways[*at].clone()).collect();
        Ok(Self { root, folders, ways })
    }
}

/// The folder that lies at the end of a way.
fn folder(way: &[OsString], described: &HashMap<String, Described>, subscribed: &[String]) -> SourceFolder {
    let place = way.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join("/");
    let place = if place.is_empty() { ".".to_owned() } else { place };
    if let Some(known) = described.get(&place) {
        let (name, special_use) = (known.name.clone(), known.special_use.clone());
        return SourceFolder { name, special_use, subscribed: known.subscribed, place };
    }
    let name = match way {
        [] => "INBOX".to_owned(),
        [one] if one.as_bytes().starts_with(b".") => names::levels(&one.as_bytes()[1..], b'.'),
        levels => levels.iter().map(|level| names::level(level.as_bytes())).collect::<Vec<_>>().join("/"),
    };
    let subscribed = name == "INBOX" || subscribed.contains(&name);
    SourceFolder { special_use: names::usual_use(&name).map(str::to_owned), name, subscribed, place }
}

/// Subscribed names: one a line, levels parted by `.` or `/`; in the newer form by tabs. Courier puts `INBOX.` in front.
fn subscriptions(octets: &[u8]) -> Vec<String> {
    let mut list = Vec::new();
    for line in octets.split(|octet| *octet == b'\n').filter(|line| !line.is_empty() && *line != b"V\t2") {
        for separator in [b'.', b'/', b'\t'] {
            let name = names::levels(line, separator);
            if let Some(bare) = name.strip_prefix("INBOX/") {
                list.push(bare.to_owned());
            }
            list.push(name);
        }
    }
    list
}

/// Adds the way to each folder at or below `place`.
fn find(place: &Place, way: &mut Vec<OsString>, ways: &mut Vec<Vec<OsString>>) -> io::Result<()> {
    let is = |name: &str| place.directory(OsStr::new(name)).map(|found| found.is_some());
    if is("cur")? || is("new")? {
        if ways.len() == FOLDERS_MAX {
            return Err(io::Error::other(format!("there are more than {FOLDERS_MAX} folders")));
        }
        ways.push(way.clone());
    }
    for name in place.names(NAMES_MAX)? {
        let octets = name.as_bytes();
        let is_message_store = matches!(octets, b"cur" | b"new" | b"tmp");
        // Maildir++ has all its folders side by side, at the top.
        let is_hidden_below = octets.starts_with(b".") && !way.is_empty();
        if is_message_store || is_hidden_below || way.len() == LEVELS_MAX {
            continue;
        }
        if let Some(below) = place.directory(&name)? {
            way.push(name);
            find(&below, way, ways)?;
            way.pop();
        }
    }
    Ok(())
}

/// Where a message is: `cur` or `new`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum In {
    Cur,
    New,
}

struct Entry {
    /// The number that the name begins with: when it came, as a rule.
    number: u64,
    name: OsString,
    within: In,
}

impl Source for Maildir {
    fn folders(&self) -> &[SourceFolder] {
        &self.folders
    }

    fn messages(&self, folder: usize) -> io::Result<Messages<'_>> {
        let way = self.ways.get(folder).ok_or(io::ErrorKind::NotFound)?;
        let gone = || io::Error::other("the folder has gone");
        let mut place: Option<Place> = None;
        for name in way {
            place = Some(place.as_ref().unwrap_or(&self.root).directory(name)?.ok_or_else(gone)?);
        }
        let place = place.as_ref().unwrap_or(&self.root);
        let letters = place.text(KEYWORDS, KEYWORDS_OCTETS_MAX)?;
        let letters = Letters::read(&letters.unwrap_or_default());
        let (cur, new) = (place.directory(OsStr::new("cur"))?, place.directory(OsStr::new("new"))?);
        let mut entries = Vec::new();
        for (within, dir) in [(In::Cur, &cur), (In::New, &new)] {
            let Some(dir) = dir else { continue };
            for name in dir.names(NAMES_MAX)?.into_iter().filter(|name| !name.as_bytes().starts_with(b".")) {
                entries.push(Entry { number: leading_number(&name), name, within });
            }
        }
        entries.sort_unstable_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        let folder = Folder { cur, new, letters };
        Ok(Box::new(entries.into_iter().map(move |entry| folder.read(&entry))))
    }
}

fn leading_number(name: &OsStr) -> u64 {
    let digits = name.as_bytes().iter().take_while(|octet| octet.is_ascii_digit());
    digits.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

struct Folder {
    cur: Option<Place>,
    new: Option<Place>,
    letters: Letters,
}

impl Folder {
    fn read(&self, entry: &Entry) -> io::Result<Result<Found, Bad>> {
        let name = entry.name.to_string_lossy().into_owned();
        let bad = |why: String| Ok(Err(Bad { name: name.clone(), why }));
        let opened = match entry.within {
            In::Cur => open(self.cur.as_ref(), &entry.name),
            In::New => open(self.new.as_ref(), &entry.name),
        };
        let (file, now_called) = match opened {
            Ok(Some(file)) => (file, entry.name.clone()),
            // Somebody has read it since: it has another name.
            Ok(None) => match self.find_again(&name)? {
                Some(found) => found,
                None => return bad("it is no plain file, or it went away meanwhile".to_owned()),
            },
            Err(error) => return bad(error.to_string()),
        };
        let metadata = file.metadata()?;
        if metadata.len() > MESSAGE_MAX {
            return bad(format!("it is larger than {MESSAGE_MAX} octets"));
        }
        let mut octets = Vec::new();
        if let Err(error) = file.take(MESSAGE_MAX).read_to_end(&mut octets) {
            return bad(error.to_string());
        }
        let (_, flags) = parse_name(&now_called.to_string_lossy(), &self.letters);
        Ok(Ok(Found { name, octets: to_crlf(octets), flags, received: Some(metadata.mtime()) }))
    }

    /// The message under the name that it has got since.
    fn find_again(&self, name: &str) -> io::Result<Option<(std::fs::File, OsString)>> {
        let Some(cur) = &self.cur else { return Ok(None) };
        let (base, _) = parse_name(name, &self.letters);
        for other in cur.names(NAMES_MAX)? {
            if parse_name(&other.to_string_lossy(), &self.letters).0 == base
                && let Some(file) = cur.file(&other)?
            {
                return Ok(Some((file, other)));
            }
        }
        Ok(None)
    }
}

fn open(place: Option<&Place>, name: &OsStr) -> io::Result<Option<std::fs::File>> {
    place.map_or(Ok(None), |place| place.file(name))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
