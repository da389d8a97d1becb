//! Who is it: SASL exchanges, passwords, and the question that the doors ask.
//!
//! Nothing here waits or logs. An [`Exchange`] turns what a client says into a [`Login`]; whether the login is good
//! is asked through [`Authenticate`], which has one implementation for all doors.

mod app_password;
mod authenticate;
mod conversation;
mod exchange;
pub mod fake;
mod guess;
mod guesses;
mod identity;
mod login;
mod mask;
mod oauth;
mod password;
mod plain;
mod recent;
mod same;
mod scram;

pub use app_password::{APP_PASSWORD_LETTERS, app_password, app_password_digest, find_digest};
pub use authenticate::{Answer, Authenticate, Claim, Denied, Ending, Verdict};
pub use conversation::{Circumstances, Conversation, Turn};
pub use exchange::{Exchange, Mechanism, RESPONSE_MAX, Refusal, Step};
pub use guess::{GuessLimits, Guesser, TooMany};
pub use guesses::{Count, FAMILIAR_MAX, Guesses, MARKS_MAX, Source, source_of};
pub use identity::{Identity, Mailboxes, Proof, Scope, Sending, Service, Trace, Visitor};
pub use login::{Login, Secret, named_account};
pub use mask::NameMask;
pub use oauth::{Discovery, TOKEN_MAX, TokenClaim};
pub use password::{PASSWORD_MAX, PasswordError, hash, prepare, verify};
pub use recent::{RECENT_MAX, RIGHT_TIME, Recent, WRONG_TIME};
pub use same::is_same_secret;
pub use scram::{Bindings, SALT_LEN, SCRAM_ITERATIONS, SCRAM_KEYS_MAX, ScramFacts, ScramHash, ScramKeys};
