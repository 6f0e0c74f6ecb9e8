//! Panics that a damaged file causes in the database. They end as [`StoreError::Corrupt`](crate::store::StoreError); a
//! program that has the process to itself need not print them as well.

use std::cell::Cell;

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, whose panic the caller turns into an error.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> T {
    struct Uncaught(bool);
    impl Drop for Uncaught {
        fn drop(&mut self) {
            CAUGHT.set(self.0);
        }
    }
    let _restored = Uncaught(CAUGHT.replace(true));
    work()
}

/// Keeps such panics from standard error, from now on and in the whole process. All others are told as before.
#[cfg(feature = "cli")]
pub(crate) fn tell_only_other_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !CAUGHT.get() {
            tell(panic);
        }
    }));
}
