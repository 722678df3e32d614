//! Products of `bf16` on the units of x86 processors: AMX tiles, or AVX512-BF16 vectors.

mod conv2d;
mod conv2d_dw;
mod linear;
mod linear_dw;
mod pack;
mod rows;
mod staged;
mod tile;
mod transpose;
mod units;
mod weights;

pub(in crate::cpu) use conv2d::TileConvolution;
pub(in crate::cpu) use conv2d_dw::TileWeightGradient;
pub(in crate::cpu) use linear::TileProduct;

/// The name of the unit, if there is one.
pub(in crate::cpu) fn unit_name() -> Option<&'static str> {
    units::Unit::get().map(units::Unit::name)
}
