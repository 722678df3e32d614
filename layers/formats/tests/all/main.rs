//! Tests of the readers and writers of weights files.

#[path = "../../../tests/common/allocator.rs"]
mod allocator;
mod caffe_file;
mod caffe_read;
#[path = "../../../tests/common/weights.rs"]
mod common;
mod detection;
mod keras_files;
mod keras_headless;
mod keras_hostile;
mod keras_networks;
mod keras_training;
mod matched;
mod means;
mod onnx_external;
mod onnx_file;
mod onnx_golden;
mod onnx_read;
mod onnx_round_trip;
mod onnx_words;
mod protobuf;
mod protobuf_hostile;
mod ranges;
mod shards;
mod support;
mod torch_golden;
mod torch_hostile;
mod torch_read;
mod torch_write;
mod values;

use alexnet_formats::layers;
