//! What has happened since the start, as the rooms of the server count it, and how it stands now; in the text form that
//! Prometheus reads (docs/metrics.md).

use crate::sts::Harms;
use delivery::Intake;
use net::{Gate, KeeperHandle};
use nix::sys::statvfs::statvfs;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::Store;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use web::{Answering, Insight};
use world::World;
use world::meter::{Door, Family, Kind, Label, Sample};

/// How much trouble the log told of, since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    warnings: AtomicU64,
    errors: AtomicU64,
}

impl Counts {
    fn read(&self) -> Family {
        let of = |level: &str, count: &AtomicU64| Sample {
            suffix: "",
            labels: vec![("level", level.to_owned())],
            value: count.load(Ordering::Relaxed) as f64,
        };
        Family {
            name: "maddy_trouble_total",
            help: "Warnings and errors in the log.",
            kind: Kind::Counter,
            samples: vec![of("warning", &self.warnings), of("error", &self.errors)],
        }
    }
}

/// Counts by their levels the events that it sees.
pub(crate) struct Counting(pub(crate) Arc<Counts>);

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let count = match *event.metadata().level() {
            Level::ERROR => &self.0.errors,
            Level::WARN => &self.0.warnings,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What those who run the server can ask over HTTP.
pub(crate) struct View {
    pub(crate) counts: Arc<Counts>,
    pub(crate) store: Store,
    pub(crate) gate: Arc<Gate>,
    pub(crate) keeper: KeeperHandle,
    pub(crate) harms: Harms,
    pub(crate) intake: Intake,
    pub(crate) world: World,
    /// Seconds since 1970.
    pub(crate) since: i64,
    pub(crate) state_dir: PathBuf,
}

impl View {
    /// Everything that can be known now; what the database does not tell is left out.
    pub(crate) async fn families(&self) -> Vec<Family> {
        let mut families = self.world.meter.read();
        families.push(self.counts.read());
        families.push(gauge("maddy_start_time_seconds", "When the server started.", self.since as f64));
        families.push(gauge("maddy_connections", "Connections that live.", self.gate.live() as f64));
        families.push(self.sessions());
        families.extend(self.gate.bans().map(|bans| {
            let help = "Addresses and networks that are not let in.";
            gauge("maddy_bans", help, bans.list().len() as f64)
        }));
        let length = self.store.queue_length().await;
        families.extend(
            length
                .ok()
                .map(|length| gauge("maddy_queue_messages", "Messages that wait to go out.", length as f64)),
        );
        let first = self.store.queue(None, 1).await;
        families.extend(first.ok().map(|first| {
            let age = first.first().map_or(0, |job| (self.world.clock.unix() - job.arrived).max(0));
            let help = "How long the oldest message waits to go out.";
            gauge("maddy_queue_oldest_seconds", help, age as f64)
        }));
        families.extend(self.disk());
        families.push(self.certificates());
        families.push(self.harms.family());
        families.extend(self.self_check());
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        let samples = vec![Sample { suffix: "", labels: version, value: 1.0 }];
        families.push(Family { name: "maddy_info", help: "The version.", kind: Kind::Gauge, samples });
        families
    }

    /// By door; connections that came in by the web are not held for long enough to be of interest.
    fn sessions(&self) -> Family {
        let doors = [Door::Smtp, Door::Submission, Door::Imap].map(Label::word);
        let mut counts: BTreeMap<&str, u32> = doors.into_iter().map(|door| (door, 0)).collect();
        for session in self.gate.sessions() {
            if let Some(count) = counts.get_mut(session.door) {
                *count += 1;
            }
        }
        let sample = |(door, count): (&str, u32)| Sample {
            suffix: "",
            labels: vec![("door", door.to_owned())],
            value: f64::from(count),
        };
        Family {
            name: "maddy_sessions",
            help: "Connections that live, by the door by which they came.",
            kind: Kind::Gauge,
            samples: counts.into_iter().map(sample).collect(),
        }
    }

    fn certificates(&self) -> Family {
        let states = self.keeper.states().into_iter().map(|state| Sample {
            suffix: "",
            labels: vec![("name", state.name.to_string())],
            value: state.until.unwrap_or(0) as f64,
        });
        Family {
            name: "maddy_certificate_end_seconds",
            help: "When a certificate of an authority ends; 0 while there is none.",
            kind: Kind::Gauge,
            samples: states.collect(),
        }
    }

    /// What the last look at our own records has found; no points before the first.
    fn self_check(&self) -> Vec<Family> {
        let report = self.intake.self_check();
        let mut found: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for point in &report.points {
            *found.entry((point.check.word(), point.state.word())).or_default() += 1;
        }
        let samples = found.into_iter().map(|((check, state), count)| Sample {
            suffix: "",
            labels: vec![("check", check.to_owned()), ("state", state.to_owned())],
            value: f64::from(count),
        });
        let points = Family {
            name: "maddy_selfcheck_points",
            help: "What the last look at our own records has found, by check and state.",
            kind: Kind::Gauge,
            samples: samples.collect(),
        };
        let help = "Domains of ours whose mail would fail their own DMARC policy.";
        let burning = gauge("maddy_selfcheck_burning_domains", help, report.burning.len() as f64);
        let help = "When our own records were last looked at; 0 before the first look.";
        vec![points, burning, gauge("maddy_selfcheck_time_seconds", help, report.at as f64)]
    }

    /// The room that there is for the state, and what the database takes.
    fn disk(&self) -> Vec<Family> {
        let mut families = Vec::new();
        if let Ok(disk) = statvfs(&self.state_dir) {
            let octets = |blocks: u64| (blocks * disk.fragment_size()) as f64;
            let help = "Room on the disk of the state directory that is free for us.";
            families.push(gauge("maddy_disk_free_bytes", help, octets(disk.blocks_available())));
            let help = "Room on the disk of the state directory in all.";
            families.push(gauge("maddy_disk_size_bytes", help, octets(disk.blocks())));
        }
        if let Ok(database) = std::fs::metadata(self.state_dir.join("maddy.db")) {
            families.push(gauge("maddy_database_bytes", "Size of the database.", database.len() as f64));
        }
        families
    }
}

fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
    let samples = vec![Sample { suffix: "", labels: Vec::new(), value }];
    Family { name, help, kind: Kind::Gauge, samples }
}

/// The text form of Prometheus, version 0.0.4.
pub(crate) fn text(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        let (name, help, kind) = (family.name, family.help, family.kind.word());
        // Writing into a text cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for sample in &family.samples {
            let labels: Vec<String> = sample
                .labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
                .collect();
            let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(out, "{name}{}{braces} {}", sample.suffix, sample.value);
        }
    }
    out
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Insight for View {
    fn metrics(&self) -> Answering<'_, String> {
        Box::pin(async { text(&self.families().await) })
    }

    fn status(&self) -> Answering<'_, String> {
        Box::pin(crate::status::page(self))
    }

    /// The database answers.
    fn health(&self) -> Answering<'_, Result<(), String>> {
        Box::pin(async move {
            match self.store.queue(None, 1).await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("the database does not answer: {error}")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn trouble_is_counted_by_its_level() {
        let counts = Arc::new(Counts::default());
        let subscriber = tracing_subscriber::registry().with(Counting(counts.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("mail in");
            tracing::warn!("something");
            tracing::warn!("again");
            tracing::error!("worse");
        });
        let text = text(&[counts.read()]);
        assert!(text.contains("maddy_trouble_total{level=\"warning\"} 2\n"), "{text}");
        assert!(text.contains("maddy_trouble_total{level=\"error\"} 1\n"), "{text}");
    }

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        let labels = vec![("name", "a\"} 1\n\\".to_owned())];
        let samples = vec![Sample { suffix: "_sum", labels, value: 0.25 }];
        let family = Family { name: "n", help: "h", kind: Kind::Gauge, samples };
        assert_eq!(text(&[family]), "# HELP n h\n# TYPE n gauge\nn_sum{name=\"a\\\"} 1\\n\\\\\"} 0.25\n");
    }
}
