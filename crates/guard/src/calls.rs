//! The system calls that a mail server has no use for, taken from it by the kernel (seccomp).
//!
//! Where no programs are configured there are only the calls that it makes, by name ([`crate::allowed`]). All others answer that
//! they do not exist, as on an older kernel: a C library that learns a new call then does without it, so that no flush and no
//! rename fails in the middle of a promise. Programs may need any call; for their sake only what nobody needs is refused.
//! What is refused gives EPERM and never ends the process, so that at worst one operation fails in the way in which any can.

use crate::Refused;
use crate::allowed;
use crate::config::Enforce;
use crate::files::Programs;
use crate::report::Layer;
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// A name, and the number by which the kernel knows it.
pub(crate) type Call = (&'static str, i64);

macro_rules! calls {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), libc::$name as i64)),*] };
}
pub(crate) use calls;

/// What nobody needs here, whatever the configuration says.
const NEVER: &[Call] = calls![
    SYS_acct,
    SYS_add_key,
    SYS_adjtimex,
    SYS_bpf,
    SYS_capset,
    SYS_chroot,
    SYS_clock_adjtime,
    SYS_clock_settime,
    SYS_delete_module,
    SYS_fanotify_init,
    SYS_fanotify_mark,
    SYS_finit_module,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fsopen,
    SYS_fspick,
    SYS_init_module,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_uring_setup,
    SYS_kcmp,
    SYS_kexec_load,
    SYS_keyctl,
    SYS_lookup_dcookie,
    SYS_mbind,
    SYS_migrate_pages,
    SYS_mknodat,
    SYS_mount,
    SYS_mount_setattr,
    SYS_move_mount,
    SYS_move_pages,
    SYS_name_to_handle_at,
    SYS_nfsservctl,
    SYS_open_by_handle_at,
    SYS_open_tree,
    SYS_perf_event_open,
    SYS_personality,
    SYS_pidfd_getfd,
    SYS_pivot_root,
    SYS_process_madvise,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_ptrace,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_reboot,
    SYS_request_key,
    SYS_setdomainname,
    SYS_setfsgid,
    SYS_setfsuid,
    SYS_setgid,
    SYS_setgroups,
    SYS_sethostname,
    SYS_setns,
    SYS_setregid,
    SYS_setresgid,
    SYS_setresuid,
    SYS_setreuid,
    SYS_settimeofday,
    SYS_setuid,
    SYS_swapoff,
    SYS_swapon,
    SYS_syslog,
    SYS_umount2,
    SYS_unshare,
    SYS_userfaultfd,
    SYS_vhangup,
];

/// The same, of calls that only one kind of processor has.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[Call] =
    calls![SYS_ioperm, SYS_iopl, SYS_kexec_file_load, SYS_mknod, SYS_modify_ldt, SYS_uselib, SYS_ustat];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[Call] = &[];

/// What only a server needs that runs programs.
const PROGRAMS: &[Call] = calls![SYS_execve, SYS_execveat];

/// Calls of x32, the third interface of x86_64, have this bit; a kernel that has x32 takes them beside our own.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
/// Those of x32 that have numbers of their own there: ptrace, kexec_load, process_vm_readv, process_vm_writev; and
/// execve, execveat.
#[cfg(target_arch = "x86_64")]
const X32_OWN: [i64; 4] = [521, 528, 539, 540];
#[cfg(target_arch = "x86_64")]
const X32_PROGRAMS: [i64; 2] = [520, 545];

/// The names of the calls that are refused without a look at their arguments.
pub fn refused_calls(programs: Programs) -> Vec<&'static str> {
    let lists = [NEVER, NEVER_HERE, if programs == Programs::None { PROGRAMS } else { &[] }];
    lists.iter().flat_map(|list| list.iter()).map(|(name, _)| name.trim_start_matches("SYS_")).collect()
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Applies the lists to this thread and to all that it makes.
pub(crate) fn restrict(programs: Programs, enforce: Enforce) -> Result<Layer, Refused> {
    match filters(programs).and_then(|filters| {
        filters.iter().try_for_each(|filter| apply_filter(filter).map_err(|error| error.to_string()))
    }) {
        Ok(()) => {
            let detail = match programs {
                Programs::None => "the calls of a mail server only, no programs, no code from data",
                Programs::Some => "programs may run",
            };
            Ok(Layer::on(detail))
        }
        Err(why) if enforce == Enforce::Required => Err(Refused::Seccomp(why)),
        Err(why) => Ok(Layer::missing(why)),
    }
}

/// One filter that answers EPERM to what is refused; one that says that clone3 does not exist: its flags cannot be looked at, and
/// the C library then uses clone, whose flags can; and at last, since no filter can be applied behind it, one that knows the
/// calls of a mail server and no others. Of several filters that refuse, the last is heard: it leaves the answer to the first
/// two where they have one.
fn filters(programs: Programs) -> Result<Vec<BpfProgram>, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let build = |rules: Rules, errno: i32| -> Result<BpfProgram, BackendError> {
        let errno = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)?.try_into()
    };
    let rules = refusals(programs).map_err(|error| error.to_string())?;
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let only = (programs == Programs::None).then(|| {
        let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        let judged = rules.keys().chain(clone3.keys());
        let calls =
            allowed::all().map(|(_, number)| number).chain(judged).map(|number| (*number, Vec::new()));
        SeccompFilter::new(calls.collect(), missing, SeccompAction::Allow, arch)?.try_into()
    });
    let filters = [build(rules, libc::EPERM), build(clone3, libc::ENOSYS)].into_iter().chain(only);
    filters.collect::<Result<_, _>>().map_err(|error: BackendError| error.to_string())
}

fn refusals(programs: Programs) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    let lists = [NEVER, NEVER_HERE, if programs == Programs::None { PROGRAMS } else { &[] }];
    for (_, number) in lists.iter().flat_map(|list| list.iter()) {
        rules.insert(*number, Vec::new());
    }
    rules.insert(libc::SYS_socket, sockets()?);
    rules.insert(libc::SYS_clone, namespaces()?);
    rules.insert(libc::SYS_ioctl, terminals()?);
    if programs == Programs::None {
        // Programs that are run may make code as they go; we do not.
        let both = (libc::PROT_WRITE | libc::PROT_EXEC).unsigned_abs().into();
        let exec = libc::PROT_EXEC.unsigned_abs().into();
        rules.insert(libc::SYS_mmap, vec![has_bits(2, both)?]);
        rules.insert(libc::SYS_mprotect, vec![has_bits(2, exec)?]);
        rules.insert(libc::SYS_pkey_mprotect, vec![has_bits(2, exec)?]);
        rules.insert(libc::SYS_shmat, vec![has_bits(2, libc::SHM_EXEC.unsigned_abs().into())?]);
    }
    with_x32(&mut rules, programs);
    Ok(rules)
}

/// The same rules for the other interface.
#[cfg(target_arch = "x86_64")]
fn with_x32(rules: &mut Rules, programs: Programs) {
    let twins: Vec<_> = rules.iter().map(|(number, rule)| (number | X32, rule.clone())).collect();
    rules.extend(twins);
    let own = X32_OWN.iter().chain(if programs == Programs::None { &X32_PROGRAMS[..] } else { &[] });
    rules.extend(own.map(|number| (number | X32, Vec::new())));
}

#[cfg(not(target_arch = "x86_64"))]
fn with_x32(_: &mut Rules, _: Programs) {}

fn word(argument: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)
}

fn has_bits(argument: u8, bits: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![word(argument, SeccompCmpOp::MaskedEq(bits), bits)?])
}

/// Sockets other than those of the Internet, of this machine, and the one that tells of its addresses; and raw ones.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let number = |number: i32| u64::from(number.unsigned_abs());
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let none = families.iter().map(|family| word(0, SeccompCmpOp::Ne, number(*family)));
    let mut rules = vec![SeccompRule::new(none.collect::<Result<_, _>>()?)?];
    for family in [libc::AF_INET, libc::AF_INET6] {
        let kind = word(1, SeccompCmpOp::MaskedEq(0xf), number(libc::SOCK_RAW))?;
        rules.push(SeccompRule::new(vec![word(0, SeccompCmpOp::Eq, number(family))?, kind])?);
    }
    Ok(rules)
}

/// New namespaces, in which one is root again.
fn namespaces() -> Result<Vec<SeccompRule>, BackendError> {
    let flags = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    flags.iter().map(|flag| has_bits(0, u64::from(flag.unsigned_abs()))).collect()
}

/// Typing into the terminal from which the server was started.
fn terminals() -> Result<Vec<SeccompRule>, BackendError> {
    /// TIOCSTI and TIOCLINUX (ioctl_tty(2)), on all processors that we know.
    const TIOCSTI: u64 = 0x5412;
    const TIOCLINUX: u64 = 0x541c;
    let typing = word(1, SeccompCmpOp::Eq, TIOCSTI)?;
    let console = word(1, SeccompCmpOp::Eq, TIOCLINUX)?;
    Ok(vec![SeccompRule::new(vec![typing])?, SeccompRule::new(vec![console])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_built() {
        assert_eq!(filters(Programs::None).unwrap().len(), 3);
        assert_eq!(filters(Programs::Some).unwrap().len(), 2);
    }

    #[test]
    fn programs_are_refused_where_none_are_configured() {
        assert!(refused_calls(Programs::None).contains(&"execve"));
        assert!(!refused_calls(Programs::Some).contains(&"execve"));
        assert!(refused_calls(Programs::Some).contains(&"ptrace"));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_other_interface_is_no_way_around() {
        let rules = refusals(Programs::None).unwrap();
        for number in [libc::SYS_ptrace | X32, 520 | X32, libc::SYS_socket | X32] {
            assert!(rules.contains_key(&number), "{number}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_document_has_the_list() {
        let document = include_str!("../../../docs/security.md");
        let listed = document.split("<!-- calls -->").nth(1).unwrap().split("<!-- end").next().unwrap();
        let listed: Vec<&str> = listed.split_whitespace().collect();
        let mut calls = refused_calls(Programs::None);
        calls.sort_unstable();
        assert_eq!(listed, calls);
    }
}
