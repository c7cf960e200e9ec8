//! What tests of several crates share. Whatever a test does, a folder and a process from here end
//! with it. Panics instead of returning errors: a test has nothing better to do.

mod delta;
mod folder;
mod process;

pub use delta::undo_delta;
pub use folder::Folder;
pub use process::Process;
