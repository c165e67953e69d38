//! `tests/common/bytes.rs` says what the bytes mean.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/common/bytes.rs"]
mod bytes;
#[path = "../../tests/common/model.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bytes::create(data));
