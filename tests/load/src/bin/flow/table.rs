//! The table: what each server did, how many times better ours is, and how many times it was in the run of the baseline.

use crate::client::Run;
use crate::options::Options;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// The figures of one server in one line: a name with its unit, and a value. The first decides the ratio.
pub(crate) type Figures = Vec<(&'static str, f64)>;

pub(crate) struct Table {
    json: Option<PathBuf>,
    /// Lines of another run.
    before: Vec<Value>,
    lines: Vec<Value>,
}

impl Table {
    pub(crate) fn new(options: &Options) -> Self {
        let text = fs::read_to_string(&options.baseline).unwrap_or_else(|_| "[]".to_owned());
        let before = serde_json::from_str(&text).expect("the baseline is a list in JSON");
        Self { json: options.json.clone(), before, lines: Vec::new() }
    }

    /// What the servers of one line came to, ours first.
    pub(crate) fn add(&mut self, shape: &str, detail: &str, found: &[(&str, Figures)]) {
        let ours = found.first().and_then(|(_, figures)| figures.first()).map(|(_, value)| *value);
        for (at, (server, figures)) in found.iter().enumerate() {
            let mut line = json!({ "shape": shape, "detail": detail, "server": server });
            let mut text = format!("{shape:<10} {detail:<26} {server:<16}");
            for (name, value) in figures {
                line[*name] = json!((value * 100.0).round() / 100.0);
                text.push_str(&format!(" {:>18}", shown(name, *value)));
            }
            if let (Some(ours), Some((_, theirs)), true) = (ours, figures.first(), at > 0) {
                let ratio = ours / theirs;
                line["ratio"] = json!((ratio * 100.0).round() / 100.0);
                text.push_str(&format!("  ratio {ratio:.2}"));
            }
            if let Some(before) = self.of_baseline(&line) {
                text.push_str(&format!(" (before: {before})"));
            }
            println!("{text}");
            self.lines.push(line);
        }
    }

    /// The ratio of the same line in the other run; the first figure, if the line has none.
    fn of_baseline(&self, line: &Value) -> Option<Value> {
        let is_same =
            |other: &&Value| ["shape", "detail", "server"].iter().all(|key| other[*key] == line[*key]);
        let found = self.before.iter().find(is_same)?;
        let key = ["ratio", "per_second", "ms", "mib"].into_iter().find(|key| !line[*key].is_null())?;
        Some(found[key].clone()).filter(|value| !value.is_null())
    }

    /// Writes the file, if one is wanted.
    pub(crate) fn end(self) {
        println!(
            "\nA ratio above 1: ours gets more done. CPU is of all processes of a server, for each message."
        );
        if let Some(path) = self.json {
            let lines: Vec<String> = self.lines.iter().map(Value::to_string).collect();
            fs::write(path, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
        }
    }
}

fn shown(name: &str, value: f64) -> String {
    match name {
        "per_second" => format!("{value:.0}/s"),
        "cpu_us" => format!("cpu {value:.0} µs"),
        "ms" => format!("{value:.1} ms"),
        "mib" => format!("{value:.1} MiB"),
        _ => match name.strip_suffix("_ms") {
            Some(name) => format!("{name} {value:.1} ms"),
            None => match name.strip_suffix("_mib") {
                Some(name) => format!("{name} {value:.1} MiB"),
                None => format!("{name} {value:.2}"),
            },
        },
    }
}

/// What runs of one kind came to: the median of each figure, and the longest wait of all.
pub(crate) fn medians(runs: &[Run]) -> Figures {
    let of = |figure: &dyn Fn(&Run) -> f64| median(runs.iter().map(figure).collect());
    let longest = runs.iter().map(|run| run.wait(1.0)).fold(0.0, f64::max);
    vec![
        ("per_second", of(&Run::rate)),
        ("cpu_us", of(&|run| run.work)),
        ("p50_ms", of(&|run| run.wait(0.5))),
        ("p99_ms", of(&|run| run.wait(0.99))),
        ("max_ms", longest),
    ]
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
