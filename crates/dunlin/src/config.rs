//! The configuration file: TOML, every key optional. A document of its own, not the types that the
//! node works with; `docs/config.example.toml` shows it with its defaults.
//!
//! What is wrong with a value is found while it is read, so that the message names its line.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use auth::Capability;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use telemetry::LogFormat;
use types::{
    App, AppId, AppLimits, Key, Namespace, Network, NodeLimits, Restrictions, SiteCode, Timestamp,
};

/// What a key may do unless its configuration says otherwise: everything.
pub(crate) const FULL_CAPABILITY: &str = r#"{"[*]*":["*"]}"#;
/// The account of apps that are not made through the sandbox.
pub(crate) const ACCOUNT: &str = "local";

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    #[serde(deserialize_with = "parsed")]
    pub(crate) site: SiteCode,
    pub(crate) sandbox: bool,
    pub(crate) unlimited: bool,
    #[serde(deserialize_with = "log_filter")]
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    /// How long history of persisted channels is kept.
    pub(crate) history_retention_hours: u32,
    /// What a shutdown takes at most.
    pub(crate) shutdown_grace_seconds: u32,
    /// TCP connections at a time, of all apps.
    pub(crate) max_connections: NonZeroU32,
    /// Proxies that are believed when they say where a request comes from.
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) node: NodeLimits,
    /// Of the app that a first start makes.
    pub(crate) limits: AppLimits,
    /// Of the app that a first start makes.
    pub(crate) namespaces: Vec<NamespaceConfig>,
    pub(crate) apps: Vec<AppConfig>,
}

/// An app beside the one that a first start makes.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppConfig {
    #[serde(deserialize_with = "name")]
    id: Arc<str>,
    keys: Vec<KeyConfig>,
    #[serde(default)]
    namespaces: Vec<NamespaceConfig>,
    #[serde(default)]
    limits: AppLimits,
}

#[derive(PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyConfig {
    #[serde(deserialize_with = "name")]
    id: Arc<str>,
    #[serde(deserialize_with = "secret")]
    secret: Arc<str>,
    #[serde(default = "full_capability", deserialize_with = "capability")]
    capability: Arc<str>,
    #[serde(default)]
    revocable_tokens: bool,
    #[serde(default)]
    revoked: bool,
    #[serde(default, deserialize_with = "instant")]
    expires: Option<Timestamp>,
    #[serde(default)]
    allowed_ips: Vec<Network>,
    #[serde(default)]
    allowed_origins: Vec<Arc<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "a document of switches that operators set")]
pub(crate) struct NamespaceConfig {
    id: Arc<str>,
    #[serde(default)]
    persisted: bool,
    #[serde(default)]
    persist_last: bool,
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    tls_only: bool,
    #[serde(default)]
    push_enabled: bool,
    #[serde(default)]
    expose_timeserial: bool,
    #[serde(default)]
    mutable_messages: bool,
    #[serde(default)]
    populate_channel_registry: bool,
    #[serde(default)]
    batching_enabled: bool,
    batching_interval_ms: Option<u64>,
    #[serde(default)]
    conflation_enabled: bool,
    conflation_interval_ms: Option<u64>,
    conflation_key: Option<Arc<str>>,
}

impl Default for Config {
    fn default() -> Self {
        let persisted = NamespaceConfig {
            id: "persisted".into(),
            persisted: true,
            ..NamespaceConfig::default()
        };
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            data_dir: "dunlin-data".into(),
            site: "dun".parse().expect("three letters"),
            sandbox: false,
            unlimited: false,
            log: "info,fjall=warn,lsm_tree=warn".into(),
            log_format: LogFormat::Text,
            history_retention_hours: 72,
            shutdown_grace_seconds: 10,
            max_connections: const { NonZeroU32::new(100_000).unwrap() },
            trusted_proxies: Vec::new(),
            node: NodeLimits::default(),
            limits: AppLimits::default(),
            namespaces: vec![persisted],
            apps: Vec::new(),
        }
    }
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        // The message of the parser ends in a line break of its own.
        let config: Self =
            toml::from_str(text).map_err(|error| anyhow!("{}", error.to_string().trim_end()))?;
        config.check_ids()?;
        config.check_namespaces()?;
        Ok(config)
    }

    fn check_namespaces(&self) -> Result<()> {
        let of_apps = self.apps.iter().flat_map(|app| &app.namespaces);
        for namespace in self.namespaces.iter().chain(of_apps) {
            Namespace::from(namespace.clone()).grouping()?;
        }
        Ok(())
    }

    fn check_ids(&self) -> Result<()> {
        let mut apps = BTreeSet::new();
        for app in &self.apps {
            ensure!(apps.insert(&app.id), "two apps have the id {}", app.id);
            let mut keys = BTreeSet::new();
            for key in &app.keys {
                ensure!(keys.insert(&key.id), "two keys of app {} have the id {}", app.id, key.id);
            }
        }
        Ok(())
    }
}

impl From<AppConfig> for App {
    fn from(app: AppConfig) -> Self {
        Self {
            id: AppId::new(app.id),
            account_id: ACCOUNT.into(),
            keys: app.keys.into_iter().map(Key::from).collect(),
            namespaces: app.namespaces.into_iter().map(Namespace::from).collect(),
            limits: app.limits,
        }
    }
}

impl From<KeyConfig> for Key {
    fn from(key: KeyConfig) -> Self {
        let KeyConfig { id, secret, capability, revocable_tokens, .. } = key;
        let restrictions = Restrictions {
            revoked: key.revoked,
            expires: key.expires,
            allowed_ips: key.allowed_ips,
            allowed_origins: key.allowed_origins,
        };
        Self { id, secret, capability, revocable_tokens, restrictions }
    }
}

impl From<NamespaceConfig> for Namespace {
    fn from(namespace: NamespaceConfig) -> Self {
        Self {
            id: namespace.id,
            persisted: namespace.persisted,
            persist_last: namespace.persist_last,
            authenticated: namespace.authenticated,
            tls_only: namespace.tls_only,
            push_enabled: namespace.push_enabled,
            expose_timeserial: namespace.expose_timeserial,
            mutable_messages: namespace.mutable_messages,
            populate_channel_registry: namespace.populate_channel_registry,
            batching_enabled: namespace.batching_enabled,
            batching_interval: namespace.batching_interval_ms,
            conflation_enabled: namespace.conflation_enabled,
            conflation_interval: namespace.conflation_interval_ms,
            conflation_key: namespace.conflation_key,
        }
    }
}

impl std::fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyConfig").field("id", &self.id).finish_non_exhaustive()
    }
}

fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn log_filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let filter = String::deserialize(deserializer)?;
    telemetry::check_filter(&filter).map_err(D::Error::custom)?;
    Ok(filter)
}

/// An id that can be a part of a key's name.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let id = Arc::<str>::deserialize(deserializer)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if id.is_empty() || !id.bytes().all(allowed) {
        return Err(D::Error::custom("an id is made of ASCII letters, digits, `_` and `-`"));
    }
    Ok(id)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let secret = Arc::<str>::deserialize(deserializer)?;
    if secret.is_empty() {
        return Err(D::Error::custom("a secret is not empty"));
    }
    Ok(secret)
}

fn capability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let json = Arc::<str>::deserialize(deserializer)?;
    Capability::parse(&json).map_err(D::Error::custom)?;
    Ok(json)
}

/// A TOML date and time with its distance from UTC.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let said = toml::value::Datetime::deserialize(deserializer)?;
    let incomplete = || D::Error::custom("write a date, a time and `Z`: 2030-01-31T00:00:00Z");
    let (Some(date), Some(time), Some(toml::value::Offset::Z)) =
        (said.date, said.time, said.offset)
    else {
        return Err(incomplete());
    };
    let days = days_since_epoch(date.year.into(), date.month.into(), date.day.into());
    let minutes = u64::from(time.hour) * 60 + u64::from(time.minute);
    let seconds = minutes * 60 + u64::from(time.second.unwrap_or_default());
    let days = u64::try_from(days).map_err(|_before_1970| incomplete())?;
    Ok(Some(Timestamp((days * 86_400 + seconds) * 1_000)))
}

/// The years of this count begin in March, so that the leap day is the last one.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 719_469
}

fn full_capability() -> Arc<str> {
    FULL_CAPABILITY.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../docs/config.example.toml");

    fn objection(text: &str) -> String {
        format!("{:#}", Config::parse(text).unwrap_err())
    }

    #[test]
    fn the_example_shows_the_defaults() {
        assert_eq!(Config::parse(EXAMPLE).unwrap(), Config::default());
    }

    #[test]
    fn the_example_shows_every_key_of_the_tables_with_limits() {
        let example: toml::Table = EXAMPLE.parse().unwrap();
        let keys = |table: &toml::Table| table.keys().cloned().collect::<BTreeSet<_>>();
        let node = toml::Table::try_from(NodeLimits::default()).unwrap();
        let app = toml::Table::try_from(AppLimits::default()).unwrap();
        assert_eq!(keys(example["node"].as_table().unwrap()), keys(&node));
        assert_eq!(keys(example["limits"].as_table().unwrap()), keys(&app));
    }

    #[test]
    fn what_the_example_has_in_comments_is_an_app() {
        let comments: Vec<&str> =
            EXAMPLE.lines().skip_while(|line| *line != "# [[apps]]").collect();
        let text: Vec<&str> = comments.iter().map(|line| line.trim_start_matches("# ")).collect();
        let config = Config::parse(&text.join("\n")).unwrap();
        let [app] = <[AppConfig; 1]>::try_from(config.apps).unwrap();
        let app = App::from(app);
        assert_eq!(app.keys.len(), 4);
        assert!(app.keys[2].restrictions.revoked);
        assert_eq!(app.keys[0].capability.as_ref(), FULL_CAPABILITY);
        assert!(app.namespaces[0].persisted);
        assert_eq!(app.limits.message_rate, 0);
    }

    #[test]
    fn a_key_has_restrictions() {
        let text = r#"
            [[apps]]
            id = "a"
            [[apps.keys]]
            id = "k"
            secret = "s"
            revoked = true
            expires = 2024-02-29T12:30:05Z
            allowed_ips = ["10.0.0.0/8"]
            allowed_origins = ["https://a.example"]
        "#;
        let [app] = <[AppConfig; 1]>::try_from(Config::parse(text).unwrap().apps).unwrap();
        let restrictions = App::from(app).keys.remove(0).restrictions;
        assert!(restrictions.revoked);
        assert_eq!(restrictions.expires, Some(Timestamp(1_709_209_805_000)));
        assert_eq!(restrictions.allowed_ips, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(restrictions.allowed_origins, ["https://a.example".into()]);
    }

    #[test]
    fn days_count_from_the_epoch() {
        let dates = [(1970, 1, 1), (1970, 3, 1), (2000, 2, 29), (2024, 12, 31), (2100, 3, 1)];
        let days = dates.map(|(year, month, day)| days_since_epoch(year, month, day));
        assert_eq!(days, [0, 59, 11_016, 20_088, 47_541]);
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        for (text, line, key) in [
            ("sandbox = true\nlisten_on = 1", "line 2", "listen_on"),
            ("[node]\n\nframe = 1", "line 3", "frame"),
            ("[[namespaces]]\nid = \"a\"\nkept = true", "line 3", "kept"),
        ] {
            let message = objection(text);
            assert!(message.contains(line) && message.contains(key), "{message}");
        }
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_with_its_line() {
        let app = "[[apps]]\nid = \"a\"\nkeys = [\n";
        for (text, line) in [
            ("listen = \"8080\"".to_owned(), "line 1"),
            ("\nsite = \"toolong\"".to_owned(), "line 2"),
            ("log = \"store=loud\"".to_owned(), "line 1"),
            ("history_retention_hours = -1".to_owned(), "line 1"),
            ("max_connections = 0".to_owned(), "line 1"),
            ("[limits]\nmessage_rate = \"many\"".to_owned(), "line 2"),
            ("[[apps]]\nid = \"a.b\"\nkeys = []".to_owned(), "line 2"),
            (format!("{app}{{ id = \"k\", secret = \"\" }}]"), "line 4"),
            (format!("{app}{{ id = \"k\", secret = \"s\", allowed_ips = [\"x\"] }}]"), "line 4"),
            (format!("{app}{{ id = \"k\", secret = \"s\", expires = 2030-01-01 }}]"), "line 4"),
            ("trusted_proxies = [\"10.0.0.0/64\"]".to_owned(), "line 1"),
            (format!("{app}{{ id = \"k\", secret = \"s\", capability = \"all\" }}]"), "line 4"),
        ] {
            let message = objection(&text);
            assert!(message.contains(line), "{text}\n{message}");
        }
    }

    #[test]
    fn rules_of_a_namespace_that_exclude_each_other_are_refused() {
        let both = "[[namespaces]]\nid = \"a\"\nbatching_enabled = true\nconflation_enabled = true";
        assert!(objection(both).contains("either batching or conflation"));
        let key =
            "[[namespaces]]\nid = \"a\"\nconflation_enabled = true\nconflation_key = \"#{x}\"";
        assert!(objection(key).contains("bad conflation key"));
    }

    #[test]
    fn ids_are_unique() {
        let app = "[[apps]]\nid = \"a\"\nkeys = []\n";
        assert_eq!(objection(&app.repeat(2)), "two apps have the id a");
        let keys = "[[apps]]\nid = \"a\"\nkeys = [{ id = \"k\", secret = \"1\" }, { id = \"k\", secret = \"2\" }]";
        assert_eq!(objection(keys), "two keys of app a have the id k");
    }
}
