//! What all targets share: a budget of memory for each input. Time is libFuzzer's (`-timeout`).

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counting.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` and panics if it held more than `octets` at one time.
///
/// What is allocated once and kept (tables made at the first use) counts for the input that caused it, so budgets
/// leave room for that.
pub fn within<R>(octets: usize, work: impl FnOnce() -> R) -> R {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    let held = PEAK.load(Relaxed).saturating_sub(before);
    assert!(held <= octets, "{held} octets were held at one time; the budget is {octets}");
    result
}

/// A run-time for targets that ask a (fake) resolver. Its clock stands still while work can be done, and leaps when
/// all that is left is waiting, so that no time limit costs time.
pub fn block_on<R>(future: impl Future<Output = R>) -> R {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a run-time without input and output can always be made");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// The parts of an input, which are parted by lines that hold a `%` and nothing else; an input that libFuzzer made has
/// fewer or more.
pub fn parts<const N: usize>(data: &[u8]) -> [Vec<u8>; N] {
    let mut parts = std::array::from_fn(|_| Vec::new());
    let mut at = 0;
    for line in data.split_inclusive(|octet| *octet == b'\n') {
        if line == b"%\n" && at + 1 < N {
            at += 1;
        } else {
            parts[at].extend_from_slice(line);
        }
    }
    parts
}

/// A directory for what must lie on a disk to be read; one for each process.
pub fn scratch() -> &'static std::path::Path {
    static SCRATCH: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    SCRATCH.get_or_init(|| {
        let place = std::env::temp_dir().join(format!("maddy-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("there is room for temporary files");
        place
    })
}
