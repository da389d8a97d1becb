//! What a login that may only read cannot do: everything that is not known to change nothing.

use crate::client::Client;
use auth::Mailboxes;
use imap_proto::Response;
use imap_proto::command::{Access, Acl, Command};

/// The refusal of a command, if the login may not do it. A mailbox is then opened as EXAMINE does.
pub(crate) fn check(client: &Client, command: &mut Command) -> Result<(), Response> {
    if may_change(client) {
        return Ok(());
    }
    match command {
        Command::Select(select) => {
            select.access = Access::ReadOnly;
            Ok(())
        }
        command if reads(command) => Ok(()),
        _ => Err(refused()),
    }
}

/// Whether the login may change anything.
pub(crate) fn may_change(client: &Client) -> bool {
    client.account.as_ref().is_some_and(|account| account.scope.mailboxes == Mailboxes::Open)
}

pub(crate) fn refused() -> Response {
    Response::no("This login may only read.").word("NOPERM")
}

/// Commands that change nothing; those that are not named are refused. FETCH sets no flags in a mailbox that was opened
/// to be read, and CLOSE takes nothing away there.
fn reads(command: &Command) -> bool {
    matches!(
        command,
        Command::Noop
            | Command::Check
            | Command::Id(_)
            | Command::Enable
            | Command::Unauthenticate
            | Command::List(_)
            | Command::Lsub { .. }
            | Command::Namespace
            | Command::Status { .. }
            | Command::GetMetadata(_)
            | Command::Acl(Acl::Get { .. } | Acl::ListRights { .. } | Acl::MyRights { .. })
            | Command::Notify(_)
            | Command::GetQuota { .. }
            | Command::GetQuotaRoot { .. }
            | Command::Idle
            | Command::Close
            | Command::Unselect
            | Command::UidBatches(_)
            | Command::Search(_)
            | Command::MultiSearch(_)
            | Command::CancelUpdate(_)
            | Command::Sort(_)
            | Command::Thread(_)
            | Command::Fetch(_)
    )
}
