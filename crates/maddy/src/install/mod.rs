//! `maddy install` and `maddy uninstall`: this program as a service of systemd, which is never root, and away again.
//!
//! What is written stands in `dist/`, once; the manual and the completions come from the grammar of the command line.

mod files;
mod plan;
mod take;

pub(crate) use plan::run as install;
pub(crate) use take::run as uninstall;

use crate::cli::Trouble;
use clap::{Args, ValueEnum};
use nix::unistd::geteuid;
use std::path::{Path, PathBuf};
use std::process::Command;

/// There is such a directory exactly where systemd runs the machine (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// The service, and the sockets that may go before it.
const SERVICE: &str = "maddy.service";
const SOCKET: &str = "maddy.socket";
/// Where the service keeps what must not be lost.
const STATE_DIR: &str = "/var/lib/maddy";
/// Where its configuration is.
const CONFIG_DIR: &str = "/etc/maddy";
/// The user that it runs as.
const USER: &str = "maddy";

/// How the service gets at the ports below 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ports {
    /// It may bind them itself: CAP_NET_BIND_SERVICE and nothing else
    Capability,
    /// systemd opens them: no capability, and nobody is refused while the service restarts
    Sockets,
}

/// Where the files go.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// Install into this directory as if it were /, and run nothing: for packages
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Program and manual go below it; with /usr the units go there, too, as those of packages do
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    pub(crate) prefix: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub(crate) place: Where,
    /// How the service gets at the ports below 1024
    #[arg(long, value_enum, default_value = "capability")]
    pub(crate) ports: Ports,
    /// Make this the machine's `sendmail`, `mailq` and `newaliases`, where there are none
    #[arg(long)]
    pub(crate) sendmail: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UninstallArgs {
    #[command(flatten)]
    pub(crate) place: Where,
    /// Remove all mail, accounts, keys, the configuration and the user, too
    #[arg(long)]
    pub(crate) purge: bool,
}

impl Where {
    /// The directory that stands for /.
    fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }

    /// Refuses what cannot work, with what to do instead.
    fn check(&self, verb: &str) -> Result<(), Trouble> {
        if !self.prefix.is_absolute() {
            let prefix = self.prefix.display();
            return Err(Trouble::usage(format!("--prefix {prefix}: write the whole path, like /usr/local")));
        }
        if self.root.is_some() || self.dry_run {
            return Ok(());
        }
        if self.prefix == Path::new("/usr") {
            return Err(Trouble::usage(
                "what is below /usr belongs to packages: --prefix /usr goes with --root; a package is removed by what installed it",
            ));
        }
        if !Path::new(BOOTED).is_dir() {
            return Err(Trouble::usage(format!(
                "this machine is not run by systemd ({BOOTED} is missing), and only a service of systemd is made here. \
                 Elsewhere make a user for it, let it bind the ports (`setcap cap_net_bind_service=+ep` on the \
                 program), and have whatever starts your services start `maddy run` as that user. To put the files \
                 into a directory: `maddy {verb} --root DIR`"
            )));
        }
        if !geteuid().is_root() {
            return Err(Trouble::usage(format!(
                "this needs root: `sudo maddy {verb}`; `maddy {verb} --dry-run` says what it would do"
            )));
        }
        Ok(())
    }
}

/// Whether there is a service on this machine, from here or from a package.
pub(crate) fn is_service() -> bool {
    let prefixes = ["/usr/local", "/usr"].map(|prefix| files::Layout::new(Path::new(prefix)));
    prefixes.iter().any(|layout| layout.units().join(SERVICE).exists())
}

/// A path of the machine, below the directory that stands for its root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Runs a program of the system. The error says what it said.
fn call(command: &[String]) -> Result<(), Trouble> {
    let [program, arguments @ ..] = command else { return Ok(()) };
    let shown = command.join(" ");
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| Trouble::new(format!("`{shown}` cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Trouble::new(format!("`{shown}` failed ({}): {}", output.status, said.trim())))
}

/// A command line of the system.
fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}
