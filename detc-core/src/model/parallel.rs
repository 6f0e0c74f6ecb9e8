//! Splits work over a million resources among the cores. Results come back in order, so that nothing depends on how many
//! there are.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Below this many items a thread costs more than it saves.
const PER_THREAD_MIN: usize = 10_000;

/// How many parts there are for each thread, where there is enough to do: other work takes a core away for a while, and who
/// has less to do takes the next part.
const PARTS: usize = 4;

/// Runs `work` over the parts of `0..len`, on several threads where there is much to do. The results are in the order of
/// the parts.
pub(crate) fn in_parts<T: Send>(len: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    // How many cores there are is read from files each time it is asked.
    let of_use = len / PER_THREAD_MIN;
    let threads = match of_use {
        0 | 1 => 1,
        _ => std::thread::available_parallelism().map_or(1, usize::from).min(of_use),
    };
    if threads == 1 {
        return vec![work(0..len)];
    }
    let part = len.div_ceil(threads * PARTS.min(of_use / threads));
    let next = AtomicUsize::new(0);
    let take_all = || {
        let starts = std::iter::from_fn(|| {
            let start = next.fetch_add(1, Ordering::Relaxed).checked_mul(part)?;
            (start < len).then_some(start)
        });
        starts.map(|start| (start, work(start..len.min(start + part)))).collect::<Vec<_>>()
    };
    let mut done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(take_all)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<(usize, T)>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    done.sort_unstable_by_key(|(start, _)| *start);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_whole_in_order() {
        for len in [0, 1, PER_THREAD_MIN, 7 * PER_THREAD_MIN + 3, 100 * PER_THREAD_MIN - 1] {
            let parts = in_parts(len, |range| range.collect::<Vec<_>>());
            assert_eq!(parts.concat(), (0..len).collect::<Vec<_>>());
        }
    }
}
