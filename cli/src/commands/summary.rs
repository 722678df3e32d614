//! `alexnet summary`.

use layers::{Model, summary};

use crate::args::{Summary, SummaryStyle};
use crate::console::print;
use crate::failure::Result;

pub fn run(args: &Summary) -> Result<()> {
    let model = Model::load(&args.model)?;
    let text = match args.style {
        SummaryStyle::Table => summary::table(&model, args.batch)?,
        SummaryStyle::Keras => summary::keras(&model)?,
    };
    print(text.trim_end_matches('\n'))
}
