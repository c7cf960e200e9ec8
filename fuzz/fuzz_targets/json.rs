//! JSON frames and bodies.
#![no_main]

use protocol::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::arrive(Format::Json, bytes));
