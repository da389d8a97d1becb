//! `maddy install` on a machine: one that shows everything of this one, and keeps what is changed for itself (a mount namespace).
//! Only systemctl is played; the user and the directories are made by the real tools.

use crate::program::{Heard, is_missing, run, skip};
use nix::unistd::geteuid;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Makes a machine of its own, where systemd seems to run, and says with what status a step of the story ended.
const MACHINE: &str = r#"
set -eu
mount -t tmpfs tmpfs "$HERE"
for dir in etc usr/local usr/sbin var/lib; do
    mkdir -p "$HERE/$dir/upper" "$HERE/$dir/work"
    mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$HERE/$dir/upper,workdir=$HERE/$dir/work" "/$dir"
done
rm -rf /etc/maddy /var/lib/maddy /etc/systemd/system/maddy*
mkdir -p "$HERE/bin" "$HERE/run"
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
cat >"$HERE/bin/systemctl" <<END
#!/bin/sh
echo "systemctl \$*" >>"$HERE/called"
wants=/etc/systemd/system/multi-user.target.wants
case "\$*" in
    "enable maddy.service") mkdir -p \$wants; ln -sf ../maddy.service \$wants/maddy.service ;;
    "disable --now maddy.service") rm -f \$wants/maddy.service ;;
    "daemon-reload") [ ! -e "$HERE/broken" ] || { echo "Broken, on purpose" >&2; exit 1; } ;;
esac
END
chmod 755 "$HERE/bin/systemctl"
: >"$HERE/called"
export PATH="$HERE/bin:$PATH"
called() { cat "$HERE/called"; : >"$HERE/called"; }
"#;

/// Plays a story on such a machine; None where there can be none.
fn play(test: &str, story: &str) -> Option<Heard> {
    if is_missing(test, "systemd-sysusers") || is_missing(test, "unshare") {
        return None;
    }
    if !geteuid().is_root() {
        skip(test, "only root can make a machine within the machine");
        return None;
    }
    let dir = TempDir::with_prefix("maddy-machine-").unwrap();
    let here = dir.path().join("here");
    fs::create_dir(&here).unwrap();
    let script = |story: &str| {
        let binary = tests::binary();
        format!("HERE={}; MADDY={}\n{MACHINE}\n{story}", here.display(), binary.display())
    };
    // Processes of its own, too: a user who has one somewhere else is not removed.
    let alone = ["--mount", "--pid", "--fork", "--mount-proc", "bash", "-c"];
    let on = |story: &str| run(dir.path(), "unshare", &[&alone[..], &[&script(story)]].concat());
    let probe = on("echo possible");
    if !probe.text.contains("possible") {
        skip(test, "this machine allows no overlay in a namespace");
        return None;
    }
    Some(on(story))
}

const WHOLE_LIFE: &str = r#"
touch "$HERE/broken"
$MADDY install --yes || echo "broke off with $?"
rm "$HERE/broken"; called
$MADDY install --yes
echo "--- made"; called
getent passwd maddy
stat -c '%n %a %U %G' /var/lib/maddy /etc/maddy /usr/local/bin/maddy /etc/systemd/system/maddy.service
echo "--- again"; $MADDY install; called
printf 'hostname "mx.example.org"\ndomains "example.org"\ntls { self-signed; }\nstate-dir "/var/lib/maddy"\n' >/etc/maddy/maddy.conf
echo old >/etc/systemd/system/maddy.service
echo "--- update"; $MADDY install --yes; called
echo "--- sockets"; $MADDY install --yes --ports sockets; called
echo "--- back"; $MADDY install --yes --ports capability; called
echo "--- other ports"
printf 'smtp { listen "[::]:2525"; }\nimap { listen "[::]:993" tls=#true; }\nsubmission { listen "127.0.0.1:587"; }\n' >>/etc/maddy/maddy.conf
$MADDY install --yes --ports sockets >/dev/null; called; cat /etc/systemd/system/maddy.socket.d/listen.conf
echo "--- new program"
printf x >>/usr/local/share/man/man1/maddy.1; $MADDY install --yes --ports sockets >/dev/null; called
echo precious >/var/lib/maddy/mail
echo "--- gone"; $MADDY uninstall --yes; called
ls /var/lib/maddy /etc/maddy; getent passwd maddy; ls /etc/systemd/system/maddy* 2>&1 || true
echo "--- purged"; $MADDY uninstall --yes --purge; ls -d /var/lib/maddy /etc/maddy 2>&1 || true
getent passwd maddy || echo no user
echo "--- end"
"#;

#[test]
fn a_service_is_made_and_taken_away_again() {
    let Some(heard) = play("a_service_is_made_and_taken_away_again", WHOLE_LIFE) else { return };
    let heard = heard.fine();
    let part = |name: &str| {
        let (_, rest) =
            heard.text.split_once(&format!("--- {name}\n")).unwrap_or_else(|| panic!("{name}: {heard}"));
        rest.split("\n--- ").next().unwrap().to_owned()
    };
    // What broke off is brought to its end.
    assert!(
        heard.text.contains("`systemctl daemon-reload` failed (exit status: 1): Broken, on purpose"),
        "{heard}"
    );
    assert!(heard.text.contains("broke off with 1"), "{heard}");
    let made = part("made");
    assert!(made.starts_with("systemctl daemon-reload\nsystemctl enable maddy.service\nmaddy:x:"), "{heard}");
    for line in [
        "/var/lib/maddy 700 maddy maddy",
        "/etc/maddy 755 root root",
        "/usr/local/bin/maddy 755 root root",
        "/etc/systemd/system/maddy.service 644 root root",
    ] {
        assert!(made.contains(line), "{line}\n{heard}");
    }
    assert!(heard.text.contains("maddy quickstart you@example.org"), "{heard}");
    assert_eq!(part("again"), "Everything is in its place already.", "{heard}");
    let update = part("update");
    assert!(update.ends_with("enable maddy.service\nsystemctl restart maddy.service"), "{heard}");
    let sockets = part("sockets");
    let wanted = "systemctl enable maddy.socket\nsystemctl stop maddy.service\nsystemctl restart maddy.socket\nsystemctl start maddy.service";
    assert!(sockets.ends_with(wanted), "{heard}");
    let back = part("back");
    assert!(
        back.contains("systemctl disable --now maddy.socket")
            && back.ends_with("systemctl restart maddy.service"),
        "{heard}"
    );
    // Without those that anybody may bind.
    let other = part("other ports");
    assert!(
        other.ends_with("[Socket]\nListenStream=\nListenStream=127.0.0.1:587\nListenStream=[::]:993"),
        "{heard}"
    );
    // The sockets stay open where only something else is new.
    let new = part("new program");
    assert!(new.ends_with("systemctl enable maddy.socket\nsystemctl restart maddy.service"), "{heard}");
    let gone = part("gone");
    assert!(gone.contains("systemctl disable --now maddy.service"), "{heard}");
    assert!(gone.contains("maddy.conf") && gone.contains("mail\n") && gone.contains("maddy:x:"), "{heard}");
    assert!(gone.contains("cannot access"), "{heard}");
    assert!(part("purged").contains("no user"), "{heard}");
}

/// The daemon as the unit starts it: as its own user, in the directories that were made for it, whether the service was there
/// before the configuration or came after it.
#[test]
fn the_user_can_run_the_server_in_whatever_order_it_was_made() {
    let test = "the_user_can_run_the_server_in_whatever_order_it_was_made";
    for (order, start) in
        [("install; quickstart", "systemctl start maddy"), ("quickstart; install", "maddy run")]
    {
        let story = format!("{PARTS}\n{order}\n{RUN}");
        let Some(heard) = play(test, &story) else { return };
        let heard = heard.fine();
        for line in [
            "nothing is given away",
            "/var/lib/maddy 700 maddy",
            "/var/lib/maddy/maddy.db 600 maddy",
            "/etc/maddy/maddy.conf 644 root",
            start,
            "ready",
            "\nmaddy\n",
            "alice@example.org",
            "stranger: maddy: /run/maddy/control.sock may be used by root and by the group maddy",
            "member: ok",
            "ended with 0",
        ] {
            assert!(heard.text.contains(line), "{order}: {line}\n{heard}");
        }
    }
}

const PARTS: &str = r#"
base=$(( 10000 + $$ % 20000 ))
install() { $MADDY install --yes >/dev/null; }
quickstart() {
    $MADDY quickstart alice@example.org --hostname mx.example.org --tls self-signed --port-base $base \
        --address 192.0.2.1 --resolver 127.0.0.1:9 --yes 2>&1
}
"#;

/// The unit lets nobody give files away (`SystemCallFilter=~@privileged`); nor may this daemon.
const RUN: &str = r#"
held=/usr/local/lib/held.so
cc -shared -fPIC -x c -o $held - <<'END'
#include <errno.h>
static int refused(void) { errno = EPERM; return -1; }
int chown(void) { return refused(); }
int lchown(void) { return refused(); }
int fchown(void) { return refused(); }
int fchownat(void) { return refused(); }
END
chmod 755 $held
LD_PRELOAD=$held chown root /usr/local/bin/maddy 2>/dev/null || echo "nothing is given away"
stat -c '%n %a %U' /var/lib/maddy /var/lib/maddy/maddy.db /etc/maddy/maddy.conf
mkdir -m 755 /run/maddy; chown maddy:maddy /run/maddy
LD_PRELOAD=$held setpriv --reuid maddy --regid maddy --clear-groups --no-new-privs --bounding-set -all \
    /usr/local/bin/maddy run 2>"$HERE/log" &
daemon=$!
for i in $(seq 300); do grep -q ready "$HERE/log" && break; sleep 0.1; done
cat "$HERE/log"
ps -o user= -p $daemon
/usr/local/bin/maddy account list
as() { setpriv --reuid 65534 --regid 65534 "$@" /usr/local/bin/maddy account list 2>&1; }
echo "stranger: $(as --clear-groups)"
as --groups maddy >/dev/null && echo "member: ok"
kill $daemon; wait $daemon
echo "ended with $?"
"#;

#[test]
fn where_there_is_no_systemd_or_no_root_it_is_said_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let program = tests::binary();
    let install = |arguments: &[&str]| run(dir.path(), program.to_str().unwrap(), arguments);
    if !Path::new("/run/systemd/system").exists() {
        install(&["install", "--yes"])
            .status(2)
            .says("is not run by systemd")
            .says("maddy install --root DIR");
        install(&["uninstall", "--yes"]).status(2).says("is not run by systemd");
    }
    install(&["install", "--prefix", "local"]).status(2).says("write the whole path");
    let story = "$MADDY uninstall --prefix /usr --yes || echo refused with $?";
    let Some(heard) = play("where_there_is_no_systemd_or_no_root_it_is_said_what_to_do", story) else {
        return;
    };
    heard.says("what is below /usr belongs to packages").says("refused with 2");
    let story = "chmod 755 $HERE; setpriv --reuid 65534 --clear-groups /bin/sh -c '/usr/local/bin/maddy install --yes; echo ended with $?'";
    let story = format!("cp $MADDY /usr/local/bin/maddy; {story}");
    let Some(heard) = play("where_there_is_no_systemd_or_no_root_it_is_said_what_to_do", &story) else {
        return;
    };
    heard.says("this needs root: `sudo maddy install`").says("ended with 2");
}
