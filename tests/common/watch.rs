//! Which bytes may be touched, as whoever watches the memory knows it?
//!
//! Under AddressSanitizer, that is who is asked. Elsewhere its functions stand here, and write down what the
//! library tells them: pools then go the way of watched pools, in any program, and the model can say
//! whether exactly the entries that are out are open.

use super::model::Mode;

/// The mode of a process in which pools are watched.
pub fn mode() -> Mode {
    Mode::Watched { open: imp::open, closed: imp::closed }
}

#[cfg(fuzzing)]
mod imp {
    use std::ffi::c_void;

    unsafe extern "C" {
        fn __asan_region_is_poisoned(bytes: *mut c_void, len: usize) -> *mut c_void;
        fn __asan_address_is_poisoned(byte: *const c_void) -> i32;
    }

    pub fn open(at: *const u8, len: usize) -> bool {
        // SAFETY: it looks at its own memory alone.
        unsafe { __asan_region_is_poisoned(at.cast_mut().cast(), len) }.is_null()
    }

    /// It knows of eight bytes at a time.
    pub fn closed(at: *const u8, len: usize) -> bool {
        let last = len.saturating_sub(1);
        let mut offsets = (0..len).step_by(8).chain([last]);
        // SAFETY: as above.
        offsets.all(|i| unsafe { __asan_address_is_poisoned(at.wrapping_add(i).cast()) } != 0)
    }
}

#[cfg(not(fuzzing))]
mod imp {
    use std::collections::BTreeMap;
    use std::ffi::c_void;
    use std::sync::{Mutex, MutexGuard, PoisonError};

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

    #[unsafe(no_mangle)]
    extern "C" fn __asan_poison_memory_region(bytes: *const c_void, len: usize) {
        let (mut start, mut end) = (bytes as usize, bytes as usize + len);
        let closed = &mut *ranges();
        while let Some((first, last)) =
            last_before(closed, end + 1).filter(|range| range.1 >= start)
        {
            closed.remove(&first);
            (start, end) = (start.min(first), end.max(last));
        }
        closed.insert(start, end);
    }

    #[unsafe(no_mangle)]
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

    pub fn open(at: *const u8, len: usize) -> bool {
        let (start, end) = (at as usize, at as usize + len);
        last_before(&ranges(), end).is_none_or(|range| range.1 <= start)
    }

    pub fn closed(at: *const u8, len: usize) -> bool {
        let (start, end) = (at as usize, at as usize + len);
        last_before(&ranges(), end).is_some_and(|range| range.0 <= start && end <= range.1)
    }

    /// How many ranges nobody may touch.
    pub fn closed_ranges() -> usize {
        ranges().len()
    }
}

#[cfg(not(fuzzing))]
pub use imp::closed_ranges;
