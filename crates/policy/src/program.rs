//! A program of the administrator's that looks at a message: the message on its input, the verdict as its exit status.

use mail::Message;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Most octets of header fields that are taken from a program.
pub const OUTPUT_MAX: usize = 64 * 1024;
/// Octets of the message that are handed over at once.
const PIECE: usize = 64 * 1024;
/// Pieces that wait for a program that reads slowly.
const PIECES: usize = 4;

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
    /// From its start to its end; then it is killed.
    pub patience: Duration,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub status: u8,
    /// What it wrote: header fields, one a line.
    pub output: Vec<u8>,
}

/// Runs a program: no shell, an environment of the given variables and `PATH`, standard error of the daemon's.
///
/// The error says why there is no exit status: it could not be started, ran too long, was killed, or wrote too much.
pub async fn run(
    program: &Program,
    variables: &[(&str, String)],
    message: &Message,
) -> Result<Ended, String> {
    let mut child = start(program, variables)
        .map_err(|error| format!("{} cannot be run: {error}", program.path.display()))?;
    match tokio::time::timeout(program.patience, attend(&mut child, message.clone())).await {
        Ok(ended) => ended.map_err(|error| format!("{}: {error}", program.path.display())),
        // Dropping the child kills it.
        Err(_) => {
            Err(format!("{} did not end within {} s", program.path.display(), program.patience.as_secs()))
        }
    }
}

fn start(program: &Program, variables: &[(&str, String)]) -> io::Result<Child> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Command::new(&program.path)
        .args(&program.arguments)
        .env_clear()
        .env("PATH", path)
        // A NUL cannot stand in an environment, and a client may send one in HELO.
        .envs(variables.iter().map(|(name, value)| (*name, value.replace('\0', "?"))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
}

/// Feeds the message, takes the output, and waits for the end. A program may end without having read everything.
async fn attend(child: &mut Child, message: Message) -> io::Result<Ended> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("it has no input and output"));
    };
    let feed = async move {
        let mut pieces = read(message);
        while let Some(piece) = pieces.recv().await {
            if input.write_all(&piece?).await.is_err() {
                break;
            }
        }
        drop(input);
        Ok::<_, io::Error>(())
    };
    let take = async move {
        let mut all = Vec::new();
        output.take(OUTPUT_MAX as u64 + 1).read_to_end(&mut all).await?;
        if all.len() > OUTPUT_MAX {
            return Err(io::Error::other(format!("it wrote more than {OUTPUT_MAX} octets")));
        }
        Ok(all)
    };
    let ((), output) = tokio::try_join!(feed, take)?;
    let status = child.wait().await?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match code {
        Some(status) => Ok(Ended { status, output }),
        None => Err(io::Error::other(format!("it was killed ({status})"))),
    }
}

/// The message in pieces, read where reading may block.
fn read(message: Message) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (give, take) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut reader = message.reader();
        let mut piece = vec![0; PIECE];
        loop {
            let next = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(octets) => Ok(piece[..octets].to_vec()),
                Err(error) => Err(error),
            };
            let is_last = next.is_err();
            // Nobody takes it any more: the program has ended.
            if give.blocking_send(next).is_err() || is_last {
                return;
            }
        }
    });
    take
}

/// The header fields in a program's output: lines with a name and a colon, continued by lines that begin with a
/// blank. The error names the first line that is neither.
pub fn fields(output: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(output).map_err(|_| "its output is no UTF-8".to_owned())?;
    let mut fields: Vec<String> = Vec::new();
    for line in text.lines().map(|line| line.trim_end()).filter(|line| !line.is_empty()) {
        let bad = || format!("this line of its output is no header field: {}", line.escape_debug());
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(bad());
        }
        if line.starts_with([' ', '\t']) {
            fields.last_mut().ok_or_else(bad)?.push_str(&format!("{line}\r\n"));
            continue;
        }
        let (name, _) = line.split_once(':').ok_or_else(bad)?;
        if name.is_empty() || !name.bytes().all(|octet| matches!(octet, 33..=126)) {
            return Err(bad());
        }
        fields.push(format!("{line}\r\n"));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Blob;

    fn shell(script: &str, seconds: u64) -> Program {
        Program {
            path: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            patience: Duration::from_secs(seconds),
        }
    }

    async fn ran(script: &str, message: &[u8]) -> Result<Ended, String> {
        let message = Message::new(Blob::from_bytes(message.to_vec()));
        run(&shell(script, 60), &[("MADDY_SENDER", "a@b.example\0".to_owned())], &message).await
    }

    #[tokio::test]
    async fn it_reads_the_message_and_says_what_it_thinks() {
        let ended =
            ran("echo \"X-Who: $MADDY_SENDER$HOME\"; wc -c | sed 's/^/X-Size: /'; exit 3", b"abc").await;
        let ended = ended.unwrap();
        assert_eq!(ended.status, 3);
        assert_eq!(fields(&ended.output).unwrap(), ["X-Who: a@b.example?\r\n", "X-Size: 3\r\n"]);
    }

    #[tokio::test]
    async fn it_need_not_read_at_all() {
        let long = vec![b'x'; 4 * 1024 * 1024];
        assert_eq!(ran("exit 0", &long).await, Ok(Ended { status: 0, output: Vec::new() }));
        let ended = ran("cat >/dev/null; exit 1", &long).await.unwrap();
        assert_eq!(ended.status, 1);
    }

    #[tokio::test]
    async fn trouble_is_told() {
        let message = Message::new(Blob::from_bytes(b"x".to_vec()));
        let missing = Program { path: "/nonexistent/check".into(), ..shell("", 1) };
        for (result, want) in [
            (run(&missing, &[], &message).await, "/nonexistent/check cannot be run: "),
            (ran("kill -9 $$", b"").await, "/bin/sh: it was killed"),
            (ran("head -c 70000 /dev/zero", b"").await, "/bin/sh: it wrote more than 65536 octets"),
            (run(&shell("sleep 60", 1), &[], &message).await, "/bin/sh did not end within 1 s"),
        ] {
            let error = result.unwrap_err();
            assert!(error.starts_with(want), "{error}");
        }
    }

    #[test]
    fn output_is_fields_or_nothing() {
        assert_eq!(fields(b"A: 1\n more\n\nB:2\r\n").unwrap(), ["A: 1\r\n more\r\n", "B:2\r\n"]);
        for bad in [&b"no field\n"[..], b" first\n", b"A B: 1\n", b": 1\n", b"A: \x1b[0m\n", b"A: \xff\n"] {
            assert!(fields(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
