//! The queue's values as rows hold them.

use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::package::NewJob;
use crate::rows;
use crate::sql::Row;
use mail::{
    Address, Body, ByMode, Client, DeliverBy, MailParams, Notify, OriginalRecipient, Priority, Recipient,
    Release, Reply, Ret, ReversePath, Status,
};
use rusqlite::Connection;
use serde_json::{Value, json};

/// Writes the row of a job.
pub(crate) fn insert_job(
    connection: &Connection,
    id: JobId,
    job: &NewJob,
    size: u64,
    body: i64,
) -> Result<()> {
    let params = &job.envelope.params;
    let body_type = match params.body {
        Body::SevenBit => 0,
        Body::EightBitMime => 1,
        Body::BinaryMime => 2,
    };
    let ret = match params.ret {
        None => 0,
        Some(Ret::Full) => 1,
        Some(Ret::Headers) => 2,
    };
    let row = rusqlite::params![
        id.0,
        job.mail_id,
        job.envelope.from.to_string(),
        body_type,
        i64::from(params.utf8),
        ret,
        params.envid,
        i64::from(params.require_tls),
        job.arrived,
        size.cast_signed(),
        job.prefix,
        body,
        params.priority.get(),
        params.by.map(|by| by.seconds),
        params.by.map_or(0, by_mode),
        (job.due > job.arrived).then_some(job.due),
        job.client.as_ref().map(print_client),
        held_for(job)
    ];
    rows::write(
        connection,
        "INSERT INTO job (id, mail_id, sender, body_type, utf8, ret, envid, require_tls, arrived, size, prefix, body, \
             priority, by_seconds, by_mode, release_at, client, release_for) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        row,
    )
}

/// The seconds of HOLDFOR, where that is why it waits (RFC 4865 §3).
fn held_for(job: &NewJob) -> Option<u32> {
    match job.envelope.params.release {
        Some(Release::After(seconds)) if job.due > job.arrived => Some(seconds),
        _ => None,
    }
}

/// What the columns `release_at` and `release_for` say.
pub(crate) fn read_release(at: Option<i64>, after: Option<i64>) -> Option<Release> {
    let after = after.and_then(|seconds| u32::try_from(seconds).ok());
    after.map(Release::After).or(at.map(Release::At))
}

/// As JSON: address, port, the address and port of ours, what it called itself, its name, the login.
fn print_client(client: &Client) -> String {
    let here = client.here.map(|here| here.to_string());
    let Client { address, port, hello, extended, name, login, .. } = client;
    json!([address.to_string(), port, here, hello, extended, name, login]).to_string()
}

/// What cannot be read is not known: the message goes on all the same.
pub(crate) fn read_client(text: Option<&str>) -> Option<Client> {
    let value: Value = serde_json::from_str(text?).ok()?;
    let word = |at: usize| value.get(at).and_then(Value::as_str).map(str::to_owned);
    Some(Client {
        address: word(0)?.parse().ok()?,
        port: u16::try_from(value.get(1)?.as_u64()?).ok()?,
        here: word(2).and_then(|here| here.parse().ok()),
        hello: word(3),
        extended: value.get(4)?.as_bool()?,
        name: word(5),
        login: word(6),
    })
}

fn by_mode(by: DeliverBy) -> i64 {
    let mode = match by.mode {
        ByMode::Notify => 0,
        ByMode::Return => 1,
    };
    mode + 2 * i64::from(by.trace)
}

/// Writes the row of a recipient that waits.
pub(crate) fn insert_recipient(
    connection: &Connection,
    id: i64,
    job: JobId,
    recipient: &Recipient,
    (due, priority, lane): (i64, Priority, &str),
) -> Result<()> {
    let original = recipient.original.as_ref();
    let row = (
        id,
        job.0,
        recipient.address.to_string(),
        recipient.address.domain().as_str(),
        notify(recipient.notify),
        original.map(|original| &original.kind),
        original.map(|original| &original.address),
        due,
        priority.get(),
        lane,
    );
    rows::write(
        connection,
        "INSERT INTO job_recipient (id, job, address, domain, notify, orcpt_kind, orcpt, state, due, lease, \
             lease_until, attempts, priority, lane) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 0, 0, 0, ?9, ?10)",
        row,
    )
}

fn notify(notify: Notify) -> i64 {
    match notify {
        Notify::Default => 0,
        Notify::Never => 1,
        Notify::On { success, failure, delay } => {
            2 * i64::from(success) + 4 * i64::from(failure) + 8 * i64::from(delay)
        }
    }
}

fn read_notify(number: i64) -> Notify {
    match number {
        0 => Notify::Default,
        1 => Notify::Never,
        bits => Notify::On { success: bits & 2 != 0, failure: bits & 4 != 0, delay: bits & 8 != 0 },
    }
}

fn address(text: &str) -> Result<Address> {
    Address::parse(text).map_err(|error| Error::corrupt(format!("address {text:?} in the queue: {error}")))
}

/// Reads `sender, body_type, utf8, ret, envid, require_tls, priority, by_seconds, by_mode` from column `at` on.
pub(crate) fn read_sender(row: &Row, at: usize) -> Result<(ReversePath, MailParams)> {
    let sender = row.text(at)?;
    let from = if sender.is_empty() { ReversePath::Null } else { ReversePath::Address(address(sender)?) };
    let body = match row.try_get::<i64>(at + 1)? {
        0 => Body::SevenBit,
        1 => Body::EightBitMime,
        _ => Body::BinaryMime,
    };
    let ret = match row.try_get::<i64>(at + 3)? {
        0 => None,
        1 => Some(Ret::Full),
        _ => Some(Ret::Headers),
    };
    let (by, mode): (Option<i64>, i64) = (row.try_get(at + 7)?, row.try_get(at + 8)?);
    let params = MailParams {
        body,
        utf8: row.try_get::<i64>(at + 2)? != 0,
        ret,
        envid: row.try_get(at + 4)?,
        require_tls: row.try_get::<i64>(at + 5)? != 0,
        priority: Priority::new(row.try_get(at + 6)?).unwrap_or_default(),
        release: None,
        by: by.map(|seconds| DeliverBy {
            seconds,
            mode: if mode & 1 == 0 { ByMode::Notify } else { ByMode::Return },
            trace: mode & 2 != 0,
        }),
    };
    Ok((from, params))
}

/// Reads `address, notify, orcpt_kind, orcpt` from column `at` on.
pub(crate) fn read_recipient(row: &Row, at: usize) -> Result<Recipient> {
    let kind: Option<String> = row.try_get(at + 2)?;
    let original: Option<String> = row.try_get(at + 3)?;
    Ok(Recipient {
        address: address(row.text(at)?)?,
        notify: read_notify(row.try_get(at + 1)?),
        original: kind.zip(original).map(|(kind, address)| OriginalRecipient { kind, address }),
    })
}

/// Reads `last_code, last_status, last_text` from column `at` on.
pub(crate) fn read_reply(row: &Row, at: usize) -> Result<Option<Reply>> {
    let Some(code) = row.try_get::<Option<i64>>(at)? else { return Ok(None) };
    let status: Option<String> = row.try_get(at + 1)?;
    let text: Option<String> = row.try_get(at + 2)?;
    Ok(Some(Reply {
        code: u16::try_from(code).unwrap_or(451),
        status: status.as_deref().and_then(Status::parse),
        text: text.unwrap_or_default(),
    }))
}
