//! Which bytes may be touched, as the library tells who watches the memory?
//!
//! AddressSanitizer's functions stand here, and write down what they are told: pools of a program that has
//! them go the way of watched pools, and the model can say whether exactly the entries that are out are
//! open. The fuzzer asks AddressSanitizer itself.

#![cfg_attr(instrumented, allow(dead_code))]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::model::Mode;

/// The mode of a process in which pools are watched.
pub fn mode() -> Mode {
    Mode::Watched { open, closed }
}

/// Where closed ranges start and end. No two overlap or touch.
type Ranges = BTreeMap<usize, usize>;

static CLOSED: Mutex<Ranges> = Mutex::new(Ranges::new());

fn ranges() -> MutexGuard<'static, Ranges> {
    CLOSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The closed range that starts before `end` last.
fn last_before(closed: &Ranges, end: usize) -> Option<(usize, usize)> {
    closed.range(..end).next_back().map(|(&start, &end)| (start, end))
}

// With AddressSanitizer there are its own.
#[cfg_attr(not(instrumented), unsafe(no_mangle))]
extern "C" fn __asan_poison_memory_region(bytes: *const c_void, len: usize) {
    if len == 0 {
        return;
    }
    let (mut start, mut end) = (bytes as usize, bytes as usize + len);
    let closed = &mut *ranges();
    while let Some((first, last)) = last_before(closed, end + 1).filter(|range| range.1 >= start) {
        closed.remove(&first);
        (start, end) = (start.min(first), end.max(last));
    }
    closed.insert(start, end);
}

#[cfg_attr(not(instrumented), unsafe(no_mangle))]
extern "C" fn __asan_unpoison_memory_region(bytes: *const c_void, len: usize) {
    let (start, end) = (bytes as usize, bytes as usize + len);
    let closed = &mut *ranges();
    while let Some((first, last)) = last_before(closed, end).filter(|range| range.1 > start) {
        closed.remove(&first);
        if first < start {
            closed.insert(first, start);
        }
        if last > end {
            closed.insert(end, last);
        }
    }
}

fn open(at: *const u8, len: usize) -> bool {
    let (start, end) = (at as usize, at as usize + len);
    last_before(&ranges(), end).is_none_or(|range| range.1 <= start)
}

fn closed(at: *const u8, len: usize) -> bool {
    let (start, end) = (at as usize, at as usize + len);
    last_before(&ranges(), end).is_some_and(|range| range.0 <= start && end <= range.1)
}

/// How many ranges nobody may touch.
pub fn closed_ranges() -> usize {
    ranges().len()
}
