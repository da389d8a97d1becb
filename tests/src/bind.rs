//! A real name server that holds zones and takes changes of them from whoever has its key: BIND.

use crate::daemon::Output;
use crate::ports::free_port;
use crate::wait::eventually;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Serves until this value goes.
pub struct Bind {
    child: Child,
    at: SocketAddr,
    dir: TempDir,
    algorithm: &'static str,
}

impl Bind {
    /// The secret of the key `maddy`, in base64.
    pub const SECRET: &str = "c2l4dGVlbiBvY3RldHMgYW5kIHNpeHRlZW4gbW9yZS4=";

    /// Holds zones, each with these records beside those that every zone has.
    pub fn start(algorithm: &'static str, zones: &[(&str, &str)]) -> Self {
        Self::with(algorithm, zones, "recursion no;")
    }

    /// The same for those who ask about anything: what it does not hold it asks another one.
    pub fn in_front_of(other: &Self, zones: &[(&str, &str)]) -> Self {
        let port = other.at.port();
        let options = format!(
            "recursion yes; forward only; forwarders {{ 127.0.0.1 port {port}; }}; max-cache-ttl 0; max-ncache-ttl 0;"
        );
        Self::with(other.algorithm, zones, &options)
    }

    fn with(algorithm: &'static str, zones: &[(&str, &str)], options: &str) -> Self {
        let dir = TempDir::with_prefix("maddy-bind-").unwrap();
        let path = dir.path().display();
        let port = free_port();
        let mut config = format!(
            "options {{ directory \"{path}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; {options} \
             pid-file \"{path}/pid\"; session-keyfile \"{path}/session\"; lock-file none; dnssec-validation no; }};\n\
             controls {{ }};\nkey \"maddy\" {{ algorithm {algorithm}; secret \"{}\"; }};\n",
            Self::SECRET
        );
        for (zone, records) in zones {
            let begin = format!(
                "$TTL 60\n@ SOA ns.{zone}. root.{zone}. 1 3600 600 86400 1\n@ NS ns.{zone}.\nns A 127.0.0.1\n"
            );
            std::fs::write(dir.path().join(zone), format!("{begin}{records}\n")).unwrap();
            config.push_str(&format!(
                "zone \"{zone}\" {{ type primary; file \"{path}/{zone}\"; allow-update {{ key maddy; }}; }};\n"
            ));
        }
        let file = dir.path().join("named.conf");
        std::fs::write(&file, config).unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new(program("named"))
            .arg("-g")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("named is installed (tests/install)");
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        let bind = Self { child, at, dir, algorithm };
        eventually("the name server answers", || {
            assert!(!bind.log().contains("exiting"), "{}", bind.log());
            (TcpStream::connect(at).is_ok() && bind.log().contains("all zones loaded")).then_some(())
        });
        bind
    }

    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// That of the key `maddy`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// What stands in the node `dns` of the configuration.
    pub fn option(&self) -> String {
        self.option_with(&format!("secret=\"{}\"", Self::SECRET))
    }

    /// The same with a file that holds what tsig-keygen prints.
    pub fn option_with_file(&self, path: &Path) -> String {
        let key = format!(
            "key \"maddy\" {{\n\talgorithm {};\n\tsecret \"{}\";\n}};\n",
            self.algorithm,
            Self::SECRET
        );
        std::fs::write(path, key).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        self.option_with(&format!("secret-file={:?}", path.display().to_string()))
    }

    fn option_with(&self, secret: &str) -> String {
        let algorithm = self.algorithm;
        format!(
            "update \"{}\" {{\nkey \"maddy\" algorithm=\"{algorithm}\" {secret}\nsettle \"0s\"\n}}",
            self.at
        )
    }

    /// Everything that was said in its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether BIND takes a zone as it was printed, for the zone `name`; what it says otherwise.
pub fn check_zone(dir: &Path, name: &str, records: &str) -> Result<(), String> {
    let file = dir.join("checked.zone");
    let text = format!(
        "$TTL 60\n{name}. SOA ns.{name}. root.{name}. 1 3600 600 86400 60\n{name}. NS ns.{name}.\nns.{name}. A 192.0.2.53\n{records}"
    );
    std::fs::write(&file, text).unwrap();
    let said = Command::new(program("named-checkzone")).arg("-k").arg("fail").arg(name).arg(&file).output();
    let said = Output::of(said.expect("named-checkzone is installed (tests/install)"));
    if said.status.success() { Ok(()) } else { Err(format!("{}{}", said.stdout, said.stderr)) }
}

/// Debian keeps some programs where only root looks.
fn program(name: &str) -> String {
    let own = format!("/usr/sbin/{name}");
    if Path::new(&own).exists() { own } else { name.to_owned() }
}
