//! The server as its clients see it.

mod support;

mod classifying;
mod description;
mod ending;
mod hostile;
mod training;
