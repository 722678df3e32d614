//! Layers, networks and their gradients, in one program. Tests of weights in files are beside it: they count allocations.

mod custom;
mod edits;
mod example;
mod freezing;
mod full_size;
mod golden;
mod goldens;
mod gradient_check;
mod init;
mod model;
mod model_text;
mod module;
mod network;
mod refusals;
mod summary;
mod tape;
