//! What is the same in a fuzzer's process from the first pool on?

use std::ffi::{CStr, c_char};

use super::model::{Mode, set_mode};

/// Has all pools made as the words of `CMEMPOOL_OPTIONS` say, and the model know it.
pub fn prepare(options: &str, mode: Mode) {
    // SAFETY: the fuzzer calls this first, and has one thread then.
    unsafe { std::env::set_var("CMEMPOOL_OPTIONS", options) };
    set_mode(mode);
}

/// What AddressSanitizer does unless `ASAN_OPTIONS` says otherwise. The blocks that it keeps back, at
/// first 256 MB of them, are those of many thousand runs that are over, and each new block is memory that
/// was not touched before.
const OPTIONS: &CStr =
    c"quarantine_size_mb=16:detect_stack_use_after_return=0:malloc_context_size=8";

#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const c_char {
    OPTIONS.as_ptr()
}
