//! Pages in headless Chromium: they load without errors, ask no other server, show their curves, fit the screen in dark
//! and light, and have no serious fault of accessibility.
//!
//! Without Chromium these tests do nothing but say so, unless `ALEXNET_BROWSER=required`.
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod axe;
mod chromium;
mod report;
mod serve;
