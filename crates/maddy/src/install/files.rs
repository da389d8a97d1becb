//! Every file that an installation consists of.

use super::Ports;
use crate::cli::{completions, manual};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

const UNIT: &str = include_str!("../../../../dist/systemd/maddy.service");
const SOCKET: &str = include_str!("../../../../dist/systemd/maddy.socket");
const SOCKETS: &str = include_str!("../../../../dist/systemd/maddy.service.d/sockets.conf");
const SYSUSERS: &str = include_str!("../../../../dist/sysusers.d/maddy.conf");
const TMPFILES: &str = include_str!("../../../../dist/tmpfiles.d/maddy.conf");
const EXAMPLE: &str = include_str!("../../../../maddy.conf.example");

/// The program as the unit in `dist/` has it.
const UNIT_PROGRAM: &str = "/usr/local/bin/maddy";
/// Files of packages go below this one, in other directories than those of the administrator.
const PACKAGE_PREFIX: &str = "/usr";

/// What a page of the manual is, for people.
pub(super) const MANUAL: &str = "the manual";

/// What stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    /// What stands in this other file.
    Copy(PathBuf),
    /// It is a symbolic link with this in it.
    Link(PathBuf),
}

/// A file to be there.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) content: Content,
    /// What it is, for people.
    pub(super) what: &'static str,
}

/// Which directories are meant for what.
pub(super) struct Layout {
    prefix: PathBuf,
}

impl Layout {
    pub(super) fn new(prefix: &Path) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    fn is_package(&self) -> bool {
        self.prefix == Path::new(PACKAGE_PREFIX)
    }

    pub(super) fn program(&self) -> PathBuf {
        self.prefix.join("bin/maddy")
    }

    pub(super) fn units(&self) -> PathBuf {
        PathBuf::from(if self.is_package() { "/usr/lib/systemd/system" } else { "/etc/systemd/system" })
    }

    pub(super) fn sysusers(&self) -> PathBuf {
        PathBuf::from(if self.is_package() { "/usr/lib/sysusers.d" } else { "/etc/sysusers.d" })
            .join("maddy.conf")
    }

    pub(super) fn tmpfiles(&self) -> PathBuf {
        PathBuf::from(if self.is_package() { "/usr/lib/tmpfiles.d" } else { "/etc/tmpfiles.d" })
            .join("maddy.conf")
    }

    fn share(&self, path: &str) -> PathBuf {
        self.prefix.join("share").join(path)
    }

    /// The files that hand the ports over; `asked` are the addresses below 1024 of a configuration, where there is one.
    fn socket_files(&self, asked: Option<&[SocketAddr]>) -> Vec<Put> {
        let [socket, drop_in, listen] = self.socket_paths();
        let mut files = vec![
            text(socket, SOCKET, "its ports"),
            text(drop_in, SOCKETS, "the service without a capability"),
        ];
        let lines =
            asked.map(|asked| asked.iter().map(|at| format!("ListenStream={at}")).collect::<BTreeSet<_>>());
        if let Some(lines) =
            lines.filter(|lines| !SOCKET.lines().filter(|line| line.starts_with("ListenStream=")).eq(lines))
        {
            let lines: Vec<String> = lines.into_iter().collect();
            let content = format!(
                "# The ports of the configuration when `maddy install` last read it.\n[Socket]\nListenStream=\n{}\n",
                lines.join("\n")
            );
            files.push(text(listen, &content, "the ports of the configuration"));
        }
        files
    }

    /// Where they are, whether or not there is something to say in each.
    pub(super) fn socket_paths(&self) -> [PathBuf; 3] {
        let names = ["maddy.socket", "maddy.service.d/sockets.conf", "maddy.socket.d/listen.conf"];
        names.map(|name| self.units().join(name))
    }

    /// The links that make us the machine's sendmail. Programs call it by these paths, whatever the prefix.
    pub(super) fn sendmail(&self) -> Vec<Put> {
        let links = ["/usr/sbin/sendmail", "/usr/bin/mailq", "/usr/bin/newaliases", "/usr/lib/sendmail"];
        let link = |path: &str| Put {
            path: PathBuf::from(path),
            mode: 0o777,
            content: Content::Link(relative(Path::new(path), &self.program())),
            what: "sendmail",
        };
        links.into_iter().map(link).collect()
    }

    /// Everything but the links; `program` is what is to be installed, `asked` as in `socket_files`.
    pub(super) fn files(&self, program: &Path, ports: Ports, asked: Option<&[SocketAddr]>) -> Vec<Put> {
        let unit = UNIT.replace(UNIT_PROGRAM, &self.program().display().to_string());
        let mut files = vec![
            Put {
                path: self.program(),
                mode: 0o755,
                content: Content::Copy(program.to_owned()),
                what: "the program",
            },
            text(self.units().join("maddy.service"), &unit, "the service, which is never root"),
        ];
        if ports == Ports::Sockets {
            files.extend(self.socket_files(asked));
        }
        files.push(text(self.sysusers(), SYSUSERS, "its user"));
        files.push(text(self.tmpfiles(), TMPFILES, "its directories"));
        files.push(text(self.share("doc/maddy/maddy.conf.example"), EXAMPLE, "every option, explained"));
        for page in manual::pages() {
            let section = page.name.rsplit('.').next().unwrap_or("1").to_owned();
            let path = self.share(&format!("man/man{section}")).join(&page.name);
            files.push(text(path, &page.text, MANUAL));
        }
        for (shell, script) in completions::all() {
            let zsh = if self.is_package() { "zsh/vendor-completions" } else { "zsh/site-functions" };
            let path = match shell {
                completions::Shell::Bash => "bash-completion/completions/maddy".to_owned(),
                completions::Shell::Zsh => format!("{zsh}/_maddy"),
                completions::Shell::Fish => "fish/vendor_completions.d/maddy.fish".to_owned(),
            };
            files.push(text(self.share(&path), &script, "completions"));
        }
        files
    }
}

/// What a link at one path says to lead to another, so that it does in a directory, too.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().count().saturating_sub(shared + 1);
    let down = to.components().skip(shared);
    std::iter::repeat_n(Component::ParentDir, up).chain(down).collect()
}

fn text(path: PathBuf, content: &str, what: &'static str) -> Put {
    Put { path, mode: 0o644, content: Content::Text(content.to_owned()), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use crate::listeners::wanted;

    #[test]
    fn the_unit_starts_the_program_where_it_is() {
        assert_eq!(UNIT.matches(UNIT_PROGRAM).count(), 2);
        let layout = Layout::new(Path::new("/opt/mail"));
        let files = layout.files(Path::new("/tmp/maddy"), Ports::Capability, None);
        let unit = files.iter().find(|put| put.path.ends_with("maddy.service")).unwrap();
        assert!(
            matches!(&unit.content, Content::Text(text) if text.contains("ExecStart=/opt/mail/bin/maddy run"))
        );
    }

    #[test]
    fn links_lead_to_the_program() {
        for (from, to, says) in [
            ("/usr/sbin/sendmail", "/usr/bin/maddy", "../bin/maddy"),
            ("/usr/sbin/sendmail", "/usr/local/bin/maddy", "../local/bin/maddy"),
            ("/usr/bin/mailq", "/usr/bin/maddy", "maddy"),
            ("/usr/lib/sendmail", "/opt/bin/maddy", "../../opt/bin/maddy"),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(says), "{from} {to}");
        }
    }

    #[test]
    fn a_package_puts_nothing_into_etc() {
        let files = Layout::new(Path::new("/usr")).files(Path::new("/tmp/maddy"), Ports::Sockets, None);
        assert!(files.iter().all(|put| put.path.starts_with("/usr")), "{files:?}");
    }

    /// What systemd opens is what the daemon asks for where nothing but the web is added, as `maddy quickstart` does.
    #[test]
    fn the_sockets_are_those_of_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("maddy.conf");
        let text = "hostname \"mx.example.org\"\ndomains \"example.org\"\ntls { self-signed; }\n\
                    web { listen \"[::]:80\"; listen \"[::]:443\" tls=#true; }\n";
        std::fs::write(&file, text).unwrap();
        let config = Source { config: file, state_dir: None }.read().unwrap();
        let mut asked: Vec<SocketAddr> = wanted(&config).iter().map(|one| one.address).collect();
        let layout = Layout::new(Path::new("/usr/local"));
        let names = |asked: &[SocketAddr]| {
            let files = layout.socket_files(Some(asked)).into_iter();
            files.map(|put| put.path.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&asked), ["maddy.socket", "sockets.conf"]);
        asked.pop();
        assert_eq!(names(&asked), ["maddy.socket", "sockets.conf", "listen.conf"]);
    }
}
