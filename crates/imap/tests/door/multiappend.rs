//! MULTIAPPEND at its limits (RFC 3502): ten thousand messages are one transaction, one more is too many.

use crate::chat::Stage;

const MANY: usize = 10_000;

/// Small messages, with some large ones among them that lie in files while they wait.
fn text(number: usize) -> String {
    let long = if number % 1000 == 999 { 300_000 } else { 120 };
    format!("Subject: {number}\r\n\r\n{}", "x".repeat(long))
}

fn append(count: usize) -> String {
    let literal = |number| {
        let text = text(number);
        format!(" {{{}+}}\r\n{text}", text.len())
    };
    let messages: String = (1..=count).map(literal).collect();
    format!("a APPEND Drafts{messages}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_are_one_transaction() {
    let mut stage = Stage::configured(|_| {}).await;
    stage.play("A: connect").await.unwrap();
    let before = stage.store.commits();
    stage.send("A", append(MANY).as_bytes()).await.unwrap();
    let answer = stage.read_line("A").await.unwrap();
    assert!(answer.starts_with("a OK [APPENDUID ") && answer.contains(" 1:10000]"), "{answer}");
    // Besides it only what is collected in the background.
    assert!(stage.store.commits() <= before + 2);
    for number in [1, 999, 1000, 5000, MANY] {
        let account = stage.store.account("alice@example.org").await.unwrap().unwrap().id;
        let drafts = stage.store.mailbox(account, "Drafts").await.unwrap();
        assert_eq!(drafts.messages as usize, MANY);
        let message = stage.store.message(drafts.id, number as u32).await.unwrap().unwrap();
        assert!(message.to_vec().unwrap() == text(number).as_bytes(), "{number}");
    }
    stage.send("A", append(MANY + 1).as_bytes()).await.unwrap();
    let answer = stage.read_line("A").await.unwrap();
    assert!(answer.starts_with("a NO [LIMIT] "), "{answer}");
    stage
        .play("A: b STATUS Drafts (MESSAGES)\nA< * STATUS \"Drafts\" (MESSAGES 10000)\nA< b OK …")
        .await
        .unwrap();
}

/// What has come and waits is bounded for each account; what was only announced takes no room.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_an_account_share_the_room_for_what_comes() {
    let change = |config: &mut imap::Config| {
        (config.append_limit, config.max_in_transit) = (40_000, 100_000);
    };
    let mut stage = Stage::configured(change).await;
    stage.play("A: connect\nB: connect").await.unwrap();
    stage.send("A", b"a APPEND Drafts {29000}\r\n").await.unwrap();
    assert!(stage.read_line("A").await.unwrap().starts_with('+'));
    stage.send("A", format!("{} {{1000}}\r\n", "x".repeat(29_000)).as_bytes()).await.unwrap();
    assert!(stage.read_line("A").await.unwrap().starts_with('+'));
    stage.play("B: b APPEND Drafts {12000}\nB< b NO [UNAVAILABLE] Your sessions …").await.unwrap();
    let whole = |tag: &str| format!("{tag} APPEND Drafts {{12000+}}\r\n{}\r\n", "x".repeat(12_000));
    stage.send("B", whole("c").as_bytes()).await.unwrap();
    stage.play("B< c NO [UNAVAILABLE] Your sessions …\nB: d NOOP\nB< d OK …").await.unwrap();
    // There would be room for the one or the other.
    stage.send("B", b"e APPEND Drafts {10500}\r\n").await.unwrap();
    assert!(stage.read_line("B").await.unwrap().starts_with('+'));
    stage.send("A", format!("{}\r\n", "x".repeat(1000)).as_bytes()).await.unwrap();
    stage.play("A< a OK [APPENDUID …").await.unwrap();
    stage.send("B", format!("{}\r\n", "x".repeat(10_500)).as_bytes()).await.unwrap();
    stage.play("B< e OK [APPENDUID …").await.unwrap();
    stage.send("B", whole("f").as_bytes()).await.unwrap();
    stage.play("B< f OK [APPENDUID …").await.unwrap();
}
