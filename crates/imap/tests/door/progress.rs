//! What a client hears while a command takes its time (RFC 9585).

use crate::chat::Stage;
use std::time::Duration;

/// Reads up to the end of the command with this tag; gives how often INPROGRESS came before it.
async fn notices(stage: &mut Stage, tag: &str) -> usize {
    let mut count = 0;
    loop {
        let line = stage.read_line("A").await.unwrap();
        if line.starts_with(&format!("{tag} OK")) {
            return count;
        }
        if let Some(notice) = line.strip_prefix("* OK [INPROGRESS (") {
            let (inside, text) = notice.split_once(")] ").unwrap();
            assert!(!text.is_empty(), "{line}");
            let words: Vec<&str> = inside.split(' ').collect();
            assert_eq!(words[0], format!("\"{tag}\""), "{line}");
            let number = |word: &str| word.parse::<u64>().ok();
            match (number(words[1]), number(words[2])) {
                (Some(done), Some(goal)) => assert!(done < goal, "{line}"),
                (None, None) => assert_eq!(words[1..], ["NIL", "NIL"], "{line}"),
                _ => panic!("{line}"),
            }
            count += 1;
        }
    }
}

/// How often a command is given until it was slow enough for a notice.
const TRIES: usize = 2000;

/// With no pause at all between notices, commands that wait for the store give some sooner or later.
#[tokio::test(flavor = "multi_thread")]
async fn long_commands_say_that_they_go_on() {
    let mut stage = Stage::configured(|config| config.progress_interval = Duration::ZERO).await;
    for subject in 0..50 {
        stage.play(&format!("! deliver INBOX Subject: {subject}\\r\\n\\r\\ntext")).await.unwrap();
    }
    stage.play("A: connect\nA: s SELECT INBOX").await.unwrap();
    notices(&mut stage, "s").await;
    for (tag, command) in [
        ("a", "SEARCH BODY text"),
        ("b", "UID SORT (SUBJECT) UTF-8 BODY text"),
        ("c", "THREAD REFS UTF-8 BODY text"),
        ("m", "ESEARCH IN (personal) BODY text"),
        ("n", "ESEARCH RETURN (COUNT) BODY text"),
        ("d", "COPY 1:50 Archive"),
        ("e", "APPEND Sent CATENATE (TEXT {3+}\\r\\nabc)"),
    ] {
        let mut heard = 0;
        for _ in 0..TRIES {
            stage.play(&format!("A: {tag} {command}")).await.unwrap();
            heard += notices(&mut stage, tag).await;
            if heard > 0 {
                break;
            }
        }
        assert!(heard > 0, "{command}");
    }
}

/// Who does not want it hears nothing, nor does who asks what is known at once.
#[tokio::test(flavor = "multi_thread")]
async fn short_commands_and_hidden_capabilities_say_nothing() {
    let hidden = imap::Capability::parse("inprogress").unwrap();
    let mut stage = Stage::configured(|config| {
        config.progress_interval = Duration::ZERO;
        config.hide = vec![hidden];
    })
    .await;
    stage.play("! deliver INBOX Subject: 1\\r\\n\\r\\ntext\nA: connect\nA: s SELECT INBOX").await.unwrap();
    assert_eq!(notices(&mut stage, "s").await, 0);
    for (tag, command) in [("a", "SEARCH BODY text"), ("b", "COPY 1 Archive"), ("c", "NOOP")] {
        stage.play(&format!("A: {tag} {command}")).await.unwrap();
        assert_eq!(notices(&mut stage, tag).await, 0, "{command}");
    }
}
