//! Evidence, then verdict: what arriving mail says about itself, checked, and judged by one pure function.

pub mod author;
pub mod dkim;
pub mod dmarc;
mod head;
pub mod spf;
mod tags;
