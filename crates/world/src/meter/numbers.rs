//! Counters and histograms of one or two labels, and how they are read.

use super::labels::Label;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What sort of number a family is, in the words of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Numbers of one name, as they are at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What follows the name: `_bucket`, `_sum`, `_count` or nothing.
    pub suffix: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

/// Counts by two labels.
#[derive(Debug)]
pub struct Counters<A, B = ()> {
    name: &'static str,
    help: &'static str,
    cells: Box<[AtomicU64]>,
    labels: PhantomData<fn(A, B)>,
}

impl<A: Label, B: Label> Counters<A, B> {
    pub(super) fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, cells: cells(A::ALL.len() * B::ALL.len()), labels: PhantomData }
    }

    /// Counts one.
    pub fn add(&self, a: A, b: B) {
        self.add_many(a, b, 1);
    }

    /// Counts several.
    pub fn add_many(&self, a: A, b: B, many: u64) {
        if let Some(cell) = self.cells.get(a.index() * B::ALL.len() + b.index()) {
            cell.fetch_add(many, Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub fn get(&self, a: A, b: B) -> u64 {
        let cell = self.cells.get(a.index() * B::ALL.len() + b.index());
        cell.map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// Every combination that can occur is there from the start, so that the first one is seen as a rise.
    pub(super) fn read(&self) -> Family {
        let mut samples = Vec::new();
        for a in A::ALL {
            for b in B::ALL {
                let value = self.get(*a, *b);
                let labels = labels(&[(A::NAME, a.word()), (B::NAME, b.word())]);
                samples.push(Sample { suffix: "", labels, value: value as f64 });
            }
        }
        Family { name: self.name, help: self.help, kind: Kind::Counter, samples }
    }
}

/// Distributions by one label.
#[derive(Debug)]
pub struct Histograms<A = ()> {
    name: &'static str,
    help: &'static str,
    /// Upper ends of the buckets, inclusive; times in microseconds.
    bounds: &'static [u64],
    /// What a value is divided by when it is told.
    unit: u64,
    /// For each label: the buckets, one for what is greater than all bounds, and the sum.
    cells: Box<[AtomicU64]>,
    label: PhantomData<fn(A)>,
}

impl<A: Label> Histograms<A> {
    /// Of times, told in seconds.
    pub(super) fn of_times(name: &'static str, help: &'static str, bounds: &'static [u64]) -> Self {
        Self::new(name, help, bounds, 1_000_000)
    }

    /// Of whole numbers.
    pub(super) fn of_counts(name: &'static str, help: &'static str, bounds: &'static [u64]) -> Self {
        Self::new(name, help, bounds, 1)
    }

    fn new(name: &'static str, help: &'static str, bounds: &'static [u64], unit: u64) -> Self {
        let cells = cells(A::ALL.len() * (bounds.len() + 2));
        Self { name, help, bounds, unit, cells, label: PhantomData }
    }

    /// Notes how long something took.
    pub fn took(&self, label: A, time: Duration) {
        self.note(label, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Notes a number, of times in microseconds.
    pub fn note(&self, label: A, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let row = self.row(label);
        if let Some(cell) = row.get(bucket) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(sum) = row.last() {
            sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// How many were noted.
    pub fn count(&self, label: A) -> u64 {
        let row = self.row(label);
        row.iter().take(self.bounds.len() + 1).map(|cell| cell.load(Ordering::Relaxed)).sum()
    }

    fn row(&self, label: A) -> &[AtomicU64] {
        let width = self.bounds.len() + 2;
        let begin = label.index() * width;
        self.cells.get(begin..begin + width).unwrap_or_default()
    }

    /// Labels of which there was nothing are left out, but for those without a name.
    pub(super) fn read(&self) -> Family {
        let mut samples = Vec::new();
        for label in A::ALL {
            let row: Vec<u64> = self.row(*label).iter().map(|cell| cell.load(Ordering::Relaxed)).collect();
            let (Some((sum, buckets)), true) =
                (row.split_last(), A::NAME.is_empty() || self.count(*label) > 0)
            else {
                continue;
            };
            let mut so_far = 0;
            let ends = self.bounds.iter().map(|bound| self.told(*bound).to_string());
            for (count, end) in buckets.iter().zip(ends.chain(["+Inf".to_owned()])) {
                so_far += count;
                let mut labels = labels(&[(A::NAME, label.word())]);
                labels.push(("le", end));
                samples.push(Sample { suffix: "_bucket", labels, value: so_far as f64 });
            }
            let labels = labels(&[(A::NAME, label.word())]);
            samples.push(Sample { suffix: "_sum", labels: labels.clone(), value: self.told(*sum) });
            samples.push(Sample { suffix: "_count", labels, value: so_far as f64 });
        }
        Family { name: self.name, help: self.help, kind: Kind::Histogram, samples }
    }

    fn told(&self, value: u64) -> f64 {
        value as f64 / self.unit as f64
    }
}

fn cells(many: usize) -> Box<[AtomicU64]> {
    (0..many).map(|_| AtomicU64::new(0)).collect()
}

fn labels(pairs: &[(&'static str, &'static str)]) -> Vec<(&'static str, String)> {
    let named = pairs.iter().filter(|(name, _)| !name.is_empty());
    named.map(|(name, word)| (*name, (*word).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::labels::{Door, Outcome};
    use super::*;

    #[test]
    fn counts_stay_with_their_labels() {
        let counters = Counters::<Door, Outcome>::new("n", "h");
        counters.add(Door::Smtp, Outcome::Accepted);
        counters.add_many(Door::Imap, Outcome::Refused, 3);
        assert_eq!(counters.get(Door::Smtp, Outcome::Accepted), 1);
        assert_eq!(counters.get(Door::Imap, Outcome::Refused), 3);
        assert_eq!(counters.get(Door::Submission, Outcome::Refused), 0);
        let total: f64 = counters.read().samples.iter().map(|sample| sample.value).sum();
        assert!((total - 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn buckets_hold_what_is_not_greater_than_their_end() {
        let times = Histograms::<()>::of_times("t", "h", &[1_000, 10_000]);
        for micros in [0, 1_000, 1_001, 10_000, 10_001, u64::MAX / 4] {
            times.note((), micros);
        }
        assert_eq!(times.count(()), 6);
        let told: Vec<(String, f64)> = times
            .read()
            .samples
            .into_iter()
            .filter(|sample| sample.suffix == "_bucket")
            .map(|sample| (sample.labels[0].1.clone(), sample.value))
            .collect();
        let want = [("0.001", 2.0), ("0.01", 4.0), ("+Inf", 6.0)].map(|(end, n)| (end.to_owned(), n));
        assert_eq!(told, want);
    }
}
