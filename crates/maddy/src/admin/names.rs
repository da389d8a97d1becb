//! Account names as people type them.

use mail::Address;
use web::{Failure, Kind};

/// The name of an account that exists already: its address key, or whatever was typed, in lower case.
pub(crate) fn account_name(typed: &str) -> String {
    Address::parse(typed).map_or_else(|_| typed.to_lowercase(), |address| address.key())
}

/// The name for a new account, which must be an address.
pub(crate) fn address_name(typed: &str) -> Result<String, Failure> {
    Address::parse(typed).map(|address| address.key()).map_err(|error| {
        let message = format!("{typed:?} is no mail address: {error}; write it like alice@example.org");
        Failure::new(Kind::BadRequest, message)
    })
}
