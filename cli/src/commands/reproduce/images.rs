//! The images of an experiment: packs, or a source that is packed once.

use std::path::{Path, PathBuf};

use data::{HoldOut, Pack, PackOptions, Split};
use train::Stop;
use train::experiment::{DataKind, DataSet};

use super::super::pack;
use super::classes;
use crate::console::note;
use crate::failure::{Failure, Result};

/// The images of a source without a validation set that are held out for one: a tenth of each class.
const HELD_OUT: HoldOut = HoldOut { fraction: 0.1, seed: 1 };

/// The packs of an experiment.
#[derive(Clone, Debug)]
pub struct Packs {
    pub train: PathBuf,
    pub val: PathBuf,
}

/// The arguments that name a data set.
pub struct DataArguments<'a> {
    /// The flag, for errors.
    pub flag: &'static str,
    pub path: Option<&'a Path>,
    pub val: Option<&'a Path>,
}

impl DataArguments<'_> {
    /// The packs that the path names, without packing anything; none if it is a source.
    pub fn packs(&self, wanted: &DataSet) -> Result<Option<Packs>> {
        let Some(path) = self.path else { return Err(missing(self.flag, wanted)) };
        if !path.exists() {
            let what = format!("there is no such file or folder. {}", advice(self.flag, wanted));
            return Err(Failure::Usage(format!("{} {}: {what}", self.flag, path.display())));
        }
        if Pack::is_at(path) {
            let Some(val) = self.val else {
                let what = "is one pack, and validation needs another";
                return Err(Failure::Usage(format!(
                    "{} {}: {what}: add --val PACK, or name a folder with train.pack and val.pack",
                    self.flag,
                    path.display()
                )));
            };
            return Ok(Some(Packs { train: path.to_path_buf(), val: val.to_path_buf() }));
        }
        if let Some(val) = self.val {
            let what = format!("{} is no pack, so --val {} has no place", path.display(), val.display());
            return Err(Failure::Usage(format!("--val: {what}; leave it out")));
        }
        let packs = Packs { train: path.join("train.pack"), val: path.join("val.pack") };
        Ok((Pack::is_at(&packs.train) && Pack::is_at(&packs.val)).then_some(packs))
    }

    /// The packs with the classes of a budget: those that are given, or made of the source in `folder`.
    pub fn prepare(&self, wanted: &DataSet, subset: Option<usize>, folder: &Path, stop: &Stop) -> Result<Packs> {
        let packs = match self.packs(wanted)? {
            Some(packs) => packs,
            None => self.pack(wanted, folder, stop)?,
        };
        check(self.flag, wanted, &packs)?;
        match subset {
            Some(count) => {
                let mut some = folder.as_os_str().to_owned();
                some.push(format!("-of-{count}-classes"));
                classes::subset(&packs, count, Path::new(&some))
            }
            None => Ok(packs),
        }
    }

    /// Packs a source.
    fn pack(&self, wanted: &DataSet, folder: &Path, stop: &Stop) -> Result<Packs> {
        let source = self.path.unwrap_or(Path::new(""));
        let packs = Packs { train: folder.join("train.pack"), val: folder.join("val.pack") };
        let options = PackOptions { size: wanted.size, ..PackOptions::new(source, folder) };
        let holds_two = source.is_dir() && data::holds_train_and_val(source)?;
        if holds_two || wanted.kind == DataKind::Any {
            let hold_out = (!holds_two).then_some(HELD_OUT);
            let report = pack::pack_two_sets(options, hold_out, stop)?;
            if hold_out.is_some() {
                note(&format!("note: a tenth of the images of {} are held out for validation", source.display()));
            }
            report.notes.iter().for_each(|text| note(&format!("note: {text}")));
            return Ok(packs);
        }
        if wanted.kind != DataKind::Cifar10 {
            let what = "is neither a folder with train.pack and val.pack nor one with a training and a validation set";
            let advice = advice(self.flag, wanted);
            return Err(Failure::Usage(format!("{} {}: {what}. {advice}", self.flag, source.display())));
        }
        for (split, out) in [(Split::Train, &packs.train), (Split::Test, &packs.val)] {
            let options = PackOptions { split, out: out.clone(), ..options.clone() };
            pack::pack(options, stop)?.notes.iter().for_each(|text| note(&format!("note: {text}")));
        }
        Ok(packs)
    }
}

/// Fails for packs that are not of the data set.
fn check(flag: &str, wanted: &DataSet, packs: &Packs) -> Result<()> {
    let train = Pack::open(&packs.train)?;
    let val = Pack::open(&packs.val)?;
    let fail = |what: String| Err(Failure::Usage(format!("{flag}: {}: {what}", packs.train.display())));
    if train.classes() != val.classes() {
        return fail(format!("its classes are not those of {}; pack it with --classes-of", packs.val.display()));
    }
    let found = train.classes().len();
    match wanted.classes {
        Some(classes) if classes != found => {
            fail(format!("it has {found} classes, and {} has {classes}. {}", wanted.kind.name(), advice(flag, wanted)))
        }
        _ => Ok(()),
    }
}

fn missing(flag: &str, wanted: &DataSet) -> Failure {
    Failure::Usage(format!("{flag} is needed: the images of {}. {}", wanted.kind.name(), advice(flag, wanted)))
}

/// The download of a data set, and the flag that takes it.
fn advice(flag: &str, wanted: &DataSet) -> String {
    let size = wanted.size;
    match wanted.kind {
        DataKind::Cifar10 => format!(
            "Download cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and give it: \
             {flag} cifar-10-binary.tar.gz"
        ),
        DataKind::TinyImagenet => format!(
            "Download http://cs231n.stanford.edu/tiny-imagenet-200.zip, unpack it, and give the folder: \
             {flag} tiny-imagenet-200"
        ),
        DataKind::Imagenette => format!(
            "Download https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz, unpack it, and give the folder: \
             {flag} imagenette2"
        ),
        DataKind::Imagenet | DataKind::Ilsvrc2010 => format!(
            "Get the archives of {} from https://image-net.org/download.php (an account is needed), pack them into one \
             folder, and give it: alexnet pack ILSVRC2012_img_train.tar packs/train.pack --size {size}; alexnet pack \
             ILSVRC2012_img_val.tar packs/val.pack --size {size} --labels ILSVRC2012_devkit_t12.tar.gz --classes-of \
             packs/train.pack; then {flag} packs. For 2010, the names of the archives differ",
            wanted.kind.name()
        ),
        DataKind::ImagenetFall2009 | DataKind::ImagenetFall2011 => format!(
            "Get the tars of all classes (WNID.tar) from https://image-net.org/download.php into one folder, split and \
             pack them, and give the folder: alexnet pack tars packs --size {size} --val-fraction 0.01; then {flag} \
             packs"
        ),
        DataKind::Any => format!(
            "Give a folder with train.pack and val.pack, or with folders train and val of class folders: {flag} \
             images; or two packs: {flag} train.pack --val val.pack"
        ),
    }
}
