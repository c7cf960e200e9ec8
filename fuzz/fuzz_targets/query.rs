//! Query strings and path segments.
#![no_main]

use protocol::{decode_segment, parse_query};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(pairs) = parse_query(text) {
        let decoded: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(decoded <= text.len());
    }
    if let Ok(segment) = decode_segment(text) {
        assert!(segment.len() <= text.len());
        assert!(segment == text || text.contains('%'));
    }
});
