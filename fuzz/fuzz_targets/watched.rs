//! As `calls`, with pools that tell AddressSanitizer of their entries: exactly those that are out are open.
//! `tests/common/bytes.rs` says what the bytes mean.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/common/bytes.rs"]
mod bytes;
#[path = "../../tests/common/model.rs"]
mod model;
mod process;

use std::ffi::c_void;

libfuzzer_sys::fuzz_target!(
    init: process::prepare("", model::Mode::Watched { open, closed }),
    |data: &[u8]| bytes::calls(data)
);

unsafe extern "C" {
    fn __asan_region_is_poisoned(bytes: *mut c_void, len: usize) -> *mut c_void;
    fn __asan_address_is_poisoned(byte: *const c_void) -> i32;
}

fn open(at: *const u8, len: usize) -> bool {
    // SAFETY: it looks at its own memory alone.
    unsafe { __asan_region_is_poisoned(at.cast_mut().cast(), len) }.is_null()
}

/// AddressSanitizer knows of eight bytes at a time.
fn closed(at: *const u8, len: usize) -> bool {
    let mut offsets = (0..len).step_by(8).chain([len.saturating_sub(1)]);
    // SAFETY: as above.
    offsets.all(|i| unsafe { __asan_address_is_poisoned(at.wrapping_add(i).cast()) } != 0)
}
