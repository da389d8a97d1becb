//! Changes to zones over TCP: the node `update` of `dns`, and who carries it out (RFC 2136). What is written and read is
//! `world::update`'s.

use crate::connect::Connector;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use config::{Arg, Section};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::update::{Algorithm, Asked, Change, Said, UpdateError, UpdateKey};
use world::{Data, DnsError, DnsName, Kind, Proof, World};

/// Longest time of one question with its answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long records live that stand in a zone for minutes, in seconds.
const SHORT_TTL: u32 = 60;
/// Seconds that a record of ours lives, if nothing else is said.
const TTL: Duration = Duration::from_secs(3600);
const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long the other name servers of a zone may take to follow.
const SETTLE: Duration = Duration::from_secs(5);
const SETTLE_MAX: Duration = Duration::from_secs(600);
/// How often a name may lead to another one.
const ALIASES_MAX: usize = 8;
/// Fewest octets of a secret that is one.
const SECRET_MIN: usize = 16;

/// Checked node `update` of `dns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsUpdateOptions {
    /// The primary name server of our zones.
    pub server: SocketAddr,
    pub key: UpdateKey,
    /// Where the secret of the key came from, if it does not stand in the configuration.
    pub secret_file: Option<PathBuf>,
    pub ttl: Duration,
    pub settle: Duration,
}

/// Reads the node.
pub fn decode_dns_update(section: &mut Section<'_>) -> Option<DnsUpdateOptions> {
    let server = section
        .socket(Arg("server"), "The name server that takes changes of our zones (RFC 2136), with its port.")
        .required();
    let key = section.child("key", "The key that it knows, too (TSIG).", |key| {
        let name = key.parsed(Arg("name"), "a name", dns_name, "The name of the key.").required();
        let algorithm = key
            .choice("algorithm", Algorithm::ALL, "How messages are signed with it.")
            .or(Algorithm::HmacSha256);
        let (secret, file) = decode_secret(key)?;
        Some((UpdateKey { name: name?.0, algorithm, secret: secret.0 }, file))
    });
    let ttl = section
        .duration("ttl", "How long others may keep a record of ours.")
        .within(Duration::from_secs(1)..=TTL_MAX)
        .or(TTL);
    let settle = section
        .duration("settle", "How long the other name servers of a zone may take to follow, before an authority is asked to look (ACME).")
        .within(Duration::ZERO..=SETTLE_MAX)
        .or(SETTLE);
    let (key, secret_file) = key?;
    Some(DnsUpdateOptions { server: server?, key, secret_file, ttl, settle })
}

/// The secret stands in the configuration, or in a file of its own.
fn decode_secret(key: &mut Section<'_>) -> Option<(Secret, Option<PathBuf>)> {
    let given = key
        .parsed(
            "secret",
            "a secret in base64",
            Secret::parse,
            "Its secret, as tsig-keygen prints it; better in a `secret-file`, for others may read a configuration.",
        )
        .optional();
    let file = key
        .path(
            "secret-file",
            "A file that only the server can read, with the secret, or with all that tsig-keygen prints.",
        )
        .optional();
    match (given, file) {
        (Some(_), Some(_)) => {
            let help = "leave `secret` out";
            key.problem(key.child_span("secret"), "`secret` and `secret-file` do not go together", help);
            None
        }
        (Some(secret), None) => Some((secret, None)),
        (None, Some(file)) => match config::secret_text(&file).and_then(|text| Secret::from_file(&text)) {
            Ok(secret) => Some((secret, Some(file))),
            Err(error) => {
                let help = "it holds what `tsig-keygen` prints";
                let span = key.child_span("secret-file");
                key.problem(span, format!("{}: {error}", file.display()), help);
                None
            }
        },
        // One that is wrong was reported.
        (None, None) if key.has("secret") || key.has("secret-file") => None,
        (None, None) => {
            let help = "name a file with `secret-file`; `tsig-keygen` makes what belongs into it";
            key.problem(key.span(), "the secret of the key is missing", help);
            None
        }
    }
}

struct Written(DnsName);

fn dns_name(text: &str) -> Result<Written, String> {
    DnsName::parse(text).map(Written).map_err(|error| error.to_string())
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Not to be shown.
struct Secret(Vec<u8>);

impl Secret {
    fn parse(text: &str) -> Result<Self, String> {
        let octets = STANDARD.decode(text.trim()).map_err(|_| "it is no base64".to_owned())?;
        if octets.len() < SECRET_MIN {
            return Err(format!("it is shorter than {SECRET_MIN} octets: `tsig-keygen` makes good ones"));
        }
        Ok(Self(octets))
    }

    /// A secret alone, or `key "name" { algorithm …; secret "…"; };`.
    fn from_file(text: &str) -> Result<Self, String> {
        let quoted = text.split_once("secret \"").and_then(|(_, rest)| rest.split_once('"'));
        Self::parse(quoted.map_or(text, |(secret, _)| secret))
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// What came of a text that was to stand alone at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextSet {
    /// It stood there.
    There,
    Written,
    /// Somebody else has put this there, and it was left as it is.
    Foreign(String),
}

fn written_text(data: &Data) -> Option<Vec<u8>> {
    match data {
        Data::Txt(strings) => Some(strings.concat()),
        _ => None,
    }
}

/// Changes zones, one question at a time.
#[derive(Clone)]
pub struct DnsUpdater {
    options: DnsUpdateOptions,
    connector: Connector,
    world: World,
}

impl DnsUpdater {
    pub fn new(options: DnsUpdateOptions, world: &World) -> Self {
        let connector = Connector::new(world).without_sources().patience(PATIENCE);
        Self { options, connector, world: world.clone() }
    }

    pub fn options(&self) -> &DnsUpdateOptions {
        &self.options
    }

    /// Where the zone begins that holds a name.
    pub async fn zone_of(&self, name: &DnsName) -> Result<DnsName, UpdateError> {
        let said = self.ask_any(name, None).await?;
        said.zone.ok_or_else(|| UpdateError::Nonsense("it does not say where the zone begins".to_owned()))
    }

    /// What stands at a name now. No name and no record are the same here: there is nothing.
    pub async fn ask(&self, name: &DnsName, kind: Kind) -> Result<Said, UpdateError> {
        self.ask_any(name, Some(kind)).await
    }

    async fn ask_any(&self, name: &DnsName, kind: Option<Kind>) -> Result<Said, UpdateError> {
        let (octets, asked) = self.options.key.question(name, kind, self.id(), self.now())?;
        let (answer, asked) = self.exchange(&octets, asked).await?;
        asked.answer(name, kind, &answer)
    }

    /// Has changes made: all, or none. What is to be added and is there already, and what is to be removed and is not, is no
    /// error (RFC 2136 §3.4.2).
    pub async fn change(&self, zone: &DnsName, changes: &[Change]) -> Result<(), UpdateError> {
        let (octets, asked) = self.options.key.changes(zone, changes, self.id(), self.now())?;
        let (answer, asked) = self.exchange(&octets, asked).await?;
        asked.done(&answer)
    }

    /// Has a TXT record stand alone at a name, if nothing stands there but what `is_ours` says that we have put there.
    pub async fn set_text(
        &self,
        name: &DnsName,
        text: &str,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<TextSet, UpdateError> {
        let said = self.ask(name, Kind::Txt).await?;
        if let Some(alias) = said.alias {
            return Err(UpdateError::Refused(format!(
                "{name} is another name of {alias}, where the record belongs"
            )));
        }
        let there: Vec<Vec<u8>> = said.data.iter().filter_map(written_text).collect();
        if there == [text.as_bytes()] {
            return Ok(TextSet::There);
        }
        let is_foreign =
            |one: &&Vec<u8>| one.as_slice() != text.as_bytes() && !str::from_utf8(one).is_ok_and(&is_ours);
        if let Some(foreign) = there.iter().find(is_foreign) {
            return Ok(TextSet::Foreign(String::from_utf8_lossy(foreign).into_owned()));
        }
        let zone = self.zone_of(name).await?;
        let ttl = u32::try_from(self.options.ttl.as_secs()).unwrap_or(u32::MAX);
        let removed = said.data.into_iter().map(|data| Change::Remove { name: name.clone(), data });
        let added = Change::Add { name: name.clone(), ttl, data: world::update::text(text) };
        let changes: Vec<Change> = removed.chain([added]).collect();
        self.change(&zone, &changes).await?;
        Ok(TextSet::Written)
    }

    /// Where a record really stands, and the zone of that: who asks for a name that is another name of something (CNAME) is
    /// led there, so a zone that we cannot change may lead into one that we can.
    pub async fn place_of(&self, name: &DnsName) -> Result<(DnsName, DnsName), UpdateError> {
        let mut at = name.clone();
        for _ in 0..ALIASES_MAX {
            match self.alias_of(&at).await? {
                Some(next) => at = next,
                None => return Ok((at.clone(), self.zone_of(&at).await?)),
            }
        }
        Err(UpdateError::Nonsense(format!("{name} leads to {at} and on, more than {ALIASES_MAX} times")))
    }

    /// What a name is another name of. Our name server knows best; of zones that it does not hold the DNS tells.
    async fn alias_of(&self, name: &DnsName) -> Result<Option<DnsName>, UpdateError> {
        match self.ask(name, Kind::Txt).await {
            Ok(said) => return Ok(said.alias),
            Err(UpdateError::NotHere) => {}
            Err(error) => return Err(error),
        }
        let answer = self.world.dns.ask(name, Kind::Cname, Proof::Usual).await;
        let found = answer.read(|data| match data {
            Data::Cname(to) => Some(to),
            _ => None,
        });
        match found {
            Ok(found) => Ok(found.into_iter().next()),
            Err(DnsError::NoName | DnsError::NoRecord) => Ok(None),
            Err(DnsError::Trouble(why)) => {
                Err(UpdateError::Trouble(format!("the DNS does not say where {name} leads: {why}")))
            }
        }
    }

    /// Adds a TXT record for a short time, beside others, where a name leads; gives the zone, and what takes it back.
    pub(crate) async fn place(&self, name: &DnsName, text: &str) -> Result<(DnsName, Change), UpdateError> {
        let (name, zone) = self.place_of(name).await?;
        let data = world::update::text(text);
        let added = Change::Add { name: name.clone(), ttl: SHORT_TTL, data: data.clone() };
        self.change(&zone, &[added]).await?;
        Ok((zone, Change::Remove { name, data }))
    }

    async fn exchange(&self, question: &[u8], asked: Asked) -> Result<(Vec<u8>, Asked), UpdateError> {
        let trouble =
            |error: &dyn std::fmt::Display| UpdateError::Trouble(format!("{}: {error}", self.options.server));
        let length = u16::try_from(question.len()).map_err(|error| trouble(&error))?;
        let talk = async {
            let mut stream =
                self.connector.stream(self.options.server).await.map_err(|error| trouble(&error))?;
            // RFC 1035 §4.2.2: two octets of length, then the message.
            stream
                .write_all(&[&length.to_be_bytes(), question].concat())
                .await
                .map_err(|error| trouble(&error))?;
            let mut length = [0; 2];
            stream.read_exact(&mut length).await.map_err(|error| trouble(&error))?;
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer).await.map_err(|error| trouble(&error))?;
            Ok(answer)
        };
        let answer = tokio::time::timeout(PATIENCE, talk).await;
        Ok((answer.map_err(|_| trouble(&"it does not answer"))??, asked))
    }

    fn id(&self) -> u16 {
        u16::try_from(self.world.random.below(1 << 16)).unwrap_or(0)
    }

    fn now(&self) -> i64 {
        self.world.clock.unix()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Tree;

    fn read(text: &str) -> Result<DnsUpdateOptions, String> {
        let tree = Tree::from_text("test", text, &|_| None);
        let decoded = tree.decode(|section| section.child("update", "", decode_dns_update));
        decoded.map(Option::unwrap).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_node_is_read_and_its_secret_not_shown() {
        let secret = STANDARD.encode(b"sixteen octets!!");
        let node = |key: &str| format!("update \"192.0.2.1:53\" {{\n{key}\nttl \"5m\"; settle \"0s\"; }}");
        let options =
            read(&node(&format!("key \"k.example\" algorithm=\"hmac-sha512\" secret=\"{secret}\""))).unwrap();
        assert_eq!(options.key.algorithm, Algorithm::HmacSha512);
        assert_eq!((options.ttl, options.settle), (Duration::from_secs(300), Duration::ZERO));
        assert!(!format!("{options:?}").contains("115"), "{options:?}");
        for (key, want) in [
            ("key \"k\" secret=\"!\"", "base64"),
            ("key \"k\" secret=\"c2hvcnQ=\"", "shorter"),
            ("key \"k\"", "secret"),
            ("key \"k\" secret-file=\"/nowhere\"", "/nowhere: it does not exist"),
            ("key \"k\" algorithm=\"hmac-md5\" secret=\"x\"", "algorithm"),
        ] {
            let problems = read(&node(key)).unwrap_err();
            assert!(problems.contains(want), "{key}: {problems}");
        }
    }

    #[test]
    fn a_secret_in_a_file_is_as_good() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let secret = STANDARD.encode(b"sixteen octets!!");
        let read = |text: &str, mode: u32, more: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let file = path.display();
            read(&format!("update \"192.0.2.1:53\" {{\nkey \"k.example\" secret-file=\"{file}\" {more}\n}}"))
        };
        let printed =
            format!("key \"k.example\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{secret}\";\n}};\n");
        for text in [format!("{secret}\n"), printed] {
            assert_eq!(read(&text, 0o600, "").unwrap().key.secret, b"sixteen octets!!", "{text}");
        }
        for (text, mode, more, want) in [
            (secret.as_str(), 0o644, "", "chmod 600"),
            ("", 0o600, "", "empty"),
            ("c2hvcnQ=", 0o600, "", "shorter"),
            (&secret, 0o600, &format!("secret=\"{secret}\"")[..], "do not go together"),
        ] {
            let problems = read(text, mode, more).unwrap_err();
            assert!(problems.contains(want), "{text}: {problems}");
            assert!(!problems.contains("sixteen"), "{problems}");
        }
    }
}
