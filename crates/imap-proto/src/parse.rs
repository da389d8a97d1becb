//! From the octets of a whole command to a [`Command`]. What imap-codec knows is left to it; what it lacks
//! (or would limit, as the depth of SEARCH) has its grammar in `ext`.

use crate::command::{Access, Command, Refusal, Secret, Select};
use crate::ext;
use crate::ext::store::{Transfer, transfer};
use crate::lex::{Lexed, Lexer, is_astring};
use crate::utf7;
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::command::CommandBody;

/// How mailbox names are written on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Modified UTF-7 (RFC 3501 §5.1.3); UTF-8 is understood too.
    #[default]
    Utf7,
    /// UTF-8, after `ENABLE IMAP4rev2` or `ENABLE UTF8=ACCEPT` (RFC 9051 §5.1, RFC 6855 §3).
    Utf8,
}

/// Longest mailbox name in octets, as UTF-8: a name of some account, with that of the account in front.
pub const NAME_MAX: usize = 2400;

/// A whole command as the session sees it.
#[derive(Debug)]
pub(crate) enum Parsed {
    Capability,
    Logout,
    StartTls,
    Enable(Vec<String>),
    /// RFC 8437.
    Unauthenticate,
    /// RFC 4978.
    Compress,
    Authenticate {
        mechanism: String,
        initial: Option<Secret>,
    },
    /// SELECT and EXAMINE, and whether they ask for mod-sequences.
    Select(Select, bool),
    Command(Command),
}

/// The tag of a command and where it ends; `None` if it has none that can be echoed.
pub(crate) fn tag(octets: &[u8]) -> Option<(&str, &[u8])> {
    let end = octets.iter().position(|b| !is_astring(*b) || *b == b'+')?;
    if end == 0 || end > TAG_MAX || octets.get(end) != Some(&b' ') {
        return None;
    }
    Some((std::str::from_utf8(&octets[..end]).ok()?, &octets[end + 1..]))
}

/// Longest tag in octets.
const TAG_MAX: usize = 100;

/// Reads a command; `body` is what stands behind the tag, `whole` includes it.
pub(crate) fn command(whole: &[u8], body: &[u8], names: Names) -> Lexed<Parsed> {
    let mut lexer = Lexer::new(body);
    let mut verb = lexer.word().map_err(|_| Refusal::bad("A command is missing behind the tag."))?;
    let by_uid = verb == "UID";
    if by_uid {
        lexer.space()?;
        verb = format!("UID {}", lexer.word()?);
    }
    let command = match verb.as_str() {
        "LIST" => ext::list::list(&mut lexer, names)?,
        "STATUS" => ext::status::status(&mut lexer, names)?,
        "GETMETADATA" => ext::metadata::get(&mut lexer, names)?,
        "SETMETADATA" => ext::metadata::set(&mut lexer, names)?,
        "SETACL" => ext::acl::set(&mut lexer, names)?,
        "DELETEACL" => ext::acl::delete(&mut lexer, names)?,
        "GETACL" => ext::acl::get(&mut lexer, names)?,
        "LISTRIGHTS" => ext::acl::list_rights(&mut lexer, names)?,
        "MYRIGHTS" => ext::acl::my_rights(&mut lexer, names)?,
        "NOTIFY" => ext::notify::notify(&mut lexer, names)?,
        "GETQUOTA" => ext::quota::get(&mut lexer)?,
        "GETQUOTAROOT" => ext::quota::root(&mut lexer, names)?,
        "SETQUOTA" => ext::quota::set(&mut lexer)?,
        "CREATE" => ext::create::create(&mut lexer, names)?,
        "SEARCH" | "UID SEARCH" => ext::search::search(&mut lexer, by(by_uid))?,
        "CANCELUPDATE" => ext::search::cancel(&mut lexer)?,
        "ESEARCH" => ext::multisearch::multisearch(&mut lexer, names)?,
        "SORT" | "UID SORT" => ext::sort::sort(&mut lexer, by(by_uid))?,
        "THREAD" | "UID THREAD" => ext::sort::thread(&mut lexer, by(by_uid))?,
        "FETCH" | "UID FETCH" => ext::fetch::fetch(&mut lexer, by(by_uid))?,
        "STORE" | "UID STORE" => ext::store::store(&mut lexer, by(by_uid))?,
        "COPY" | "UID COPY" => transfer(&mut lexer, by(by_uid), Transfer::Copy, names)?,
        "MOVE" | "UID MOVE" => transfer(&mut lexer, by(by_uid), Transfer::Move, names)?,
        "UID EXPUNGE" => {
            lexer.space()?;
            Command::Expunge(Some(crate::sequence::set(&mut lexer)?))
        }
        "SELECT" | "EXAMINE" => {
            let access = if verb == "SELECT" { Access::ReadWrite } else { Access::ReadOnly };
            let (select, condstore) = ext::select::select(&mut lexer, access, names)?;
            lexer.end()?;
            return Ok(Parsed::Select(select, condstore));
        }
        "UNAUTHENTICATE" => {
            lexer.end()?;
            return Ok(Parsed::Unauthenticate);
        }
        "COMPRESS" => {
            lexer.space()?;
            let mechanism = lexer.atom()?;
            lexer.end()?;
            if mechanism.eq_ignore_ascii_case("DEFLATE") {
                return Ok(Parsed::Compress);
            }
            return Err(Refusal::bad("COMPRESS knows DEFLATE only."));
        }
        "AUTHENTICATE" => return ext::authenticate::authenticate(&mut lexer),
        "LOGIN" => ext::hello::login(&mut lexer)?,
        "ID" => ext::hello::id(&mut lexer)?,
        "UIDBATCHES" => ext::batches::batches(&mut lexer)?,
        "DELETE" => Command::Delete { mailbox: ext::names::one(&mut lexer, names)? },
        "SUBSCRIBE" => Command::Subscribe { mailbox: ext::names::one(&mut lexer, names)? },
        "UNSUBSCRIBE" => Command::Unsubscribe { mailbox: ext::names::one(&mut lexer, names)? },
        "RENAME" => ext::names::rename(&mut lexer, names)?,
        "LSUB" => ext::names::lsub(&mut lexer, names)?,
        _ => return with_codec(whole, &verb),
    };
    lexer.end()?;
    Ok(Parsed::Command(command))
}

fn by(uid: bool) -> crate::command::By {
    if uid { crate::command::By::Uid } else { crate::command::By::Sequence }
}

/// Verbs that imap-codec reads for us.
const CODEC_VERBS: [&str; 11] = [
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "STARTTLS",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "IDLE",
    "ENABLE",
    "NAMESPACE",
];

fn with_codec(whole: &[u8], verb: &str) -> Lexed<Parsed> {
    if !CODEC_VERBS.contains(&verb) {
        return Err(Refusal::bad("This command is not known here."));
    }
    let end = whole.iter().rposition(|octet| *octet != b' ').map_or(0, |last| last + 1);
    let line = [&whole[..end], b"\r\n"].concat();
    let command = match CommandCodec::default().decode(&line) {
        Ok(([], command)) => command,
        _ => return Err(Refusal::bad(wrong_arguments(verb))),
    };
    convert(command.body)
}

fn wrong_arguments(verb: &str) -> &'static str {
    match verb {
        "ENABLE" => "ENABLE needs at least one capability.",
        _ => "This command takes no arguments.",
    }
}

fn convert(body: CommandBody<'_>) -> Lexed<Parsed> {
    Ok(Parsed::Command(match body {
        CommandBody::Capability => return Ok(Parsed::Capability),
        CommandBody::Logout => return Ok(Parsed::Logout),
        CommandBody::StartTLS => return Ok(Parsed::StartTls),
        CommandBody::Enable { capabilities } => {
            let words = capabilities.as_ref().iter().map(|c| c.to_string().to_ascii_uppercase()).collect();
            return Ok(Parsed::Enable(words));
        }
        CommandBody::Noop => Command::Noop,
        CommandBody::Check => Command::Check,
        CommandBody::Close => Command::Close,
        CommandBody::Unselect => Command::Unselect,
        CommandBody::Expunge => Command::Expunge(None),
        CommandBody::Idle => Command::Idle,
        CommandBody::Namespace => Command::Namespace,
        _ => return Err(Refusal::bad("This form of the command is not known here.")),
    }))
}

/// A mailbox name as text; INBOX in any case is `INBOX` (RFC 9051 §5.1).
pub(crate) fn name(octets: &[u8], names: Names) -> Lexed<String> {
    let name = pattern_name(octets, names)?;
    if name.is_empty() {
        return Err(Refusal::cannot("A mailbox name may not be empty."));
    }
    Ok(if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { name })
}

/// The same for a reference or a pattern, which may be empty.
pub(crate) fn pattern_name(octets: &[u8], names: Names) -> Lexed<String> {
    let text = std::str::from_utf8(octets)
        .map_err(|_| Refusal::bad("A mailbox name must be modified UTF-7 or UTF-8."))?;
    if text.len() > NAME_MAX {
        return Err(Refusal::limit("The mailbox name is too long."));
    }
    // RFC 6855 §3: no controls, and no separators of lines and paragraphs.
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(Refusal::cannot("A mailbox name may not hold control characters."));
    }
    if names == Names::Utf8 || !text.is_ascii() {
        return Ok(text.to_owned());
    }
    utf7::decode(text).ok_or(Refusal::cannot("The mailbox name is not valid modified UTF-7."))
}
