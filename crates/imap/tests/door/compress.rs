//! COMPRESS (RFC 4978) over loopback, with a client that packs and unpacks by itself.

use crate::chat::Stage;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the client waits before the test fails.
const WAIT: Duration = Duration::from_secs(20);

struct Client {
    stream: TcpStream,
    layer: Option<(Compress, Decompress)>,
    heard: Vec<u8>,
    /// Octets as they came.
    received: usize,
}

impl Client {
    /// Logged in, in clear.
    async fn connect(stage: &Stage) -> Self {
        let stream = TcpStream::connect(stage.address).await.unwrap();
        let mut client = Self { stream, layer: None, heard: Vec::new(), received: 0 };
        client.until("* OK").await;
        client.say("l LOGIN alice@example.org secret\r\n", "l OK").await;
        client
    }

    async fn compress(&mut self) {
        self.say("z COMPRESS DEFLATE\r\n", "z OK Compression begins.\r\n").await;
        self.layer = Some((Compress::new(Compression::best(), false), Decompress::new(false)));
    }

    async fn say(&mut self, text: &str, wanted: &str) -> String {
        self.send(text).await;
        self.until(wanted).await
    }

    async fn send(&mut self, text: &str) {
        let octets = match &mut self.layer {
            None => text.as_bytes().to_vec(),
            Some((pack, _)) => {
                let mut out = Vec::with_capacity(text.len() + 1000);
                pack.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
                out
            }
        };
        self.stream.write_all(&octets).await.unwrap();
    }

    /// What is heard up to a line that begins with `wanted`.
    async fn until(&mut self, wanted: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.heard).into_owned();
            if text.ends_with("\r\n") && text.split_inclusive("\r\n").any(|line| line.starts_with(wanted)) {
                self.heard.clear();
                return text;
            }
            assert!(self.read().await, "closed; heard {text:?}");
        }
    }

    /// False at the end.
    async fn read(&mut self) -> bool {
        let mut buffer = vec![0; 4096];
        let n = tokio::time::timeout(WAIT, self.stream.read(&mut buffer)).await.unwrap().unwrap_or(0);
        self.received += n;
        let Some((_, unpack)) = &mut self.layer else {
            self.heard.extend_from_slice(&buffer[..n]);
            return n > 0;
        };
        let mut rest = &buffer[..n];
        loop {
            let before = unpack.total_in();
            self.heard.reserve(64 * 1024);
            unpack.decompress_vec(rest, &mut self.heard, FlushDecompress::Sync).unwrap();
            rest = &rest[usize::try_from(unpack.total_in() - before).unwrap()..];
            if rest.is_empty() && self.heard.len() < self.heard.capacity() {
                return n > 0;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_from_the_answer_on() {
    let stage = Stage::new().await;
    let mut client = Client::connect(&stage).await;
    let capability = client.say("a CAPABILITY\r\n", "a OK").await;
    assert!(capability.contains(" COMPRESS=DEFLATE "), "{capability}");
    client.compress().await;
    let capability = client.say("b CAPABILITY\r\n", "b OK").await;
    assert!(!capability.contains("COMPRESS"), "{capability}");
    let body = "A line of text that is much like all others.\r\n".repeat(20_000);
    let len = body.len();
    client.say(&format!("c APPEND INBOX {{{len}+}}\r\n{body}\r\n"), "c OK").await;
    client.say("d SELECT INBOX\r\n", "d OK").await;
    client.received = 0;
    let fetched = client.say("e FETCH 1 (BODY[])\r\n", "e OK").await;
    assert!(fetched.contains(&body));
    assert!(client.received * 10 < len, "{} octets came for {len}", client.received);
    // Still in step after many short bursts, and in IDLE.
    for _ in 0..100 {
        client.say("f NOOP\r\n", "f OK").await;
    }
    client.say("g IDLE\r\n", "+ idling").await;
    let mut other = Client::connect(&stage).await;
    other.say("a APPEND INBOX {5+}\r\nhello\r\n", "a OK").await;
    client.until("* 2 EXISTS").await;
    client.say("DONE\r\n", "g OK").await;
    client.say("h COMPRESS DEFLATE\r\n", "h BAD").await;
    client.say("i UNAUTHENTICATE\r\n", "* BYE").await;
}

/// Twenty kilobytes that are twenty megabytes: refused as any overlong command is.
#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_only_a_long_command() {
    let stage = Stage::new().await;
    let mut client = Client::connect(&stage).await;
    client.compress().await;
    let (pack, _) = client.layer.as_mut().unwrap();
    let mut bomb = Vec::with_capacity(1024 * 1024);
    pack.compress_vec(b"a NOOP ", &mut bomb, FlushCompress::None).unwrap();
    let zeros = vec![b'0'; 1024 * 1024];
    for _ in 0..20 {
        pack.compress_vec(&zeros, &mut bomb, FlushCompress::None).unwrap();
    }
    pack.compress_vec(b"\r\n", &mut bomb, FlushCompress::Sync).unwrap();
    assert!(bomb.len() < 40 * 1024, "{} octets", bomb.len());
    client.stream.write_all(&bomb).await.unwrap();
    client.until("a BAD The command is too long.").await;
    client.say("b NOOP\r\n", "b OK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_text_after_the_promise_ends_the_connection() {
    let stage = Stage::new().await;
    let mut client = Client::connect(&stage).await;
    client.compress().await;
    client.stream.write_all(b"a NOOP\r\nb NOOP\r\n").await.unwrap();
    while client.read().await {}
}
