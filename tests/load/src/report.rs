//! The table: medians, and how many times better ours is.

use crate::options::{Options, Peer};
use crate::shapes::Sample;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Lines as they come, and all of them again for machines.
pub(crate) struct Report {
    has_peer: bool,
    json: Option<PathBuf>,
    lines: Vec<Value>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        let has_peer = options.peer != Peer::None;
        let peer =
            if has_peer { format!("{:>22} {:>9}", "Dovecot (first octet)", "ratio") } else { String::new() };
        println!("{:<15} {:<24} {:>22} {peer}", "shape", "", "maddy (first octet)");
        Self { has_peer, json: options.json.clone(), lines: Vec::new() }
    }

    /// One line: what each server gave, ours first.
    pub(crate) fn add(&mut self, shape: &str, detail: &str, samples: &[Vec<Sample>]) {
        let medians: Vec<Option<Sample>> = samples.iter().map(|samples| median(samples)).collect();
        let Some(Some(ours)) = medians.first() else { return };
        let mut line = format!("{shape:<15} {detail:<24} {:>22}", shown(ours));
        let mut record =
            json!({ "shape": shape, "detail": detail, "maddy": value(ours), "unit": unit(ours) });
        if let Some(Some(theirs)) = medians.get(1).filter(|_| self.has_peer) {
            let ratio = ratio(ours, theirs);
            line.push_str(&format!(" {:>22} {ratio:>8.2}x", shown(theirs)));
            record["dovecot"] = json!(value(theirs));
            record["ratio"] = json!((ratio * 100.0).round() / 100.0);
        }
        println!("{line}");
        self.lines.push(record);
    }

    /// Writes the file, if one is wanted.
    pub(crate) fn end(self) {
        if self.has_peer {
            println!("\nA ratio above 1: ours needs less time or memory, or gets more done.");
        }
        if let Some(path) = self.json {
            let lines: Vec<String> = self.lines.iter().map(Value::to_string).collect();
            fs::write(path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
        }
    }
}

fn median(samples: &[Sample]) -> Option<Sample> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| value(a).total_cmp(&value(b)));
    sorted.get(sorted.len() / 2).copied()
}

fn value(sample: &Sample) -> f64 {
    match sample {
        Sample::Time(took, _) => ms(*took),
        Sample::Rate(rate) => *rate,
        Sample::Memory(octets) => *octets as f64,
    }
}

fn unit(sample: &Sample) -> &'static str {
    match sample {
        Sample::Time(..) => "ms",
        Sample::Rate(_) => "per second",
        Sample::Memory(_) => "octets",
    }
}

fn shown(sample: &Sample) -> String {
    match sample {
        Sample::Time(took, first) => format!("{:.2} ms ({:.2})", ms(*took), ms(*first)),
        Sample::Rate(rate) => format!("{rate:.0}/s"),
        Sample::Memory(octets) if *octets < 1024 * 1024 => format!("{:.1} KiB", *octets as f64 / 1024.0),
        Sample::Memory(octets) => format!("{:.1} MiB", *octets as f64 / 1024.0 / 1024.0),
    }
}

fn ratio(ours: &Sample, theirs: &Sample) -> f64 {
    match ours {
        Sample::Rate(rate) => rate / value(theirs),
        _ => value(theirs) / value(ours),
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
