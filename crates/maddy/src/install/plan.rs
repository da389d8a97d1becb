//! What an installation changes on this machine: looked at first, shown, and done in order.

use super::files::{Content, Layout, MANUAL, Put};
use super::{CONFIG_DIR, InstallArgs, Ports, SERVICE, SOCKET, STATE_DIR, USER, below, call, words};
use crate::cli::args::Global;
use crate::cli::{Trouble, ask, output};
use crate::config::Source;
use nix::unistd::{AccessFlags, User, access};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What `systemctl enable` makes.
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/maddy.service";

/// How a file is, compared with how it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Missing,
    Differs,
    Same,
}

/// One change.
#[derive(Debug)]
enum Step {
    Put {
        put: Put,
        at: PathBuf,
        state: State,
    },
    /// Left there by an installation of the other kind.
    Remove {
        path: PathBuf,
        at: PathBuf,
    },
    Run(Vec<String>),
}

/// All of it.
struct Plan {
    steps: Vec<Step>,
    /// What the person must know besides.
    notes: Vec<String>,
}

pub(crate) fn run(args: &InstallArgs, global: &Global) -> Result<(), Trouble> {
    args.place.check("install")?;
    let plan = Plan::of(args)?;
    if args.place.dry_run {
        return plan.show(global, "would");
    }
    if plan.is_done() {
        return plan.show(global, "has nothing to do");
    }
    if !args.place.yes {
        eprint!("{}", plan.text("will"));
    }
    ask::confirm("Install maddy?", args.place.yes)?;
    for step in &plan.steps {
        step.carry_out()?;
    }
    plan.show(global, "did")
}

impl Plan {
    fn of(args: &InstallArgs) -> Result<Self, Trouble> {
        let (layout, root) = (Layout::new(&args.place.prefix), args.place.root());
        let program = std::env::current_exe()?;
        refuse_beside_a_package(args, &program)?;
        let asked = asked(root);
        let mut wanted = layout.files(&program, args.ports, asked.as_deref());
        if args.sendmail {
            wanted.extend(layout.sendmail());
        }
        let mut steps = Vec::new();
        for put in wanted {
            let at = below(root, &put.path);
            let state = put.state(&at)?;
            if matches!(put.content, Content::Link(_)) && state == State::Differs {
                return Err(Trouble::new(format!(
                    "{} is there already and belongs to another mail server: remove that one first, or install without --sendmail",
                    at.display()
                )));
            }
            steps.push(Step::Put { put, at, state });
        }
        let is_wanted = |path: &PathBuf| {
            steps.iter().any(|step| matches!(step, Step::Put { put, .. } if put.path == *path))
        };
        let left = layout.socket_paths().into_iter().filter(|path| !is_wanted(path));
        let left: Vec<Step> = left
            .map(|path| Step::Remove { at: below(root, &path), path })
            .filter(|step| matches!(step, Step::Remove { at, .. } if fs::symlink_metadata(at).is_ok()))
            .collect();
        let is_changed = !left.is_empty()
            || steps.iter().any(|step| matches!(step, Step::Put { state, .. } if *state != State::Same));
        let mut notes = Vec::new();
        let opened = match (args.ports, left.is_empty()) {
            (Ports::Capability, true) => Sockets::None,
            (Ports::Capability, false) => Sockets::Going,
            (Ports::Sockets, true) if !are_new(&steps, &layout) => Sockets::There,
            (Ports::Sockets, _) => Sockets::New,
        };
        let (before, after) = match args.place.root {
            None if is_changed || is_unfinished() => commands(opened, &layout, &mut notes),
            None => (Vec::new(), Vec::new()),
            Some(_) => {
                notes.push(
                    "nothing is run for a directory: user and directories are made by systemd-sysusers and \
                     systemd-tmpfiles, the service is started by systemctl"
                        .to_owned(),
                );
                (Vec::new(), Vec::new())
            }
        };
        let run = |line: String| Step::Run(words(&line));
        let mut all: Vec<Step> = before.into_iter().map(run).collect();
        all.extend(steps);
        all.extend(left);
        all.extend(after.into_iter().map(run));
        Ok(Self { steps: all, notes })
    }

    fn is_done(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Put { state: State::Same, .. }))
    }

    fn show(&self, global: &Global, verb: &str) -> Result<(), Trouble> {
        if global.json {
            let steps: Vec<Value> = self.steps.iter().map(Step::json).collect();
            return output::json(&json!({ "steps": steps, "notes": self.notes }));
        }
        output::octets(self.text(verb).as_bytes())
    }

    fn text(&self, verb: &str) -> String {
        if self.is_done() {
            return format!("Everything is in its place already.\n{}", self.noted());
        }
        let mut text = format!("maddy install {verb}:\n\n");
        let (mut same, mut pages) = (0, 0);
        for step in &self.steps {
            match step {
                Step::Put { state: State::Same, .. } => same += 1,
                Step::Put { put, .. } if put.what == MANUAL => pages += 1,
                Step::Put { put, state, .. } => {
                    let what = if *state == State::Missing { "write" } else { "replace" };
                    text.push_str(&format!("  {what:<8} {}   {}\n", put.path.display(), put.what));
                }
                Step::Remove { path, .. } => text.push_str(&format!("  remove   {}\n", path.display())),
                Step::Run(command) => text.push_str(&format!("  run      {}\n", command.join(" "))),
            }
        }
        if pages > 0 {
            text.push_str(&format!("\nBesides, {pages} pages of the manual.\n"));
        }
        if same > 0 {
            text.push_str(&format!("\n{same} files are in their place already.\n"));
        }
        text.push_str(&self.noted());
        text
    }

    fn noted(&self) -> String {
        self.notes.iter().map(|note| format!("\nNote: {note}.\n")).collect()
    }
}

/// Whether an earlier installation broke off before it came to its end.
fn is_unfinished() -> bool {
    let has_user = matches!(User::from_name(USER), Ok(Some(_)));
    !has_user || fs::symlink_metadata(ENABLED).is_err() || !Path::new(STATE_DIR).is_dir()
}

/// A package brings its own service, and its manager would not know of ours.
fn refuse_beside_a_package(args: &InstallArgs, program: &Path) -> Result<(), Trouble> {
    let unit = Layout::new(Path::new("/usr")).units().join(SERVICE);
    let is_package = program.starts_with("/usr/bin") && unit.exists() && !args.place.dry_run;
    if args.place.root.is_some() || !is_package {
        return Ok(());
    }
    Err(Trouble::usage(format!(
        "this maddy came as a package, which brought its service along ({}): make a configuration with `maddy \
         quickstart`, then `systemctl enable --now {SERVICE}`",
        unit.display()
    )))
}

/// What becomes of the sockets that systemd opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sockets {
    None,
    /// They were there, and the service opens its ports itself from now on.
    Going,
    New,
    /// As they are: they stay open while the service restarts.
    There,
}

/// Whether a file that hands the ports over is new or another than before.
fn are_new(steps: &[Step], layout: &Layout) -> bool {
    let paths = layout.socket_paths();
    let is_new = |step: &Step| matches!(step, Step::Put { put, state, .. } if *state != State::Same && paths.contains(&put.path));
    steps.iter().any(is_new)
}

/// The addresses that need more than a user has, of the configuration that is there already.
fn asked(root: &Path) -> Option<Vec<SocketAddr>> {
    let config = below(root, &Path::new(CONFIG_DIR).join("maddy.conf"));
    let config = Source { config, state_dir: None }.read_settings().ok()?;
    let all = crate::listeners::wanted(&config).into_iter().map(|one| one.address);
    Some(all.filter(|address| (1..1024).contains(&address.port())).collect())
}

/// What is run before and after the files are put into their places.
fn commands(sockets: Sockets, layout: &Layout, notes: &mut Vec<String>) -> (Vec<String>, Vec<String>) {
    let mut before = Vec::new();
    if sockets == Sockets::Going {
        before.push(format!("systemctl disable --now {SOCKET}"));
    }
    let mut after = vec![format!("systemd-sysusers {}", layout.sysusers().display())];
    // Made by `maddy quickstart` before there was the user: nobody but root has written there.
    if fs::metadata(STATE_DIR).is_ok_and(|found| found.uid() == 0) {
        after.push(format!("chown -R -h {USER}:{USER} {STATE_DIR}"));
    }
    after.extend([
        format!("systemd-tmpfiles --create {}", layout.tmpfiles().display()),
        "systemctl daemon-reload".to_owned(),
        format!("systemctl enable {SERVICE}"),
    ]);
    if matches!(sockets, Sockets::New | Sockets::There) {
        after.push(format!("systemctl enable {SOCKET}"));
    }
    let config = Path::new(CONFIG_DIR).join("maddy.conf");
    let good = Source { config: config.clone(), state_dir: None }.read();
    match good {
        Ok(_) if sockets == Sockets::New => {
            // Sockets cannot begin to listen while the service has the ports.
            after.push(format!("systemctl stop {SERVICE}"));
            after.push(format!("systemctl restart {SOCKET}"));
            after.push(format!("systemctl start {SERVICE}"));
        }
        Ok(_) => after.push(format!("systemctl restart {SERVICE}")),
        Err(_) if !config.exists() => notes.push(format!(
            "there is no {} yet: `maddy quickstart you@example.org` makes one; then `systemctl start {SERVICE}`",
            config.display()
        )),
        Err(_) => notes.push(format!(
            "{} has problems (`maddy config check`), so the service is not started: put them right, then `systemctl restart {SERVICE}`",
            config.display()
        )),
    }
    (before, after)
}

impl Step {
    fn carry_out(&self) -> Result<(), Trouble> {
        match self {
            Self::Put { state: State::Same, .. } => Ok(()),
            Self::Put { put, at, .. } => {
                put.write(at).map_err(|error| Trouble::new(format!("{}: {error}", at.display())))
            }
            Self::Remove { at, .. } => {
                fs::remove_file(at).map_err(|error| Trouble::new(format!("{}: {error}", at.display())))
            }
            Self::Run(command) => call(command),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Put { put, at, state } => json!({
                "action": "write",
                "path": at,
                "mode": format!("{:04o}", put.mode),
                "what": put.what,
                "state": match state {
                    State::Missing => "missing",
                    State::Differs => "differs",
                    State::Same => "same",
                },
            }),
            Self::Remove { at, .. } => json!({ "action": "remove", "path": at }),
            Self::Run(command) => json!({ "action": "run", "command": command }),
        }
    }
}

impl Put {
    /// How the file at a path is, compared with this.
    fn state(&self, at: &Path) -> Result<State, Trouble> {
        let failed = |error: io::Error| Trouble::new(format!("{}: {error}", at.display()));
        let found = match fs::symlink_metadata(at) {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(State::Missing);
            }
            Err(error) => return Err(failed(error)),
        };
        if found.is_dir() {
            return Err(failed(io::Error::other("a directory stands where a file belongs")));
        }
        let same = match &self.content {
            Content::Link(target) => fs::read_link(at).is_ok_and(|to| to == *target),
            _ if !found.is_file() || found.mode() & 0o7777 != self.mode => false,
            Content::Text(text) => fs::read(at).map_err(failed)? == text.as_bytes(),
            Content::Copy(from) => are_alike(from, at).map_err(failed)?,
        };
        Ok(if same { State::Same } else { State::Differs })
    }

    /// Puts it there whole: whoever looks meanwhile sees the old one or the new one.
    fn write(&self, at: &Path) -> io::Result<()> {
        let dir = at.parent().ok_or_else(|| io::Error::other("it has no directory"))?;
        make_directories(dir)?;
        let name = at.file_name().unwrap_or_default().to_string_lossy();
        let fresh = dir.join(format!(".{name}.new"));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match &self.content {
            Content::Link(target) => symlink(target, &fresh)?,
            content => {
                let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&fresh)?;
                match content {
                    Content::Copy(from) => drop(io::copy(&mut fs::File::open(from)?, &mut file)?),
                    Content::Text(text) => file.write_all(text.as_bytes())?,
                    Content::Link(_) => {}
                }
                file.set_permissions(fs::Permissions::from_mode(self.mode))?;
                file.sync_all()?;
            }
        }
        fs::rename(&fresh, at)
    }
}

/// Makes the directories that are missing, for everybody to read whatever the umask is.
fn make_directories(dir: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut at = Some(dir);
    while let Some(path) = at.filter(|path| access(*path, AccessFlags::F_OK).is_err()) {
        missing.push(path);
        at = path.parent();
    }
    for path in missing.iter().rev().filter(|path| !path.as_os_str().is_empty()) {
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Whether two files have the same octets.
fn are_alike(one: &Path, other: &Path) -> io::Result<bool> {
    let (a, b) = (fs::metadata(one)?, fs::metadata(other)?);
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return Ok(true);
    }
    Ok(a.len() == b.len() && fs::read(one)? == fs::read(other)?)
}
