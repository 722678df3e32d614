//! Writes the seeds of a target to a folder: `seeds image FOLDER`.

use alexnet_data_fuzz::seeds;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = arguments.as_slice() else { panic!("expected a target and a folder") };
    let seeds = match target.as_str() {
        "image" => seeds::images(),
        "pack" => seeds::packs(),
        "source" => seeds::sources(),
        other => panic!("no target {other}"),
    };
    std::fs::create_dir_all(folder).expect("the folder can be made");
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(format!("{folder}/seed-{number}"), seed).expect("a file can be written");
    }
}
