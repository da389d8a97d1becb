//! One conversation with a filter about one connection and its messages. The stream is handed in.

use super::packet::{CHUNK, Change, PACKET_MAX, Said, connect, macros, offer, packet, steps, texts};
use mail::{Reply, Status};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Most packets that a filter may send about one step: changes and signs of life.
const PACKETS_MAX: usize = 2000;

/// A connection to a filter.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// How long a filter may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the answer to a step of the envelope.
    pub step: Duration,
    /// For each answer about the content, and between two signs of life.
    pub content: Duration,
}

/// Who is at the other end of the SMTP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub ip: IpAddr,
    pub port: u16,
    /// Its name if it leads back to the address.
    pub name: Option<String>,
}

/// What a filter has decided, as far as it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Go,
    /// What was said is refused: with a 4xx or a 5xx reply.
    Refuse(Reply),
    /// The filter wants the message to vanish.
    Discard,
}

/// What becomes of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conclusion {
    pub changes: Vec<Change>,
    /// Why it is to be kept apart.
    pub quarantine: Option<String>,
}

/// Why a filter is of no use. All of these may pass.
#[derive(Debug)]
pub enum Trouble {
    Lost(std::io::Error),
    TimedOut(Duration),
    /// It does not speak the protocol.
    Garbled(&'static str),
    /// It said that it ends.
    Ending,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "the connection to the filter is lost: {error}"),
            Self::TimedOut(after) => write!(f, "the filter gave no answer within {} s", after.as_secs()),
            Self::Garbled(what) => write!(f, "the filter does not speak the protocol: {what}"),
            Self::Ending => f.write_str("the filter is about to end"),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error)
    }
}

/// A filter that listens to one SMTP connection.
pub struct Session {
    stream: Box<dyn Stream>,
    patience: Patience,
    steps: u32,
    /// It has accepted: the connection, or this message.
    accepted: Option<Accepted>,
    /// It has heard of a message whose end it has not heard.
    is_under_way: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    Connection,
    Message,
}

/// A step: its letter, the flag that says that it is not wanted, the flag that says that it is not answered.
#[derive(Clone, Copy)]
struct Step {
    letter: u8,
    unwanted: u32,
    silent: u32,
    of: Accepted,
}

const CONNECT: Step = Step {
    letter: b'C',
    unwanted: steps::NO_CONNECT,
    silent: steps::SILENT_CONNECT,
    of: Accepted::Connection,
};
const HELO: Step =
    Step { letter: b'H', unwanted: steps::NO_HELO, silent: steps::SILENT_HELO, of: Accepted::Connection };
const MAIL: Step =
    Step { letter: b'M', unwanted: steps::NO_MAIL, silent: steps::SILENT_MAIL, of: Accepted::Message };
const RCPT: Step =
    Step { letter: b'R', unwanted: steps::NO_RCPT, silent: steps::SILENT_RCPT, of: Accepted::Message };
const DATA: Step =
    Step { letter: b'T', unwanted: steps::NO_DATA, silent: steps::SILENT_DATA, of: Accepted::Message };
const HEADER: Step =
    Step { letter: b'L', unwanted: steps::NO_HEADER, silent: steps::SILENT_HEADER, of: Accepted::Message };
const END_OF_HEADER: Step = Step {
    letter: b'N',
    unwanted: steps::NO_END_OF_HEADER,
    silent: steps::SILENT_END_OF_HEADER,
    of: Accepted::Message,
};
const BODY: Step =
    Step { letter: b'B', unwanted: steps::NO_BODY, silent: steps::SILENT_BODY, of: Accepted::Message };

impl Session {
    /// Agrees on what is said.
    pub async fn open(stream: Box<dyn Stream>, patience: Patience) -> Result<Self, Trouble> {
        let mut session = Self { stream, patience, steps: 0, accepted: None, is_under_way: false };
        session.send(&offer(), patience.step).await?;
        match session.hear(patience.step).await? {
            Said::Options { version, .. } if version < 2 => Err(Trouble::Garbled("its version is too old")),
            Said::Options { steps, .. } if steps & !steps::KNOWN != 0 => {
                Err(Trouble::Garbled("it wants steps that were not offered"))
            }
            Said::Options { steps, .. } => {
                session.steps = steps;
                Ok(session)
            }
            _ => Err(Trouble::Garbled("it does not begin with its options")),
        }
    }

    /// Who connected to us, `hostname`.
    pub async fn connect(&mut self, client: &Client, hostname: &str) -> Result<Decision, Trouble> {
        let shown = client.name.clone().unwrap_or_else(|| format!("[{}]", client.ip));
        let values = [
            ("j", hostname.to_owned()),
            ("_", format!("{shown} [{}]", client.ip)),
            ("{client_addr}", client.ip.to_string()),
            ("{client_port}", client.port.to_string()),
            ("{client_name}", client.name.clone().unwrap_or_else(|| "unknown".to_owned())),
            ("{daemon_name}", hostname.to_owned()),
            ("v", concat!("maddy ", env!("CARGO_PKG_VERSION")).to_owned()),
        ];
        self.told(CONNECT, &values, &connect(&shown, client.ip, client.port)).await
    }

    pub async fn hello(&mut self, name: &str) -> Result<Decision, Trouble> {
        self.told(HELO, &[], &packet(b'H', &texts([name.as_bytes()]))).await
    }

    /// A message begins: its id, its sender (empty for the null path), the parameters of MAIL.
    pub async fn mail(&mut self, id: &str, from: &str, params: &[String]) -> Result<Decision, Trouble> {
        // Libmilter hangs up on a message that begins within another, be it refused, accepted or dropped.
        self.abort().await?;
        self.is_under_way = self.accepted.is_none();
        let path = format!("<{from}>");
        let all = [path.as_bytes()].into_iter().chain(params.iter().map(String::as_bytes));
        let values = [("i", id.to_owned()), ("{mail_addr}", from.to_owned())];
        self.told(MAIL, &values, &packet(b'M', &texts(all))).await
    }

    /// A recipient. A refusal is about this one alone.
    pub async fn rcpt(&mut self, to: &str) -> Result<Decision, Trouble> {
        let path = format!("<{to}>");
        self.told(RCPT, &[("{rcpt_addr}", to.to_owned())], &packet(b'R', &texts([path.as_bytes()]))).await
    }

    /// The message is about to come.
    pub async fn data(&mut self) -> Result<Decision, Trouble> {
        self.told(DATA, &[], &packet(b'T', &[])).await
    }

    /// One field of the header: the value as it stands behind the colon, lines parted by LF.
    pub async fn field(&mut self, name: &[u8], value: &[u8]) -> Result<Decision, Trouble> {
        let mut value: Vec<u8> = value.iter().copied().filter(|octet| *octet != b'\r').collect();
        if value.last() == Some(&b'\n') {
            value.pop();
        }
        if self.steps & steps::LEADING_SPACE == 0 && value.first() == Some(&b' ') {
            value.remove(0);
        }
        self.told(HEADER, &[], &packet(b'L', &texts([name, &value]))).await
    }

    pub async fn end_of_header(&mut self) -> Result<Decision, Trouble> {
        self.told(END_OF_HEADER, &[], &packet(b'N', &[])).await
    }

    /// More of the body. `false` if no more is wanted.
    pub async fn body(&mut self, octets: &[u8]) -> Result<(Decision, bool), Trouble> {
        for chunk in octets.chunks(CHUNK) {
            if !self.wants(BODY) {
                return Ok((Decision::Go, false));
            }
            self.send(&packet(b'B', chunk), self.patience.content).await?;
            if self.steps & BODY.silent != 0 {
                continue;
            }
            match self.hear_sign(self.patience.content).await? {
                Said::Skip => return Ok((Decision::Go, false)),
                said => match self.decided(BODY, said)? {
                    Decision::Go => {}
                    other => return Ok((other, false)),
                },
            }
        }
        Ok((Decision::Go, self.wants(BODY)))
    }

    /// The message is whole: what is to be changed, and the decision.
    pub async fn end(&mut self) -> Result<(Decision, Conclusion), Trouble> {
        let mut conclusion = Conclusion::default();
        if self.accepted.is_some() {
            return Ok((Decision::Go, conclusion));
        }
        self.send(&packet(b'E', &[]), self.patience.content).await?;
        for _ in 0..PACKETS_MAX {
            match self.hear(self.patience.content).await? {
                Said::Change(change) => conclusion.changes.push(change),
                Said::Quarantine(reason) => conclusion.quarantine = Some(readable(&reason)),
                Said::Progress | Said::Unasked(_) => {}
                said => {
                    let decision = self.decided(BODY, said)?;
                    self.is_under_way = false;
                    // The next message on this connection is asked about anew.
                    if self.accepted == Some(Accepted::Message) {
                        self.accepted = None;
                    }
                    return Ok((decision, conclusion));
                }
            }
        }
        Err(Trouble::Garbled("it does not come to an end"))
    }

    /// The message is not to come after all, or nothing more is said of it.
    pub async fn abort(&mut self) -> Result<(), Trouble> {
        if self.accepted == Some(Accepted::Message) {
            self.accepted = None;
        }
        if !std::mem::take(&mut self.is_under_way) {
            return Ok(());
        }
        self.send(&packet(b'A', &[]), self.patience.step).await
    }

    /// The connection is over.
    pub async fn quit(mut self) {
        // Nothing depends on it.
        let _ = self.send(&packet(b'Q', &[]), self.patience.step).await;
    }

    fn wants(&self, step: Step) -> bool {
        self.accepted.is_none() && self.steps & step.unwanted == 0
    }

    /// Says one step and hears the answer, unless it is not wanted or not answered.
    async fn told(
        &mut self,
        step: Step,
        values: &[(&str, String)],
        octets: &[u8],
    ) -> Result<Decision, Trouble> {
        if !self.wants(step) {
            return Ok(Decision::Go);
        }
        let mut out = if values.is_empty() { Vec::new() } else { macros(step.letter, values) };
        out.extend_from_slice(octets);
        self.send(&out, self.patience.step).await?;
        if self.steps & step.silent != 0 {
            return Ok(Decision::Go);
        }
        let said = self.hear_sign(self.patience.step).await?;
        self.decided(step, said)
    }

    fn decided(&mut self, step: Step, said: Said) -> Result<Decision, Trouble> {
        Ok(match said {
            Said::Continue | Said::Skip => Decision::Go,
            Said::Accept => {
                self.accepted = Some(step.of);
                Decision::Go
            }
            Said::Reject => {
                Decision::Refuse(Reply::new(550, Status::permanent(7, 1), "A filter refuses this"))
            }
            Said::Tempfail => {
                Decision::Refuse(Reply::new(451, Status::transient(7, 1), "A filter asks to try again later"))
            }
            Said::Discard => {
                self.accepted = Some(step.of);
                Decision::Discard
            }
            Said::Reply(text) => Decision::Refuse(reply(&text)),
            Said::Shutdown => return Err(Trouble::Ending),
            _ => return Err(Trouble::Garbled("an answer that was not asked for")),
        })
    }

    async fn send(&mut self, octets: &[u8], patience: Duration) -> Result<(), Trouble> {
        let sent = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        Ok(timeout(patience, sent).await.map_err(|_| Trouble::TimedOut(patience))??)
    }

    /// The next answer that is no mere sign of life.
    async fn hear_sign(&mut self, patience: Duration) -> Result<Said, Trouble> {
        for _ in 0..PACKETS_MAX {
            match self.hear(patience).await? {
                Said::Progress => {}
                said => return Ok(said),
            }
        }
        Err(Trouble::Garbled("it does not come to an end"))
    }

    async fn hear(&mut self, patience: Duration) -> Result<Said, Trouble> {
        let heard = async {
            let length = usize::try_from(self.stream.read_u32().await?).unwrap_or(usize::MAX);
            if length == 0 || length > PACKET_MAX {
                return Err(Trouble::Garbled("a packet of a length that none has"));
            }
            let mut octets = vec![0; length];
            self.stream.read_exact(&mut octets).await?;
            Said::read(&octets).map_err(|_| Trouble::Garbled("a packet that cannot be read"))
        };
        timeout(patience, heard).await.map_err(|_| Trouble::TimedOut(patience))?
    }
}

/// `550 5.7.1 text`, of a stranger's making; lines beyond the first are joined.
fn reply(text: &[u8]) -> Reply {
    let text = readable(text);
    let (code, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let Some(code) = code.parse::<u16>().ok().filter(|code| (400..600).contains(code)) else {
        return Reply::new(550, Status::permanent(7, 1), "A filter refuses this");
    };
    let fits = |status: &Status| status.to_string().starts_with(if code < 500 { '4' } else { '5' });
    match rest.split_once(' ').and_then(|(head, tail)| Some((Status::parse(head).filter(fits)?, tail))) {
        Some((status, tail)) => Reply::new(code, status, tail),
        None if code < 500 => Reply::new(code, Status::transient(7, 1), rest),
        None => Reply::new(code, Status::permanent(7, 1), rest),
    }
}

/// Printable ASCII of at most 300 octets, blanks joined.
fn readable(text: &[u8]) -> String {
    let text: String = text
        .iter()
        .take(300)
        .map(|octet| if matches!(octet, 33..=126) { char::from(*octet) } else { ' ' })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_filters() {
        for (text, want) in [
            ("550 5.7.1 Not you", "550 5.7.1 Not you"),
            ("451 4.7.1 Later", "451 4.7.1 Later"),
            ("550 Not you", "550 5.7.1 Not you"),
            ("450 4.2.2", "450 4.7.1 4.2.2"),
            ("550 4.7.1 mixed", "550 5.7.1 4.7.1 mixed"),
            ("250 2.0.0 fine", "550 5.7.1 A filter refuses this"),
            ("nonsense", "550 5.7.1 A filter refuses this"),
            ("550 5.7.1 a\r\n250 b\0", "550 5.7.1 a 250 b"),
        ] {
            assert_eq!(reply(text.as_bytes()).to_string(), want, "{text:?}");
        }
    }
}
