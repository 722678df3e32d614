//! `alexnet completions`.

use clap::CommandFactory;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::args::{Args, Completions};
use crate::console::print_raw;
use crate::failure::Result;

pub fn run(args: &Completions) -> Result<()> {
    let mut command = Args::command().mut_subcommand("train", |train| {
        train.mut_arg("set", |set| set.value_parser(PossibleValuesParser::new(setting_names())))
    });
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "alexnet", &mut script);
    print_raw(&String::from_utf8_lossy(&script))
}

/// The beginnings of `--set KEY=VALUE`.
fn setting_names() -> Vec<PossibleValue> {
    let name = |setting: &train::config::Setting| {
        // clap wants text that lives as long as the program.
        let key: &'static str = format!("{}=", setting.key).leak();
        PossibleValue::new(key).help(setting.doc.trim())
    };
    train::config::settings().map(name).collect()
}
