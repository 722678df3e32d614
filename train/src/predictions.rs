//! Files of predictions: the probability of every class for every image, written batch by batch.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use data::Dataset;
use files::Replacement;
use files::printable::hdf5_reason;
use hdf5::types::VarLenUnicode;
use ndarray::s;

use crate::evaluate::BatchPredictions;
use crate::{Error, Result};

/// A file of predictions that is being written. It gets its name when it is complete; an old file is kept until then.
///
/// | format | content |
/// |---|---|
/// | `.csv` | a row an image: `index`, `name`, `label`, `predicted` (names of classes), and a column for each class |
/// | `.h5` | `probabilities` (f32, images x classes), `labels` and `predicted` (u32), `names` and `classes` (texts) |
pub struct PredictionsFile {
    replacement: Replacement,
    table: Table,
    classes: Vec<String>,
}

enum Table {
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Hdf5(Hdf5Table),
}

struct Hdf5Table {
    file: hdf5::File,
    probabilities: hdf5::Dataset,
    labels: hdf5::Dataset,
    predicted: hdf5::Dataset,
    names: hdf5::Dataset,
    rows: usize,
}

/// Whether a file's name ends in that of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Hdf5,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "h5" | "hdf5" => Ok(Self::Hdf5),
            _ => Err(Error::file(path, "expected a name that ends in .csv or .h5, for predictions")),
        }
    }
}

impl PredictionsFile {
    /// Checks the name of a file.
    ///
    /// # Errors
    /// [`Error::File`] unless it ends in `.csv` or `.h5`.
    pub fn check_name(path: &Path) -> Result<()> {
        Format::of(path).map(drop)
    }

    /// Begins a file for the images of a data set. Classes without names have their numbers.
    ///
    /// # Errors
    /// [`Error::File`] for another name than [`check_name`](Self::check_name) takes; [`Error::Write`].
    pub fn create(path: &Path, images: usize, names: &[String], classes: usize) -> Result<Self> {
        let format = Format::of(path)?;
        let replacement = Replacement::begin(path)?;
        let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
        let classes: Vec<String> = (0..classes).map(name).collect();
        let table = match format {
            Format::Csv => Table::Csv(Box::new(csv_table(replacement.temporary(), &classes).map_err(cannot(path))?)),
            Format::Hdf5 => {
                hdf5::silence_errors(true);
                Table::Hdf5(Hdf5Table::create(replacement.temporary(), images, &classes).map_err(cannot(path))?)
            }
        };
        Ok(Self { replacement, table, classes })
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn append(&mut self, dataset: &dyn Dataset, batch: &BatchPredictions<'_>) -> Result<()> {
        let written = match &mut self.table {
            Table::Csv(table) => append_to_csv(table, &self.classes, dataset, batch).map_err(|e| e.to_string()),
            Table::Hdf5(table) => table.append(dataset, batch).map_err(|e| e.to_string()),
        };
        written.map_err(|what| Error::file(self.replacement.path(), format!("cannot be written: {what}")))
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Write`] if it cannot be written; an old file is kept.
    pub fn finish(self) -> Result<()> {
        let Self { replacement, table, .. } = self;
        let path = replacement.path().to_path_buf();
        match table {
            Table::Csv(mut table) => table.flush().map_err(cannot(&path))?,
            Table::Hdf5(table) => table.file.flush().and_then(|()| table.file.close()).map_err(cannot(&path))?,
        }
        Ok(replacement.commit()?)
    }
}

fn cannot<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Error + '_ {
    move |error| Error::file(path, format!("cannot be written: {}", hdf5_reason(&error.to_string())))
}

/// The most probable class; of equals the first.
fn most_probable(row: ndarray::ArrayView1<f32>) -> usize {
    let mut best = 0;
    for (class, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = class;
        }
    }
    best
}

fn csv_table(path: &Path, classes: &[String]) -> csv::Result<csv::Writer<BufWriter<File>>> {
    let mut table = csv::Writer::from_writer(BufWriter::new(File::create(path)?));
    let fixed = ["index", "name", "label", "predicted"];
    table.write_record(fixed.into_iter().chain(classes.iter().map(String::as_str)))?;
    Ok(table)
}

fn append_to_csv(
    table: &mut csv::Writer<BufWriter<File>>,
    classes: &[String],
    dataset: &dyn Dataset,
    batch: &BatchPredictions<'_>,
) -> csv::Result<()> {
    let images = batch.indices.iter().zip(batch.labels);
    for ((&index, &label), row) in images.zip(batch.probabilities.rows()) {
        table.write_field(index.to_string())?;
        table.write_field(dataset.name(index as usize))?;
        table.write_field(&classes[label as usize])?;
        table.write_field(&classes[most_probable(row)])?;
        for value in row {
            table.write_field(value.to_string())?;
        }
        table.write_record(None::<&[u8]>)?;
    }
    Ok(())
}

impl Hdf5Table {
    fn create(path: &Path, images: usize, classes: &[String]) -> hdf5::Result<Self> {
        let file = hdf5::File::create(path)?;
        let words: Vec<VarLenUnicode> = classes.iter().map(|name| text(name)).collect();
        file.new_dataset_builder().with_data(&words).create("classes")?;
        Ok(Self {
            probabilities: file.new_dataset::<f32>().shape((images, classes.len())).create("probabilities")?,
            labels: file.new_dataset::<u32>().shape(images).create("labels")?,
            predicted: file.new_dataset::<u32>().shape(images).create("predicted")?,
            names: file.new_dataset::<VarLenUnicode>().shape(images).create("names")?,
            file,
            rows: 0,
        })
    }

    fn append(&mut self, dataset: &dyn Dataset, batch: &BatchPredictions<'_>) -> hdf5::Result<()> {
        let rows = self.rows..self.rows + batch.labels.len();
        self.probabilities.write_slice(batch.probabilities, s![rows.clone(), ..])?;
        self.labels.write_slice(batch.labels, s![rows.clone()])?;
        let predicted: Vec<u32> = batch.probabilities.rows().into_iter().map(|row| most_probable(row) as u32).collect();
        self.predicted.write_slice(&predicted, s![rows.clone()])?;
        let names: Vec<VarLenUnicode> =
            batch.indices.iter().map(|&index| text(&dataset.name(index as usize))).collect();
        self.names.write_slice(&names, s![rows.clone()])?;
        self.rows = rows.end;
        Ok(())
    }
}

/// A text for HDF5, which ends texts with a zero.
fn text(text: &str) -> VarLenUnicode {
    text.replace('\0', "\u{fffd}").parse().unwrap_or_default()
}
