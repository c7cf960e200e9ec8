//! How a report is told: to machines, to people, and as a chart.

mod html;
mod json;
mod text;

pub use html::html;
pub use json::json;
pub use text::text;
