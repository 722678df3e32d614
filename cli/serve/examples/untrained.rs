//! Serves a network with random weights, which shows the pages and the API: `cargo run --example untrained`.

use alexnet_serve::data::{CropAndNormalize, Mean, Views};
use alexnet_serve::layers::{Model, Network};
use alexnet_serve::tensor::Cpu;
use alexnet_serve::train::Stop;
use alexnet_serve::{Classifier, Options, Server, Service};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = Network::new(&Cpu::<f32>::new(1)?, &Model::preset("cifar-18pct")?, 1)?;
    let crop = network.model().input.crop;
    let input = CropAndNormalize { crop, bgr: false, scale: 0.01, mean: Mean::Rgb([1.2; 3]), deviation: None };
    let classifier = Classifier {
        network,
        input,
        views: Views::Centre,
        temperature: 1.0,
        classes: Vec::new(),
        exif_orientation: false,
        weights: "random numbers".into(),
        gallery: None,
    };
    let server = Server::bind(([127, 0, 0, 1], 8012).into())?;
    println!("http://{}/", server.address());
    let service = Service { classifier: Some(classifier), ..Service::default() };
    server.serve(Options::default(), service, &Stop::default())?;
    Ok(())
}
