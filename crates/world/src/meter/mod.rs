//! What is counted while the server runs: numbers with names and a small fixed set of labels, handed in with the world.
//!
//! Counting is one addition to an atomic number. Labels are types with few values, so that nobody outside can make new series.
//! There is one [`Meter`] for each server, none for the process.

mod labels;
mod measures;
mod numbers;

pub use labels::{
    Delivered, Door, Fate, ImapVerb, Judged, Label, Login, Outcome, Reason, Refused, Side, TlsLevel,
    TurnedAway, Way,
};
pub use measures::{Meter, Numbers};
pub use numbers::{Counters, Family, Histograms, Kind, Sample};
