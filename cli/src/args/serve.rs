//! Arguments of `serve`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::{CheckpointArgs, ComputeArgs, NetworkArgs, batch, temperature};

#[derive(Debug, ClapArgs)]
pub struct Serve {
    /// Weights to predict with: a weights file, a checkpoint, or a run (its best checkpoint, or else its newest), whose
    /// training has a page as well
    #[arg(value_name = "RUN|WEIGHTS")]
    pub path: PathBuf,
    /// Port to listen at; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8012)]
    pub port: u16,
    /// Address to listen at; any other than one of this machine's loopback interface lets others use the server
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Number of crops in a batch at most; fewer if the memory is small
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = batch)]
    pub batch: usize,
    /// Time that a batch waits for images that are being decoded, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 4)]
    pub wait: u64,
    /// Size of a request at most, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub max_body: u32,
    /// Number of images that wait for the network at most; further requests are refused (status 503)
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = batch)]
    pub queue: usize,
    /// Time for a request to arrive, and again to be answered, in seconds
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub timeout: u32,
    /// File that `features` wrote of the training images by these weights: the page shows those nearest to an image
    #[arg(long = "features", value_name = "FILE.h5")]
    pub vectors: Option<PathBuf>,
    /// Images of --features, where they are not in their old place: a pack, or what `pack` takes
    #[arg(long, value_name = "PACK|SOURCE", requires = "vectors")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Network, for a weights file that does not name its own; if it does, both must agree
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub model: Option<String>,
    /// Crops per image: 1 (centre) or 10 (corners, centre and their flips; softmax averaged)
    #[arg(long, default_value = "1", value_parser = ["1", "10"])]
    pub crops: String,
    /// Temperature that logits are divided by, as `eval` finds it: above 1 for less sure probabilities, in the same order
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature)]
    pub temperature: f64,
    /// Mean for a network that subtracts one, in place of that of its weights: `imagenet`, R,G,B, a .npy or .binaryproto
    /// image, a pack, or weights that have one
    #[arg(long, value_name = "MEAN")]
    pub mean: Option<String>,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

impl Serve {
    /// The arguments of the network, as other commands have them.
    pub fn into_network(self) -> NetworkArgs {
        NetworkArgs {
            weights: vec![self.path],
            checkpoint: self.checkpoint,
            model: self.model,
            crops: self.crops,
            mean: self.mean,
            temperature: self.temperature,
            json: true,
            compute: self.compute,
        }
    }
}
