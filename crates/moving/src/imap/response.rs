//! Responses of another server (RFC 9051 §7): those that matter, read; all others, known as such.

/// Most levels of lists.
const DEPTH_MAX: usize = 16;
/// Most values of one response.
const VALUES_MAX: usize = 100_000;

/// How a command ended, or what is said meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

/// A mailbox of the other server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `\Noselect`, `\Sent` and the like.
    pub attributes: Vec<String>,
    pub delimiter: Option<char>,
    /// As it is to be written in commands.
    pub name: Vec<u8>,
}

/// What is told of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub uid: Option<u32>,
    pub flags: Option<Vec<String>>,
    /// Seconds since 1970.
    pub date: Option<i64>,
    pub size: Option<u64>,
    pub body: Option<Vec<u8>>,
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// `tag`: of which command; none: of none.
    Status {
        tag: Option<String>,
        status: Status,
        /// What stands in brackets, like `UIDVALIDITY 5`.
        code: String,
        text: String,
    },
    /// More of the command is asked for.
    Continue,
    Capability(Vec<String>),
    List(Listed),
    /// A mailbox that is subscribed to.
    Lsub(Listed),
    /// The prefixes of the reader's own mailboxes, and those of others.
    Namespace {
        own: Vec<Vec<u8>>,
        others: Vec<Vec<u8>>,
    },
    Exists(u32),
    Fetch(Fetched),
    Other,
}

#[derive(Debug)]
enum Value {
    Nil,
    Atom(Vec<u8>),
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    fn octets(self) -> Option<Vec<u8>> {
        match self {
            Self::Atom(octets) | Self::Text(octets) => Some(octets),
            Self::Nil | Self::List(_) => None,
        }
    }

    fn word(self) -> Option<String> {
        self.octets().map(|octets| String::from_utf8_lossy(&octets).into_owned())
    }

    fn list(self) -> Vec<Value> {
        match self {
            Self::List(list) => list,
            _ => Vec::new(),
        }
    }

    fn words(self) -> Vec<String> {
        self.list().into_iter().filter_map(Self::word).collect()
    }

    fn number(self) -> Option<u64> {
        self.word()?.parse().ok()
    }
}

/// Reads a whole response without its last line end.
pub(super) fn parse(octets: &[u8]) -> Result<Response, &'static str> {
    if octets.first() == Some(&b'+') {
        return Ok(Response::Continue);
    }
    let (tag, rest) = split(octets);
    if tag.is_empty() {
        return Err("it sends a line that is no response");
    }
    let tag = (tag != b"*").then(|| String::from_utf8_lossy(tag).into_owned());
    let (word, after) = split(rest);
    let word = String::from_utf8_lossy(word).to_ascii_uppercase();
    if let Some(status) = status(&word) {
        let (code, text) = code(after);
        return Ok(Response::Status { tag, status, code, text });
    }
    if tag.is_some() {
        return Err("it ends a command with a word that is none");
    }
    if let Ok(number) = word.parse::<u32>() {
        let (word, after) = split(after);
        return match String::from_utf8_lossy(word).to_ascii_uppercase().as_str() {
            "EXISTS" => Ok(Response::Exists(number)),
            "FETCH" => Ok(Response::Fetch(fetched(values(after)?))),
            _ => Ok(Response::Other),
        };
    }
    match word.as_str() {
        "CAPABILITY" => Ok(Response::Capability(words(after))),
        "LIST" => listed(values(after)?).map(Response::List),
        "LSUB" => listed(values(after)?).map(Response::Lsub),
        "NAMESPACE" => Ok(namespace(values(after)?)),
        _ => Ok(Response::Other),
    }
}

fn split(octets: &[u8]) -> (&[u8], &[u8]) {
    match octets.iter().position(|octet| *octet == b' ') {
        Some(at) => (&octets[..at], &octets[at + 1..]),
        None => (octets, &[]),
    }
}

fn words(octets: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(octets).split_ascii_whitespace().take(VALUES_MAX).map(str::to_owned).collect()
}

fn status(word: &str) -> Option<Status> {
    match word {
        "OK" => Some(Status::Ok),
        "NO" => Some(Status::No),
        "BAD" => Some(Status::Bad),
        "BYE" => Some(Status::Bye),
        "PREAUTH" => Some(Status::PreAuth),
        _ => None,
    }
}

/// What stands in brackets, and the text behind.
fn code(octets: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(octets).into_owned();
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((code, text)) => (code.to_owned(), text.trim_start().to_owned()),
        None => (String::new(), text),
    }
}

fn listed(values: Vec<Value>) -> Result<Listed, &'static str> {
    let mut values = values.into_iter();
    let (Some(attributes), Some(delimiter), Some(name)) = (values.next(), values.next(), values.next())
    else {
        return Err("it lists a mailbox in a way that makes no sense");
    };
    // NIL in the place of a name is a mailbox of that name.
    let name = name.octets().unwrap_or_else(|| b"NIL".to_vec());
    let delimiter = match delimiter {
        Value::Nil => None,
        other => other.word().and_then(|word| word.chars().next()),
    };
    Ok(Listed { attributes: attributes.words(), delimiter, name })
}

fn namespace(values: Vec<Value>) -> Response {
    let prefixes = |value: Value| -> Vec<Vec<u8>> {
        value.list().into_iter().filter_map(|one| one.list().into_iter().next()?.octets()).collect()
    };
    let mut values = values.into_iter().map(prefixes);
    let own = values.next().unwrap_or_default();
    Response::Namespace { own, others: values.flatten().collect() }
}

fn fetched(values: Vec<Value>) -> Fetched {
    let mut fetched = Fetched::default();
    let items = values.into_iter().next().map(Value::list).unwrap_or_default();
    let mut items = items.into_iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        match name.word().unwrap_or_default().to_ascii_uppercase().as_str() {
            "UID" => fetched.uid = value.number().and_then(|uid| u32::try_from(uid).ok()),
            "FLAGS" => fetched.flags = Some(value.words()),
            "RFC822.SIZE" => fetched.size = value.number(),
            "INTERNALDATE" => {
                let date = value.word().and_then(|text| mail::date::parse_internal(&text));
                fetched.date = date.map(|stamp| stamp.seconds);
            }
            "BODY[]" => fetched.body = value.octets(),
            _ => {}
        }
    }
    fetched
}

/// All values, with literals in their places.
fn values(octets: &[u8]) -> Result<Vec<Value>, &'static str> {
    let mut reader = Reader { octets, at: 0, count: 0 };
    let list = reader.list(0)?;
    if reader.at < octets.len() { Err("it closes a list that is not open") } else { Ok(list) }
}

struct Reader<'o> {
    octets: &'o [u8],
    at: usize,
    count: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Values up to the end, or to what closes the list.
    fn list(&mut self, depth: usize) -> Result<Vec<Value>, &'static str> {
        let mut list = Vec::new();
        loop {
            match self.peek() {
                None if depth == 0 => return Ok(list),
                None => return Err("it leaves a list open"),
                Some(b')') => return Ok(list),
                Some(b' ') => self.at += 1,
                Some(_) => {
                    self.count += 1;
                    if self.count > VALUES_MAX {
                        return Err("it sends too many values at once");
                    }
                    list.push(self.value(depth)?);
                }
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        match self.peek() {
            Some(b'(') if depth >= DEPTH_MAX => Err("it sends lists in lists without end"),
            Some(b'(') => {
                self.at += 1;
                let list = self.list(depth + 1)?;
                self.at += 1;
                Ok(Value::List(list))
            }
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Ok(self.atom()),
        }
    }

    fn quoted(&mut self) -> Result<Value, &'static str> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            match self.peek().ok_or("it leaves a string open")? {
                b'"' => {
                    self.at += 1;
                    return Ok(Value::Text(text));
                }
                b'\\' => {
                    self.at += 1;
                    text.push(self.peek().ok_or("it leaves a string open")?);
                }
                octet => text.push(octet),
            }
            self.at += 1;
        }
    }

    fn literal(&mut self) -> Result<Value, &'static str> {
        let bad = "it sends a literal that makes no sense";
        let rest = &self.octets[self.at..];
        let end = rest.iter().position(|octet| *octet == b'}').ok_or(bad)?;
        let digits = std::str::from_utf8(&rest[1..end]).map_err(|_| bad)?;
        let size: usize = digits.trim_end_matches('+').parse().map_err(|_| bad)?;
        // Behind it stands the end of the line.
        let begin = end + 3;
        let octets = begin.checked_add(size).and_then(|to| rest.get(begin..to)).ok_or(bad)?;
        self.at += begin + size;
        Ok(Value::Text(octets.to_vec()))
    }

    fn atom(&mut self) -> Value {
        let begin = self.at;
        while self.peek().is_some_and(|octet| !matches!(octet, b' ' | b'(' | b')' | b'"')) {
            self.at += 1;
        }
        let octets = &self.octets[begin..self.at];
        if octets.eq_ignore_ascii_case(b"NIL") { Value::Nil } else { Value::Atom(octets.to_vec()) }
    }
}
