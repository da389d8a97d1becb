//! The Debian package: made by its script, looked into, and held to lintian.

use crate::program::{Heard, is_missing, run, skip};
use crate::source;
use nix::unistd::geteuid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The package, made once for all tests of this program, and the directory for it, in which nothing is kept beyond the next run.
fn package() -> (&'static Path, &'static Path) {
    static MADE: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    let (dir, path) = MADE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir_all(&dir).unwrap();
        let script = source("dist/debian/build").canonicalize().unwrap();
        let program = tests::binary();
        let line = format!("COMPRESSION=0 {} {} {}", script.display(), program.display(), dir.display());
        let heard = run(&dir, "bash", &["-c", &line]).fine();
        let path = PathBuf::from(heard.text.trim().lines().last().unwrap());
        assert!(path.is_file(), "{heard}");
        (dir, path)
    });
    (dir, path)
}

fn can(test: &str) -> bool {
    !["dpkg-deb", "strip", "python3", "lintian"].iter().any(|name| is_missing(test, name))
}

#[test]
fn lintian_has_nothing_to_say() {
    if !can("lintian_has_nothing_to_say") {
        return;
    }
    let (dir, path) = package();
    let heard = run(dir, "lintian", &["--allow-root", "--show-overrides", path.to_str().unwrap()]);
    println!("{}", heard.text);
    let complaints: Vec<&str> =
        heard.text.lines().filter(|line| line.starts_with("E:") || line.starts_with("W:")).collect();
    assert!(complaints.is_empty() && heard.status.success(), "{heard}");
    // Each override is needed, and has its reason in front.
    let overrides = fs::read_to_string(source("dist/debian/lintian-overrides")).unwrap();
    let lines: Vec<&str> = overrides.lines().collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        assert!(at > 0 && lines[at - 1].starts_with("# "), "{line}: why?");
        let tag = line.split(' ').nth(1).unwrap();
        assert!(heard.text.contains(&format!("O: maddy: {tag} ")), "{tag} is not found any more\n{heard}");
    }
}

#[test]
fn the_package_has_everything_in_its_place() {
    if !can("the_package_has_everything_in_its_place") {
        return;
    }
    let (dir, path) = package();
    let root = dir.join("unpacked");
    run(dir, "dpkg-deb", &["-x", path.to_str().unwrap(), root.to_str().unwrap()]).fine();
    for file in [
        "usr/bin/maddy",
        "usr/lib/systemd/system/maddy.service",
        "usr/lib/systemd/system/maddy.socket",
        "usr/lib/sysusers.d/maddy.conf",
        "usr/lib/tmpfiles.d/maddy.conf",
        "usr/share/man/man1/maddy.1.gz",
        "usr/share/man/man5/maddy.conf.5.gz",
        "usr/share/bash-completion/completions/maddy",
        "usr/share/zsh/vendor-completions/_maddy",
        "usr/share/fish/vendor_completions.d/maddy.fish",
        "usr/share/doc/maddy/copyright",
        "usr/share/doc/maddy/changelog.Debian.gz",
        "usr/share/doc/maddy/examples/single-domain.conf",
        "etc/apparmor.d/usr.bin.maddy",
    ] {
        let found = fs::symlink_metadata(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mode = if file == "usr/bin/maddy" { 0o755 } else { 0o644 };
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{file}");
    }
    assert_eq!(fs::read_link(root.join("usr/sbin/sendmail")).unwrap(), Path::new("../bin/maddy"));
    assert!(!root.join("usr/local").exists() && !root.join("var").exists());
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/maddy.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/maddy run"));
    let version = run(dir, root.join("usr/bin/maddy").to_str().unwrap(), &["--version"]).fine();
    let heard = run(dir, "dpkg-deb", &["-f", path.to_str().unwrap()]).fine();
    let number = version.text.trim().split(' ').nth(1).unwrap();
    heard
        .says(&format!("Version: {number}-1"))
        .says("Provides: mail-transport-agent, imap-server")
        .says("Conflicts: mail-transport-agent")
        .says("Depends: libc6 (>= 2.");
}

/// cargo-deb takes what the same script lays out, by what stands in the manifest: the same files, and the program may be run.
#[test]
fn what_cargo_deb_takes_is_what_the_package_has() {
    if !can("what_cargo_deb_takes_is_what_the_package_has") {
        return;
    }
    let (dir, path) = package();
    let script = source("dist/debian/build").canonicalize().unwrap();
    let line = format!("{} --tree {}", script.display(), tests::binary().display());
    let heard = run(dir, "bash", &["-c", &line]).fine();
    let tree = PathBuf::from(heard.text.trim().lines().last().unwrap());
    assert!(tree.ends_with("target/debian/root") && !tree.join("DEBIAN").exists(), "{heard}");
    let laid = run(&tree, "find", &[".", "-not", "-type", "d"]).fine();
    let mut laid: Vec<&str> = laid.text.lines().collect();
    laid.sort_unstable();
    let packed =
        run(dir, "bash", &["-c", &format!("dpkg-deb --fsys-tarfile {} | tar t", path.display())]).fine();
    let mut packed: Vec<&str> = packed.text.lines().filter(|line| !line.ends_with('/')).collect();
    packed.sort_unstable();
    assert_eq!(laid, packed);
    let manifest = fs::read_to_string(source("crates/maddy/Cargo.toml")).unwrap();
    for line in [
        "    [\"../../target/debian/root/usr/bin/maddy\", \"usr/bin/\", \"755\"],\n",
        "    [\"../../target/debian/root/**/*\", \"\", \"644\"],\n",
        "preserve-symlinks = true\n",
    ] {
        assert!(manifest.contains(line), "{line}");
    }
}

/// Installed, removed and purged on a system of its own: the real dpkg in a root that shows this one's and keeps its changes.
#[test]
fn it_is_installed_removed_and_purged() {
    let test = "it_is_installed_removed_and_purged";
    if !can(test) || is_missing(test, "unshare") || is_missing(test, "deb-systemd-helper") {
        return;
    }
    if !geteuid().is_root() {
        return skip(test, "only root can make a system within the system");
    }
    let (dir, path) = package();
    let here = dir.join("here");
    fs::create_dir(&here).unwrap();
    let play = |story: &str| -> Heard {
        let script = format!("HERE={}; DEB={}\n{SYSTEM}\n{story}", here.display(), path.display());
        run(dir, "unshare", &["--mount", "bash", "-c", &script])
    };
    if !play("echo possible").text.contains("possible") {
        return skip(test, "this machine allows no overlay in a namespace");
    }
    let heard = play(STORY).fine();
    let part = |name: &str| {
        let (_, rest) =
            heard.text.split_once(&format!("--- {name}\n")).unwrap_or_else(|| panic!("{name}: {heard}"));
        rest.split("--- ").next().unwrap().to_owned()
    };
    let installed = part("installed");
    for line in [
        "maddy has no configuration yet",
        "/var/lib/maddy 700 maddy maddy",
        "/etc/maddy 755 root root",
        "sendmail: there are no recipients",
        "install ok installed",
        "this maddy came as a package",
    ] {
        assert!(installed.contains(line), "{line}\n{heard}");
    }
    let removed = part("removed");
    assert!(removed.contains("kept") && removed.contains("no program"), "{heard}");
    let purged = part("purged");
    assert!(purged.contains("The mail stays in /var/lib/maddy") && purged.contains("kept"), "{heard}");
    assert!(purged.contains("no configuration"), "{heard}");
}

/// A root of its own. What provides a mail-transport-agent there is forgotten first, without running its scripts.
const SYSTEM: &str = r#"
set -eu
mount -t tmpfs tmpfs "$HERE"
for dir in etc usr var; do
    mkdir -p "$HERE/$dir/upper" "$HERE/$dir/work"
done
cp "$DEB" "$HERE/maddy.deb"
for dir in usr var etc; do
    mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$HERE/$dir/upper,workdir=$HERE/$dir/work" "/$dir"
done
export DEBIAN_FRONTEND=noninteractive
for other in postfix exim4-daemon-light opensmtpd sendmail-bin; do
    if [ "$(dpkg-query -W -f '${Status}' "$other" 2>/dev/null)" = "install ok installed" ]; then
        rm -f "/var/lib/dpkg/info/$other".{prerm,postrm}
        dpkg --remove --force-depends "$other" >/dev/null 2>&1
    fi
done
rm -rf /etc/maddy /var/lib/maddy
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
"#;

const STORY: &str = r#"
echo "--- installed"
dpkg -i "$HERE/maddy.deb" 2>&1
stat -c '%n %a %U %G' /var/lib/maddy /etc/maddy
/usr/sbin/sendmail </dev/null 2>&1 || true
dpkg-query -W -f '${Status}\n' maddy
mkdir -p /run/systemd/system
/usr/bin/maddy install --yes 2>&1 || true
rmdir /run/systemd/system
dpkg -i "$HERE/maddy.deb" >/dev/null 2>&1 && echo "again"
echo "--- removed"
touch /var/lib/maddy/kept /etc/maddy/maddy.conf
dpkg -r maddy 2>&1
ls /var/lib/maddy; ls /usr/bin/maddy 2>/dev/null || echo "no program"
echo "--- purged"
dpkg -P maddy 2>&1
ls /var/lib/maddy; ls -d /etc/maddy 2>/dev/null || echo "no configuration"
"#;
