//! Commands that take their time: how far they have come, and that the client hears of it (RFC 9585).

use crate::client::{Client, Gone};
use imap_proto::response::Progress as Told;
use imap_proto::{Code, Response, Untagged};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a command has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    /// 0: it is not known.
    goal: AtomicU64,
}

impl Progress {
    /// So many are to be done.
    pub(crate) fn aim(&self, goal: usize) {
        self.goal.fetch_add(goal as u64, Ordering::Relaxed);
    }

    /// So many more are done.
    pub(crate) fn step(&self, count: usize) {
        self.done.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn told(&self, tag: &str) -> Told {
        let goal = self.goal.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed);
        // What is all done goes on with something that is not counted.
        Told { tag: tag.to_owned(), done: (goal > done).then_some((done, Some(goal))) }
    }
}

impl Client {
    /// Waits for work that needs nothing of the session. Meanwhile the client hears now and then how far it has come.
    pub(crate) async fn wait_for<T>(
        &mut self,
        progress: &Progress,
        work: impl Future<Output = T>,
    ) -> Result<T, Gone> {
        let mut work = pin!(work);
        let told = self.session.offers("INPROGRESS");
        loop {
            tokio::select! {
                biased;
                result = &mut work => return Ok(result),
                () = tokio::time::sleep(self.config.progress_interval), if told => {
                    let code = Code::InProgress(progress.told(self.session.tag()));
                    let line = Response::ok("This takes a while.").with(code);
                    // Only EXPUNGE can be too early.
                    let _ = self.session.tell(&Untagged::Status(line));
                    self.flush().await?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_grows_towards_a_goal_ahead() {
        let progress = Progress::default();
        let told = |progress: &Progress| progress.told("a").to_string();
        assert_eq!(told(&progress), "(\"a\" NIL NIL)");
        progress.aim(3);
        assert_eq!(told(&progress), "(\"a\" 0 3)");
        progress.step(2);
        assert_eq!(told(&progress), "(\"a\" 2 3)");
        progress.step(1);
        assert_eq!(told(&progress), "(\"a\" NIL NIL)");
        assert_eq!(progress.told("a]").to_string(), "(NIL NIL NIL)");
    }
}
