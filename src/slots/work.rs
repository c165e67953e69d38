//! How much does a call do? Tests count it, and prove a bound for each call.

#[cfg(test)]
thread_local! {
    static WORK: core::cell::Cell<[usize; 2]> = const { core::cell::Cell::new([0; 2]) };
}

/// So many entries went from one place to another.
#[inline(always)]
pub fn moved(_entries: usize) {
    #[cfg(test)]
    WORK.with(|work| work.set([work.get()[0] + _entries, work.get()[1]]));
}

/// So many lines of the processor's caches were touched, beside those that each visit to the depot touches.
#[inline(always)]
pub fn touched(_lines: usize) {
    #[cfg(test)]
    WORK.with(|work| work.set([work.get()[0], work.get()[1] + _lines]));
}

/// What the calling thread did since it asked last: entries that it moved, lines that it touched.
#[cfg(test)]
pub fn done() -> [usize; 2] {
    WORK.with(|work| work.replace([0; 2]))
}
