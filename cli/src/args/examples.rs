//! Examples below the help of the commands. A test runs the parser over each.

pub const PACK: &str = "\
Examples:
  alexnet pack photos/train train.pack                      a folder of class folders
  alexnet pack photos/val val.pack --classes-of train.pack  the same classes in the same order
  alexnet pack photos packs --val-fraction 0.1              hold out a tenth for validation
  alexnet pack --verify train.pack";

pub const TRAIN: &str = "\
Examples:
  alexnet train --data train.pack --val val.pack --out run
  alexnet train --out run --resume
  alexnet train --data train.pack --model one-weird-trick --set optim.kind=adamw --set optim.lr=0.0001 --out adam
  alexnet train --data task.pack --weights alexnet.pth --freeze conv1..conv5 --out tuned";

pub const EVAL: &str = "\
Examples:
  alexnet eval --data val.pack --weights run --per-class
  alexnet eval --data photos/val --weights run --out report      class folders; tables and plots
  alexnet eval --data val.pack --weights one --weights two       the mean of two networks
  alexnet eval --data val.pack --weights alexnet.pth --crops 10 --json";

pub const PREDICT: &str = "\
Examples:
  alexnet predict --weights run photo.jpg
  alexnet predict --weights run photos --format csv > predictions.csv
  alexnet predict --weights run 'photos/*.jpg' --top 3 --plot predictions.png
  alexnet predict --weights alexnet.pth --json one.jpg two.jpg";

pub const SUMMARY: &str = "\
Examples:
  alexnet summary paper
  alexnet summary keras --style keras
  alexnet summary one-weird-trick --style toml > my.toml    a network to change";

pub const CONVERT: &str = "\
Examples:
  alexnet convert run run.safetensors
  alexnet convert alexnet-owt-7be5be79.pth alexnet.h5
  alexnet convert run run.onnx --format onnx";

pub const INFO: &str = "\
Examples:
  alexnet info
  alexnet info run --json
  alexnet info alexnet.pth";

pub const FEATURES: &str = "\
Examples:
  alexnet features --weights run --data train.pack --out train-fc7.h5
  alexnet features --weights alexnet.pth --data photos --layer conv5 --out conv5.npy
  alexnet features --weights run --data list.txt                     an image path a line";

pub const NEIGHBOURS: &str = "\
Examples:
  alexnet neighbours --weights run --data train.pack --queries val.pack
  alexnet neighbours --features train-fc7.h5 --queries cat.jpg dog.jpg --table neighbours.csv
  alexnet neighbours --features train-fc7.h5 --queries val-fc7.h5 --images 500 --codes 64";

pub const DATASET: &str = "\
Examples:
  alexnet dataset photos/train --val photos/val --out report
  alexnet dataset train.pack --val val.pack --json";

pub const EMBED: &str = "\
Examples:
  alexnet embed --weights run --data val.pack
  alexnet embed --features val-fc7.h5 --images 5000 --perplexity 50 --out map.png --table map.csv";

pub const FILTERS: &str = "\
Examples:
  alexnet filters run
  alexnet filters run --images val.pack --layer conv3 --out patches.png --data patches.csv
  alexnet filters alexnet.pth --layer conv2 --scale shared --out conv2.png --data conv2.npy";

pub const MAPS: &str = "\
Examples:
  alexnet maps --weights run photo.jpg
  alexnet maps --weights alexnet.pth photo.jpg --layers conv1,conv5 --maps 0 --data maps.h5";

pub const EXPLAIN: &str = "\
Examples:
  alexnet explain --weights run photo.jpg other.jpg
  alexnet explain --weights alexnet.pth photo.jpg --class tench --out tench.png --data tench.h5";

pub const SHOW: &str = "\
Examples:
  alexnet show train.pack
  alexnet show train.pack --out samples.png
  alexnet show train.pack --run runs/paper-1 --set data.random_erasing=0.5";

pub const RUNS: &str = "\
Examples:
  alexnet runs
  alexnet runs sweeps/rates --sort best";

pub const COMPARE: &str = "\
Examples:
  alexnet compare runs/paper-1 runs/paper-2 --out curves.png";

pub const REPORT: &str = "\
Examples:
  alexnet report run
  alexnet report run --plots plots                            the plots as PNG and CSV too
  alexnet report runs/paper-1 runs/paper-2 --data test.pack --out both.html";

pub const SWEEP: &str = "\
Examples:
  alexnet sweep rates.toml
  alexnet sweep rates.toml --jobs 4 --out sweeps/again";

pub const REPRODUCE: &str = "\
Examples:
  alexnet reproduce                                             the experiments
  alexnet reproduce fig1 --data cifar-10-binary.tar.gz --dry-run
  alexnet reproduce fig1 --data cifar-10-binary.tar.gz
  alexnet reproduce ablations --data packs --budget full --out ablations
  alexnet reproduce mine.toml --data train.pack --val val.pack --json";

pub const SERVE: &str = "\
Examples:
  alexnet serve run                              then open http://127.0.0.1:8012/
  alexnet serve alexnet.pth --port 0             any free port, which is printed
  alexnet serve run --features features.h5       with the nearest training images
  alexnet serve run --host 0.0.0.0 --batch 64    for other machines too";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    #[test]
    fn examples_are_commands() {
        for examples in [
            PACK, TRAIN, EVAL, PREDICT, SUMMARY, CONVERT, INFO, SHOW, DATASET, FEATURES, NEIGHBOURS, EMBED, RUNS,
            COMPARE, REPORT, SWEEP, REPRODUCE, SERVE,
        ] {
            let lines: Vec<&str> = examples.lines().skip(1).collect();
            assert!(!lines.is_empty());
            for line in lines {
                assert!(line.chars().count() <= 120, "{line}");
                // A comment follows after two spaces, a redirection is the shell's.
                let command = line.trim().split("  ").next().unwrap().split(" > ").next().unwrap();
                Args::try_parse_from(command.split(' ')).unwrap_or_else(|e| panic!("{command}: {e}"));
            }
        }
    }
}
