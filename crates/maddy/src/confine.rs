//! Least privilege: what the server needs by its configuration, and giving up the rest before the first thread is made.

use crate::cli::Trouble;
use crate::config::Config;
use crate::listeners::Ready;
use ::config::Problems;
use guard::{Needs, Programs, Report};
use net::{Inherited, TlsOptions};
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// What the process kept.
pub(crate) struct Held {
    /// What only root could bind.
    pub(crate) sockets: Ready,
    pub(crate) report: Report,
}

/// Binds the ports if root must, becomes the user that the configuration names, and has the kernel hold the process to
/// what it needs.
pub(crate) fn confine(config: &Config, inherited: &Inherited) -> Result<Held, Trouble> {
    let user = guard::wanted(config.user.as_deref()).map_err(|error| Trouble::usage(error.to_string()))?;
    for dir in directories(config) {
        guard::make_directory(&dir, user.as_ref()).map_err(|error| {
            let dir = dir.display();
            Trouble::new(format!(
                "the directory {dir} cannot be made: {error}; make it, and let this user write to it"
            ))
        })?;
    }
    let sockets = match &user {
        None => Ready::default(),
        Some(user) => {
            let sockets = Ready::bind(config, inherited).map_err(|error| Trouble::new(error.to_string()))?;
            user.become_it()
                .map_err(|error| Trouble::new(format!("root cannot become {}: {error}", user.name)))?;
            sockets
        }
    };
    let (user, is_root) = guard::present();
    let held = guard::confine(&config.sandbox, &needs(config, is_root));
    let (landlock, seccomp) = held.map_err(|error| Trouble::new(error.to_string()))?;
    Ok(Held { sockets, report: Report { user, is_root, landlock, seccomp } })
}

/// The directories that are written to. They are made, since only what is there can be allowed.
fn directories(config: &Config) -> Vec<PathBuf> {
    let mut list = vec![config.state_dir().to_owned(), config.runtime_dir.clone()];
    if config.dkim.signing.is_on() {
        list.push(config.keys_dir());
    }
    list
}

fn needs(config: &Config, is_root: bool) -> Needs {
    let mut write = directories(config);
    write.extend(
        config.sendmail_socket().parent().filter(|_| config.sendmail.is_offered()).map(Path::to_owned),
    );
    let mut read = config.paths.clone();
    if let TlsOptions::Acme(options) = &config.tls {
        write.extend(options.web_root.clone());
    }
    let run = run(config);
    read.extend(run.iter().cloned());
    Needs { read, write, programs: programs(config), run, is_root }
}

/// The programs that a configuration has run: filters, and the hook that writes into the DNS.
fn run(config: &Config) -> Vec<PathBuf> {
    let hook = match &config.tls {
        TlsOptions::Acme(options) => options.hook.clone(),
        _ => None,
    };
    config.filters.commands.iter().map(|command| command.program.path.clone()).chain(hook).collect()
}

/// Whether a configuration has programs that are to be run.
pub(crate) fn programs(config: &Config) -> Programs {
    if run(config).is_empty() { Programs::None } else { Programs::Some }
}

/// What to add where files of a new configuration cannot be read.
pub(crate) fn hint(problems: &Problems) -> &'static str {
    let is_denied =
        |problem: &::config::Problem| problem.to_string().to_lowercase().contains("permission denied");
    if problems.0.iter().any(is_denied) {
        "; files in directories that were not named when the server started can be read after a restart only \
         (docs/security.md)"
    } else {
        ""
    }
}

impl Held {
    /// Says in the log how the process is held, and warns where it could be held better.
    pub(crate) fn log(&self) {
        let Report { user, is_root, landlock, seccomp } = &self.report;
        if *is_root {
            warn!(
                "the server is root, as the configuration has it: a user of its own, as `maddy install` makes it, would be safer"
            );
        }
        for (what, layer) in [("Landlock", landlock), ("seccomp", seccomp)] {
            if !layer.on {
                warn!(what, why = layer.detail, "the kernel does not hold the server back");
            }
        }
        info!(user, landlock = landlock.detail, seccomp = seccomp.detail, "least privilege");
    }
}
