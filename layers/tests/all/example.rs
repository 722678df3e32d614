//! The examples run; they assert their results themselves.

#[path = "../../examples/lenet.rs"]
mod lenet;
#[path = "../../examples/residual_block.rs"]
mod residual_block;
#[path = "../../examples/small_network.rs"]
mod small_network;

#[test]
fn small_network() {
    small_network::main().unwrap();
}

#[test]
fn lenet() {
    lenet::main().unwrap();
}

#[test]
fn residual_block() {
    residual_block::main().unwrap();
}
