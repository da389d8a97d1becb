//! Evidence, then verdict: what arriving mail says about itself, checked, and judged by one pure function; and our
//! own signatures on what leaves.
//!
//! Floor 2. [`Pipeline`] runs the checks and asks the DNS through [`world::Resolver`]; [`decide()`] is arithmetic;
//! [`authres`] tells readers the same story that the verdict was made of.

pub mod arc;
pub mod author;
mod authorship;
pub mod authres;
pub mod config;
pub mod decide;
pub mod dkim;
pub mod dmarc;
pub mod dnslist;
mod facts;
pub mod filter;
mod finding;
mod head;
pub mod helo;
pub mod iprev;
pub mod milter;
pub mod mtasts;
mod patience;
mod pipeline;
pub mod program;
pub mod rate;
pub mod report;
mod results;
pub mod rspamd;
mod rules;
pub mod sender;
pub mod spf;
mod tags;
#[cfg(test)]
mod tests;
pub mod tlsrpt;

pub use authorship::Authorship;
pub use config::{Config, SigningConfig, Switch};
pub use decide::{Disposition, Override, Verdict, decide, disposition};
pub use facts::{Facts, Whose};
pub use finding::{Finding, Identity, SpfFinding, brief, verified_name};
pub use pipeline::{Judgement, Pipeline, Stage};
pub use rate::{Meter, Rate};
pub use rules::{Action, Actions, DmarcCase, Rules};
