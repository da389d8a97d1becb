//! `maddy quickstart`: from nothing to a server that can be started, with its first account and its zone.

use crate::admin::{Kept, SaltOf, address_name};
use crate::certificates;
use crate::cli::args::Global;
use crate::cli::{Trouble, ask, output};
use crate::config::{Config, Source};
use crate::daemon::{make_directory, signer};
use crate::setup::doctor::{Doctor, world_of};
use crate::setup::finding::State;
use crate::setup::quickstart_config::{Plan, STATE_DIR, Tls};
use crate::setup::{Facts, Finding, Place, Wanted, wanted, zone};
use auth::Secret;
use clap::{Args, ValueEnum};
use guard::{User, UserError};
use mail::{Address, Domain};
use nix::unistd::geteuid;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use storage::{PasswordHash, Store};
use world::World;

/// Where everything goes if no directory is named.
const CONFIG: &str = "/etc/maddy/maddy.conf";
/// The user whose server it is then (dist/sysusers.d).
const USER: &str = "maddy";
/// Letters of a made-up password, in groups: a hundred bits.
const GROUP: usize = 5;
const GROUPS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TlsChoice {
    /// From Let's Encrypt, by itself
    Acme,
    /// From --certificate and --key
    Files,
    /// Made here; clients warn of it
    SelfSigned,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// Your mail address; it becomes the first account, and gets what is written to postmaster and abuse
    pub(crate) you: String,
    /// The name of this server; mail.DOMAIN, if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// Put everything there, and not into /etc/maddy and /var/lib/maddy, which need root
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Where the certificate comes from
    #[arg(long, value_enum, default_value = "acme")]
    pub(crate) tls: TlsChoice,
    /// PEM file of the certificate and those that lead to its root
    #[arg(long, value_name = "FILE", required_if_eq("tls", "files"))]
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", required_if_eq("tls", "files"))]
    pub(crate) key: Option<PathBuf>,
    /// Each port is this number plus the well-known one, and only this machine can reach it: for a try
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=55_000))]
    pub(crate) port_base: Option<u16>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The name server to ask, now and later; those of the system, if not given
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) resolver: Option<SocketAddr>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// What was made.
struct Made {
    config: Config,
    file: PathBuf,
    account: String,
    password: String,
    records: Vec<Wanted>,
    facts: Facts,
}

pub(crate) async fn run(args: &QuickstartArgs, global: &Global) -> Result<(), Trouble> {
    let plan = plan(args)?;
    for path in [&plan.file, &plan.state_dir.join("maddy.db")] {
        if fs::symlink_metadata(path).is_ok() {
            return Err(Trouble::usage(format!(
                "{} is there already, and nothing is ever overwritten: choose another --dir, or go on with `maddy config check`",
                path.display()
            )));
        }
    }
    ask::confirm(&plan.question(), args.yes)?;
    let made = make(&plan, args).await?;
    let world = world_of(&made.config, args.resolver)?;
    let doctor = Doctor { config: &made.config, file: &made.file, world: &world };
    let findings = doctor.examine_outside(&args.place).await?;
    if global.json {
        output::json(&made.json(&findings))
    } else {
        output::octets(made.text(&findings).as_bytes())
    }
}

fn plan(args: &QuickstartArgs) -> Result<Plan, Trouble> {
    let you = Address::parse(&address_name(&args.you)?).map_err(|error| Trouble::usage(error.to_string()))?;
    let domain = you.domain().clone();
    if domain.literal().is_some() || !domain.as_str().contains('.') {
        return Err(Trouble::usage(format!("{domain} is no domain that mail can be sent to")));
    }
    let hostname = match &args.hostname {
        Some(name) => Domain::parse(name).map_err(|error| Trouble::usage(format!("{name}: {error}")))?,
        None => {
            Domain::parse(&format!("mail.{domain}")).map_err(|error| Trouble::usage(error.to_string()))?
        }
    };
    let (file, state_dir) = match &args.dir {
        Some(dir) => {
            let dir = std::path::absolute(dir)?;
            (dir.join("maddy.conf"), dir.join("state"))
        }
        None if geteuid().is_root() => (PathBuf::from(CONFIG), PathBuf::from(STATE_DIR)),
        None => {
            return Err(Trouble::usage(
                "without --dir everything goes into /etc/maddy and /var/lib/maddy, which needs root: try sudo, or name a \
                 directory of your own",
            ));
        }
    };
    let tls = match (args.tls, &args.certificate, &args.key) {
        (TlsChoice::Acme, ..) => Tls::Acme,
        (TlsChoice::Files, Some(chain), Some(key)) => {
            Tls::Files { chain: std::path::absolute(chain)?, key: std::path::absolute(key)? }
        }
        (TlsChoice::Files, ..) => return Err(Trouble::usage("--tls files needs --certificate and --key")),
        (TlsChoice::SelfSigned, ..) => Tls::SelfSigned,
    };
    // A server of one's own directory is for a try, and stays with whoever tries it.
    let user = geteuid().is_root().then_some(if args.dir.is_some() { "root" } else { USER });
    Ok(Plan { you, hostname, file, state_dir, tls, user, port_base: args.port_base, resolver: args.resolver })
}

/// Makes everything. The configuration is checked before anything else is there, and taken away if it is no good.
async fn make(plan: &Plan, args: &QuickstartArgs) -> Result<Made, Trouble> {
    write_config(plan)?;
    let source = Source { config: plan.file.clone(), state_dir: None };
    let config = match source.read() {
        Ok(config) => config,
        Err(problems) => {
            fs::remove_file(&plan.file)?;
            return Err(problems.into());
        }
    };
    if let Err(trouble) = enter(&config, args) {
        fs::remove_file(&plan.file)?;
        return Err(trouble);
    }
    let world = world::system::without_dns();
    let (account, password) = account(plan, &config, &world).await?;
    signer(&config, &world).await.map_err(|error| Trouble::new(error.to_string()))?;
    if let Some(acme) = certificates::plan(&config)
        && let Some(name) = acme.names.first()
    {
        // Its digest belongs into the zone, and it is used by the first certificate.
        acme.files.key(name).map_err(|error| Trouble::new(error.to_string()))?;
    }
    let facts = Facts::gather(&config, args.place.addresses())?;
    let records = wanted(&config, &facts);
    Ok(Made { config, file: plan.file.clone(), account, password, records, facts })
}

fn write_config(plan: &Plan) -> Result<(), Trouble> {
    let failed = |path: &Path, error: &io::Error| Trouble::new(format!("{}: {error}", path.display()));
    if let Some(dir) = plan.file.parent() {
        fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    }
    // Never over another file, even one that was made a moment ago.
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&plan.file)
        .map_err(|error| failed(&plan.file, &error))?;
    file.write_all(plan.text().as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| failed(&plan.file, &error))
}

/// The first account, with a password that is shown once.
async fn account(plan: &Plan, config: &Config, world: &World) -> Result<(String, String), Trouble> {
    let failed = |error: storage::Error| Trouble::new(error.to_string());
    let name = plan.you.to_string();
    let password = [(); GROUPS].map(|()| world.random.word(GROUP)).join("-");
    let store = Store::open(config.storage.clone(), world.clone()).await.map_err(failed)?;
    let made = async {
        let salt = store.scram_salt(&name).await.map_err(failed)?;
        let salt = SaltOf { salt: salt.salt, iterations: salt.iterations };
        let secret = Secret::new(password.clone());
        let kept = tokio::task::spawn_blocking(move || Kept::of(&secret, salt)).await;
        let kept = kept.map_err(|error| Trouble::new(error.to_string()))?;
        let hash = PasswordHash::from(kept.map_err(|error| Trouble::new(error.to_string()))?);
        store.create_user(&name, &hash).await.map_err(failed)
    };
    let made = made.await;
    store.close().await;
    made?;
    Ok((name, password))
}

/// Makes the state directory. From here on it is the user of the service who writes, where everything stands in its usual place
/// and there is such a user: root would be led elsewhere by a link of that user's, and leave files that it cannot open.
fn enter(config: &Config, args: &QuickstartArgs) -> Result<(), Trouble> {
    let dir = config.state_dir();
    let Some(user) = service_user(args)? else {
        return make_directory(dir).map_err(|error| Trouble::new(error.to_string()));
    };
    let failed = |error: io::Error| Trouble::new(format!("{}: {error}", dir.display()));
    guard::make_directory(dir, Some(&user)).map_err(failed)?;
    if fs::metadata(dir).map_err(failed)?.uid() != user.numbers().0 {
        let (dir, name) = (dir.display(), &user.name);
        let text = format!("{dir} does not belong to {name}, the user of the server: chown -R {name}: {dir}");
        return Err(Trouble::new(text));
    }
    user.become_it().map_err(failed)
}

/// Who shall have the state; `None`: whoever we are.
fn service_user(args: &QuickstartArgs) -> Result<Option<User>, Trouble> {
    if args.dir.is_some() || !geteuid().is_root() {
        return Ok(None);
    }
    match guard::wanted(Some(USER)) {
        Ok(user) => Ok(user),
        Err(UserError::Unknown(_)) => {
            eprintln!(
                "note: there is no user `{USER}` yet, so root owns {STATE_DIR}; `maddy install` makes one and gives it over"
            );
            Ok(None)
        }
        Err(error) => Err(Trouble::new(error.to_string())),
    }
}

impl Made {
    fn json(&self, findings: &[Finding]) -> Value {
        json!({
            "account": self.account,
            "password": self.password,
            "config": self.file,
            "state_dir": self.config.state_dir(),
            "records": self.records.iter().map(Wanted::json).collect::<Vec<_>>(),
            "findings": findings,
        })
    }

    fn text(&self, findings: &[Finding]) -> String {
        let Self { account, password, file, .. } = self;
        let option =
            if file == Path::new(CONFIG) { String::new() } else { format!(" --config {}", file.display()) };
        let start = if option.is_empty() && crate::install::is_service() {
            "systemctl start maddy".to_owned()
        } else {
            format!("maddy{option} run")
        };
        let mut text = format!(
            "Your mail server is ready to start.\n\n  configuration  {}\n  state          {}\n  account        {account}\n  \
             password       {password}   (shown once; `maddy account password` sets another)\n\n\
             1. Put this into the DNS:\n\n{}\n2. Start it:\n\n     {start}\n\n\
             3. See what is still missing, now and later:\n\n     maddy{option} doctor\n\n",
            file.display(),
            self.config.state_dir().display(),
            zone(&self.config, &self.facts, &self.records),
        );
        let wrong: Vec<&Finding> = findings.iter().filter(|one| one.state == State::Bad).collect();
        if wrong.is_empty() {
            text.push_str("The DNS says all that it should.\n");
            return text;
        }
        text.push_str("What is missing at the moment:\n\n");
        for one in wrong {
            text.push_str(&format!("  {} ({}): {}\n", one.check, one.about, output::printable(&one.what)));
        }
        text
    }
}
