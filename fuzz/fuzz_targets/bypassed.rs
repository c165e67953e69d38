//! As `calls`, with every entry from the heap. `tests/common/bytes.rs` says what the bytes mean.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/common/bytes.rs"]
mod bytes;
#[path = "../../tests/common/model.rs"]
mod model;
mod process;

libfuzzer_sys::fuzz_target!(
    init: process::prepare("bypass", model::Mode::Bypassed),
    |data: &[u8]| bytes::calls(data)
);
