//! The kernels of a layer with their names (paper, Fig. 3).

use image::{RgbImage, imageops};
use ndarray::{ArrayD, Axis};
use tensor::Result;

use super::kernels::{ColourRange, kernels_with};
use super::paint::{GREY, INK, WHITE};
use super::text::{self, Style};

const MARGIN: u32 = 24;
/// Height of the title and its note.
const TITLE: u32 = 72;
/// Height of the caption of a group.
const CAPTION: u32 = 30;
/// The least width, for the title.
const MIN_WIDTH: u32 = 560;
/// The width that the scale of the kernels aims at.
const WIDTH: usize = 960;

/// The order of the kernels of a sheet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelOrder {
    /// That of the layer.
    Layer,
    /// By falling Euclidean norm: kernels that learned nothing come last.
    #[default]
    Norm,
}

/// Kernels to draw.
#[derive(Clone, Debug)]
pub struct KernelSheet<'a> {
    /// Name of the layer.
    pub layer: &'a str,
    /// Weights `[out, kernel height, kernel width, channels]`.
    pub weights: &'a ArrayD<f32>,
    /// Number of groups to draw apart, of consecutive kernels; it divides their number.
    pub groups: usize,
    /// Order of the kernels within a group.
    pub order: KernelOrder,
    /// The range of weights from black to white.
    pub range: ColourRange,
}

impl KernelSheet<'_> {
    /// Draws the kernels of each group as a grid, with a title that says the order and the colours.
    ///
    /// # Errors
    /// Those of [`kernels`](fn@super::kernels).
    pub fn draw(&self) -> Result<RgbImage> {
        let orders = self.orders();
        let scale = self.scale(orders[0].len());
        let draw = |order: &Vec<usize>| kernels_with(&self.weights.select(Axis(0), order), scale, self.range);
        let grids: Vec<RgbImage> = orders.iter().map(draw).collect::<Result<_>>()?;
        Ok(self.page(&grids))
    }

    /// The weights of all kernels in the order of the sheet.
    pub fn sorted_weights(&self) -> ArrayD<f32> {
        self.weights.select(Axis(0), &self.orders().concat())
    }

    /// The numbers of the kernels of each group, in the order of the sheet. Groups that do not divide their number are one.
    fn orders(&self) -> Vec<Vec<usize>> {
        let out = self.weights.shape().first().copied().unwrap_or(0);
        let groups = if self.groups > 0 && out.is_multiple_of(self.groups) { self.groups } else { 1 };
        let each = out / groups;
        (0..groups).map(|group| self.order(group * each..(group + 1) * each)).collect()
    }

    /// The numbers of the kernels of a range in the order of the sheet.
    fn order(&self, kernels: std::ops::Range<usize>) -> Vec<usize> {
        let mut order: Vec<usize> = kernels.collect();
        if self.order == KernelOrder::Norm {
            let square = |kernel: usize| {
                let values = self.weights.index_axis(Axis(0), kernel);
                values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>()
            };
            let squares: Vec<f64> = (0..self.weights.len_of(Axis(0))).map(square).collect();
            order.sort_by(|&a, &b| squares[b].total_cmp(&squares[a]));
        }
        order
    }

    fn scale(&self, each: usize) -> u32 {
        let width = self.weights.shape().get(2).copied().unwrap_or(1).max(1);
        let columns = super::kernels::columns(each.max(1));
        (WIDTH / (columns * width + columns)).clamp(1, 24) as u32
    }

    fn page(&self, grids: &[RgbImage]) -> RgbImage {
        let height_of_caption = if grids.len() > 1 { CAPTION } else { 0 };
        let widest = grids.iter().map(RgbImage::width).max().unwrap_or(0);
        let height: u32 = grids.iter().map(|grid| grid.height() + height_of_caption + MARGIN).sum();
        let width = widest.max(MIN_WIDTH) + 2 * MARGIN;
        let mut page = RgbImage::from_pixel(width, TITLE + height, WHITE);
        let place = i64::from(MARGIN);
        let room = i64::from(width - 2 * MARGIN);
        let heading = Style::large(INK).bold();
        text::draw(&mut page, place, 14, &heading.fit(&self.title(), room), heading);
        let note = Style::small(GREY);
        text::draw(&mut page, place, 42, &note.fit(&self.note(), room), note);
        let mut top = TITLE;
        for (number, grid) in grids.iter().enumerate() {
            if height_of_caption > 0 {
                let caption = note.fit(&self.caption(number + 1), room);
                text::draw(&mut page, place, i64::from(top) + 4, &caption, note);
                top += height_of_caption;
            }
            imageops::replace(&mut page, grid, place, i64::from(top));
            top += grid.height() + MARGIN;
        }
        page
    }

    fn title(&self) -> String {
        match self.weights.shape() {
            [out, height, width, channels] => {
                format!("{}: {out} kernels, {height} x {width} x {channels}", self.layer)
            }
            _ => self.layer.to_string(),
        }
    }

    /// The caption of a group. Kernels of three channels see the image, which is not divided.
    fn caption(&self, group: usize) -> String {
        match self.weights.shape().last() {
            Some(3) => format!("seen by group {group} of the next convolution"),
            _ => format!("group {group} of this layer, or seen by group {group} of the next convolution"),
        }
    }

    fn note(&self) -> String {
        let order = match self.order {
            KernelOrder::Layer => "in the layer's order",
            KernelOrder::Norm => "by falling norm",
        };
        let colours = match self.range {
            ColourRange::Each => "each stretched to its own range",
            ColourRange::Shared => "one scale, grey is 0",
        };
        let channels = match self.weights.shape().last() {
            Some(3) => "",
            _ => "; means over channels",
        };
        format!("{order}; {colours}{channels}")
    }
}
