//! The example runs, and its loss falls: it asserts so itself.

#[path = "../../examples/small_network.rs"]
mod small_network;

#[test]
fn small_network() {
    small_network::main().unwrap();
}
