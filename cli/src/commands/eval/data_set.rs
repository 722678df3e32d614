//! The images of `--data`.

use std::sync::Arc;

use data::{Dataset, DecodeOptions, Pack, SourceImages, SourceSettings};

use super::super::pack;
use super::super::trained::LoadedModels;
use crate::args::Eval;
use crate::console::note;
use crate::failure::{Failure, Result};

/// Opens a pack, or a source that is read without one. A source is read as `pack` would with the size, the classes and the
/// EXIF orientation of the training.
pub fn open(args: &Eval, models: &LoadedModels) -> Result<Arc<dyn Dataset>> {
    // Of a path that does not exist, the error tells of packs.
    if Pack::is_at(&args.data) || !args.data.exists() {
        if args.labels.is_some() || args.from.is_some() {
            let what = "--labels and --from: have no effect on a pack, which has labels; leave them out";
            return Err(Failure::Usage(what.into()));
        }
        let pack = Pack::open(&args.data)?;
        models.check_pack(&pack)?;
        return Ok(Arc::new(pack));
    }
    let settings = SourceSettings {
        from: args.from.map(pack::kind),
        labels: args.labels.clone(),
        classes: models.classes(),
        decode: DecodeOptions { apply_orientation: models.exif_orientation(), ..DecodeOptions::default() },
        ..SourceSettings::default()
    };
    let source = SourceImages::open(&args.data, models.image_size()?, settings)?;
    for text in source.notes() {
        note(&format!("note: {text}"));
    }
    Ok(Arc::new(source))
}
