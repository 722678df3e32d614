//! A model with parameters, ready to run.
