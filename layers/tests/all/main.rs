//! Layers, networks and their gradients, in one program. Tests of weights in files are beside it: they count allocations.

mod example;
mod full_size;
mod golden;
mod goldens;
mod gradient_check;
mod model;
mod network;
mod refusals;
mod summary;
mod tape;
