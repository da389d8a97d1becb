//! What this process may do: whose it is, and which files, ports and system calls it may use.
//!
//! Floor 2. Everything here is given up before the first thread is made, and cannot be had back: threads and programs
//! that are started later inherit what is left. What a server needs is told by whoever knows its configuration.

mod allowed;
mod calls;
pub mod config;
mod files;
mod process;
mod report;
mod user;

pub use allowed::allowed_calls;
pub use calls::refused_calls;
pub use config::{Enforce, Sandbox};
pub use files::{Needs, Programs};
pub use process::{Memory, seal};
pub use report::{Layer, Report};
pub use user::{User, UserError, make_directory, present, wanted};

/// Why the server does not start: something that the configuration requires cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("Landlock is required by `sandbox`, and this system does not have all of it: {0}")]
    Landlock(String),
    #[error("seccomp is required by `sandbox`, and cannot be had: {0}")]
    Seccomp(String),
    #[error("{0}")]
    Process(String),
}

/// Gives up all that is not needed. Must be called while this process has one thread.
///
/// # Errors
/// What is required and cannot be had; the process may then hold less than it began with and should end.
pub fn confine(sandbox: &Sandbox, needs: &Needs) -> Result<(Layer, Layer), Refused> {
    seal(sandbox.memory)?;
    let files = match sandbox.landlock {
        Enforce::Off => Layer::off(),
        enforce => files::restrict(sandbox, needs, enforce)?,
    };
    let calls = match sandbox.seccomp {
        Enforce::Off => Layer::off(),
        enforce => calls::restrict(needs.programs, enforce)?,
    };
    Ok((files, calls))
}
