//! Grammar that imap-codec lacks, or has with limits that mail clients run into: one file per command.

pub(crate) mod acl;
pub(crate) mod append;
pub(crate) mod authenticate;
pub(crate) mod batches;
pub(crate) mod create;
pub(crate) mod fetch;
pub(crate) mod hello;
pub(crate) mod list;
pub(crate) mod metadata;
pub(crate) mod multisearch;
pub(crate) mod names;
pub(crate) mod notify;
pub(crate) mod quota;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod sort;
pub(crate) mod status;
pub(crate) mod store;
