//! Where a client is: the address at the other end of its connection, or the one that a trusted proxy
//! there names; and the web page that its script is on, as its browser says.

use std::net::{IpAddr, SocketAddr};

use auth::{Security, Source};
use http::{HeaderMap, HeaderName, header};
use types::Network;

/// The addresses that a request came through; each proxy adds the one that it sees.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How a request came to each proxy.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The source of a request that came from `address`. What is forwarded is believed from the end, as far
/// as those who say it are in `proxies`.
pub(crate) fn of(address: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> Source {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(*address));
    let lines = headers.get_all(FORWARDED_FOR).into_iter().collect::<Vec<_>>();
    let texts = lines.into_iter().rev().filter_map(|line| line.to_str().ok());
    let mut forwarded = texts.flat_map(|line| line.rsplit(',')).map(parse);
    let mut at = Some(address);
    while let Some(proxy) = at
        && is_proxy(&proxy)
        && let Some(before) = forwarded.next()
    {
        at = before;
    }
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let security = if is_proxy(&address) { security(headers) } else { Security::Plain };
    Source { address: at, origin: origin.map(str::to_owned), security }
}

/// What proxies say: TLS if every hop that they tell of used it.
fn security(headers: &HeaderMap) -> Security {
    let mut lines = headers.get_all(FORWARDED_PROTO).iter().peekable();
    let is_tls = |hop: &str| matches!(hop.trim().to_ascii_lowercase().as_str(), "https" | "wss");
    let told = lines.peek().is_some();
    let secure = lines.all(|line| line.to_str().is_ok_and(|line| line.split(',').all(is_tls)));
    if told && secure { Security::Tls } else { Security::Plain }
}

/// An address, which some proxies write with its port.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_trusted_proxies_say_where_a_client_is() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for (address, forwarded, expected) in [
            ("1.1.1.1", "", Some("1.1.1.1")),
            ("1.1.1.1", "2.2.2.2", Some("1.1.1.1")),
            ("10.0.0.1", "", Some("10.0.0.1")),
            ("10.0.0.1", "9.9.9.9, 2.2.2.2", Some("2.2.2.2")),
            ("10.0.0.1", "9.9.9.9,2.2.2.2:77,10.0.0.2", Some("2.2.2.2")),
            ("10.0.0.1", "10.0.0.3", Some("10.0.0.3")),
            ("10.0.0.1", "2.2.2.2, unknown", None),
            ("::ffff:10.0.0.1", "2001::1", Some("2001::1")),
        ] {
            let mut headers = HeaderMap::new();
            if !forwarded.is_empty() {
                headers.append(FORWARDED_FOR, HeaderValue::from_str(forwarded).unwrap());
            }
            let source = of(address.parse().unwrap(), &headers, &proxies);
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(source.address, expected, "{address} {forwarded}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed_that_every_hop_used_tls() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for (address, forwarded, expected) in [
            ("1.1.1.1", vec!["https"], Security::Plain),
            ("10.0.0.1", vec![], Security::Plain),
            ("10.0.0.1", vec!["https"], Security::Tls),
            ("10.0.0.1", vec!["WSS, https"], Security::Tls),
            ("10.0.0.1", vec!["https, http"], Security::Plain),
            ("10.0.0.1", vec!["http", "https"], Security::Plain),
        ] {
            let mut headers = HeaderMap::new();
            for line in &forwarded {
                headers.append(FORWARDED_PROTO, HeaderValue::from_str(line).unwrap());
            }
            let source = of(address.parse().unwrap(), &headers, &proxies);
            assert_eq!(source.security, expected, "{address} {forwarded:?}");
        }
    }

    #[test]
    fn the_last_line_of_several_is_the_newest() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_static("2.2.2.2"));
        headers.append(FORWARDED_FOR, HeaderValue::from_static("3.3.3.3"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://a.example"));
        let source = of([10, 0, 0, 1].into(), &headers, &["10.0.0.1".parse().unwrap()]);
        assert_eq!(source.address, Some([3, 3, 3, 3].into()));
        assert_eq!(source.origin.as_deref(), Some("https://a.example"));
    }
}
