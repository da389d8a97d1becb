//! What holds for the process as a whole: no privileges by way of programs, no core dumps, so much memory.

use crate::Refused;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// Most memory for data, in octets; `None` for as much as there is.
pub type Memory = Option<u64>;

/// No program that is started has more rights than we; nothing of our memory comes onto the disk or before other
/// processes of the same user.
pub fn seal(memory: Memory) -> Result<(), Refused> {
    let failed = |what: &str, error: nix::Error| Refused::Process(format!("{what}: {error}"));
    prctl::set_no_new_privs().map_err(|error| failed("no-new-privs cannot be set", error))?;
    // A service manager may forbid this call. The next one is enough: what is not dumpable is not dumped.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    prctl::set_dumpable(false).map_err(|error| failed("core dumps cannot be switched off", error))?;
    if let Some(octets) = memory {
        setrlimit(Resource::RLIMIT_DATA, octets, octets)
            .map_err(|error| failed("the memory cannot be limited", error))?;
    }
    Ok(())
}
