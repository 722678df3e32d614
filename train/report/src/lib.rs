//! Reports in one HTML file that needs no network: text, tables, interactive charts, images and listings.
//!
//! A [`Page`] has sections of blocks, and [`Page::to_html`] gives its text. Every text given to it is escaped.
//!
//! ```
//! use alexnet_report::{Chart, Line, Page};
//!
//! let mut page = Page::new("Run 1", "A small network on ten classes.");
//! let mut chart = Chart::new("Loss", "epochs", "loss (nats)");
//! chart.lines.push(Line::new("training", vec![(1.0, 2.3), (2.0, 1.1)]));
//! page.section("Curves").chart(chart);
//! assert!(page.to_html()?.contains("Loss"));
//! # Ok::<(), alexnet_report::Error>(())
//! ```
#![warn(missing_docs)]

mod chart;
mod error;
mod heat_map;
mod image;
mod page;
mod plots;
mod table;

pub use chart::{Chart, Line, Mark};
pub use error::{Error, Result};
pub use heat_map::HeatMap;
pub use image::{Bar, Card, ImageData};
pub use page::{Page, Section};
pub use table::Table;
