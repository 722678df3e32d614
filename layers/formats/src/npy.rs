//! Arrays of numpy: `.npy` files.
