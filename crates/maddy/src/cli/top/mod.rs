//! `top`: sessions, queue and rates of the running server, live on a terminal or once as text or JSON.

mod screen;
mod terminal;

use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use crate::overview::{OVERVIEW, Overview};
use clap::Args;
use screen::Shown;
use serde_json::Value;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};
use terminal::{Keys, Terminal};
use tokio::signal::unix::{SignalKind, signal};

/// Columns where it is shown once, whatever the terminal has.
const ONCE_WIDTH: usize = 120;

#[derive(Clone, Debug, Args)]
pub(crate) struct TopCommand {
    /// Show it once, as text; without a terminal always so
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=3600))]
    every: u16,
}

pub(crate) async fn run(command: &TopCommand, global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| {
        if global.json {
            return output::json(&look(server).await?);
        }
        if command.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            let shown = Shown::first(look(server).await?);
            return output::octets(shown.whole(ONCE_WIDTH).as_bytes());
        }
        watch(server, Duration::from_secs(u64::from(command.every))).await
    })
    .await
}

async fn look(server: &Connection) -> Result<Overview, Trouble> {
    let answer = server.ask_daemon(OVERVIEW, &Value::Null).await?;
    serde_json::from_value(answer).map_err(|error| Trouble::new(error.to_string()))
}

/// Until a key or a signal ends it. The terminal is as it was afterwards, however it ends.
async fn watch(server: &Connection, every: Duration) -> Result<(), Trouble> {
    let mut shown = Shown::first(look(server).await?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut terminal = Terminal::open()?;
    let mut keys = Keys::read();
    let mut at = Instant::now();
    loop {
        let (width, height) = terminal.size();
        terminal.draw(&shown.lines(width, height))?;
        let pause = every.saturating_sub(at.elapsed());
        tokio::select! {
            key = keys.next() => match key {
                // Whoever closes the terminal has seen enough.
                None | Some(b'q' | b'Q' | 3) => return Ok(()),
                Some(_) => {}
            },
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = resized.recv() => {}
            () = tokio::time::sleep(pause) => {
                let before = std::mem::replace(&mut at, Instant::now());
                // A server that is being restarted comes back.
                match look(server).await {
                    Ok(overview) => shown.next(overview, at.duration_since(before)),
                    Err(trouble) => shown.trouble = Some(trouble.to_string()),
                }
            }
        }
    }
}
