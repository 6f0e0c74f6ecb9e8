//! Splits work over a million resources among the cores. Results come back in order, so that nothing depends on how many
//! there are.

use std::ops::Range;

/// Below this many items a thread costs more than it saves.
const PER_THREAD_MIN: usize = 10_000;

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
    let part = len.div_ceil(threads);
    let parts = (0..threads).map(|at| at * part..len.min((at + 1) * part));
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = parts.map(|range| scope.spawn(move || work(range))).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, T>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_whole_in_order() {
        for len in [0, 1, PER_THREAD_MIN, 7 * PER_THREAD_MIN + 3] {
            let parts = in_parts(len, |range| range.collect::<Vec<_>>());
            assert_eq!(parts.concat(), (0..len).collect::<Vec<_>>());
        }
    }
}
