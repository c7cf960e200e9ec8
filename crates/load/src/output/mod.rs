//! How a report is told: to machines and to people.

mod json;
mod text;

pub use json::json;
pub use text::text;
