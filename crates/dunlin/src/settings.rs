//! What a run of `dunlin serve` works with, after flag, environment variable, file and default have
//! been weighed against each other, in this order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use telemetry::LogFormat;
use types::{App, AppLimits, Namespace, Network, NodeLimits, SiteCode};

use crate::config::Config;
use crate::serve::ServeArgs;

#[derive(Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) site: SiteCode,
    pub(crate) sandbox: bool,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) history_retention: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) max_connections: u32,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) node: NodeLimits,
    /// Of the app that the data directory keeps.
    pub(crate) limits: AppLimits,
    /// Of the app that the data directory keeps.
    pub(crate) namespaces: Vec<Namespace>,
    /// Those that the configuration file adds.
    pub(crate) apps: Vec<App>,
    /// Where that is.
    pub(crate) file: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn resolve(args: ServeArgs) -> Result<Self> {
        let config = read(args.config.as_deref())?;
        Ok(Self::weigh(args, config))
    }

    fn weigh(args: ServeArgs, config: Config) -> Self {
        let mut node = config.node;
        let unlimited = args.unlimited.unwrap_or(config.unlimited);
        let mut limits = config.limits;
        let mut apps: Vec<App> = config.apps.into_iter().map(App::from).collect();
        if unlimited {
            for limits in apps.iter_mut().map(|app| &mut app.limits).chain([&mut limits]) {
                let max_message_size = limits.max_message_size;
                *limits = AppLimits { max_message_size, ..AppLimits::unlimited() };
            }
            node = NodeLimits { apps: 0, keys_per_app: 0, namespaces_per_app: 0, ..node };
        }
        let hours = u64::from(config.history_retention_hours);
        let grace = args.shutdown_grace.unwrap_or(config.shutdown_grace_seconds);
        Self {
            listen: args.listen.unwrap_or(config.listen),
            data_dir: args.data_dir.unwrap_or(config.data_dir),
            site: args.site.unwrap_or(config.site),
            sandbox: args.sandbox.unwrap_or(config.sandbox),
            log: args.log.unwrap_or(config.log),
            log_format: args.log_format.unwrap_or(config.log_format),
            history_retention: Duration::from_secs(hours * 60 * 60),
            shutdown_grace: Duration::from_secs(grace.into()),
            max_connections: config.max_connections.get(),
            trusted_proxies: config.trusted_proxies,
            node,
            limits,
            namespaces: config.namespaces.into_iter().map(Namespace::from).collect(),
            apps,
            file: args.config,
        }
    }

    /// The apps as the configuration file has them now.
    pub(crate) fn read_apps(&self) -> Result<Vec<App>> {
        Ok(read(self.file.as_deref())?.apps.into_iter().map(App::from).collect())
    }
}

fn read(file: Option<&Path>) -> Result<Config> {
    Ok(file.map(Config::read).transpose()?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(flags: &[&str]) -> ServeArgs {
        let words = ["dunlin", "serve"].iter().chain(flags);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Serve(args) => args,
            Command::Keys(_) | Command::Bench(_) => panic!("another command"),
        }
    }

    fn resolve(file: &str, flags: &[&str]) -> Settings {
        let folder = testkit::Folder::new();
        let config = Some(folder.write("dunlin.toml", file));
        Settings::resolve(ServeArgs { config, ..args(flags) }).unwrap()
    }

    #[test]
    fn without_flags_and_file_the_defaults_hold() {
        let settings = Settings::resolve(args(&[])).unwrap();
        assert_eq!(settings.listen.to_string(), "0.0.0.0:8080");
        assert_eq!(settings.data_dir, PathBuf::from("dunlin-data"));
        assert_eq!(settings.limits, AppLimits::default());
        assert_eq!(settings.shutdown_grace, Duration::from_secs(10));
        assert!(!settings.sandbox);
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let file = "listen = \"127.0.0.1:1\"\nsite = \"abc\"\nsandbox = true";
        let settings = resolve(file, &["--listen", "127.0.0.1:2", "--sandbox=false"]);
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.site.as_str(), "abc");
        assert!(!settings.sandbox);
        assert!(resolve(file, &[]).sandbox);
    }

    #[test]
    fn unlimited_lifts_rates_and_counts_of_every_app_but_not_the_message_size() {
        let file = "[limits]\nmax_message_size = 10\n[[apps]]\nid = \"a\"\nkeys = []";
        let settings = resolve(file, &["--unlimited"]);
        assert_eq!(settings.limits, AppLimits { max_message_size: 10, ..AppLimits::unlimited() });
        assert_eq!(settings.apps[0].limits, AppLimits::unlimited());
        assert_eq!((settings.node.apps, settings.node.keys_per_app), (0, 0));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let missing = Settings::resolve(args(&["--config", "/nowhere/dunlin.toml"])).unwrap_err();
        assert!(format!("{missing:#}").contains("/nowhere/dunlin.toml"), "{missing:#}");
    }
}
