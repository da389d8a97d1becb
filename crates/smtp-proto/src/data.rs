//! The content of DATA: dots and line ends (RFC 5321 §4.5.2). Beside `wire::take_line` the only place that
//! looks at CR and LF, so that no two readers can differ about where a message ends.

use mail::{Reply, Status};

/// A CR or an LF that stands alone (RFC 5321 §2.3.8). Such content is refused whole: other servers might read
/// a line end there, and one message would become two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    Cr,
    Lf,
}

impl Bare {
    pub fn reply(self) -> Reply {
        let text = match self {
            Self::Cr => "The message has a CR without LF; send lines that end in CRLF",
            Self::Lf => "The message has an LF without CR; send lines that end in CRLF",
        };
        Reply::new(550, Status::permanent(6, 0), text)
    }
}

/// How far [`Decoder::decode`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Octets of the input that belong to the message or its end.
    pub used: usize,
    /// The message has ended.
    pub end: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Behind CRLF, or at the very start.
    Line,
    Text,
    /// Behind a CR, which has not been handed out.
    Cr,
    /// Behind a dot that began a line.
    Dot,
    /// Behind CRLF, dot, CR.
    DotCr,
}

/// Takes the dots off and finds the end: CRLF, dot, CRLF and nothing else.
///
/// After a bare CR or LF nothing more is handed out, but the decoder goes on to the true end.
#[derive(Debug)]
pub struct Decoder {
    at: At,
    fault: Option<Bare>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Starts as if behind a CRLF: the one of the DATA command (RFC 5321 §4.1.1.4).
    pub fn new() -> Self {
        Self { at: At::Line, fault: None }
    }

    /// What makes the message unacceptable, if it is.
    pub fn fault(&self) -> Option<Bare> {
        self.fault
    }

    /// Decodes `input` up to the end of the message, and appends what it means to `out`: at most one octet
    /// more than `input` has.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Decoded {
        let mut used = 0;
        while let Some(octet) = input.get(used) {
            if self.at == At::Text {
                let run = text_run(&input[used..]);
                self.emit(&input[used..used + run], out);
                used += run;
                if run > 0 {
                    continue;
                }
            }
            used += 1;
            if self.take(*octet, out) {
                return Decoded { used, end: true };
            }
        }
        Decoded { used, end: false }
    }

    /// One octet; true at the end of the message.
    fn take(&mut self, octet: u8, out: &mut Vec<u8>) -> bool {
        self.at = match (self.at, octet) {
            (At::DotCr, b'\n') => return true,
            (At::Cr, b'\n') => {
                self.emit(b"\r\n", out);
                At::Line
            }
            (At::Cr | At::DotCr, _) => {
                self.fault.get_or_insert(Bare::Cr);
                if octet == b'\r' { At::Cr } else { At::Text }
            }
            (_, b'\n') => {
                self.fault.get_or_insert(Bare::Lf);
                At::Text
            }
            (At::Dot, b'\r') => At::DotCr,
            (At::Line | At::Text, b'\r') => At::Cr,
            (At::Line, b'.') => At::Dot,
            // Behind a dot at the start of a line: the dot was stuffed, this octet was not
            // (RFC 5321 §4.5.2).
            (At::Line | At::Dot | At::Text, other) => {
                self.emit(&[other], out);
                At::Text
            }
        };
        false
    }

    fn emit(&self, octets: &[u8], out: &mut Vec<u8>) {
        if self.fault.is_none() {
            out.extend_from_slice(octets);
        }
    }
}

/// Length of the front of `input` that has neither CR nor LF.
fn text_run(input: &[u8]) -> usize {
    input.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(input.len())
}

/// Puts the dots on. Changes nothing else: content with a bare CR or LF is refused, not mended.
#[derive(Debug)]
pub struct Encoder {
    at: At,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    pub fn new() -> Self {
        Self { at: At::Line }
    }

    /// Appends `input` to `out`, with dots doubled at the start of lines. After an error `out` must not be sent.
    pub fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Bare> {
        let mut rest = input;
        while let Some((octet, tail)) = rest.split_first() {
            match (self.at, octet) {
                (At::Cr, b'\n') => self.at = At::Line,
                (At::Cr, _) => return Err(Bare::Cr),
                (_, b'\n') => return Err(Bare::Lf),
                (_, b'\r') => self.at = At::Cr,
                (at, octet) => {
                    if at == At::Line && *octet == b'.' {
                        out.push(b'.');
                    }
                    let run = text_run(rest);
                    out.extend_from_slice(&rest[..run]);
                    rest = &rest[run..];
                    self.at = At::Text;
                    continue;
                }
            }
            out.push(*octet);
            rest = tail;
        }
        Ok(())
    }

    /// Appends the end. A last line without CRLF gets one: DATA cannot say that there is none.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), Bare> {
        match self.at {
            At::Cr => return Err(Bare::Cr),
            At::Line => {}
            _ => out.extend_from_slice(b"\r\n"),
        }
        out.extend_from_slice(b".\r\n");
        Ok(())
    }
}

/// Looks for bare CR and LF in content that comes in chunks (RFC 3030), where only BODY=BINARYMIME allows them.
#[derive(Clone, Debug, Default)]
pub struct LineCheck {
    after_cr: bool,
    fault: Option<Bare>,
}

impl LineCheck {
    /// How many of `octets` come before the first fault.
    pub fn push(&mut self, octets: &[u8]) -> usize {
        if self.fault.is_some() {
            return 0;
        }
        let mut at = 0;
        while let Some(octet) = octets.get(at) {
            match (self.after_cr, octet) {
                (true, b'\n') => self.after_cr = false,
                (true, _) => self.fault = Some(Bare::Cr),
                (false, b'\n') => self.fault = Some(Bare::Lf),
                (false, b'\r') => self.after_cr = true,
                (false, _) => {
                    at += text_run(&octets[at..]);
                    continue;
                }
            }
            if self.fault.is_some() {
                break;
            }
            at += 1;
        }
        at
    }

    /// What was found so far.
    pub fn fault(&self) -> Option<Bare> {
        self.fault
    }

    /// What was found in the whole: a CR at its very end stands alone.
    pub fn finish(&self) -> Option<Bare> {
        self.fault.or(self.after_cr.then_some(Bare::Cr))
    }
}
