//! Options of the node `control`: the control socket's operations over TCP.

use ::config::Section;
use net::{Listen, ListenTls, decode_listen};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Shortest token in octets: 128 bits in hexadecimal.
pub const TOKEN_MIN: usize = 32;
/// Longest token in octets.
pub const TOKEN_MAX: usize = 1024;

/// The checked options. Without `listen` operations are taken on the Unix socket alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlConfig {
    pub listen: Vec<Listen>,
    /// The file with the token, which everybody must show.
    pub token_file: Option<PathBuf>,
}

/// Reads the node.
pub fn decode_control(section: &mut Section<'_>) -> ControlConfig {
    let listen = decode_listen(section);
    let token_file = section
        .path("token-file", "A file with a token of at least 32 letters, which callers over TCP must show.")
        .optional();
    for one in &listen {
        if one.tls == ListenTls::StartTls && !one.address.ip().is_loopback() {
            let text =
                format!("{} is not loopback: a token must not go over a network in clear", one.address);
            section.problem(section.span(), text, "add tls=#true, or listen on 127.0.0.1");
        }
    }
    if !listen.is_empty() && token_file.is_none() {
        section.problem(section.span(), "there is no `token-file`", "make one: openssl rand -hex 32 > FILE");
    }
    ControlConfig { listen, token_file }
}

impl ControlConfig {
    /// Whether everything is there that is needed to serve. The error says what to do.
    pub fn check(&self) -> Result<(), String> {
        match &self.token_file {
            Some(file) if !self.listen.is_empty() => read_token(file).map(|_| ()),
            _ => Ok(()),
        }
    }
}

/// The token in a file that nobody but its owner (and a group, read only) can read.
pub(crate) fn read_token(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let text = ::config::secret_text(path)
        .map_err(|error| format!("the token file {shown} cannot be used: {error}"))?;
    let token = Zeroizing::new(text.into_bytes());
    if !(TOKEN_MIN..=TOKEN_MAX).contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
        return Err(format!(
            "the token in {shown} must be one line of {TOKEN_MIN} to {TOKEN_MAX} letters and digits: \
             openssl rand -hex 32 > {shown}"
        ));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::config::Tree;
    use std::os::unix::fs::PermissionsExt;

    fn read(text: &str) -> Result<ControlConfig, String> {
        let tree = Tree::from_text("test", text, &|_| None);
        tree.decode(decode_control).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_token_goes_over_no_network_in_clear() {
        assert_eq!(read("").unwrap(), ControlConfig::default());
        let local = read("listen \"127.0.0.1:9981\"\nlisten \"[::1]:9981\"\ntoken-file \"/t\"").unwrap();
        assert_eq!((local.listen.len(), local.token_file), (2, Some(PathBuf::from("/t"))));
        assert!(read("listen \"[::]:9981\" tls=#true\ntoken-file \"/t\"").is_ok());
        assert!(read("listen \"0.0.0.0:9981\"\ntoken-file \"/t\"").unwrap_err().contains("in clear"));
        assert!(read("listen \"127.0.0.1:9981\"").unwrap_err().contains("token-file"));
    }

    #[test]
    fn a_token_is_long_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read_token(&path).map(|token| token.to_vec())
        };
        let good = "x".repeat(TOKEN_MIN);
        assert_eq!(write(&format!("{good}\n"), 0o600), Ok(good.clone().into_bytes()));
        assert!(write(&good, 0o640).is_ok());
        assert!(write(&good, 0o644).unwrap_err().contains("chmod"));
        assert!(write(&good[1..], 0o600).unwrap_err().contains("openssl"));
        assert!(write(&format!("{good}\n{good}"), 0o600).is_err());
        assert!(write(&"x".repeat(TOKEN_MAX + 1), 0o600).is_err());
        assert!(read_token(&dir.path().join("none")).is_err());
    }
}
