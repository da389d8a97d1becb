//! PLAIN: authorization identity, user and password, with a NUL between each (RFC 4616 §2).

use crate::exchange::Refusal;
use crate::login::{Login, Secret, account_name};

pub(crate) fn read(octets: &[u8]) -> Result<Login, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|_| Refusal::BadText)?;
    let mut parts = text.split('\0');
    let (Some(authorize), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    let login = Login::new(user, Secret::new(password.to_owned()))?;
    // An authorization identity may be left out, or be the user's own (RFC 4616 §2).
    if !authorize.is_empty() && account_name(authorize) != login.user {
        return Err(Refusal::Impersonation);
    }
    Ok(login)
}
