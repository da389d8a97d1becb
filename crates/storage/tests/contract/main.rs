//! What the store promises, as one suite against its face, so that a second engine can be held to it.

mod accept;
mod help;
