//! Lines on their way to the log's reader, who may be slow or not read at all: nobody who logs waits for him.
//!
//! A line is appended to a buffer with a limit, and a thread of its own writes the buffer out. What finds no room is
//! dropped and counted, and the count is told as soon as lines flow again.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// Most octets that wait to be written; as many again may be in the hands of the writing thread.
const WAITING_MAX: usize = 4 * 1024 * 1024;
/// How long the end of the program waits for the last lines.
const TAIL_PATIENCE: Duration = Duration::from_secs(2);
/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(2);
/// Pause before the next try of an output that does not wait by itself and has no room.
const RETRY: Duration = Duration::from_millis(50);

/// Where lines are put. Cloning is cheap, and all clones are the same queue.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Everything was written.
    emptied: Condvar,
    max: usize,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines dropped since the writing thread came by.
    lost: u64,
    /// The writing thread has octets in its hands.
    writing: bool,
}

/// Sees to it that the last lines are written before the program ends, unless nobody takes them.
#[must_use]
pub(crate) struct Tail(Queue);

impl Queue {
    /// Begins the thread that writes to `out`.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Tail)> {
        Self::with_room(WAITING_MAX, out)
    }

    fn with_room(max: usize, out: impl Write + Send + 'static) -> io::Result<(Self, Tail)> {
        let shared = Shared { state: Mutex::default(), filled: Condvar::new(), emptied: Condvar::new(), max };
        let queue = Self(Arc::new(shared));
        let writing = queue.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writing.write_out(out))?;
        Ok((queue.clone(), Tail(queue)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > self.0.max {
            state.lost += 1;
            return;
        }
        // Whoever put the first line there has woken the thread.
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        if is_first {
            self.0.filled.notify_one();
        }
    }

    /// The writing thread, for as long as the program lives.
    fn write_out(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let lost = self.take(&mut batch);
            if lost > 0 {
                // Behind the lines before the gap, which are in our hands, and before all that come now.
                warn!(lost, "{lost} lines of the log were lost: whoever reads it did not take them in time");
            }
            write_all(&mut out, &batch);
            batch.clear();
            let mut state = self.state();
            state.writing = false;
            if state.waiting.is_empty() {
                self.0.emptied.notify_all();
                // A burst shall not hold its memory for ever.
                batch.shrink_to(self.0.max / 64);
                state.waiting.shrink_to(self.0.max / 64);
            }
        }
    }

    /// Waits for lines and takes them all; the number of lines that were dropped behind them.
    fn take(&self, batch: &mut Vec<u8>) -> u64 {
        let first = self.0.filled.wait_while(self.state(), |state| state.waiting.is_empty());
        drop(first);
        // Lines come in bunches, and each writing costs more than a line.
        std::thread::sleep(GATHER);
        let mut state = self.state();
        std::mem::swap(&mut state.waiting, batch);
        state.writing = true;
        std::mem::take(&mut state.lost)
    }

    fn wait_empty(&self, patience: Duration) {
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        drop(self.0.emptied.wait_timeout_while(self.state(), patience, busy));
    }
}

/// Writes as much as can be written. Where the output is gone there is nobody to tell.
fn write_all(out: &mut impl Write, mut octets: &[u8]) {
    while !octets.is_empty() {
        match out.write(octets) {
            Ok(0) => return,
            Ok(written) => octets = &octets[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(RETRY),
            Err(_) => return,
        }
    }
    let _ = out.flush();
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.0.wait_empty(TAIL_PATIENCE);
    }
}

/// The subscriber hands over each line whole.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    /// An output that tells what it is given, and waits until that is taken.
    struct Slow(SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.send(octets.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn until(reader: &Receiver<Vec<u8>>, words: &str) -> String {
        let mut all = String::new();
        while !all.contains(words) {
            all.push_str(&String::from_utf8(reader.recv().unwrap()).unwrap());
        }
        all
    }

    #[test]
    fn a_reader_who_stops_costs_lines_and_no_time_and_is_told() {
        let (sender, reader) = sync_channel(0);
        let (queue, _tail) = Queue::with_room(1000, Slow(sender)).unwrap();
        // The writing thread has no subscriber but the one for all; what other tests log meanwhile is not counted here.
        let lines = tracing_subscriber::fmt()
            .with_env_filter("maddy::logging::queue=warn")
            .with_writer(queue.clone())
            .with_ansi(false)
            .finish();
        tracing::subscriber::set_global_default(lines).unwrap();
        queue.add(b"first\n");
        while !queue.state().writing {
            std::thread::yield_now();
        }
        for n in 0..1000 {
            queue.add(format!("line {n:04}\n").as_bytes());
        }
        assert_eq!(until(&reader, "first\n"), "first\n");
        let kept = until(&reader, "line 0099\n");
        assert_eq!(kept.lines().count(), 100);
        let told = until(&reader, "in time");
        assert!(told.contains("900 lines of the log were lost"), "{told}");
        queue.add(b"again\n");
        until(&reader, "again\n");
    }

    #[test]
    fn an_output_that_is_gone_holds_nobody_up() {
        let (sender, reader) = sync_channel(0);
        drop(reader);
        let (queue, tail) = Queue::with_room(1000, Slow(sender)).unwrap();
        for _ in 0..1000 {
            queue.add(b"line\n");
        }
        drop(tail);
        assert!(queue.state().waiting.is_empty());
    }
}
