//! Writes the seeds to a folder: `seeds FOLDER`.

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = arguments.as_slice() else { panic!("expected a folder") };
    std::fs::create_dir_all(folder).expect("the folder can be made");
    for (number, seed) in alexnet_formats_fuzz::seeds::of("").iter().enumerate() {
        std::fs::write(format!("{folder}/seed-{number}"), seed).expect("a file can be written");
    }
}
