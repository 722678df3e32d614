//! A model's layers as a table.
