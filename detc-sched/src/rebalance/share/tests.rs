use super::{Best, Exchange};

/// What each thread has after an exchange of these costs; its placement is its number.
fn exchanged(costs: &[i64]) -> Vec<(i64, Vec<u32>)> {
    let threads = Exchange::all(costs.len());
    std::thread::scope(|scope| {
        let begun: Vec<_> = threads
            .into_iter()
            .zip(costs)
            .map(|(exchange, cost)| {
                scope.spawn(move || {
                    let at = [exchange.thread() as u32; 4];
                    let mut best = Best::new(&at, *cost);
                    exchange.best_of_all(&mut best, &at);
                    (best.cost(), best.write_out(&at).to_vec())
                })
            })
            .collect();
        begun.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    })
}

#[test]
fn all_have_the_best_of_all_and_of_equals_that_of_the_first() {
    assert_eq!(exchanged(&[5, 3, 4, 3]), vec![(3, vec![1; 4]); 4]);
    assert_eq!(exchanged(&[2]), [(2, vec![0; 4])]);
}

#[test]
fn who_has_ended_is_not_waited_for() {
    let mut threads = Exchange::all(3);
    drop(threads.remove(1));
    let first = threads.remove(0);
    drop(threads);
    let mut best = Best::new(&[7], 1);
    first.best_of_all(&mut best, &[7]);
    assert_eq!((best.cost(), best.write_out(&[7])), (1, &[7][..]));
}
