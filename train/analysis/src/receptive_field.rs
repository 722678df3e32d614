//! The part of an image that a value of a layer sees.

use layers::Model;
use layers::model::{LayerKind, LayerShape};
use layers::tensor::ops::{Padding, Region};

use crate::Result;

/// The part of a crop on which the values of a layer's maps depend. Values of a layer without maps depend on all of it.
///
/// ```
/// use alexnet_analysis::{ReceptiveField, layers::Model};
///
/// let field = ReceptiveField::of(&Model::preset("paper")?, "conv2")?;
/// assert_eq!((field.size, field.stride), ([51, 51], [8, 8]));
/// # Ok::<(), alexnet_analysis::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceptiveField {
    /// Height and width of the part, in pixels.
    pub size: [usize; 2],
    /// Vertical and horizontal distance of the parts of neighbouring values, in pixels.
    pub stride: [usize; 2],
    /// Row and column of the first value's part; negative if it begins in the padding.
    pub start: [i64; 2],
    /// Height and width of the crop.
    crop: usize,
}

/// A rectangle of a crop, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Uppermost row.
    pub top: usize,
    /// Leftmost column.
    pub left: usize,
    /// Height.
    pub height: usize,
    /// Width.
    pub width: usize,
}

impl ReceptiveField {
    /// The part of a layer of a model.
    ///
    /// # Errors
    /// Those of the model if it has no such layer.
    pub fn of(model: &Model, layer: &str) -> Result<Self> {
        let end = model.find_layer(layer)? + 1;
        let crop = model.input.crop;
        let mut field = Self { size: [1, 1], stride: [1, 1], start: [0, 0], crop };
        for (layer, shape) in model.layers.iter().zip(model.shapes()?).take(end) {
            field = field.after(&layer.kind, &shape);
        }
        Ok(field)
    }

    /// The part of the value at a row and a column, without the padding.
    pub fn window(&self, row: usize, column: usize) -> Window {
        let span = |axis: usize, place: usize| {
            let start = self.start[axis] + (place * self.stride[axis]) as i64;
            let low = start.clamp(0, self.crop as i64);
            let high = (start + self.size[axis] as i64).clamp(low, self.crop as i64);
            [low as usize, (high - low) as usize]
        };
        let [top, height] = span(0, row);
        let [left, width] = span(1, column);
        Window { top, left, height, width }
    }

    /// The part after one more layer.
    fn after(self, kind: &LayerKind, shape: &LayerShape) -> Self {
        let Ok([height, width, _]) = <[usize; 3]>::try_from(shape.input.as_slice()) else { return self.entire() };
        let map = [height, width];
        match kind {
            LayerKind::Conv(conv) => self.through(conv.kernel, conv.stride, conv.operation(map).padding),
            LayerKind::Local(local) => {
                let conv = &local.0;
                self.through(conv.kernel, conv.stride, conv.operation(map).padding)
            }
            LayerKind::Pool(pool) => self.through(pool.kernel, pool.stride, pool.operation(map).padding),
            LayerKind::Lrn(lrn) if lrn.region == Region::WithinChannel => {
                self.through([lrn.size; 2], [1, 1], Padding::all(lrn.size / 2))
            }
            LayerKind::AdaptiveAveragePool(pool) if pool.output == map => self,
            LayerKind::Activation(_) | LayerKind::Lrn(_) | LayerKind::Dropout(_) | LayerKind::BatchNorm(_) => self,
            _ => self.entire(),
        }
    }

    /// The part of windows over maps with this part.
    fn through(self, kernel: [usize; 2], stride: [usize; 2], padding: Padding) -> Self {
        let before = [padding.top, padding.left];
        let mut after = self;
        for axis in 0..2 {
            after.size[axis] = self.size[axis] + (kernel[axis] - 1) * self.stride[axis];
            after.stride[axis] = self.stride[axis] * stride[axis];
            after.start[axis] = self.start[axis] - (before[axis] * self.stride[axis]) as i64;
        }
        after
    }

    /// The whole crop.
    fn entire(self) -> Self {
        Self { size: [self.crop; 2], stride: [0, 0], start: [0, 0], ..self }
    }
}
