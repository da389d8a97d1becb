//! `imap-acct reindex`: the search index is made anew, and the command waits for it.

use crate::admin::{AcctIndex, AcctReindex, IndexInfo, account_name};
use crate::cli::args::Global;
use crate::cli::import::Progress;
use crate::cli::{Connection, Trouble, output};
use std::time::Duration;

/// How often it is asked how far the index is.
const ASK_AGAIN: Duration = Duration::from_millis(300);
/// After so many times without a message more something is wrong.
const NO_PROGRESS_MAX: u32 = 400;

pub(crate) async fn reindex(server: &Connection, typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = account_name(typed);
    server.call(AcctReindex { name: name.clone() }).await?;
    let (mut before, mut without) = (0, 0);
    let mut progress = Progress::start(global);
    loop {
        tokio::time::sleep(ASK_AGAIN).await;
        let info: IndexInfo = server.call(AcctIndex { name: name.clone() }).await?;
        if info.indexed >= info.messages {
            progress.end();
            let size = output::size(info.size);
            let sentence = format!("the search index of {name} has {} messages, {size}", info.indexed);
            return output::done(global, &info, &sentence);
        }
        without = if info.indexed > before { 0 } else { without + 1 };
        if without > NO_PROGRESS_MAX {
            progress.end();
            return Err(Trouble::new("the index does not grow; the log says why"));
        }
        progress.bar(info.indexed, info.messages, &format!("{} of {} messages", info.indexed, info.messages));
        before = info.indexed;
    }
}
