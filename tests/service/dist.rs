//! What stands in `dist/` beside the units, held to the programs that read it.

use crate::program::{is_missing, run};
use crate::source;
use std::fs;
use std::path::Path;
use std::process::Command;
use tests::{Chat, Imap, Output, Setup, Smtp, binary};

/// The examples, with the files that they name in another place.
#[test]
fn the_example_configurations_are_good() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Setup::new();
    let files = scene.certificate();
    fs::write(dir.path().join("password"), "secret\n").unwrap();
    let mut seen = Vec::new();
    for entry in fs::read_dir(source("dist/examples")).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(entry.path()).unwrap();
        let text = text
            .replace("/etc/maddy/tls/fullchain.pem", files.chain.to_str().unwrap())
            .replace("/etc/maddy/tls/privkey.pem", files.key.to_str().unwrap())
            .replace("/etc/maddy/password", dir.path().join("password").to_str().unwrap());
        let file = dir.path().join(entry.file_name());
        fs::write(&file, text).unwrap();
        let output =
            Command::new(binary()).arg("--config").arg(&file).args(["config", "check"]).output().unwrap();
        let said = Output::of(output).ok();
        assert!(said.contains("is good"), "{said}");
        seen.push(entry.file_name().into_string().unwrap());
    }
    seen.sort();
    let wanted = ["behind-a-proxy.conf", "many-domains.conf", "notifications.conf", "single-domain.conf"];
    assert_eq!(seen, wanted);
}

/// Lines that the daemon really writes, also where a guesser tries to have somebody else banned.
#[test]
fn fail2ban_finds_the_address_of_who_guesses() {
    if is_missing("fail2ban_finds_the_address_of_who_guesses", "fail2ban-regex") {
        return;
    }
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config("logins { exempt \"127.0.0.0/8\"; }");
    let shared = tests::free_port();
    setup.config(&format!("web {{ listen \"127.0.0.1:{shared}\" tls=#true share=#true; }}"));
    let maddy = setup.start();
    let liar = "x INFO conn{id=aaaaaaaa peer=192.0.2.99 door=\\\"imap\\\"}: login failed";
    let mut imap = Imap::begin(Chat::connect_from(2, maddy.ports().imap));
    imap.no("LOGIN alice@example.org guess");
    let mut imap = Imap::begin(Chat::connect_from(3, maddy.ports().imap));
    imap.no(&format!("LOGIN \"{liar}\" guess"));
    let mut smtp = Smtp::begin(Chat::connect_from(4, maddy.ports().submission));
    let plain = format!("\0{}\0guess", liar.replace('\\', ""));
    let plain = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, plain);
    smtp.command(&format!("AUTH PLAIN {plain}"), "535*");
    let script = format!(
        "printf 'a LOGIN alice@example.org guess\\r\\nb LOGOUT\\r\\n' | openssl s_client -quiet -ign_eof -bind 127.0.0.5:0 \
         -alpn imap -connect 127.0.0.1:{shared}"
    );
    run(maddy.setup.dir(), "bash", &["-c", &script]).says("a NO");
    maddy.imap("alice@example.org").ok("NOOP");
    maddy.wait_log("*door=\"submission\"*login failed*");
    maddy.wait_log("*door=\"web\"*login failed*");
    maddy.wait_log("*peer=127.0.0.1*logged in*");
    let dir = tempfile::tempdir().unwrap();
    let filter = source("dist/fail2ban/filter.d/maddy.conf");
    fs::copy(&filter, dir.path().join("maddy.conf")).unwrap();
    let log = maddy.log();
    // As the journal shows them, and as a file has them.
    let journal: String =
        log.lines().map(|line| format!("Nov 20 08:07:04 mx maddy[123]: {line}\n")).collect();
    for (name, text) in [("journal", &journal), ("file", &log)] {
        fs::write(dir.path().join(name), text).unwrap();
        let heard = run(dir.path(), "fail2ban-regex", &["-o", "ip", name, filter.to_str().unwrap()]);
        let mut found: Vec<&str> =
            heard.text.lines().filter(|line| line.starts_with(char::is_numeric)).collect();
        found.sort_unstable();
        assert_eq!(found, ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"], "{name}: {heard}\n{log}");
    }
    let jail = fs::read_to_string(source("dist/fail2ban/jail.d/maddy.conf")).unwrap();
    assert!(jail.contains("[maddy]\nenabled = true\nbackend = systemd\n"));
}

#[test]
fn logrotate_understands_its_file() {
    if is_missing("logrotate_understands_its_file", "logrotate") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let text = fs::read_to_string(source("dist/logrotate.d/maddy")).unwrap();
    let text = text.replace("/var/log/maddy", logs.to_str().unwrap()).replace("    su root root\n", "");
    fs::write(dir.path().join("conf"), text).unwrap();
    // Nobody else may write what logrotate reads.
    run(dir.path(), "chmod", &["644", "conf"]).fine();
    run(dir.path(), "chmod", &["755", "logs"]).fine();
    fs::write(logs.join("maddy.log"), "a line\n").unwrap();
    let heard = run(dir.path(), "logrotate", &["-v", "-f", "-s", "state", "conf"]).fine();
    assert!(!heard.text.contains("error:"), "{heard}");
    assert_eq!(fs::read_to_string(logs.join("maddy.log")).unwrap(), "", "{heard}");
    assert_eq!(fs::read_to_string(logs.join("maddy.log.1")).unwrap(), "a line\n");
}

#[test]
fn apparmor_understands_the_profile() {
    if is_missing("apparmor_understands_the_profile", "apparmor_parser") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let profile = source("dist/apparmor.d/usr.bin.maddy");
    // Not loaded, not kept: only read and compiled.
    let heard = run(dir.path(), "apparmor_parser", &["-Q", "-K", "-W", profile.to_str().unwrap()]).fine();
    assert!(!heard.text.to_lowercase().contains("error"), "{heard}");
    fs::write(
        dir.path().join("bad"),
        fs::read_to_string(&profile).unwrap().replace("capability setuid", "capability setuit"),
    )
    .unwrap();
    assert!(!run(dir.path(), "apparmor_parser", &["-Q", "-K", "bad"]).status.success());
}

/// There is no container engine here: what the files name must be there, and what they run must be a command.
#[test]
fn the_container_files_name_what_there_is() {
    let text = fs::read_to_string(source("dist/container/Dockerfile")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let all = |verb: &str| {
        lines.iter().filter_map(|line| line.strip_prefix(verb)).map(str::trim).collect::<Vec<_>>()
    };
    // The stage that builds has the oldest Rust that is promised, and does not reach the image.
    let manifest = fs::read_to_string(source("Cargo.toml")).unwrap();
    let (_, rust) = manifest.split_once("rust-version = \"").unwrap();
    let rust = rust.split('"').next().unwrap();
    let from = all("FROM ");
    assert_eq!(from.len(), 2);
    assert_eq!(from[0], format!("rust:{rust}-bookworm AS build"));
    assert!(from[1].ends_with(":nonroot"));
    // Never root, and told to stop as the daemon expects it.
    assert_eq!((all("USER "), all("STOPSIGNAL ")), (vec!["65532:65532"], vec!["SIGTERM"]));
    for copied in all("COPY --from=build ").iter().filter_map(|line| line.split(' ').next()) {
        let built = copied.strip_prefix("/src/").is_some_and(|path| path == "target/release/maddy");
        assert!(built || copied.starts_with("--chown"), "{copied}");
    }
    // What is copied gets the server as its owner: never a directory of the system's.
    for line in all("COPY --from=build --chown=65532:65532 ") {
        assert!(matches!(line, "/out/lib/ /var/lib/" | "/out/run/ /run/"), "{line}");
    }
    assert!(text.contains("install -d -m 700 /out/lib/maddy /out/run/maddy\n"));
    // Commands are lists, so that no shell is needed, and they are commands of ours.
    let json = |line: &str| serde_json::from_str::<Vec<String>>(&line[line.find('[').unwrap()..]).unwrap();
    let health = json(lines.iter().find(|line| line.starts_with("HEALTHCHECK")).unwrap());
    let entry = json(all("ENTRYPOINT ")[0]);
    let command = json(all("CMD ")[0]);
    assert_eq!((health[0].as_str(), entry), ("/usr/bin/maddy", vec!["/usr/bin/maddy".to_owned()]));
    for words in [&health[1..], &command[..]] {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.push("--help");
        crate::maddy(&words);
    }
    let compose = fs::read_to_string(source("dist/container/compose.yaml")).unwrap();
    assert!(source("dist/container").join("../..").join("dist/container/Dockerfile").exists());
    for line in [
        "context: ../..",
        "dockerfile: dist/container/Dockerfile",
        "read_only: true",
        "cap_drop: [ALL]",
        "- state:/var/lib/maddy",
    ] {
        assert!(compose.contains(line), "{line}");
    }
    for port in all("EXPOSE ")[0].split(' ') {
        assert!(compose.contains(&format!("\"{port}:{port}\"")), "{port}");
    }
    let script = "import sys, yaml; yaml.safe_load(open(sys.argv[1]))";
    if Command::new("python3").args(["-c", "import yaml"]).status().unwrap().success() {
        run(
            Path::new("/"),
            "python3",
            &["-c", script, source("dist/container/compose.yaml").to_str().unwrap()],
        )
        .fine();
    }
}

/// The healthcheck fails where no daemon runs, and only then.
#[test]
fn the_health_of_a_container_is_that_of_the_daemon() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    let health = ["creds", "guesses", "list", "--json"];
    maddy.cli(&health).ok();
    maddy.stop();
    maddy.cli(&health).fails();
}
