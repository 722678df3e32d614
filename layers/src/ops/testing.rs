//! Values for the tests of the operations.
