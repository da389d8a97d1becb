//! dns-01 by a program of the administrator's: `<hook> add|remove <name> <text>`.

use crate::acme::error::{AcmeError, shorten};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tracing::warn;

/// How long the program may take; it should return when the record can be seen by everybody.
const PATIENCE: Duration = Duration::from_secs(600);
/// Most octets of what it says that are kept.
const SAID_MAX: u64 = 4096;

/// A record that is taken back in the end.
pub(crate) struct Placed {
    hook: PathBuf,
    name: String,
    text: String,
}

/// Has the record `name` TXT `text` made.
pub(crate) async fn place(hook: &Path, name: &str, text: &str) -> Result<Placed, AcmeError> {
    // Built first: what was half done is taken back as well.
    let placed = Placed { hook: hook.to_owned(), name: name.to_owned(), text: text.to_owned() };
    match call(hook, "add", name, text).await {
        Ok(()) => Ok(placed),
        Err(error) => {
            placed.remove().await;
            Err(error)
        }
    }
}

impl Placed {
    /// Has the record removed. That this fails is no reason to go without a certificate.
    pub(crate) async fn remove(self) {
        if let Err(error) = call(&self.hook, "remove", &self.name, &self.text).await {
            warn!(record = self.name, %error, "a record of a proof stays in the DNS");
        }
    }
}

async fn call(hook: &Path, verb: &str, name: &str, text: &str) -> Result<(), AcmeError> {
    let failed = |why: String| AcmeError::Hook(format!("{} {verb}: {why}", hook.display()));
    let mut child = Command::new(hook)
        .args([verb, name, text])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let errors = child.stderr.take();
    let work = async {
        let mut said = Vec::new();
        if let Some(errors) = errors {
            let mut head = errors.take(SAID_MAX);
            let _ = head.read_to_end(&mut said).await;
            // The rest is read and dropped, so that the program does not wait for us.
            let _ = tokio::io::copy(&mut head.into_inner(), &mut tokio::io::sink()).await;
        }
        (child.wait().await, said)
    };
    let (status, said) =
        tokio::time::timeout(PATIENCE, work).await.map_err(|_| failed("it does not end".to_owned()))?;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("{status}; {}", shorten(String::from_utf8_lossy(&said).trim())))),
        Err(error) => Err(failed(error.to_string())),
    }
}
