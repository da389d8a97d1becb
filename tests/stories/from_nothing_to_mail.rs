//! One server from an empty directory on: made by one command, certified by an authority, looked at by a doctor who finds ten
//! faults at once and sees each mended, asked by mail programs, filled and emptied, backed up while mail comes in, and brought back.

use crate::moving_in_and_out::maildir;
use crate::quickstart_and_doctor::{base, must_name, zone};
use mail::{Address, Blob, Envelope, MailParams, Recipient, ReversePath};
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use tests::{
    Accounts, Chat, Imap, Output, PASSWORD, Pebble, Picture, Setup, Smtp, Web, binary, eventually, message,
};

const YOU: &str = "you@example.org";
const FRIEND: &str = "friend@example.org";
const THIRD: &str = "third@example.org";
/// What a message says, and what one octet makes of it that is changed on the disk.
const TOKEN: &[u8; 39] = b"the octets that are going to be damaged";
const DAMAGED: &[u8; 39] = b"the octets that are going to be dameged";
/// Whom the doctor tries to reach.
const FAR: &str = "gmail.com MX 10 far.example\nfar.example A 127.0.0.1\n";
/// Messages that are moved in and out.
const MESSAGES: u64 = 1000;

/// The world around the server, and the server once it runs.
struct House {
    setup: Setup,
    pebble: Pebble,
    base: u16,
    password: String,
    /// As it was printed.
    zone: Vec<String>,
    child: Option<Child>,
}

impl House {
    /// `maddy quickstart` in a directory with nothing in it. Then the authority and the ports of this story are written into the
    /// configuration, as somebody with an authority of their own does.
    fn from_nothing() -> Self {
        let setup = Setup::named("mail.example.org", &["example.org"]);
        let base = base();
        let pebble = Pebble::start(&setup, base + 443, base + 80, Accounts::Open);
        let home = setup.dir().join("home");
        fs::create_dir(&home).unwrap();
        let mut command = Command::new(binary());
        command.args(["quickstart", YOU, "--yes", "--json", "--address", "127.0.0.1", "--port-base"]);
        command.arg(base.to_string()).arg("--resolver").arg(setup.names().at().to_string());
        // There may be no authorities on a machine that has just been made.
        command.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
        let said = Output::of(command.arg("--dir").arg(&home).stdin(Stdio::null()).output().unwrap()).ok();
        let made: Value = serde_json::from_str(&said).unwrap();
        let password = made["password"].as_str().unwrap().to_owned();
        let house = Self { zone: zone(&made["records"]), setup, pebble, base, password, child: None };
        let text = fs::read_to_string(house.config()).unwrap();
        let text = text
            .replace("    acme\n", &format!("    acme {{\n{}\n}}\n", house.pebble.options()))
            .replace("imap {\n", "imap {\n    insecure-auth #true\n");
        let more = format!(
            "delivery {{\n    port {}\n}}\nchecks {{\n    exempt \"127.0.0.0/8\"\n}}\nlimits {{\n    exempt-loopback #true\n}}\n",
            base + 25
        );
        fs::write(house.config(), format!("{text}\n{more}")).unwrap();
        house.setup.names().set(&house.healthy());
        house
    }

    fn config(&self) -> PathBuf {
        self.setup.dir().join("home/maddy.conf")
    }

    fn state(&self) -> PathBuf {
        self.setup.dir().join("home/state")
    }

    /// The DNS with all that was printed.
    fn healthy(&self) -> String {
        format!("{FAR}{}", self.zone.join("\n"))
    }

    fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.setup.dir().join("log")).unwrap();
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.config()).arg("run").stdin(Stdio::null());
        command.env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let at = SocketAddr::from(([127, 0, 0, 1], self.base + 25));
        eventually("the server answers", || TcpStream::connect(at).ok());
    }

    fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success(), "the server ended badly");
    }

    fn run_with(&self, config: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        Output::of(command.arg("--config").arg(config).args(arguments).stdin(Stdio::null()).output().unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(&self.config(), arguments)
    }

    fn path(&self, name: &str) -> String {
        self.setup.dir().join(name).display().to_string()
    }

    fn add(&self, name: &str) {
        use std::io::Write;
        let mut child = Command::new(binary())
            .arg("--config")
            .arg(self.config())
            .args(["account", "add", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        Output::of(child.wait_with_output().unwrap()).ok();
    }

    fn picture(&self, name: &str) -> Picture {
        let mut imap = Imap::begin(Chat::connect(self.base + 143));
        imap.log_in(name, if name == YOU { &self.password } else { PASSWORD });
        imap.picture()
    }

    fn smtp(&self) -> Smtp {
        Smtp::begin(Chat::connect(self.base + 25))
    }

    /// What the doctor finds with a configuration.
    fn doctor(&self, config: &Path) -> (Output, Vec<Value>) {
        let output = self.run_with(config, &["--json", "doctor", "--full", "--address", "127.0.0.1"]);
        let list = serde_json::from_str(&output.stdout);
        let list = list.unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output, list)
    }

    /// A question to the pages of the server, whose certificate must be good.
    fn get(&self, url: &str) -> Output {
        let root = self.setup.dir().join("root.pem");
        fs::write(&root, self.pebble.root()).unwrap();
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "30", "--cacert"]).arg(root);
        command.args(["--connect-to", &format!("::127.0.0.1:{}", self.base + 443), url]);
        Output::of(command.output().unwrap())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.setup.dir().join("log")).unwrap_or_default());
        }
    }
}

#[test]
fn from_an_empty_directory_to_a_server_with_everything() {
    let mut house = House::from_nothing();
    house.start();
    certified_and_asked(&house);
    ten_faults(&mut house);
    moved(&house);
    backed_up_under_load(&mut house);
}

/// Certificates come, the settings for Thunderbird are served with one, and there is a profile that parses.
fn certified_and_asked(house: &House) {
    let url = format!("https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress={YOU}");
    let settings = eventually("the settings come with a good certificate", || {
        let said = house.get(&url);
        said.status.success().then_some(said.stdout)
    });
    let imaps = house.base + 993;
    for want in ["<hostname>mail.example.org</hostname>", &format!("<port>{imaps}</port>"), "<clientConfig"] {
        assert!(settings.contains(want), "{want}\n{settings}");
    }
    // The certificate of the host came first: it signs the profile.
    let file = house.path("you.mobileconfig");
    let script = format!(
        "set -e -o pipefail; {} --config {} account profile {YOU} > {file}\n\
         openssl cms -verify -binary -inform DER -purpose any -in {file} -CAfile {} | python3 -c 'import plistlib, sys\n\
         print(plistlib.loads(sys.stdin.buffer.read())[\"PayloadContent\"][0][\"IncomingMailServerPortNumber\"])'",
        binary().display(),
        house.config().display(),
        house.path("root.pem")
    );
    let read = Output::of(Command::new("bash").args(["-c", &script]).output().unwrap());
    assert_eq!(read.stdout.trim(), imaps.to_string(), "{read:?}");
}

/// A fault: its check, what it is about, and words of what is said of it.
type Fault = (&'static str, &'static str, &'static str);

const FAULTS: [Fault; 10] = [
    ("mx", "example.org", "old.example.org"),
    ("spf", "example.org", "mail from 127.0.0.1 has SPF fail"),
    ("dkim", "maddy._domainkey.example.org", "another key than the one that signs"),
    ("srv", "_imaps._tcp.example.org", "port 99"),
    ("dns-list", "127.0.0.1 zen.spamhaus.org", "the list holds our address (127.0.0.2)"),
    ("outbound", "gmail.com", "no connection to port"),
    ("permissions", "/dkim/", "others may read it"),
    ("clock", "server", "s off"),
    ("queue", "server", "the oldest message waits since"),
    ("database", "/state", "its octets have changed"),
];

/// What takes the place of the records that begin so.
const RECORDS: [(&str, &str); 4] = [
    ("example.org. IN MX", "example.org. IN MX 10 old.example.org."),
    ("example.org. IN TXT \"v=spf1 mx", "example.org. IN TXT \"v=spf1 ip4:192.0.2.9 -all\""),
    ("maddy._domainkey.", "maddy._domainkey.example.org. IN TXT \"v=DKIM1; k=rsa; p=AAAA\""),
    ("_imaps._tcp.example.org.", "_imaps._tcp.example.org. IN SRV 0 1 99 mail.example.org."),
];

/// Ten faults at once: in the DNS, in the network, on the machine, in the store. Before them nothing of it is found, each is
/// found and named, and once they are mended nothing of it is found again.
fn ten_faults(house: &mut House) {
    let config = house.config();
    let text = message("eve@remote.test", YOU, "Hello", &format!("{}\r\n", String::from_utf8_lossy(TOKEN)));
    house.smtp().deliver("eve@remote.test", &[YOU], &text);
    nothing_is_found(house, "before");

    // The clock of the authority goes two hours behind ours.
    let port = tests::free_port();
    let web = Web::start([127, 0, 0, 1].into(), port, &house.setup.certificate());
    let mut page = tests::Page::of("200 OK", "application/json", "{}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    page.fields.push(format!("Date: {}", mail::date::print(now - 7200).replace("+0000", "GMT")));
    web.page("localhost/dir", page);
    let other = house.setup.dir().join("home/other-authority.conf");
    let options = format!("directory \"https://localhost:{port}/dir\"\nca-file {:?}", house.setup.ca());
    fs::write(&other, fs::read_to_string(&config).unwrap().replace(&house.pebble.options(), &options))
        .unwrap();

    house.stop();
    change(&house.state().join("maddy.db"), TOKEN, DAMAGED);
    let job = old_job(&house.state(), now);
    house.start();
    let key = fs::read_dir(house.state().join("dkim")).unwrap().flatten().map(|one| one.path());
    let key = key.filter(|path| path.is_file()).min().unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let mut records = house.zone.clone();
    for (begin, instead) in RECORDS {
        let before = records.len();
        records.retain(|line| !line.starts_with(begin));
        assert!(records.len() < before, "there is no record {begin}");
        records.push(instead.to_owned());
    }
    // Nobody takes connections at this address.
    let far = FAR.replace("127.0.0.1", "127.0.0.7");
    let listed = "1.0.0.127.zen.spamhaus.org A 127.0.0.2";
    house.setup.names().set(&format!("{far}{listed}\n{}", records.join("\n")));

    let (output, list) = house.doctor(&other);
    assert_eq!(output.status.code(), Some(1));
    for fault in FAULTS {
        must_name(&list, fault.0);
        assert!(is_found(&list, fault), "{fault:?} is not named\n{list:#?}");
    }
    let shown = house.run_with(&other, &["doctor", "--full", "--address", "127.0.0.1"]).stdout;
    for (check, about, what) in FAULTS {
        let line = shown.lines().find(|line| line.contains(what) && line.contains(about));
        assert!(line.is_some_and(|line| line.contains(check)), "{check} {about} {what}\n{shown}");
    }

    // Each is mended as the doctor has said.
    house.setup.names().set(&house.healthy());
    assert!(house.run(&["doctor", "--fix", "--all", "--address", "127.0.0.1"]).stdout.contains("repaired"));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    house.run(&["queue", "remove", &job.to_string(), "--yes"]).ok();
    house.stop();
    change(&house.state().join("maddy.db"), DAMAGED, TOKEN);
    house.start();
    nothing_is_found(house, "after");
}

fn is_found(list: &[Value], (check, about, what): Fault) -> bool {
    list.iter().any(|one| {
        one["check"] == check
            && matches!(one["state"].as_str(), Some("bad" | "note"))
            && one["about"].as_str().unwrap().contains(about)
            && one["what"].as_str().unwrap().contains(what)
    })
}

fn nothing_is_found(house: &House, when: &str) {
    let (_, list) = house.doctor(&house.config());
    for (check, about, _) in FAULTS {
        let of_it = list.iter().filter(|one| one["check"] == check);
        // What is good is told of the whole directory.
        let of_it: Vec<&Value> = of_it
            .filter(|one| one["about"].as_str().unwrap().contains(about) || check == "permissions")
            .collect();
        let is_good = !of_it.is_empty() && of_it.iter().all(|one| one["state"] == "good");
        assert!(is_good, "{when}: {check} {about}: {of_it:#?}\n{list:#?}");
    }
}

/// Puts one text in the place of another wherever that stands in the database, also in what a page has kept from before.
fn change(database: &Path, from: &[u8], to: &[u8]) {
    let mut octets = fs::read(database).unwrap();
    let places = octets.windows(from.len()).enumerate().filter(|(_, window)| *window == from);
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the message is in the database");
    places.iter().for_each(|at| octets[*at..*at + to.len()].copy_from_slice(to));
    fs::write(database, octets).unwrap();
}

/// A message that waits for five hours and is not to be tried yet; its number.
fn old_job(state: &Path, now: i64) -> i64 {
    let address = |text: &str| Address::parse(text).unwrap();
    let text = b"Subject: waiting\r\n\r\nx\r\n";
    let analysis = mail::mime::analyse(&mut &text[..]).unwrap();
    let job = storage::NewJob {
        envelope: Envelope {
            from: ReversePath::Address(address(YOU)),
            params: MailParams::default(),
            recipients: vec![Recipient::plain(address("friend@slow.example"))],
        },
        added: b"Received: by us\r\n".to_vec(),
        arrived: now - 5 * 3600,
        due: now + 24 * 3600,
        client: None,
    };
    let acceptance = storage::Acceptance {
        mail_id: "waiting".to_owned(),
        received: Blob::from_bytes(&text[..]),
        shape: storage::Shape::of(&analysis),
        filings: Vec::new(),
        jobs: vec![job],
        charge: None,
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let world = world::system::without_dns();
        let store = storage::Store::open(storage::Config::new(state), world).await.unwrap();
        store.accept(acceptance).await.unwrap();
        let id = store.queue(None, 10).await.unwrap()[0].id.get();
        store.close().await;
        id
    })
}

/// A maildir of many messages comes in; what goes out as a maildir and as an mbox comes in elsewhere as the same.
fn moved(house: &House) {
    house.add(FRIEND);
    house.add(THIRD);
    let source = house.path("Maildir");
    maildir(Path::new(&source), MESSAGES);
    let bring = |form: &str, from: &str, account: &str| -> u64 {
        let ledger = house.run(&["import", form, from, account, "--json"]).ok();
        serde_json::from_str::<Value>(&ledger).unwrap()["imported"].as_u64().unwrap()
    };
    assert_eq!(bring("maildir", &source, FRIEND), MESSAGES);
    let friend = house.picture(FRIEND);
    for form in ["maildir", "mbox"] {
        let dir = house.path(form);
        house.run(&["export", form, FRIEND, &dir]).ok();
        house.run(&["account", "remove", THIRD, "--yes"]).ok();
        house.add(THIRD);
        assert_eq!(bring(form, &dir, THIRD), MESSAGES);
        assert!(house.picture(THIRD) == friend, "{form}: another picture");
    }
}

/// A backup while mail comes in, restored elsewhere: what nobody touched is the same, and of what came in there is a beginning
/// without a gap.
fn backed_up_under_load(house: &mut House) {
    let friend = house.picture(FRIEND);
    let (over, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (mut smtp, stop, count) = (house.smtp(), over.clone(), came.clone());
    let load = thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            let body = "a line of a large message\r\n".repeat(if count.load(Ordering::SeqCst) % 5 == 0 {
                12_000
            } else {
                1
            });
            smtp.deliver("eve@remote.test", &[YOU], &message("eve@remote.test", YOU, "Load", &body));
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    eventually("mail comes in", || (came.load(Ordering::SeqCst) > 10).then_some(()));
    let before = came.load(Ordering::SeqCst);
    let to = house.path("backup");
    house.run(&["backup", &to]).ok();
    let second = house.run(&["backup", &to, "--json"]).ok();
    let second: Value = serde_json::from_str(&second).unwrap();
    assert!(second["new_database"].as_u64().unwrap() < second["database"].as_u64().unwrap(), "{second}");
    over.store(true, Ordering::SeqCst);
    load.join().unwrap();
    house.run(&["backup", &to, "--verify"]).ok();
    let you = house.picture(YOU);
    house.stop();
    fs::rename(house.state(), house.path("lost")).unwrap();
    house.run(&["restore", &to]).ok();
    house.start();
    assert!(house.picture(FRIEND) == friend, "another picture of what nobody touched");
    let (then, now) = (&house.picture(YOU)["INBOX"].1, &you["INBOX"].1);
    assert!(
        then.len() >= before && then.len() <= now.len() && then[..] == now[..then.len()],
        "there is a gap"
    );
    assert!(house.run(&["verify"]).ok().contains("all is well"));
}
