//! One file per verb.

mod acl;
pub(crate) mod append;
mod batches;
mod catenate;
mod copy;
mod expunge;
pub(crate) mod fetch;
mod folder;
mod identify;
mod limit;
pub(crate) mod list;
pub(crate) mod login;
mod metadata;
mod multisearch;
mod quota;
mod resync;
mod search;
mod select;
mod sort;
mod status;
mod store;
pub(crate) mod updates;

use crate::client::{Client, Outcome};
use crate::notify;
use crate::reach::OTHERS;
use crate::scope;
use crate::selected::Selected;
use crate::view::Target;
use imap_proto::command::{By, Command};
use imap_proto::{Code, Response, Set, Untagged};
use storage::{DELIMITER, ModSeq, Way};
use world::meter::ImapVerb;

/// As what a command is measured.
pub(crate) fn verb(command: &Command) -> ImapVerb {
    match command {
        Command::Noop | Command::Check => ImapVerb::Noop,
        Command::Login { .. } => ImapVerb::Login,
        Command::Select(_) => ImapVerb::Select,
        Command::Create { .. }
        | Command::Delete { .. }
        | Command::Rename { .. }
        | Command::Subscribe { .. }
        | Command::Unsubscribe { .. } => ImapVerb::Folder,
        Command::List(_) | Command::Lsub { .. } => ImapVerb::List,
        Command::Status { .. } => ImapVerb::Status,
        Command::GetMetadata(_) | Command::SetMetadata(_) => ImapVerb::Metadata,
        Command::Acl(_) => ImapVerb::Acl,
        Command::Notify(_) => ImapVerb::Notify,
        Command::GetQuota { .. } | Command::GetQuotaRoot { .. } | Command::SetQuota { .. } => ImapVerb::Quota,
        Command::Close | Command::Unselect => ImapVerb::Close,
        Command::Expunge(_) => ImapVerb::Expunge,
        Command::Search(_) | Command::MultiSearch(_) => ImapVerb::Search,
        Command::Sort(_) | Command::Thread(_) => ImapVerb::Sort,
        Command::Fetch(_) => ImapVerb::Fetch,
        Command::Store(_) => ImapVerb::Store,
        Command::Copy { .. } => ImapVerb::Copy,
        Command::Move { .. } => ImapVerb::Move,
        Command::Id(_)
        | Command::Namespace
        | Command::Unauthenticate
        | Command::Enable
        | Command::UidBatches(_)
        | Command::CancelUpdate(_)
        | Command::Idle => ImapVerb::Other,
    }
}

/// Carries out a command that the session let through.
pub(crate) async fn run(client: &mut Client, mut command: Command) -> Outcome {
    let Some(account) = client.account_id() else { return Ok(before_login(client, command).await) };
    if let Err(refusal) = scope::check(client, &mut command) {
        return Ok(refusal);
    }
    Ok(match command {
        Command::Noop => Response::ok("Nothing was done."),
        Command::Check => Response::ok("Everything is on disk already."),
        Command::Id(pairs) => identify::run(client, &pairs),
        Command::Namespace => tell(client, Untagged::Namespace(DELIMITER, OTHERS), "That is all."),
        Command::Unauthenticate => {
            client.forget_login();
            Response::ok("Nobody is logged in now.")
        }
        Command::Enable => Response::ok("Enabled."),
        Command::Select(asked) => select::run(client, account, asked).await?,
        Command::Close => select::close(client).await,
        Command::Unselect => select::unselect(client),
        Command::Create { mailbox, uses } => folder::create(client, account, &mailbox, &uses).await,
        Command::Delete { mailbox } => folder::delete(client, &mailbox).await,
        Command::Rename { from, to } => folder::rename(client, account, &from, &to).await,
        Command::Subscribe { mailbox } => folder::subscribe(client, account, &mailbox).await,
        Command::Unsubscribe { mailbox } => folder::unsubscribe(client, account, &mailbox).await,
        Command::List(list) => list::run(client, account, list).await?,
        Command::Lsub { reference, pattern } => list::lsub(client, account, &reference, &pattern).await?,
        Command::Status { mailbox, items } => status::run(client, &mailbox, &items).await,
        Command::UidBatches(asked) => batches::run(client, &asked),
        Command::GetMetadata(asked) => metadata::get(client, account, asked).await,
        Command::SetMetadata(asked) => metadata::set(client, account, asked).await,
        Command::Notify(asked) => notify::run(client, account, asked).await?,
        Command::Acl(asked) => acl::run(client, asked).await,
        Command::GetQuota { root } => quota::get(client, account, &root).await,
        Command::GetQuotaRoot { mailbox } => quota::root(client, account, &mailbox).await,
        Command::SetQuota { .. } => quota::set(),
        Command::Expunge(set) => expunge::run(client, set.as_ref()).await,
        Command::Search(search) => search::run(client, search).await?,
        Command::MultiSearch(asked) => multisearch::run(client, account, asked).await?,
        Command::CancelUpdate(tags) => updates::cancel(client, &tags),
        Command::Sort(sort) => sort::sort(client, sort).await?,
        Command::Thread(thread) => sort::thread(client, thread).await?,
        Command::Fetch(fetch) => fetch::run(client, fetch).await?,
        Command::Store(store) => store::run(client, &store).await?,
        Command::Copy { set, by, mailbox } => copy::run(client, &set, by, &mailbox, Way::Copy).await?,
        Command::Move { set, by, mailbox } => copy::run(client, &set, by, &mailbox, Way::Move).await?,
        Command::Login { .. } | Command::Idle => Response::bad("This command does not belong here."),
    })
}

async fn before_login(client: &mut Client, command: Command) -> Response {
    match command {
        Command::Noop => Response::ok("Nothing was done."),
        Command::Id(pairs) => identify::run(client, &pairs),
        Command::Login { user, password } => login::run(client, &user, &password).await,
        _ => Response::bad("Log in first."),
    }
}

fn tell(client: &mut Client, untagged: Untagged, text: &'static str) -> Response {
    // Only EXPUNGE can be too early.
    let _ = client.session.tell(&untagged);
    Response::ok(text)
}

/// The messages that a command names, or why it cannot be carried out.
fn targets(selected: &Selected, set: &Set, by: By) -> Result<Vec<Target>, Response> {
    match by {
        By::Uid => Ok(selected.view.by_uid(set, &selected.saved)),
        By::Sequence => selected
            .view
            .by_number(set, &selected.saved)
            .ok_or_else(|| Response::bad("The mailbox has fewer messages than that.")),
    }
}

/// For states that the session does not let happen.
fn not_selected() -> Response {
    Response::bad("Select a mailbox first.")
}

/// How a command ends that did not find all the messages it was to work on: others expunged them, and the client
/// may not be told yet (RFC 5530 §3).
fn some_are_gone() -> Response {
    Response::ok("Done, but some of the messages are gone.").word("EXPUNGEISSUED")
}

/// With HIGHESTMODSEQ for those who know mod-sequences, after messages went (RFC 7162 §3.2.7).
fn with_modseq(client: &Client, response: Response, modseq: ModSeq) -> Response {
    if client.session.is_condstore() { response.with(Code::HighestModSeq(modseq)) } else { response }
}
