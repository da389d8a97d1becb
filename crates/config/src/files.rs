//! Files of a configuration: reading them, and the names that `include` stands for.

use std::path::{Path, PathBuf};

/// Largest file, in octets.
pub const TEXT_MAX: u64 = 8 * 1024 * 1024;

pub(crate) fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| plain(&error))?;
    let mut text = String::new();
    file.take(TEXT_MAX + 1).read_to_string(&mut text).map_err(|error| plain(&error))?;
    if text.len() as u64 > TEXT_MAX {
        return Err(format!("it is larger than {}", crate::units::print_size(TEXT_MAX)));
    }
    Ok(text)
}

/// An error of the system as a person would say it.
pub(crate) fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}

/// The files that a name with `*` or `?` in its last part stands for, in the order of their names; a name without
/// them stands for itself.
pub(crate) fn glob(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let wild = |text: &str| text.contains(['*', '?']);
    let last = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = folder_of(pattern);
    if wild(&folder.to_string_lossy()) {
        return Err("only the last part of the name may have * or ?".to_owned());
    }
    if !wild(&last) {
        return Ok(vec![pattern.to_owned()]);
    }
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
    let entries = std::fs::read_dir(listed)
        .map_err(|error| format!("the directory {} cannot be read: {}", listed.display(), plain(&error)))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| (!name.starts_with('.') || last.starts_with('.')) && matches(&last, name))
        .collect();
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Whether a name fits a pattern with `*` (any run) and `?` (one character).
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
