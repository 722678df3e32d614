//! `alexnet completions`.

use clap::CommandFactory;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap_complete::Shell;

use crate::args::{Args, Completions};
use crate::console::print_raw;
use crate::failure::Result;

pub fn run(args: &Completions) -> Result<()> {
    let mut command = Args::command().mut_subcommand("train", |train| {
        train.mut_arg("set", |set| set.value_parser(PossibleValuesParser::new(setting_names())))
    });
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "alexnet", &mut script);
    if args.shell == Shell::Bash {
        script.extend_from_slice(BASH_VALUES.as_bytes());
    }
    print_raw(&String::from_utf8_lossy(&script))
}

/// Bash takes `=` for the end of a word. So the value of a setting would be completed as a word of its own, by options,
/// and a space would follow the name.
const BASH_VALUES: &str = r#"
_alexnet_words() {
    if [[ ${COMP_WORDS[COMP_CWORD]} == = || ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
        COMPREPLY=()
        return
    fi
    _alexnet "$@"
    if [[ ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace
    fi
}
complete -F _alexnet_words -o bashdefault -o default alexnet
"#;

/// The beginnings of `--set KEY=VALUE`.
fn setting_names() -> Vec<PossibleValue> {
    let name = |setting: &train::config::Setting| {
        // clap wants text that lives as long as the program.
        let key: &'static str = format!("{}=", setting.key).leak();
        PossibleValue::new(key).help(setting.doc.trim())
    };
    train::config::settings().map(name).collect()
}
