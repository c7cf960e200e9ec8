//! What can go wrong with the store: operational errors, for operators and logs. Clients never see
//! them; the caller answers with an error of the protocol's table.

use std::path::PathBuf;

use packed::Unreadable;
use thiserror::Error;
use types::AppId;

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("cannot make {}", .folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("the data directory {} is in use by another process", .directory.display())]
    Locked { directory: PathBuf },
    /// After a failed write the engine refuses further ones until the store is opened again.
    #[error("storage engine: {0}")]
    Engine(#[from] fjall::Error),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the names of app and channel are too long to be stored")]
    NameTooLong,
    #[error("the document of app {app}: {source}")]
    AppDocument { app: AppId, source: serde_json::Error },
}
