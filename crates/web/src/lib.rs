//! The door for browsers and machines. So far: the control socket, through which the command line talks to a running
//! daemon (HTTP/1.1 with JSON on a Unix socket).

mod client;
mod failure;
mod server;

pub use client::{CallError, call};
pub use failure::{Failure, Kind};
pub use server::{Answer, BODY_MAX, Service, serve};
