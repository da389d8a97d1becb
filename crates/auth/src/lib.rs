//! Who is it: SASL exchanges, passwords, and the question that the doors ask.
//!
//! Nothing here waits or logs. An [`Exchange`] turns what a client says into a [`Login`]; whether the login is good
//! is asked through [`Authenticate`], which has one implementation for all doors.

mod authenticate;
mod exchange;
pub mod fake;
mod guess;
mod guesses;
mod login;
mod password;
mod plain;
mod recent;

pub use authenticate::{Authenticate, Denied, Identity, Verdict};
pub use exchange::{Exchange, Mechanism, RESPONSE_MAX, Refusal, Step};
pub use guess::{GuessLimits, Guesser, TooMany};
pub use guesses::{FAMILIAR_MAX, Guesses, MARKS_MAX, source_of};
pub use login::{Login, Secret};
pub use password::{PASSWORD_MAX, PasswordError, hash, prepare, verify};
pub use recent::{RECENT_MAX, RIGHT_TIME, Recent, WRONG_TIME};
