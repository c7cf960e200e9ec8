//! What a start prints on standard output: the address, the key, and how to use them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use types::{App, Key};

/// Everything that somebody needs to try the node.
pub(crate) struct Banner<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) app: &'a App,
    pub(crate) sandbox: bool,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (host(self.address.ip()), self.address.port());
        let url = match self.address.ip() {
            IpAddr::V6(ip) if !ip.is_unspecified() => format!("http://[{host}]:{port}"),
            IpAddr::V4(_) | IpAddr::V6(_) => format!("http://{host}:{port}"),
        };
        writeln!(f, "Dunlin {} serves at {url}", env!("CARGO_PKG_VERSION"))?;
        if self.sandbox {
            writeln!(f, "Sandbox: anybody may make apps with POST {url}/apps")?;
        }
        for key in self.app.keys.iter().filter(|key| !key.restrictions.revoked) {
            write_examples(f, &host, port, &url, &key_text(self.app, key))?;
        }
        Ok(())
    }
}

fn write_examples(
    f: &mut fmt::Formatter<'_>,
    host: &str,
    port: u16,
    url: &str,
    key: &str,
) -> fmt::Result {
    write!(
        f,
        "
Key: {key}

JavaScript (npm install ably):
  const Ably = require('ably');
  const client = new Ably.Realtime({{ key: '{key}', endpoint: '{host}', port: {port}, tls: false }});
  client.channels.get('greetings').subscribe((message) => console.log(message.data));

curl:
  curl -u {key} -H 'Content-Type: application/json' -d '{{\"data\":\"hello\"}}' {url}/channels/greetings/messages
"
    )
}

fn key_text(app: &App, key: &Key) -> String {
    format!("{}.{}:{}", app.id, key.id, key.secret)
}

/// A name under which a client on this machine reaches the listener.
fn host(ip: IpAddr) -> String {
    if ip.is_unspecified() { "localhost".to_owned() } else { ip.to_string() }
}

#[cfg(test)]
mod tests {
    use types::{AppId, AppLimits, Restrictions};

    use super::*;

    fn banner(address: &str) -> String {
        let key = Key {
            id: "key123".into(),
            secret: "secret".into(),
            capability: r#"{"*":["*"]}"#.into(),
            revocable_tokens: false,
            restrictions: Restrictions::default(),
        };
        let app = App {
            id: AppId::from("app123"),
            account_id: "local".into(),
            keys: vec![key],
            namespaces: Vec::new(),
            limits: AppLimits::default(),
        };
        Banner { address: address.parse().unwrap(), app: &app, sandbox: false }.to_string()
    }

    #[test]
    fn it_names_the_address_and_the_key() {
        let text = banner("127.0.0.1:4711");
        for part in [
            "serves at http://127.0.0.1:4711\n",
            "Key: app123.key123:secret\n",
            "endpoint: '127.0.0.1', port: 4711, tls: false",
            "curl -u app123.key123:secret ",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_as_localhost() {
        assert!(banner("0.0.0.0:8080").contains("serves at http://localhost:8080\n"));
        assert!(banner("[::]:8080").contains("serves at http://localhost:8080\n"));
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        assert!(banner("[::1]:8080").contains("serves at http://[::1]:8080\n"));
    }
}
