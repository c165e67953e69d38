//! As `calls`, with pools that tell AddressSanitizer of their entries. `tests/common/bytes.rs` says what the bytes mean.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/common/bytes.rs"]
mod bytes;
#[path = "../../tests/common/model.rs"]
mod model;
mod process;
#[path = "../../tests/common/watch.rs"]
mod watch;

libfuzzer_sys::fuzz_target!(
    init: process::prepare("", watch::mode()),
    |data: &[u8]| bytes::calls(data)
);
