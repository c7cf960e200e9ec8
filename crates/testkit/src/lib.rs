//! What tests of several crates share. Whatever a test does, a folder and a process from here end
//! with it. Panics instead of returning errors: a test has nothing better to do.

mod folder;
mod process;

pub use folder::Folder;
pub use process::Process;
