//! It does not matter in which pieces octets travel: all in one, or one by one.

use tests::{Chat, Imap, PASSWORD, Setup, assert_like, message};

fn session(text: &str) -> String {
    format!(
        "EHLO client.test\r\nMAIL FROM:<eve@remote.test>\r\nRCPT TO:<alice@example.org>\r\nRCPT TO:<nobody@example.org>\r\n\
         DATA\r\n{text}.\r\nMAIL FROM:<eve@remote.test>\r\nRCPT TO:<alice@example.org>\r\nBDAT 10\r\nFrom:e@e.tBDAT 10 LAST\r\n\
         \r\n\r\ntext\r\nQUIT\r\n"
    )
}

fn replies(mut chat: Chat) -> Vec<String> {
    let lines = chat.hear_rest();
    lines.into_iter().filter(|line| line.as_bytes()[3] == b' ').map(|line| line[..3].to_owned()).collect()
}

const WANTED: [&str; 12] =
    ["220", "250", "250", "250", "550", "354", "250", "250", "250", "250", "250", "221"];

#[test]
fn a_whole_session_in_one_piece_and_in_single_octets() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let text = message("eve@remote.test", "alice@example.org", "Pieces", ".dots\n..and more\n");
    let text = text.replace("\r\n.", "\r\n..");
    for piece in [usize::MAX, 1, 3] {
        let mut chat = Chat::connect(maddy.ports().smtp);
        for octets in session(&text).as_bytes().chunks(piece) {
            chat.send(octets);
        }
        let heard = replies(chat);
        assert_eq!(heard, WANTED, "{piece}");
    }
    let texts = maddy.imap("alice@example.org").texts("INBOX");
    assert_eq!(texts.len(), 6);
    for pair in texts.chunks(2) {
        assert!(pair[0].ends_with("\r\n\r\n.dots\r\n..and more\r\n\r\n"), "{}", pair[0]);
        assert!(pair[1].ends_with("From:e@e.t\r\n\r\ntext\r\n"), "{}", pair[1]);
    }
}

#[test]
fn imap_commands_come_in_any_pieces_too() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let commands = format!(
        "a LOGIN {{17+}}\r\nalice@example.org \"{PASSWORD}\"\r\nb SELECT INBOX\r\nc APPEND INBOX (\\Seen) {{5+}}\r\nhello\r\n\
         d FETCH 1 (FLAGS BODY[])\r\ne IDLE\r\ndone\r\nf LOGOUT\r\n"
    );
    for piece in [usize::MAX, 1, 2] {
        let mut chat = Chat::connect(maddy.ports().imap);
        for octets in commands.as_bytes().chunks(piece) {
            chat.send(octets);
        }
        let heard = chat.hear_rest();
        let results: Vec<&str> =
            heard.iter().filter(|line| !line.starts_with(['*', '+'])).map(String::as_str).collect();
        for (result, tag) in results.iter().filter(|line| line.get(1..2) == Some(" ")).zip("abcdef".chars()) {
            assert_like(result, &format!("{tag} OK*"));
        }
        assert!(heard.iter().any(|line| line.contains("FLAGS (") && line.contains("\\Seen")), "{heard:?}");
    }
    let mut alice: Imap = maddy.imap("alice@example.org");
    assert_eq!(alice.count("INBOX"), 3);
}
