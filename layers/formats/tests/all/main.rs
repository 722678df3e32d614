//! Tests of the readers and writers of weights files.

mod means;
mod onnx_file;
mod onnx_read;
mod onnx_words;
mod protobuf;
