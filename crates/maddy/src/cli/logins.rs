//! `creds app-password` and `creds certificate`: ways to log in without the account's password.

use super::args::Global;
use super::login_args::{AppPasswordCommand, CertificateCommand, NewAppPassword};
use crate::admin::{
    AppPasswordCreate, AppPasswordInfo, AppPasswordList, AppPasswordRevoke, CertificateAdd, CertificateInfo,
    CertificateList, CertificateRemove, CredsSalt, account_name,
};
use crate::cli::{Connection, Trouble, output};
use crate::login::{Use, verifier};
use auth::{APP_PASSWORD_LETTERS, Secret};
use serde_json::json;
use storage::ScramSalt;

pub(crate) async fn app_password(command: &AppPasswordCommand, global: &Global) -> Result<(), Trouble> {
    match command {
        AppPasswordCommand::Create(new) => create(new, global).await,
        AppPasswordCommand::List { account } => {
            Connection::with(global, async |server| {
                let list = server.call(AppPasswordList { account: account.clone() }).await?;
                print(&list, global)
            })
            .await
        }
        AppPasswordCommand::Revoke { account, name } => {
            Connection::with(global, async |server| {
                let call = AppPasswordRevoke { account: account.clone(), name: name.clone() };
                server.call(call).await?;
                let sentence = format!("{name} lets nobody in any more, and its sessions end");
                output::done(global, &json!({ "revoked": name }), &sentence)
            })
            .await
        }
    }
}

async fn create(new: &NewAppPassword, global: &Global) -> Result<(), Trouble> {
    let life = new.expires.as_deref().map(::config::parse_duration).transpose();
    let life = life.map_err(|why| Trouble::usage(format!("--expires: {why}")))?;
    let uses = if new.uses.is_empty() { vec![Use::Imap, Use::Submission] } else { new.uses.clone() };
    if uses.contains(&Use::Imap) && uses.contains(&Use::ReadOnly) {
        return Err(Trouble::usage("an app password is either for imap or for read-only"));
    }
    let account = account_name(&new.account);
    let world = world::system::without_dns();
    let mut random = [0; APP_PASSWORD_LETTERS];
    world.random.fill(&mut random);
    let password = auth::app_password(&random);
    let expires = life.map(|life| world.clock.unix() + i64::try_from(life.as_secs()).unwrap_or(i64::MAX / 2));
    Connection::with(global, async |server| {
        let call = call(server, &account, &password).await?;
        let uses: Vec<String> = uses.iter().map(ToString::to_string).collect();
        let call = AppPasswordCreate { name: new.name.clone(), uses: uses.clone(), expires, ..call };
        server.call(call).await?;
        let shown = password.reveal();
        let value = json!({ "account": account, "name": new.name, "password": shown, "uses": uses, "expires": expires });
        let sentence = format!("{shown}\nThis is the only time that it is shown. It is for: {}", uses.join(", "));
        output::done(global, &value, &sentence)
    })
    .await
}

/// What is kept of the password; what it is called and good for is for the caller to say.
async fn call(server: &Connection, account: &str, password: &Secret) -> Result<AppPasswordCreate, Trouble> {
    let salt = server.call(CredsSalt { name: account.to_owned() }).await?;
    let scram =
        verifier(password, ScramSalt { salt: salt.salt, iterations: salt.iterations, asked_with: None });
    let digest = auth::app_password_digest(password);
    Ok(AppPasswordCreate {
        account: account.to_owned(),
        name: String::new(),
        digest: digest.map(Vec::from).unwrap_or_default(),
        scram: scram.into(),
        uses: Vec::new(),
        expires: None,
    })
}

fn print(list: &[AppPasswordInfo], global: &Global) -> Result<(), Trouble> {
    let row = |one: &AppPasswordInfo| {
        let end = match (one.expires, one.has_expired) {
            (None, _) => "never".to_owned(),
            (Some(at), false) => output::time(at),
            (Some(_), true) => "has expired".to_owned(),
        };
        let used = one.used.map_or("never".to_owned(), output::time);
        vec![output::printable(&one.name), one.uses.join(", "), output::time(one.created), end, used]
    };
    output::list(
        global,
        list,
        &["name", "for", "created", "expires", "last used"],
        row,
        "there are no app passwords; make one with `maddy creds app-password create <account> <name>`",
    )
}

pub(crate) async fn certificate(command: &CertificateCommand, global: &Global) -> Result<(), Trouble> {
    match command {
        CertificateCommand::Add { account, name, file } => {
            let key = net::fingerprint_of_file(file).map_err(|error| Trouble::usage(error.to_string()))?;
            Connection::with(global, async |server| {
                let call = CertificateAdd { account: account.clone(), name: name.clone(), key: key.to_vec() };
                server.call(call).await?;
                let key: String = key.iter().map(|octet| format!("{octet:02x}")).collect();
                let sentence =
                    format!("{name} lets {} in where clients are asked for it", account_name(account));
                output::done(global, &json!({ "added": name, "key": key }), &sentence)
            })
            .await
        }
        CertificateCommand::List { account } => {
            Connection::with(global, async |server| {
                let list = server.call(CertificateList { account: account.clone() }).await?;
                print_certificates(&list, global)
            })
            .await
        }
        CertificateCommand::Remove { account, name } => {
            Connection::with(global, async |server| {
                let call = CertificateRemove { account: account.clone(), name: name.clone() };
                server.call(call).await?;
                let sentence = format!("{name} lets nobody in any more, and its sessions end");
                output::done(global, &json!({ "removed": name }), &sentence)
            })
            .await
        }
    }
}

fn print_certificates(list: &[CertificateInfo], global: &Global) -> Result<(), Trouble> {
    let row = |one: &CertificateInfo| {
        let used = one.used.map_or("never".to_owned(), output::time);
        vec![output::printable(&one.name), output::time(one.created), used, one.key.clone()]
    };
    output::list(
        global,
        list,
        &["name", "added", "last used", "key (SHA-256)"],
        row,
        "there are no certificates; add one with `maddy creds certificate add <account> <name> <file>`",
    )
}
