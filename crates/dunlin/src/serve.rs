//! `dunlin serve`: runs a node until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use telemetry::LogFormat;
use tokio::runtime::Builder;
use types::SiteCode;

use crate::Failure;
use crate::banner::Banner;
use crate::data_dir;
use crate::files;
use crate::listen::listen;
use crate::server::{Server, check_counts};
use crate::settings::Settings;
use crate::signals::{Signals, Told};

/// Threads that read from the store. Further reads wait: at most one for each request that waits for
/// its answer and for each channel that is being activated, which limits bound.
const READERS: usize = 8;
/// What remains of an orderly end when everything that matters is done.
const LAST_TASKS: Duration = Duration::from_millis(100);

/// Serve clients: WebSocket and HTTP on one port
///
/// Needs no configuration. The first start makes an app with a key and keeps them in the data
/// directory; every start prints the address and the key.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "A flag wins over its environment variable, which wins over the configuration file."
)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one [default: 0.0.0.0:8080]
    #[arg(long, env = "DUNLIN_LISTEN", value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// Where to keep the app, its key and the history of persisted channels [default: dunlin-data]
    #[arg(long, env = "DUNLIN_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Configuration file (TOML): limits, namespaces, further apps
    #[arg(long, env = "DUNLIN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Let anybody make and delete apps (POST /apps), as test suites of client libraries do
    #[arg(long, env = "DUNLIN_SANDBOX", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) sandbox: Option<bool>,

    /// Lift all rates and counts of apps; the defaults are those of a service with many tenants
    #[arg(long, env = "DUNLIN_UNLIMITED", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) unlimited: Option<bool>,

    /// Three letters or digits that name this site in serials and to clients [default: dun]
    #[arg(long, env = "DUNLIN_SITE", value_name = "CODE")]
    pub(crate) site: Option<SiteCode>,

    /// What to log: a level, or directives such as info,store=debug [default: info,fjall=warn,lsm_tree=warn]
    #[arg(long, env = "DUNLIN_LOG", value_name = "FILTER", value_parser = log_filter)]
    pub(crate) log: Option<String>,

    /// How to log, on standard error [default: text]
    #[arg(long, env = "DUNLIN_LOG_FORMAT", value_name = "FORMAT", value_parser = PossibleValuesParser::new(["text", "json"]).map(|format| log_format(&format)))]
    pub(crate) log_format: Option<LogFormat>,

    /// Seconds that a shutdown may take [default: 10]
    #[arg(long, env = "DUNLIN_SHUTDOWN_GRACE", value_name = "SECONDS")]
    pub(crate) shutdown_grace: Option<u32>,
}

fn log_filter(filter: &str) -> Result<String, telemetry::LogError> {
    telemetry::check_filter(filter).map(|()| filter.to_owned())
}

fn log_format(format: &str) -> LogFormat {
    if format == "json" { LogFormat::Json } else { LogFormat::Text }
}

pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut settings = Settings::resolve(args).map_err(Failure::of_configuration)?;
    telemetry::log_to_stderr(&settings.log, settings.log_format)
        .map_err(|error| Failure::of_configuration(error.into()))?;
    settings.max_connections = files::make_room(settings.max_connections);
    #[cfg(target_os = "linux")]
    take_small_pages();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(READERS)
        .build()
        .context("cannot start threads")?;
    let outcome = runtime.block_on(serve(&settings));
    runtime.shutdown_timeout(LAST_TASKS);
    Ok(outcome?)
}

/// A huge page is cleared as a whole when its first byte is touched, and whoever publishes waits: for
/// milliseconds where the hypervisor has to find the memory first.
#[cfg(target_os = "linux")]
fn take_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::info!(%error, "the kernel may give huge pages");
    }
}

async fn serve(settings: &Settings) -> Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let listener =
        listen(settings.listen).with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    let store = data_dir::open(&settings.data_dir, settings.history_retention)?;
    let mut server = Server::start(settings, store, listener)?;
    print(&Banner { address, app: &server.app, sandbox: settings.sandbox });
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop => break,
                Told::ReadKeys => read_keys(settings, &server).await,
            },
            failure = server.failed() => return Err(failure),
        }
    }
    tokio::select! {
        () = server.stop(settings.shutdown_grace) => Ok(()),
        () = signals.stop() => Err(anyhow!("told a second time to stop")),
    }
}

/// Takes over the keys of the apps in the configuration file. One that cannot be read changes nothing.
async fn read_keys(settings: &Settings, server: &Server) {
    let read = settings.read_apps();
    match read.and_then(|apps| check_counts(&settings.node, &apps).map(|()| apps)) {
        Ok(apps) => server.set_keys(apps).await,
        Err(error) => tracing::error!("keys stay as they are: {error:#}"),
    }
}

/// On standard output, which may well be closed: a node serves without it.
fn print(banner: &Banner<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = write!(out, "{banner}").and_then(|()| out.flush()) {
        tracing::warn!(%error, "cannot print the address and the key");
    }
}
