//! Sources, packs and loaders, in one program. A test that starts processes belongs into `processes`, beside it.

#[path = "../common/mod.rs"]
mod common;

mod archives;
mod augmentation;
mod broken_images;
mod canvases;
mod cifar_python;
mod class_names;
mod damage;
mod datasets;
mod decoding;
mod given_classes;
mod hdf5_sources;
mod idx_sets;
mod jpegs;
mod label_columns;
mod label_forms;
mod label_refusals;
mod label_rows;
mod labels;
mod layouts;
mod loading;
mod pack_writer;
mod packing;
mod sources;
mod splits;
mod tars;
mod tiffs;
mod tiny_imagenet;
mod unreadable;
mod version_1;
