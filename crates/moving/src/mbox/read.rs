//! Finds the mboxes of a directory: each is a folder.

use super::file::MboxMessages;
use super::{Quoting, envelope};
use crate::described::{self, Described};
use crate::folder::{Messages, Source, SourceFolder};
use crate::place::Place;
use crate::{FOLDERS_MAX, LEVELS_MAX, NAMES_MAX, names};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One mbox, or a directory of them.
#[derive(Debug)]
pub struct Mbox {
    root: Root,
    quoting: Quoting,
    folders: Vec<SourceFolder>,
    ways: Vec<Vec<OsString>>,
}

#[derive(Debug)]
enum Root {
    File(PathBuf),
    Directory(Place),
}

impl Mbox {
    /// Opens a file, or finds the files of a directory that are mboxes. `single`: what the folder of one file is called.
    pub fn open(path: &Path, quoting: Quoting, single: &str) -> io::Result<Self> {
        if !std::fs::metadata(path)?.is_dir() {
            let mut file = File::open(path)?;
            if !begins_as_one(&mut file)? {
                let why = format!("{} is no mbox: it does not begin with `From `", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            let name = names::clean(single);
            let special_use = names::usual_use(&name).map(str::to_owned);
            let folders =
                vec![SourceFolder { name, special_use, subscribed: true, place: path.display().to_string() }];
            return Ok(Self { root: Root::File(path.to_owned()), quoting, folders, ways: vec![Vec::new()] });
        }
        let root = Place::open(path)?;
        let mut ways = Vec::new();
        find(&root, &mut Vec::new(), &mut ways)?;
        if ways.is_empty() {
            let why = format!("no file in {} is an mbox", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let described = described::read(root.text(described::FILE, described::OCTETS_MAX)?);
        let mut found: Vec<(SourceFolder, Vec<OsString>)> =
            ways.into_iter().map(|way| (folder(&way, &described), way)).collect();
        found.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let (folders, ways) = found.into_iter().unzip();
        Ok(Self { root: Root::Directory(root), quoting, folders, ways })
    }
}

/// The folder that a file stands for. Apple Mail has a directory `Name.mbox` with a file `mbox` in it, Thunderbird puts
/// what lies below `Name` into `Name.sbd`.
fn folder(way: &[OsString], described: &HashMap<String, Described>) -> SourceFolder {
    let place = way.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join("/");
    if let Some(known) = described.get(&place) {
        let (name, special_use) = (known.name.clone(), known.special_use.clone());
        return SourceFolder { name, special_use, subscribed: known.subscribed, place };
    }
    let is_apple = way.len() > 1 && way.last().is_some_and(|name| name == "mbox");
    let levels = if is_apple { &way[..way.len() - 1] } else { way };
    let level = |name: &OsString| {
        let octets = name.as_bytes();
        let bare = octets.strip_suffix(b".mbox").or_else(|| octets.strip_suffix(b".sbd")).unwrap_or(octets);
        names::level(if bare.is_empty() { octets } else { bare })
    };
    let mut name = levels.iter().map(level).collect::<Vec<_>>().join("/");
    if name.eq_ignore_ascii_case("INBOX") {
        "INBOX".clone_into(&mut name);
    }
    let special_use = names::usual_use(&name).map(str::to_owned);
    SourceFolder { name, special_use, subscribed: true, place }
}

/// Adds the way to each mbox at or below `place`. An empty file is one too, if it is called so.
fn find(place: &Place, way: &mut Vec<OsString>, ways: &mut Vec<Vec<OsString>>) -> io::Result<()> {
    for name in place.names(NAMES_MAX)? {
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        if let Some(mut file) = place.file(&name)? {
            let is_empty = file.metadata()?.len() == 0 && name.as_bytes().ends_with(b".mbox");
            if is_empty || begins_as_one(&mut file)? {
                if ways.len() == FOLDERS_MAX {
                    return Err(io::Error::other(format!("there are more than {FOLDERS_MAX} folders")));
                }
                way.push(name);
                ways.push(way.clone());
                way.pop();
            }
        } else if way.len() < LEVELS_MAX
            && let Some(below) = place.directory(&name)?
        {
            way.push(name);
            find(&below, way, ways)?;
            way.pop();
        }
    }
    Ok(())
}

fn begins_as_one(file: &mut File) -> io::Result<bool> {
    let mut begin = Vec::new();
    file.take(5).read_to_end(&mut begin)?;
    Ok(envelope::is_one(&begin))
}

impl Source for Mbox {
    fn folders(&self) -> &[SourceFolder] {
        &self.folders
    }

    fn messages(&self, folder: usize) -> io::Result<Messages<'_>> {
        let way = self.ways.get(folder).ok_or(io::ErrorKind::NotFound)?;
        let gone = || io::Error::other("the file has gone");
        let file = match (&self.root, way.split_last()) {
            (Root::File(path), _) => File::open(path)?,
            (Root::Directory(_), None) => return Err(gone()),
            (Root::Directory(root), Some((name, directories))) => {
                let mut place: Option<Place> = None;
                for name in directories {
                    place = Some(place.as_ref().unwrap_or(root).directory(name)?.ok_or_else(gone)?);
                }
                place.as_ref().unwrap_or(root).file(name)?.ok_or_else(gone)?
            }
        };
        Ok(Box::new(MboxMessages::new(file, self.quoting)))
    }
}
