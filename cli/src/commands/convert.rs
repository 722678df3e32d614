//! `alexnet convert`.

use layers::Model;
use train::load;

use crate::args::Convert;
use crate::console::note;
use crate::failure::Result;

pub fn run(args: &Convert) -> Result<()> {
    let model = args.model.as_deref().map(Model::load).transpose()?;
    let loaded = load::weights(&args.input, model.as_ref(), &mut |warning| note(&format!("note: {warning}")))?;
    loaded.weights.save(&args.output)?;
    let values: usize = loaded.weights.tensors.iter().map(|(_, t)| t.len()).sum();
    let name = loaded.weights.model.as_ref().map_or("unknown network", |m| m.name.as_str());
    let count = loaded.weights.tensors.len();
    note(&format!("{}: {name}, {count} tensors, {values} values", args.output.display()));
    Ok(())
}
