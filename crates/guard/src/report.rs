//! What was given up, for the log and for whoever asks.

use serde::{Deserialize, Serialize};

/// One way in which the process is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub on: bool,
    /// What of it holds, or why it does not.
    pub detail: String,
}

impl Layer {
    pub(crate) fn on(detail: impl Into<String>) -> Self {
        Self { on: true, detail: detail.into() }
    }

    /// Says of links that they lead to where nothing may be written.
    pub(crate) fn without(mut self, links: &[std::path::PathBuf]) -> Self {
        for link in links.iter().filter(|_| self.on) {
            self.detail.push_str(&format!(
                "; {} leads to where nothing can be written: name that place in `sandbox {{ write … }}`",
                link.display()
            ));
        }
        self
    }

    pub(crate) fn off() -> Self {
        Self { on: false, detail: "switched off".to_owned() }
    }

    pub(crate) fn missing(why: impl Into<String>) -> Self {
        Self { on: false, detail: why.into() }
    }
}

/// Whose the process is, and how it is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub user: String,
    /// It is root, and the configuration says that it shall be.
    pub is_root: bool,
    pub landlock: Layer,
    pub seccomp: Layer,
}

impl Report {
    /// Whether anything is less than it could be.
    pub fn is_whole(&self) -> bool {
        !self.is_root && self.landlock.on && self.seccomp.on
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layer = |layer: &Layer| {
            let word = if layer.on { "on" } else { "off" };
            format!("{word} ({})", layer.detail)
        };
        write!(f, "user {}, Landlock {}, seccomp {}", self.user, layer(&self.landlock), layer(&self.seccomp))
    }
}
