//! What mail programs send, in their order and their words (`programs/*.txt`): each command must be answered with OK.
//!
//! A line is a command, sent with a tag of its own. `~ text` is sent when `+` was heard, with CRLF. A line that is
//! indented must be among the lines of the answer, in this order; `…` stands for anything. `- text` must not begin any
//! line of it.

use crate::chat::{Stage, fits};
use std::path::Path;

/// Three messages, one of them rubbish.
const MAIL: &str = "! deliver INBOX From: Ann <ann@example.org>\\r\\nTo: alice@example.org\\r\\nSubject: one\\r\\n\
    Date: Thu, 01 Jan 2026 10:00:00 +0100\\r\\nMessage-ID: <1@example.org>\\r\\n\\r\\nhello\\r\\n\n\
    ! deliver INBOX From: Bob <bob@example.org>\\r\\nSubject: two\\r\\nMIME-Version: 1.0\\r\\n\
    Content-Type: multipart/mixed; boundary=b\\r\\n\\r\\n--b\\r\\n\\r\\ntext\\r\\n--b\\r\\n\
    Content-Type: message/rfc822\\r\\n\\r\\nSubject: inner\\r\\n\\r\\n\\r\\n--b--\\r\\n\n\
    ! deliver INBOX From: <>, @, \"\\r\\nTo: ;:,\\r\\nSubject: \\0 x\\r\\nContent-Type: multipart/mixed; boundary=\"\"\\r\\n\\r\\n";

/// A command, what is sent after it, and what must be among the answers.
#[derive(Default)]
struct Turn<'a> {
    command: &'a str,
    later: Vec<&'a str>,
    wanted: Vec<&'a str>,
    unwanted: Vec<&'a str>,
}

fn turns(text: &str) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let sort = line.split_at(2);
        match (sort, turns.last_mut()) {
            (("~ ", later), Some(turn)) => turn.later.push(later),
            (("  ", wanted), Some(turn)) => turn.wanted.push(wanted.trim_start()),
            (("- ", unwanted), Some(turn)) => turn.unwanted.push(unwanted),
            _ => turns.push(Turn { command: line, ..Turn::default() }),
        }
    }
    turns
}

async fn play(stage: &mut Stage, text: &str) -> Result<(), String> {
    stage.play(MAIL).await?;
    stage.play("A: dial").await?;
    for (at, turn) in turns(text).iter().enumerate() {
        let tag = format!("A{at:03}");
        stage.play(&format!("A: {tag} {}", turn.command)).await?;
        heard(stage, &tag, turn).await.map_err(|error| format!("{}: {error}", turn.command))?;
    }
    Ok(())
}

async fn heard(stage: &mut Stage, tag: &str, turn: &Turn<'_>) -> Result<(), String> {
    let (mut later, mut wanted) = (turn.later.iter(), turn.wanted.iter().peekable());
    loop {
        let line = stage.read_line("A").await?;
        if let Some(unwanted) = turn.unwanted.iter().find(|unwanted| line.starts_with(**unwanted)) {
            return Err(format!("heard {unwanted}: {line}"));
        }
        wanted.next_if(|wanted| fits(wanted, &line));
        if line.starts_with("+ ") {
            let text = later.next().ok_or("nothing is left to send")?;
            stage.play(&format!("A: {text}")).await?;
        }
        if let Some(end) = line.strip_prefix(tag) {
            return match wanted.next() {
                _ if !end.starts_with(" OK") => Err(format!("heard: {line}")),
                Some(missing) => Err(format!("not heard: {missing}")),
                None => Ok(()),
            };
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_programs_send_is_refused() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut failed = Vec::new();
    for path in &paths {
        let mut stage = Stage::new().await;
        let text = std::fs::read_to_string(path).unwrap();
        if let Err(error) = play(&mut stage, &text).await {
            failed.push(format!("{}: {error}", path.file_name().unwrap().to_string_lossy()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(paths.len() >= 9, "only {} programs were found", paths.len());
}
