//! The door for browsers and machines: pages that mail programs and other servers ask for, metrics, and the control socket,
//! through which the command line talks to a running daemon (HTTP/1.1 with JSON on a Unix socket).

mod client;
mod config;
mod connection;
mod control_config;
mod door;
mod failure;
mod local;
mod pages;
mod remote;
mod server;
mod site;

pub use client::{CallError, call, hand_over};
pub use config::{Config, Entrance, Sharing, Shows, StsMode, StsOptions, decode};
pub use control_config::{ControlConfig, TOKEN_MAX, TOKEN_MIN, decode_control};
pub use door::{Answering, BUSY, Door, Insight};
pub use failure::{Failure, Kind};
pub use local::{LocalService, ORDER_MAX, serve_local};
pub use pages::mta_sts::{policy, policy_id};
pub use pages::profile::{document as profile, url as profile_url};
pub use remote::ControlDoor;
pub use server::{Answer, BODY_MAX, Caller, Service as Operations, serve};
pub use site::{Service, Site};
