//! REPLACE (RFC 8508): a message comes and another one goes, in one transaction.

use crate::error::{Error, Result};
use crate::ids::{MailboxId, Uid};
use crate::mailboxes;
use crate::message::{Appended, NewMessage};
use crate::moving;
use crate::package::{self, Package};
use crate::quota::Space;
use crate::store::Store;
use crate::uidset::UidSet;
use crate::writer::Tx;

impl Store {
    /// Appends `message` to one mailbox and takes the message `uid` out of another, which may be the same. `None`: there
    /// is no such message, and nothing was done. A quota counts what is left in the end (RFC 8508 §3.4), and keeps nobody
    /// from making it less. The mod-sequence is the newest of the account from which the message went.
    pub async fn replace(
        &self,
        to: MailboxId,
        message: NewMessage,
        from: MailboxId,
        uid: Uid,
    ) -> Result<Option<Appended>> {
        let (packages, room) = self.pack_appended(to, vec![message]).await?;
        let octets = packages.iter().map(Package::octets).sum();
        self.write_in(room, octets, move |tx| {
            Box::pin(async move { replace(tx, to, packages, (from, uid)).await })
        })
        .await
    }
}

async fn replace(
    tx: &mut Tx,
    to: MailboxId,
    mut packages: Vec<Package>,
    (from, uid): (MailboxId, Uid),
) -> Result<Option<Appended>> {
    let source = mailboxes::by_id(&tx.connection, from)?;
    let old = moving::read(tx, from, &UidSet::one(uid))?;
    if old.is_empty() {
        return Ok(None);
    }
    let target = mailboxes::by_id(&tx.connection, to)?;
    let freed: u64 = old.iter().map(moving::Found::octets).sum();
    let filings = packages.iter_mut().flat_map(|package| {
        let size = package.body.size;
        package.filings.iter_mut().map(move |filing| (size + filing.prefix.len() as u64, filing))
    });
    for (size, filing) in filings {
        if target.account == source.account && size <= freed {
            filing.space = Space::Granted;
        }
    }
    // Before the new one comes, which may need its room.
    let gone = mailboxes::touch(tx, source.account).await?;
    moving::take_away(tx, from, &old, gone).await?;
    let stored = package::store(tx, &[&packages]).await?;
    let accepted = stored.into_iter().next().unwrap_or_else(|| Err(Error::bug("no outcome")))?;
    let filed = accepted.iter().flat_map(|accepted| &accepted.filed).next();
    let filed = filed.ok_or_else(|| Error::bug("a replacement that was not filed"))?;
    let modseq = if filed.account == source.account { filed.modseq } else { gone };
    Ok(Some(Appended { uidvalidity: filed.uidvalidity, uids: vec![filed.uid], modseq }))
}
