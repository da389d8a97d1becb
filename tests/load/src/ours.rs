//! Our daemon, with the harness of the stories around it.

use crate::options::{Index, Options};
use crate::server::Server;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tests::{Daemon, PASSWORD, Setup};

/// How often the index is looked at.
const SETTLE: Duration = Duration::from_millis(200);
/// How often it may be missing.
const NONE_MAX: u32 = 20;

pub(crate) struct Ours {
    index: Index,
    daemon: Daemon,
    ca: PathBuf,
    accounts: RefCell<HashSet<String>>,
}

impl Ours {
    pub(crate) fn start(options: &Options) -> Self {
        let mut setup = Setup::new();
        setup.option("imap", "connections-per-account 10000");
        setup.option("limits", &format!("connections {}", 1000 + options.sessions));
        setup.config("logins { exempt \"127.0.0.0/8\"; }");
        if options.index == Index::None {
            setup.option("storage", "search { index #false; }");
        }
        let ca = setup.ca();
        Self { index: options.index, daemon: setup.start(), ca, accounts: RefCell::default() }
    }
}

impl Server for Ours {
    fn name(&self) -> &'static str {
        "maddy"
    }

    fn imap(&self) -> u16 {
        self.daemon.ports().imap
    }

    fn imaps(&self) -> u16 {
        self.daemon.ports().imaps
    }

    fn ca(&self) -> &Path {
        &self.ca
    }

    fn account(&self, name: &str) {
        if self.accounts.borrow_mut().insert(name.to_owned()) {
            self.daemon.cli_with(&["account", "add", name], &format!("{PASSWORD}\n")).ok();
        }
    }

    fn settle(&self, account: &str) {
        if self.index == Index::None {
            return;
        }
        let count = |stat: &Value, name: &str| stat["index"][name].as_u64();
        let mut without = 0;
        loop {
            let text = self.daemon.cli(&["imap-acct", "stat", account, "--json"]).ok();
            let stat: Value = serde_json::from_str(&text).unwrap();
            let indexed = count(&stat, "indexed").unwrap_or(0);
            // Small accounts have no index, and others may not have begun with theirs.
            without += u32::from(indexed == 0);
            if without > NONE_MAX || Some(indexed) >= count(&stat, "messages") {
                return;
            }
            thread::sleep(SETTLE);
        }
    }

    fn pid(&self) -> u32 {
        self.daemon.id()
    }
}
