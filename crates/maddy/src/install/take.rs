//! `maddy uninstall`: takes away what was installed. The mail stays unless that is asked for by name.

use super::files::{Content, Layout};
use super::{CONFIG_DIR, Ports, SERVICE, SOCKET, STATE_DIR, USER, UninstallArgs, below, call, words};
use crate::cli::args::Global;
use crate::cli::{Trouble, ask, output};
use crate::config::Source;
use nix::unistd::User;
use serde_json::json;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Directories of drop-ins, which go when nothing else is in them.
const UNIT_DIRS: [&str; 2] = ["maddy.service.d", "maddy.socket.d"];

/// What goes, in this order.
struct Plan {
    before: Vec<String>,
    files: Vec<PathBuf>,
    /// With all that is in them.
    trees: Vec<PathBuf>,
    /// Only if nothing is in them.
    empty: Vec<PathBuf>,
    after: Vec<String>,
    notes: Vec<String>,
}

pub(crate) fn run(args: &UninstallArgs, global: &Global) -> Result<(), Trouble> {
    args.place.check("uninstall")?;
    let plan = Plan::of(args)?;
    if !args.place.dry_run && !plan.is_empty() {
        if !args.place.yes {
            eprint!("{}", plan.text("will"));
        }
        let question = if plan.trees.is_empty() {
            "Remove maddy? The mail stays."
        } else {
            "Remove maddy and all its mail for good?"
        };
        ask::confirm(question, args.place.yes)?;
        plan.carry_out()?;
    }
    let verb = if args.place.dry_run { "would" } else { "did" };
    if global.json {
        let run: Vec<&String> = plan.before.iter().chain(&plan.after).collect();
        let removed: Vec<&PathBuf> = plan.files.iter().chain(&plan.trees).collect();
        return output::json(&json!({ "remove": removed, "run": run, "notes": plan.notes }));
    }
    output::octets(plan.text(verb).as_bytes())
}

impl Plan {
    fn of(args: &UninstallArgs) -> Result<Self, Trouble> {
        let (layout, root) = (Layout::new(&args.place.prefix), args.place.root());
        let at = |path: &Path| below(root, path);
        let files = layout.files(Path::new(""), Ports::Capability, None).into_iter().map(|put| put.path);
        let mut files: Vec<PathBuf> = files.chain(layout.socket_paths()).map(|path| at(&path)).collect();
        for put in layout.sendmail() {
            let link = at(&put.path);
            if fs::read_link(&link).is_ok_and(|to| Content::Link(to) == put.content) {
                files.push(link);
            }
        }
        files.retain(|path| fs::symlink_metadata(path).is_ok());
        let parts = files.iter().filter_map(|path| path.parent()).map(Path::to_owned);
        let own =
            |dir: &PathBuf| dir.ends_with("doc/maddy") || UNIT_DIRS.iter().any(|name| dir.ends_with(name));
        let mut plan = Self {
            before: Vec::new(),
            empty: parts.filter(own).collect(),
            files,
            trees: Vec::new(),
            after: Vec::new(),
            notes: Vec::new(),
        };
        if args.purge {
            let trees = [STATE_DIR, CONFIG_DIR].map(|dir| at(Path::new(dir)));
            plan.trees.extend(trees.into_iter().filter(|dir| dir.exists()));
        } else {
            plan.notes.push(format!("{STATE_DIR} and {CONFIG_DIR} stay, with all mail, accounts and keys"));
        }
        if args.place.root.is_none() {
            plan.on_this_machine(args, &layout);
        }
        Ok(plan)
    }

    /// What only makes sense where the service may run.
    fn on_this_machine(&mut self, args: &UninstallArgs, layout: &Layout) {
        for unit in [SOCKET, SERVICE] {
            if layout.units().join(unit).exists() {
                self.before.push(format!("systemctl disable --now {unit}"));
            }
        }
        if !self.files.is_empty() {
            self.after.push("systemctl daemon-reload".to_owned());
        }
        if !args.purge {
            return;
        }
        let config = Path::new(CONFIG_DIR).join("maddy.conf");
        let place = Source { config, state_dir: None }.place();
        if let Ok(place) = place
            && place.storage.dir != Path::new(STATE_DIR)
        {
            let dir = place.storage.dir.display();
            self.notes.push(format!("the configuration keeps the mail in {dir}, which stays"));
        }
        if matches!(User::from_name(USER), Ok(Some(_))) {
            self.after.push(format!("userdel {USER}"));
        }
    }

    fn is_empty(&self) -> bool {
        self.before.is_empty() && self.files.is_empty() && self.trees.is_empty() && self.after.is_empty()
    }

    fn carry_out(&self) -> Result<(), Trouble> {
        let failed = |path: &Path, error: &io::Error| Trouble::new(format!("{}: {error}", path.display()));
        for line in &self.before {
            call(&words(line))?;
        }
        for path in &self.files {
            fs::remove_file(path).map_err(|error| failed(path, &error))?;
        }
        for path in &self.trees {
            fs::remove_dir_all(path).map_err(|error| failed(path, &error))?;
        }
        for path in &self.empty {
            match fs::remove_dir(path) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                    ) =>
                {
                    return Err(failed(path, &error));
                }
                _ => {}
            }
        }
        for line in &self.after {
            call(&words(line))?;
        }
        Ok(())
    }

    fn text(&self, verb: &str) -> String {
        let mut text = if self.is_empty() {
            "Nothing of maddy is installed here.\n".to_owned()
        } else {
            format!("maddy uninstall {verb}:\n\n")
        };
        for line in &self.before {
            text.push_str(&format!("  run      {line}\n"));
        }
        let is_page = |path: &&PathBuf| path.components().any(|part| part.as_os_str() == "man");
        for path in self.files.iter().filter(|path| !is_page(path)).chain(&self.trees) {
            text.push_str(&format!("  remove   {}\n", path.display()));
        }
        for line in &self.after {
            text.push_str(&format!("  run      {line}\n"));
        }
        let pages = self.files.iter().filter(is_page).count();
        if pages > 0 {
            text.push_str(&format!("\nBesides, {pages} pages of the manual.\n"));
        }
        text.push_str(&self.notes.iter().map(|note| format!("\nNote: {note}.\n")).collect::<String>());
        text
    }
}
