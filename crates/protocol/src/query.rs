//! Query strings and path segments: percent-decoding within bounds.
//!
//! A `%` that no two hex digits follow stands for itself; text that is not UTF-8 after decoding is
//! refused, so that no two names collapse into one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use types::ErrorInfo;
use types::error::INVALID_PARAM;

/// Pairs in one query; more are refused (40003).
const MAX_PAIRS: usize = 256;

/// Bytes of one query before decoding; more are refused (40003). Tokens travel in queries.
const MAX_BYTES: usize = 64 << 10;

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The pairs of a query string without its `?`, in order; `+` is a space, a name without `=` has
/// an empty value, and empty pairs are left out.
pub fn parse_query(query: &str) -> Result<Vec<(String, String)>, ErrorInfo> {
    if query.len() > MAX_BYTES {
        return Err(INVALID_PARAM.with("query too long"));
    }
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MAX_PAIRS {
            return Err(INVALID_PARAM.with("too many query parameters"));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((
            decode_segment(&name.replace('+', " "))?,
            decode_segment(&value.replace('+', " "))?,
        ));
    }
    Ok(pairs)
}

/// Percent-decodes one path segment, where `+` is a plus sign.
pub fn decode_segment(segment: &str) -> Result<String, ErrorInfo> {
    match percent_decode_str(segment).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(error) => Err(INVALID_PARAM.with(format!("not UTF-8 after percent-decoding: {error}"))),
    }
}

/// Percent-encodes what stands in a path segment or a query.
pub fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        parse_query(query).unwrap()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn pairs_are_decoded_in_order() {
        assert_eq!(
            pairs("a=1&b=x+y%2Bz&a=%C3%A9&flag&&=v&c=d=e"),
            [
                pair("a", "1"),
                pair("b", "x y+z"),
                pair("a", "é"),
                pair("flag", ""),
                pair("", "v"),
                pair("c", "d=e"),
            ]
        );
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn a_stray_percent_sign_stands_for_itself() {
        assert_eq!(pairs("a=100%&b=%zz%4"), [pair("a", "100%"), pair("b", "%zz%4")]);
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert_eq!(parse_query("a=%ff").unwrap_err().code, INVALID_PARAM.code);
        assert_eq!(decode_segment("%c3%28").unwrap_err().code, INVALID_PARAM.code);
    }

    #[test]
    fn queries_are_bounded() {
        assert_eq!(pairs(&"a&".repeat(MAX_PAIRS)).len(), MAX_PAIRS);
        assert!(parse_query(&"a&".repeat(MAX_PAIRS + 1)).is_err());
        assert!(parse_query(&"a".repeat(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn a_plus_in_a_path_segment_is_a_plus() {
        assert_eq!(decode_segment("a+b%20c%2Fd").unwrap(), "a+b c/d");
    }
}
