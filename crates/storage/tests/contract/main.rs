//! What the store promises, as one suite against its face, so that a second engine can be held to it.

mod accept;
mod directory;
mod help;
mod mailboxes;
mod messages;
mod queue;
mod random;
mod trouble;
