//! The files, ports and other processes that the server can reach, held by the kernel (Landlock).

use crate::Refused;
use crate::config::{Enforce, Sandbox};
use crate::report::Layer;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The newest interface of the kernel of which we use everything; of an older kernel, what it has.
const KNOWN: ABI = ABI::V6;
/// Below this the kernel forbids every move of a file from one directory to another, and with that large messages.
const OLDEST: ABI = ABI::V2;

/// What any program of this system reads: its libraries, who is who, and how many processors there are.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/proc/self",
    "/proc/sys/kernel",
    "/proc/sys/net",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/dev/urandom",
    "/dev/random",
    // Where resolv.conf may lead to, and who knows users that stand in no file.
    "/run/systemd/resolve",
    "/run/systemd/userdb",
    "/run/nscd",
    "/var/run/nscd",
    "/run/resolvconf",
    "/run/NetworkManager",
];
/// Where the system's programs are, and what they are made of.
const SYSTEM_PROGRAMS: &[&str] = &["/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"];
/// Most entries of a directory that are looked at one by one, since something below it is written.
const ENTRIES_MAX: usize = 1000;
/// The system's settings. Of root more is kept than of others: secrets stand there that only root can read.
const SETTINGS: &str = "/etc";
const SETTINGS_OF_ROOT: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/services",
    "/etc/protocols",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl/certs",
];
/// Programs that we start get this in place of input and output.
const NOTHING: &str = "/dev/null";

/// Whether the configuration names programs to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    None,
    Some,
}

/// What a server needs besides what every program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Files and directories that are read. Of a file its directory is opened: files are renewed by new ones.
    pub read: Vec<PathBuf>,
    /// Directories that are written. They must be there.
    pub write: Vec<PathBuf>,
    pub programs: Programs,
    /// Programs that are run, and beside which what they need may stand.
    pub run: Vec<PathBuf>,
    pub is_root: bool,
}

/// Holds this thread and all that it makes to what is needed.
pub(crate) fn restrict(sandbox: &Sandbox, needs: &Needs, enforce: Enforce) -> Result<Layer, Refused> {
    let left_out = left_out(sandbox, needs);
    match apply(sandbox, needs) {
        Ok(status) => Ok(judge(&status, enforce)?.without(&left_out)),
        Err(error) if enforce == Enforce::Required => Err(Refused::Landlock(error.to_string())),
        Err(error) => Ok(Layer::missing(error.to_string())),
    }
}

fn judge(status: &RestrictionStatus, enforce: Enforce) -> Result<Layer, Refused> {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if effective_abi < OLDEST => {
            let oldest = OLDEST as i32;
            format!("ABI {}, and less than {oldest} (Linux 5.19) lets no file be moved", effective_abi as i32)
        }
        LandlockStatus::Available { effective_abi, .. } => format!("ABI {}", effective_abi as i32),
        LandlockStatus::NotEnabled => "switched off in this kernel".to_owned(),
        _ => "this kernel does not have it".to_owned(),
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(Layer::on(abi)),
        RulesetStatus::PartiallyEnforced if enforce == Enforce::Required => {
            Err(Refused::Landlock(format!("{abi} lacks a part")))
        }
        RulesetStatus::PartiallyEnforced => Ok(Layer::on(format!("{abi}, in part"))),
        _ if enforce == Enforce::Required => Err(Refused::Landlock(abi)),
        _ => Ok(Layer::missing(abi)),
    }
}

fn apply(sandbox: &Sandbox, needs: &Needs) -> Result<RestrictionStatus, RulesetError> {
    // Nothing at all rather than without the right to move files; the rest as far as the kernel has it.
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(scope())?;
    if !sandbox.connect_ports.is_empty() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut ruleset = ruleset.create()?;
    for port in &sandbox.connect_ports {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    for path in read_paths(sandbox, needs) {
        ruleset = allow(ruleset, &path, read)?;
    }
    for path in run_paths(sandbox, needs) {
        ruleset = allow(ruleset, &path, read | AccessFs::Execute)?;
    }
    ruleset = allow(ruleset, Path::new(NOTHING), AccessFs::ReadFile | AccessFs::WriteFile)?;
    for path in &write_paths(sandbox, needs) {
        ruleset = allow(ruleset, path, AccessFs::from_all(KNOWN) & !AccessFs::Execute)?;
    }
    ruleset.restrict_self()
}

/// Other processes get no signals from us, and their sockets without a file are not for us: but for the one to which the
/// service manager wants to be told that we are ready.
fn scope() -> BitFlags<Scope> {
    let notified = std::env::var("NOTIFY_SOCKET").is_ok_and(|name| name.starts_with('@'));
    if notified { Scope::Signal.into() } else { Scope::from_all(KNOWN) }
}

/// Allows a path. One that is not there, or that we may not look at, is allowed nothing.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(handle) = PathFd::new(path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    ruleset.add_rule(PathBeneath::new(handle, access))
}

/// Everything that may be written: the directories, and where the links lead that stand directly in them, as to a larger
/// disk.
fn write_paths(sandbox: &Sandbox, needs: &Needs) -> BTreeSet<PathBuf> {
    let mut paths: BTreeSet<PathBuf> = needs.write.iter().chain(&sandbox.write).cloned().collect();
    let linked: Vec<PathBuf> =
        needs.write.iter().flat_map(|dir| links_in(dir)).filter_map(followed).collect();
    if !needs.is_root {
        paths.extend(linked);
    }
    paths
}

/// The links in a directory whose places are not opened with it nor by themselves.
fn left_out(sandbox: &Sandbox, needs: &Needs) -> Vec<PathBuf> {
    let open = write_paths(sandbox, needs);
    let open: Vec<PathBuf> = open.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let is_open = |link: &PathBuf| {
        link.canonicalize().map_or(true, |target| open.iter().any(|place| target.starts_with(place)))
    };
    needs.write.iter().flat_map(|dir| links_in(dir)).filter(|link| !is_open(link)).collect()
}

fn links_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let links = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.map(|link| link.path()).collect()
}

/// The directory to which a link leads, or in which the file stands to which it leads. It must be this user's own: who once
/// had the server in hand and left a link behind has nothing by it after a restart. (All is root's, so root follows none.)
fn followed(link: PathBuf) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let target = link.canonicalize().ok()?;
    let place = if target.is_dir() { target } else { target.parent()?.to_owned() };
    let is_own = place.metadata().is_ok_and(|found| found.uid() == nix::unistd::geteuid().as_raw());
    is_own.then_some(place)
}

/// Everything that may be read.
fn read_paths(sandbox: &Sandbox, needs: &Needs) -> BTreeSet<PathBuf> {
    let mut paths: BTreeSet<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    if needs.is_root && needs.programs == Programs::None {
        paths.extend(SETTINGS_OF_ROOT.iter().map(PathBuf::from));
    } else {
        paths.insert(SETTINGS.into());
    }
    for path in needs.read.iter().chain(&sandbox.read) {
        paths.extend(places_of(path));
        if let Ok(real) = path.canonicalize() {
            paths.extend(places_of(&real));
        }
    }
    paths
}

/// Everything that may be run: what the system has, what is named, and what stands beside a program that is run; but nothing
/// that may be written, so that nobody brings a program of his own. (Of a program that stands where it can be written, itself.)
fn run_paths(sandbox: &Sandbox, needs: &Needs) -> BTreeSet<PathBuf> {
    let mut paths = BTreeSet::new();
    if needs.programs == Programs::None {
        return paths;
    }
    let written: Vec<PathBuf> =
        write_paths(sandbox, needs).iter().filter_map(|path| path.canonicalize().ok()).collect();
    let system = SYSTEM_PROGRAMS.iter().map(PathBuf::from);
    let programs = needs.run.iter().filter_map(|path| path.canonicalize().ok());
    paths.extend(programs.clone());
    let beside = programs.chain(needs.run.iter().cloned()).filter_map(|path| places_of(&path));
    for path in system.chain(beside).chain(sandbox.read.iter().cloned()) {
        if let Ok(path) = path.canonicalize() {
            without(path, &written, &mut paths);
        }
    }
    paths
}

/// Adds a path; of a directory below which something is written, what else is in it. Links in such a one are left out.
fn without(path: PathBuf, written: &[PathBuf], paths: &mut BTreeSet<PathBuf>) {
    if written.iter().any(|place| path.starts_with(place)) {
        return;
    }
    if !written.iter().any(|place| place.starts_with(&path)) {
        paths.insert(path);
        return;
    }
    let Ok(entries) = std::fs::read_dir(&path) else { return };
    for entry in entries.flatten().take(ENTRIES_MAX) {
        if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
            without(entry.path(), written, paths);
        }
    }
}

/// A directory itself; of a file its directory, unless that is the root of all.
fn places_of(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        Some(parent) if parent.parent().is_none() => Some(path.to_owned()),
        Some(parent) => Some(parent.to_owned()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(read: &[&Path], is_root: bool, programs: Programs) -> Needs {
        Needs {
            read: read.iter().map(|path| path.to_path_buf()).collect(),
            write: Vec::new(),
            programs,
            run: Vec::new(),
            is_root,
        }
    }

    #[test]
    fn a_file_is_read_where_it_is_and_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (live, archive) = (dir.join("live"), dir.join("archive"));
        std::fs::create_dir_all(&live).unwrap();
        std::fs::create_dir_all(&archive).unwrap();
        std::fs::write(archive.join("1.pem"), "x").unwrap();
        std::os::unix::fs::symlink("../archive/1.pem", live.join("x.pem")).unwrap();
        let needs = needs(&[&live.join("x.pem")], false, Programs::None);
        let paths = read_paths(&Sandbox::default(), &needs);
        assert!(paths.contains(&live) && paths.contains(&archive), "{paths:?}");
        assert!(!paths.contains(&dir));
    }

    #[test]
    fn links_in_a_written_directory_lead_to_places_of_ones_own_only() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (state, disk) = (dir.join("state"), dir.join("disk"));
        std::fs::create_dir_all(&state).unwrap();
        std::fs::create_dir_all(disk.join("db")).unwrap();
        std::fs::create_dir_all(disk.join("bodies")).unwrap();
        std::fs::write(disk.join("db/maddy.db"), "").unwrap();
        symlink("../disk/bodies", state.join("bodies")).unwrap();
        symlink(disk.join("db/maddy.db"), state.join("maddy.db")).unwrap();
        symlink("/proc/1/..", state.join("not-ours")).unwrap();
        symlink("nowhere", state.join("dangling")).unwrap();
        let mut needs = needs(&[], false, Programs::None);
        needs.write.push(state.clone());
        let paths = write_paths(&Sandbox::default(), &needs);
        assert!([&state, &disk.join("bodies"), &disk.join("db")].iter().all(|path| paths.contains(*path)));
        assert!(!paths.contains(&disk));
        needs.is_root = true;
        assert_eq!(write_paths(&Sandbox::default(), &needs), BTreeSet::from([state.clone()]));
        assert_eq!(left_out(&Sandbox::default(), &needs).len(), 3);
        let sandbox = Sandbox { write: vec![disk, "/proc".into()], ..Sandbox::default() };
        assert_eq!(left_out(&sandbox, &needs), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_file_in_the_root_does_not_open_everything() {
        for (path, want) in [
            ("/x.pem", Some("/x.pem")),
            ("x.pem", Some(".")),
            ("/etc/a/x.pem", Some("/etc/a")),
            ("/", Some("/")),
        ] {
            assert_eq!(places_of(Path::new(path)), want.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn root_reads_fewer_settings() {
        let etc = Path::new("/etc");
        for (is_root, programs, all) in
            [(true, Programs::None, false), (false, Programs::None, true), (true, Programs::Some, true)]
        {
            let paths = read_paths(&Sandbox::default(), &needs(&[], is_root, programs));
            assert_eq!(paths.contains(etc), all);
            assert_eq!(paths.contains(Path::new("/etc/resolv.conf")), !all);
        }
    }

    #[test]
    fn nothing_that_is_written_can_be_run() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (state, helpers, tools) = (dir.join("state"), dir.join("helpers"), dir.join("state/tools"));
        for made in [&state, &helpers, &tools] {
            std::fs::create_dir_all(made).unwrap();
        }
        for file in [dir.join("check"), helpers.join("part"), tools.join("own"), state.join("brought")] {
            std::fs::write(file, "").unwrap();
        }
        symlink("/", dir.join("everything")).unwrap();
        symlink(&state, dir.join("there")).unwrap();
        let mut needs = needs(&[], false, Programs::Some);
        needs.write.push(state.clone());
        let run = |needs: &Needs, sandbox: &Sandbox| -> Vec<PathBuf> {
            run_paths(sandbox, needs).into_iter().filter(|path| path.starts_with(&dir)).collect()
        };
        let none = Sandbox::default();
        assert!(run_paths(&none, &needs).contains(&Path::new("/usr").canonicalize().unwrap()));
        assert_eq!(run(&needs, &none), Vec::<PathBuf>::new());
        // What stands beside a program; but the state stands there too.
        needs.run = vec![dir.join("check")];
        assert_eq!(run(&needs, &none), [dir.join("check"), helpers.clone()]);
        needs.run = vec![helpers.join("part")];
        assert_eq!(run(&needs, &none), [helpers.clone(), helpers.join("part")]);
        // In the state itself: the program, and nothing beside it.
        needs.run = vec![tools.join("own")];
        assert_eq!(run(&needs, &none), [tools.join("own")]);
        needs.run = Vec::new();
        let named = Sandbox { read: vec![dir.clone()], ..Sandbox::default() };
        assert_eq!(run(&needs, &named), [dir.join("check"), helpers.clone()]);
        let written = Sandbox { write: vec![helpers.clone()], ..named };
        assert_eq!(run(&needs, &written), [dir.join("check")]);
        needs.programs = Programs::None;
        assert!(run_paths(&written, &needs).is_empty());
    }
}
