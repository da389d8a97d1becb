//! Whether a sender may use the addresses that stand in envelope and header (RFC 6409 §6.1).

use crate::plain::Plain;
use delivery::Router;
use mail::address_list::mailboxes;
use mail::header::{Field, fields};
use mail::{Address, Reply, ReversePath, Status};

/// Fields that say who speaks: the author, who sent it for the author, and who sent it on (RFC 5322 §3.6.2, §3.6.6).
const CLAIMS: [&str; 4] = ["From", "Sender", "Resent-From", "Resent-Sender"];
/// Most addresses in all of them together.
pub const AUTHORS_MAX: usize = 50;

/// The envelope sender must belong to the account. The null path is for notices that may not be answered
/// by notices: read receipts and the like (RFC 8098 §3.1).
pub async fn authorize(router: &Router, account: &str, from: &ReversePath) -> Result<(), Reply> {
    match from {
        ReversePath::Null => Ok(()),
        ReversePath::Address(address) => owned(router, account, address, "the sender").await,
    }
}

/// Every address of From, Sender and their Resent kin must belong to the account.
pub async fn authorize_header(router: &Router, account: &str, header: &[u8]) -> Result<(), Reply> {
    for address in authors(header)? {
        owned(router, account, &address, "named in From or Sender").await?;
    }
    Ok(())
}

async fn owned(router: &Router, account: &str, address: &Address, what: &str) -> Result<(), Reply> {
    if router.owns(account, address).await? {
        return Ok(());
    }
    let text =
        format!("<{address}>, {what}, does not belong to {account}: use an address or alias of your account");
    Err(Reply::new(550, Status::permanent(7, 1), text))
}

/// The addresses that From, Sender and their Resent kin claim, each once. An error if a reader might find others there.
pub fn authors(header: &[u8]) -> Result<Vec<Address>, Reply> {
    let mut found: Vec<Address> = Vec::new();
    for field in fields(header).filter(|field| CLAIMS.iter().any(|name| field.is(name))) {
        for address in claimed(&field)? {
            if !found.contains(&address) {
                found.push(address);
            }
            if found.len() > AUTHORS_MAX {
                return Err(unclear(&field, "it has too many addresses"));
            }
        }
    }
    Ok(found)
}

fn claimed(field: &Field<'_>) -> Result<Vec<Address>, Reply> {
    let mut out = Vec::new();
    for mailbox in mailboxes(field.value) {
        let address = mailbox.address().ok_or_else(|| unclear(field, "it has what is no address"))?;
        out.push(address);
    }
    if out.is_empty() {
        return Err(unclear(field, "it has no address"));
    }
    let value = field.unfolded();
    let plain = Plain::read(&String::from_utf8_lossy(&value)).map_err(|why| unclear(field, why))?;
    for word in plain.claims() {
        // Some programs put the address itself into apostrophes, as a name.
        match Address::parse(word.trim_matches('\'')) {
            Ok(address) => out.push(address),
            Err(_) => return Err(unclear(field, "an @ stands where no address is; put names in quotes")),
        }
    }
    Ok(out)
}

fn unclear(field: &Field<'_>, why: &str) -> Reply {
    let name = String::from_utf8_lossy(field.name);
    Reply::new(550, Status::permanent(6, 0), format!("The field {name} cannot be understood: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_claimed_is_found() {
        for (value, want) in [
            ("a@b.example", "a@b.example"),
            ("Ann <a@b.example>", "a@b.example"),
            ("<a@b.example>, B <c@d.example>", "a@b.example c@d.example"),
            ("group: a@b.example, c@d.example;", "a@b.example c@d.example"),
            ("\"boss@bank.example\" <a@b.example>", "a@b.example"),
            ("boss@bank.example <a@b.example>", "a@b.example boss@bank.example"),
            ("a@b.example (boss@bank.example)", "a@b.example"),
            ("\"a b\"@c.example", "\"a b\"@c.example"),
            ("Ann\r\n <a@b.example>", "a@b.example"),
            ("\"boss\"@bank.example <a@b.example>", "a@b.example boss@bank.example"),
            ("\"the boss\"@bank.example <a@b.example>", "a@b.example \"the boss\"@bank.example"),
            ("'a@b.example' <a@b.example>", "a@b.example"),
            ("'boss@bank.example' <a@b.example>", "a@b.example boss@bank.example"),
            ("boss(x)@bank.example <a@b.example>", "a@b.example boss@bank.example"),
            ("\"say \\\"hi\\\"\" <a@b.example>", "a@b.example"),
        ] {
            let header = format!("From: {value}\r\nTo: x@y.example\r\n\r\n");
            let found: Vec<String> =
                authors(header.as_bytes()).unwrap().iter().map(Address::to_string).collect();
            assert_eq!(found.join(" "), want, "{value}");
        }
        let header = b"From: a@b.example\r\nSender: c@d.example\r\nFrom: e@f.example\r\n\r\n";
        assert_eq!(authors(header).unwrap().len(), 3);
        let header = b"From: a@b.example\r\nResent-From: c@d.example\r\nresent-sender: e@f.example\r\n\r\n";
        assert_eq!(authors(header).unwrap().len(), 3);
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for value in [
            "",
            "nobody",
            "undisclosed:;",
            "a@",
            "a@b.example @",
            "@b.example <a@b.example>",
            "a@b.example (boss@bank.example",
            "\"boss@bank.example <a@b.example>",
            "Ann <a@b.example> \"x",
            "\"a\\",
            "a@b.example (x\\)",
        ] {
            let header = format!("From: {value}\r\n\r\n");
            assert_eq!(authors(header.as_bytes()).unwrap_err().code, 550, "{value}");
        }
    }
}
