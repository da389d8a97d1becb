//! What the demo says when it is ready.

use crate::cli::Trouble;
use crate::demo::Account;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Everything that somebody needs to use the demo. Its JSON form is read by programs: do not rename anything.
#[derive(Debug, Serialize)]
pub(crate) struct Panel {
    pub(crate) domain: &'static str,
    pub(crate) accounts: Vec<Account>,
    pub(crate) ca: PathBuf,
    pub(crate) ports: Ports,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Ports {
    pub(crate) smtp: u16,
    pub(crate) submission: u16,
    pub(crate) submissions: u16,
    pub(crate) imap: u16,
    pub(crate) imaps: u16,
}

impl Ports {
    /// Each is the base plus the well-known port.
    pub(crate) fn from_base(base: u16) -> Self {
        Self {
            smtp: base + 25,
            submission: base + 587,
            submissions: base + 465,
            imap: base + 143,
            imaps: base + 993,
        }
    }
}

impl Panel {
    /// One line.
    pub(crate) fn json(&self) -> Result<String, Trouble> {
        serde_json::to_string(self).map(|text| text + "\n").map_err(|error| Trouble::new(error.to_string()))
    }

    pub(crate) fn text(&self, dir: &Path) -> String {
        let Self { domain, accounts, ca, ports } = self;
        let Ports { smtp, submission, submissions, imap, imaps } = ports;
        let people: String = accounts
            .iter()
            .map(|account| format!("    {:<18}{}\n", account.address, account.password))
            .collect();
        format!(
            "\
maddy demo is ready. Ctrl-C stops it; its mail stays in {dir}

  server        localhost, for {domain} only: mail to other domains is refused
  incoming      SMTP {smtp}
  submission    STARTTLS {submission}, TLS {submissions}
  reading       IMAP with STARTTLS {imap}, with TLS {imaps}
  accounts      (address and password)
{people}  trusted CA    {ca}

Paste this to send a mail, to see the list, and to read the newest:

{lines}
",
            dir = dir.display(),
            ca = ca.display(),
            lines = self.lines().join("\n"),
        )
    }

    /// Lines for a shell: send, list, read.
    fn lines(&self) -> Vec<String> {
        let [sender, reader, ..] = self.accounts.as_slice() else { return Vec::new() };
        let ca = shell(&self.ca.display().to_string());
        let login = |account: &Account| shell(&format!("{}:{}", account.address, account.password));
        let (from, to) = (&sender.address, &reader.address);
        let mail = shell(&format!("From: {from}\\nTo: {to}\\nSubject: Hello\\n\\nIt works.\\n"));
        let imaps = format!("curl -sS --cacert {ca} -u {}", login(reader));
        vec![
            format!(
                "printf {mail} | curl -sS --cacert {ca} -u {} --ssl-reqd --crlf smtp://localhost:{} --mail-from {from} --mail-rcpt {to} -T -",
                login(sender),
                self.ports.submission
            ),
            format!("{imaps} 'imaps://localhost:{}/INBOX?ALL'", self.ports.imaps),
            format!("{imaps} 'imaps://localhost:{}/INBOX;UID=*'", self.ports.imaps),
        ]
    }
}

/// Text as one word of a shell command.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
