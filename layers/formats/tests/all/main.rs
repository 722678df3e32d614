//! Tests of the readers and writers of weights files.
