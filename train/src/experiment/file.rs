//! The parts of an experiment's file.

use std::collections::BTreeMap;

use layers::Edits;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Measure;

/// The images of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// The data set.
    pub kind: DataKind,
    /// Side of the packed images in pixels.
    pub size: usize,
    /// Number of classes that the packs must have; without it, any.
    #[serde(default)]
    pub classes: Option<usize>,
}

/// A data set that an experiment needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataKind {
    /// CIFAR-10: 50,000 and 10,000 images of 32 x 32.
    #[serde(rename = "cifar-10")]
    Cifar10,
    /// Tiny ImageNet: 100,000 and 10,000 images of 64 x 64.
    TinyImagenet,
    /// Imagenette: ten classes of ImageNet.
    Imagenette,
    /// ILSVRC 2012: 1,281,167 and 50,000 images.
    Imagenet,
    /// ILSVRC 2010: 1,261,406 and 50,000 images.
    #[serde(rename = "ilsvrc-2010")]
    Ilsvrc2010,
    /// The 10,184 classes of ImageNet's Fall 2009 release, 8.9 million images.
    #[serde(rename = "imagenet-fall-2009")]
    ImagenetFall2009,
    /// The whole Fall 2011 release of ImageNet, about 15 million images of 22,000 classes.
    #[serde(rename = "imagenet-fall-2011")]
    ImagenetFall2011,
    /// Any pack.
    Any,
}

/// A network with its settings, trained once for each seed; or the average of the networks of other cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// A description in a few words.
    pub about: String,
    /// Preset or file, if it is not that of the experiment.
    #[serde(default)]
    pub network: Option<String>,
    /// Changes of the network.
    #[serde(default)]
    pub edits: Edits,
    /// Settings of its runs, over those of the experiment and of the budget.
    #[serde(default)]
    pub settings: Table,
    /// A setting that is chosen by short runs.
    #[serde(default)]
    pub search: Option<Search>,
    /// The cells whose networks, of all seeds, are averaged; it then has no runs of its own.
    #[serde(default)]
    pub average_of: Vec<String>,
    /// The cell whose run of the same seed gives the weights to start from.
    #[serde(default)]
    pub weights_of: Option<String>,
    /// Whether it trains on the images of `[pretraining]`.
    #[serde(default)]
    pub pretraining: bool,
    /// Whether its curve is dashed.
    #[serde(default)]
    pub dashed: bool,
    /// Published figures.
    #[serde(default)]
    pub published: Vec<Published>,
    /// The cell that it is compared with, if it is not that of the experiment.
    #[serde(default)]
    pub compared_with: Option<String>,
    /// Published difference from the cell that it is compared with, where the figures themselves are not published.
    #[serde(default)]
    pub published_difference: Option<PublishedDifference>,
    /// The sign of the difference that the source leads to expect.
    #[serde(default)]
    pub expected: Option<Sign>,
}

/// A setting that short runs choose: the value with the lowest training error in their last epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The setting, as `section.name`.
    pub setting: String,
    /// The values that are tried.
    pub values: Vec<Value>,
}

/// A published figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The measure.
    pub measure: Measure,
    /// Its value.
    pub value: f64,
    /// The unit of the value, which is that of the measure.
    pub unit: String,
    /// Where it is published.
    pub source: String,
}

/// A published difference, or ratio, of two cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedDifference {
    /// Its value: positive if the cell has the larger figure; of ratios, its figure over that of the other.
    pub value: f64,
    /// Where it is published.
    pub source: String,
}

/// The sign of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// The cell has the larger figure.
    Higher,
    /// The cell has the smaller figure.
    Lower,
}

/// The measures of each run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The measures, in the order of the table.
    pub measures: Vec<Measure>,
    /// The error, as a fraction, of the measures that count what it takes to reach one.
    #[serde(default)]
    pub threshold: Option<f64>,
}

/// The comparison of cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The cell that the others are compared with, unless they name another.
    #[serde(default)]
    pub base: Option<String>,
    /// The measure that is compared.
    pub measure: Measure,
    /// Difference or ratio.
    #[serde(default, rename = "as")]
    pub form: Form,
}

/// The form of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The figure of a cell minus that of the other.
    #[default]
    Difference,
    /// The figure of a cell divided by that of the other.
    Ratio,
}

/// The size of an experiment: its seeds, epochs, classes and cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Seeds; each cell is trained once with each.
    pub seeds: Vec<u64>,
    /// Epochs of a run, in place of those of the network's file.
    #[serde(default)]
    pub epochs: Option<u64>,
    /// Epochs of a run of a search.
    #[serde(default)]
    pub search_epochs: Option<u64>,
    /// Number of classes, of which the images are taken; without it, all.
    #[serde(default)]
    pub classes: Option<usize>,
    /// The cells; without it, all.
    #[serde(default)]
    pub cells: Option<Vec<String>>,
    /// Settings of all runs, over those of the experiment.
    #[serde(default)]
    pub settings: Table,
    /// Settings of the runs of single cells, over all others.
    #[serde(default)]
    pub settings_of: BTreeMap<String, Table>,
}

/// The name of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetName {
    /// Minutes to hours on a CPU.
    Small,
    /// The whole experiment.
    Full,
}

impl std::fmt::Display for BudgetName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Small => "small",
            Self::Full => "full",
        })
    }
}

impl Comparison {
    /// The cell that a cell is compared with; none if their images differ.
    pub fn base_of<'a>(&'a self, cell: &'a Cell) -> Option<&'a String> {
        let base = cell.compared_with.as_ref().or(self.base.as_ref());
        base.filter(|base| **base != cell.name && !cell.pretraining)
    }
}

impl DataKind {
    /// Its name, as in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::TinyImagenet => "Tiny ImageNet",
            Self::Imagenette => "Imagenette",
            Self::Imagenet => "ILSVRC 2012",
            Self::Ilsvrc2010 => "ILSVRC 2010",
            Self::ImagenetFall2009 => "ImageNet, Fall 2009",
            Self::ImagenetFall2011 => "ImageNet, Fall 2011",
            Self::Any => "any pack",
        }
    }

    /// The counts of the data set as distributed.
    pub fn counts(self) -> Option<DataCounts> {
        let [images, val_images, classes] = match self {
            Self::Cifar10 => [50_000, 10_000, 10],
            Self::TinyImagenet => [100_000, 10_000, 200],
            Self::Imagenette => [9_469, 3_925, 10],
            Self::Imagenet => [1_281_167, 50_000, 1000],
            Self::Ilsvrc2010 => [1_261_406, 50_000, 1000],
            // Half of them are for testing (paper, section 6).
            Self::ImagenetFall2009 => [4_450_000, 4_450_000, 10_184],
            Self::ImagenetFall2011 => [14_197_122, 50_000, 21_841],
            Self::Any => return None,
        };
        Some(DataCounts { images, val_images, classes })
    }
}

/// The counts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataCounts {
    /// Training images.
    pub images: usize,
    /// Validation images.
    pub val_images: usize,
    /// Classes.
    pub classes: usize,
}

impl DataCounts {
    /// The counts with only some of the classes, if each has as many images.
    pub fn of_classes(self, classes: Option<usize>) -> Self {
        match classes.filter(|classes| *classes < self.classes) {
            Some(classes) => Self {
                images: self.images * classes / self.classes,
                val_images: self.val_images * classes / self.classes,
                classes,
            },
            None => self,
        }
    }
}
