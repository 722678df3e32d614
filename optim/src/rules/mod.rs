//! The built-in update rules, one file each.

mod adam;
mod lars;
mod rmsprop;
mod sgd;

pub use adam::{Adam, AdamW};
pub use lars::Lars;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use tensor::{Backend, Tensor};

/// The tensors of a parameter's state, of which the rule has named `N`.
fn tensors<B: Backend, const N: usize>(state: &mut [Tensor<B>]) -> &mut [Tensor<B>; N] {
    state.try_into().expect("the optimizer keeps the tensors that the rule names")
}
