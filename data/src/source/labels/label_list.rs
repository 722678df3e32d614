//! Lists of labels alone, one per line in the order of the image names.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;

use super::column_names::is_label_name;
use super::image_lookup::{ImageLookup, ImageMatch};
use super::{LabelFile, RawLabels, label_checks};
use crate::error::{Error, Result};

impl LabelFile {
    /// Labels of a list of numbered lines.
    pub(super) fn labels_of_list(&self, root: &Path, images: &ImageLookup, lines: &[(u64, &str)]) -> Result<RawLabels> {
        self.check_no_header(lines)?;
        label_checks::check(&self.path, lines.iter().map(|(_, line)| *line), false)?;
        let labels = self.in_order(root, images.names(), lines.iter().map(|(_, line)| (*line).to_string()))?;
        let first = images.names().first().copied().unwrap_or_default();
        let note = format!(
            "{}: its labels go to the {} images in the order of their names, the first, {}, to {}",
            crate::source::file_name(&self.path),
            labels.len(),
            lines[0].1,
            String::from_utf8_lossy(first)
        );
        Ok(RawLabels { labels, classes: None, notes: vec![note] })
    }

    /// Refuses a first line that is a column name, which would shift all labels by one image.
    fn check_no_header(&self, lines: &[(u64, &str)]) -> Result<()> {
        let (number, first) = lines[0];
        let again = lines[1..].iter().any(|(_, line)| line.eq_ignore_ascii_case(first));
        if again || !is_label_name(first) {
            return Ok(());
        }
        let what = format!(
            "line {number}: {first:?} is the name of a column; remove the line, or, where it is a label, write the image \
             before each label (IMAGE,LABEL)"
        );
        Err(Error::source(&self.path, what))
    }

    /// Labels of images in the order of their names.
    pub(super) fn in_order(
        &self,
        root: &Path,
        names: &[&[u8]],
        labels: impl ExactSizeIterator<Item = String>,
    ) -> Result<Vec<Option<String>>> {
        if labels.len() != names.len() {
            let what = format!("{} labels for the {} images of {}", labels.len(), names.len(), root.display());
            return Err(Error::source(&self.path, what));
        }
        if let Some(pair) = names.windows(2).find(|pair| natural_order(pair[0], pair[1]) == Ordering::Greater) {
            let [a, b] = [pair[0], pair[1]].map(String::from_utf8_lossy);
            let what = format!(
                "holds labels in the order of the image names, which is ambiguous: {a} is before {b} by its \
                 letters, and after it by its number; write the image before each label (IMAGE,LABEL)"
            );
            return Err(Error::source(&self.path, what));
        }
        Ok(labels.map(Some).collect())
    }
}

/// Finds a line of a list that is an image: by its whole name or, if most lines are different images, in any form.
pub(super) fn image_in<'a>(images: &ImageLookup, lines: &[(u64, &'a str)]) -> Option<(u64, &'a str)> {
    let is_name = |(_, line): &&(u64, &str)| images.names().binary_search(&line.as_bytes()).is_ok();
    if let Some(found) = lines.iter().find(is_name) {
        return Some(*found);
    }
    let is_image =
        |(_, line): &&(u64, &str)| line.parse::<u64>().is_err() && matches!(images.find(line), ImageMatch::One { .. });
    let distinct: BTreeSet<&str> = lines.iter().map(|(_, line)| *line).collect();
    let is_list = distinct.len() == lines.len() && lines.iter().filter(is_image).count() * 2 > lines.len();
    lines.iter().find(is_image).filter(|_| is_list).copied()
}

/// Natural order of names: numbers in them are compared by value.
fn natural_order(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let order = compare_by_value(leading_digits(a), leading_digits(b));
            if order != Ordering::Equal {
                return order;
            }
            a = &a[leading_digits(a).len()..];
            b = &b[leading_digits(b).len()..];
        } else if x == y {
            a = &a[1..];
            b = &b[1..];
        } else {
            break;
        }
    }
    a.cmp(b)
}

/// The leading digits of a name.
fn leading_digits(name: &[u8]) -> &[u8] {
    &name[..name.iter().position(|b| !b.is_ascii_digit()).unwrap_or(name.len())]
}

fn compare_by_value(a: &[u8], b: &[u8]) -> Ordering {
    let without_zeros =
        |leading_digits: &'_ [u8]| leading_digits.iter().skip_while(|&&b| b == b'0').copied().collect::<Vec<u8>>();
    let [a, b] = [a, b].map(without_zeros);
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_ordered_by_value() {
        let sorted = ["1.png", "2.png", "10.png", "a1/b.png", "a02/b.png", "a10.png", "a10b.png", "b.png"];
        for pair in sorted.windows(2) {
            assert_eq!(natural_order(pair[0].as_bytes(), pair[1].as_bytes()), Ordering::Less, "{pair:?}");
            assert_eq!(natural_order(pair[1].as_bytes(), pair[0].as_bytes()), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(natural_order(b"a01.png", b"a1.png"), Ordering::Equal);
    }
}
