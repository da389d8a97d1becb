//! The node `sandbox` of the configuration.

use config::Section;
use std::path::PathBuf;

/// Least memory that a server can be held to, in octets.
const MEMORY_MIN: u64 = 256 * 1024 * 1024;

/// What follows where the system cannot hold the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforce {
    /// It is told, and the server runs.
    #[default]
    Auto,
    /// The server does not start.
    Required,
    /// It is not tried.
    Off,
}

const ENFORCE: &[(&str, Enforce)] =
    &[("auto", Enforce::Auto), ("required", Enforce::Required), ("off", Enforce::Off)];

/// Checked options of the node `sandbox`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    pub landlock: Enforce,
    pub seccomp: Enforce,
    /// Paths that may be read besides those that the configuration names.
    pub read: Vec<PathBuf>,
    /// Paths that may be written besides the state.
    pub write: Vec<PathBuf>,
    /// Ports to which connections may be made; empty for all.
    pub connect_ports: Vec<u16>,
    /// Most memory for data, in octets.
    pub memory: Option<u64>,
}

/// Reads the node `sandbox`.
pub fn decode(section: &mut Section<'_>) -> Sandbox {
    Sandbox {
        landlock: section
            .choice(
                "landlock",
                ENFORCE,
                "Whether the kernel holds the server to the files that it needs: \"auto\" where it can, \"required\", \"off\".",
            )
            .or(Enforce::Auto),
        seccomp: section
            .choice(
                "seccomp",
                ENFORCE,
                "Whether the kernel refuses it the system calls that no mail server needs: \"auto\" where it can, \"required\", \"off\".",
            )
            .or(Enforce::Auto),
        read: section
            .path("read", "A file or directory that may be read too, by filter programs say; may repeat.")
            .many(),
        write: section
            .path("write", "A file or directory that may be written too, by filter programs say; may repeat.")
            .many(),
        connect_ports: section
            .count(
                "connect-ports",
                "The only TCP ports to which connections may be made; all, if not given. Mail needs 25, the DNS 53, policies and certificates 443.",
            )
            .within(1..=65_535u16)
            .many(),
        memory: section
            .size(
                "memory",
                "Most memory for data: beyond it the server ends and is to be started again. No limit, if not given.",
            )
            .within(MEMORY_MIN..=1 << 50)
            .optional(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Tree;

    fn read(text: &str) -> Result<Sandbox, String> {
        Tree::from_text("t", text, &|_| None).decode(decode).map_err(|problems| problems.to_string())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read(""), Ok(Sandbox::default()));
        let all = "landlock \"required\"\nseccomp \"off\"\nread \"/a\" \"/b\"\nwrite \"/c\"\nconnect-ports 25 53\nmemory \"1GiB\"";
        let want = Sandbox {
            landlock: Enforce::Required,
            seccomp: Enforce::Off,
            read: vec!["/a".into(), "/b".into()],
            write: vec!["/c".into()],
            connect_ports: vec![25, 53],
            memory: Some(1 << 30),
        };
        assert_eq!(read(all), Ok(want));
        assert!(read("memory \"1MiB\"").is_err());
        assert!(read("connect-ports 0").is_err());
        assert!(read("landlock \"on\"").is_err());
    }
}
