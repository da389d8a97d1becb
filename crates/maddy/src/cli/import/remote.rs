//! `import imap`: mail from another server. What was fetched before is known by mailbox, UIDVALIDITY and UID, and is not
//! fetched again; while one batch is filed the next one is on its way.

use super::Into;
use super::bring::Bringing;
use super::talk::{Talk, Way};
use crate::cli::args::Global;
use crate::cli::{Trouble, ask, source};
use auth::Secret;
use clap::{Args, ValueEnum};
use moving::imap::{Fetched, Listed, MESSAGE_MAX, Response, quoted};
use moving::{Found, NAMES_MAX, SourceFolder, clean, decode_name, usual_use};
use std::net::IpAddr;
use std::path::PathBuf;
use storage::ImportKey;
use world::{DnsOptions, SystemResolver, World};

/// Most messages that are fetched by one command, and their octets unless one alone has more.
const BATCH_MESSAGES: usize = 200;
const BATCH_OCTETS: u64 = 4 * 1024 * 1024;
/// Largest file with a password, in octets.
const PASSWORD_FILE_MAX: u64 = 4096;

#[derive(Clone, Debug, Args)]
pub(crate) struct Remote {
    /// The other server: mail.example.net, or mail.example.net:993
    host: String,
    #[command(flatten)]
    pub(super) into: Into,
    /// How to log in there; the account's own name, if not given
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// A file with the password in its first line; otherwise it is asked for, or read from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "password_env")]
    password_file: Option<PathBuf>,
    /// A variable of the environment with the password
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
    /// TLS from the start (port 993), after STARTTLS (port 143), or none, to this machine only
    #[arg(long, value_enum, default_value_t = Security::Tls)]
    security: Security,
    /// Further certificates that may vouch for the server's, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Security {
    Tls,
    Starttls,
    None,
}

impl Remote {
    fn port(&self) -> u16 {
        if self.security == Security::Tls { 993 } else { 143 }
    }

    fn name(&self) -> &str {
        self.login.as_deref().unwrap_or(&self.into.account)
    }

    fn password(&self) -> Result<Secret, Trouble> {
        if let Some(name) = &self.password_env {
            let value = std::env::var(name);
            return value
                .map(Secret::new)
                .map_err(|_| Trouble::usage(format!("the variable {name} is not set")));
        }
        let Some(path) = &self.password_file else { return ask::password(self.name(), ask::Asking::Once) };
        let shown = path.display();
        let bad = |error: std::io::Error| Trouble::usage(format!("{shown}: {error}"));
        if std::fs::metadata(path).map_err(bad)?.len() > PASSWORD_FILE_MAX {
            return Err(Trouble::usage(format!("{shown} is no file with a password in its first line")));
        }
        let text = std::fs::read_to_string(path).map_err(bad)?;
        let first = text.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        Ok(Secret::new(first.to_owned()))
    }

    /// Logs in there. Everything that a person is asked is asked before.
    pub(super) async fn connect(&self, global: &Global) -> Result<Session, Trouble> {
        let password = self.password()?;
        let dns = match global.state_dir {
            Some(_) => DnsOptions::default(),
            None => source(global).read_settings()?.dns,
        };
        let dns = std::sync::Arc::new(SystemResolver::new(&dns).map_err(Trouble::new)?);
        let world = World { dns, ..world::system::without_dns() };
        let way = match self.security {
            Security::Tls => Way::Tls,
            Security::Starttls => Way::StartTls,
            Security::None => Way::Clear,
        };
        let (host, port) = self.place()?;
        let mut talk = Talk::connect(&host, port, way, self.ca.as_deref(), &world).await?;
        talk.log_in(self.name(), &password).await?;
        Ok(Session { talk, host, login: self.name().to_owned(), left: Vec::new() })
    }

    fn place(&self) -> Result<(String, u16), Trouble> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() {
            return Ok((bare.to_owned(), self.port()));
        }
        match self.host.rsplit_once(':') {
            None => Ok((self.host.to_lowercase(), self.port())),
            Some((host, port)) => {
                let port = port.parse().map_err(|_| Trouble::usage(format!("{port:?} is no port")))?;
                let host = host.trim_start_matches('[').trim_end_matches(']');
                Ok((host.to_lowercase(), port))
            }
        }
    }
}

/// A session with the other server.
pub(super) struct Session {
    talk: Talk,
    host: String,
    login: String,
    /// Mailboxes that show messages of others, and were left out for that.
    left: Vec<String>,
}

/// A mailbox there.
struct Mailbox {
    /// As it is to be written in commands.
    raw: String,
    folder: SourceFolder,
}

/// A message there.
#[derive(Clone, Copy)]
struct Known {
    uid: u32,
    size: u64,
}

impl Session {
    pub(super) async fn bring(&mut self, bringing: &mut Bringing<'_>, into: &Into) -> Result<(), Trouble> {
        let mailboxes = self.mailboxes().await?;
        let wanted: Vec<Mailbox> = mailboxes
            .into_iter()
            .filter(|mailbox| into.wants(&mailbox.folder.name))
            .filter(|mailbox| {
                // Such a mailbox shows what is in the others.
                let is_view = matches!(mailbox.folder.special_use.as_deref(), Some("\\All" | "\\Flagged"));
                let left_out = is_view && !into.only.contains(&mailbox.folder.name);
                if left_out {
                    self.left.push(mailbox.folder.name.clone());
                }
                !left_out
            })
            .collect();
        if wanted.is_empty() {
            return Err(Trouble::usage("there is no such mailbox on the other server"));
        }
        for mailbox in wanted {
            bringing.begin(&mailbox.folder).await?;
            self.mailbox(&mailbox, bringing).await?;
        }
        for name in &self.left {
            bringing.note(format!(
                "{name} was left out: it shows messages of other mailboxes; --only {name:?} brings it in"
            ));
        }
        self.talk.log_out().await;
        Ok(())
    }

    /// The reader's own mailboxes that hold messages.
    async fn mailboxes(&mut self) -> Result<Vec<Mailbox>, Trouble> {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        if self.talk.can("NAMESPACE") {
            self.talk
                .run("NAMESPACE", |response| {
                    if let Response::Namespace { own: ours, others: theirs } = response {
                        (own, others) = (ours, theirs);
                    }
                })
                .await?;
        }
        let list = if self.talk.can("SPECIAL-USE") && self.talk.can("LIST-EXTENDED") {
            "LIST \"\" \"*\" RETURN (SPECIAL-USE)"
        } else {
            "LIST \"\" \"*\""
        };
        let listed = self.listing(list).await?;
        let subscribed: Vec<Vec<u8>> =
            self.listing("LSUB \"\" \"*\"").await?.into_iter().map(|one| one.name).collect();
        let mut mailboxes = Vec::new();
        for one in listed {
            let has =
                |word: &str| one.attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case(word));
            let is_foreign = others.iter().any(|prefix| !prefix.is_empty() && one.name.starts_with(prefix));
            if has("\\Noselect") || has("\\NonExistent") || is_foreign {
                continue;
            }
            let name = own_name(&one, &own);
            let uses = ["\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"];
            let told = uses.iter().find(|word| has(word)).copied();
            let special_use = told.or_else(|| usual_use(&name)).map(str::to_owned);
            let raw = String::from_utf8_lossy(&one.name).into_owned();
            let subscribed = subscribed.contains(&one.name) || name == "INBOX";
            mailboxes.push(Mailbox {
                folder: SourceFolder { name, special_use, subscribed, place: raw.clone() },
                raw,
            });
        }
        mailboxes.sort_by(|a, b| a.folder.name.cmp(&b.folder.name));
        Ok(mailboxes)
    }

    async fn listing(&mut self, command: &str) -> Result<Vec<Listed>, Trouble> {
        let mut list = Vec::new();
        self.talk
            .run(command, |response| {
                if let Response::List(one) | Response::Lsub(one) = response
                    && list.len() < moving::FOLDERS_MAX
                {
                    list.push(one);
                }
            })
            .await?;
        Ok(list)
    }

    async fn mailbox(&mut self, mailbox: &Mailbox, bringing: &mut Bringing<'_>) -> Result<(), Trouble> {
        let mut uidvalidity = String::from("0");
        let mut count = 0;
        let examined = self
            .talk
            .run(&format!("EXAMINE {}", quoted(&mailbox.raw)), |response| match response {
                Response::Exists(messages) => count = messages,
                Response::Status { code, .. } => {
                    if let Some(number) = code.strip_prefix("UIDVALIDITY ") {
                        number.clone_into(&mut uidvalidity);
                    }
                }
                _ => {}
            })
            .await;
        if let Err(trouble) = examined {
            // That of one mailbox is no reason to leave the others.
            self.talk.still_open(trouble)?;
            bringing.refuse("the mailbox", "the other server does not open it");
            return Ok(());
        }
        if count == 0 {
            return Ok(());
        }
        let all = self.uids().await?;
        let mut waiting = None;
        for batch in batches(all) {
            let key = |known: &Known| {
                let uid = known.uid.to_be_bytes();
                let parts: [&[u8]; 6] = [
                    b"imap",
                    self.host.as_bytes(),
                    self.login.as_bytes(),
                    mailbox.raw.as_bytes(),
                    uidvalidity.as_bytes(),
                    &uid,
                ];
                ImportKey::of(&parts)
            };
            let keys: Vec<ImportKey> = batch.iter().map(key).collect();
            let there = bringing.known(&keys).await?;
            let mut new = Vec::new();
            for ((known, key), there) in batch.into_iter().zip(keys).zip(there) {
                if there {
                    bringing.before();
                } else if known.size > MESSAGE_MAX as u64 {
                    bringing
                        .refuse(&known.uid.to_string(), &format!("it is larger than {MESSAGE_MAX} octets"));
                } else {
                    new.push((known.uid, key));
                }
            }
            if new.is_empty() {
                continue;
            }
            // Asked for before what came is filed.
            let set = new.iter().map(|(uid, _)| uid.to_string()).collect::<Vec<_>>().join(",");
            let tag = self.talk.send(&format!("UID FETCH {set} (UID FLAGS INTERNALDATE BODY.PEEK[])"));
            if let Some(before) = waiting.replace((tag, new)) {
                self.file(before, bringing).await?;
            }
        }
        if let Some(last) = waiting {
            self.file(last, bringing).await?;
        }
        Ok(())
    }

    /// What is in the mailbox that is open.
    async fn uids(&mut self) -> Result<Vec<Known>, Trouble> {
        let mut all = Vec::new();
        self.talk
            .run("UID FETCH 1:* (UID RFC822.SIZE)", |response| {
                if let Response::Fetch(Fetched { uid: Some(uid), size: Some(size), .. }) = response
                    && all.len() < NAMES_MAX
                {
                    all.push(Known { uid, size });
                }
            })
            .await?;
        all.sort_unstable_by_key(|known| known.uid);
        all.dedup_by_key(|known| known.uid);
        Ok(all)
    }

    /// Hears the answer to a command, and files what came.
    async fn file(
        &mut self,
        (tag, mut asked): (String, Vec<(u32, ImportKey)>),
        bringing: &mut Bringing<'_>,
    ) -> Result<(), Trouble> {
        let mut came = Vec::new();
        self.talk
            .until(&tag, |response| {
                let Response::Fetch(Fetched { uid: Some(uid), body: Some(octets), flags, date, .. }) =
                    response
                else {
                    return;
                };
                // What was not asked for, or came twice, is not taken.
                let Some(at) = asked.iter().position(|(wanted, _)| *wanted == uid) else { return };
                let (_, key) = asked.remove(at);
                let flags = flags.unwrap_or_default();
                came.push((key, Found { name: uid.to_string(), octets, flags, received: date }));
            })
            .await?;
        for (uid, _) in asked {
            bringing.refuse(&uid.to_string(), "it went away meanwhile, or the other server does not give it");
        }
        bringing.put(came).await
    }
}

/// Messages that are fetched together.
fn batches(all: Vec<Known>) -> Vec<Vec<Known>> {
    let mut batches: Vec<Vec<Known>> = Vec::new();
    let mut octets = 0;
    for known in all {
        octets += known.size;
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_MESSAGES && octets <= BATCH_OCTETS => batch.push(known),
            _ => {
                octets = known.size;
                batches.push(vec![known]);
            }
        }
    }
    batches
}

/// The name without the prefix that all of the reader's mailboxes have, with our delimiter.
fn own_name(listed: &Listed, own: &[Vec<u8>]) -> String {
    let prefix = own.iter().find(|prefix| !prefix.is_empty() && listed.name.starts_with(prefix));
    let bare = prefix.map_or(listed.name.as_slice(), |prefix| &listed.name[prefix.len()..]);
    let text = decode_name(bare);
    let levels: String = match listed.delimiter {
        Some('/') | None => text,
        Some(delimiter) => text.replace('/', "_").replace(delimiter, "/"),
    };
    let name = clean(&levels);
    if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_servers() {
        let own = [b"INBOX.".to_vec()];
        for (raw, delimiter, want) in [
            ("INBOX.Sent", Some('.'), "Sent"),
            ("INBOX", Some('.'), "INBOX"),
            ("inbox", Some('/'), "INBOX"),
            ("INBOX.a.Entw&APw-rfe", Some('.'), "a/Entwürfe"),
            ("a/b", Some('.'), "a_b"),
            ("a.b", Some('/'), "a.b"),
        ] {
            let listed = Listed { attributes: Vec::new(), delimiter, name: raw.as_bytes().to_vec() };
            assert_eq!(own_name(&listed, &own), want);
        }
    }

    #[test]
    fn batches_are_bounded() {
        let known = |size| Known { uid: 1, size };
        let all = batches(vec![known(BATCH_OCTETS), known(1), known(BATCH_OCTETS * 9), known(1), known(1)]);
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 2]);
        assert_eq!(batches(vec![known(0); 500]).len(), 3);
    }
}
