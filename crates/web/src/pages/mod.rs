//! The pages, one file each.

pub(crate) mod autoconfig;
pub(crate) mod autodiscover;
pub(crate) mod front;
pub(crate) mod mta_sts;
pub(crate) mod profile;
mod query;
mod xml;
