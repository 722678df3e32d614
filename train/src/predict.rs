//! Naming what a picture shows.

use layers::Network;
use serde::Serialize;
use tensor::Backend;

use crate::Result;
use crate::evaluate::probabilities;
use data::Views;

/// One class of a prediction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// The class's number.
    pub class: usize,
    /// Its name; its number where the weights come without names.
    pub name: String,
    /// Its probability.
    pub probability: f32,
}

/// The most probable classes of each picture, most probable first.
///
/// `pictures` are `size` x `size` RGB squares (the paper's resize and centre crop), from which the views are cut.
pub fn predict<B: Backend<Elem = f32>>(
    network: &Network<B>,
    names: &[String],
    input: &data::Input,
    views: Views,
    size: usize,
    picture: &[u8],
    top: usize,
) -> Result<Vec<Guess>> {
    let images = data::views(picture, size, input, views)?;
    let probabilities = probabilities(network, images.view(), views)?;
    let mut order: Vec<usize> = (0..probabilities.ncols()).collect();
    let row = probabilities.row(0);
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
    let guess = |class: usize| Guess {
        class,
        name: names.get(class).cloned().unwrap_or_else(|| class.to_string()),
        probability: row[class],
    };
    Ok(order.into_iter().take(top).map(guess).collect())
}
