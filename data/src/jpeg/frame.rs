//! Frame header of a JPEG (ITU T.81, B.2.2) and the layout of its components' blocks (A.1 and A.2).

use super::BLOCK;
use super::segments::{SOF0, SOF1, SOF2};
use super::upsample::Axis;
use crate::error::BadImage;

/// Maximum number of components.
pub(super) const COMPONENTS: usize = 4;
/// Maximum sampling factor.
const MAX_SAMPLING: usize = 4;

/// A colour component of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
    pub id: u8,
    /// Blocks across and down in each MCU (minimum coded unit) of an interleaved scan.
    pub across: usize,
    pub down: usize,
    /// Number of its quantization table.
    pub quantizer: u8,
}

/// Size of an image and its components.
#[derive(Debug)]
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    pub is_progressive: bool,
    /// 1, 3 or 4.
    pub components: Vec<Component>,
    /// Maximum number of blocks across and down in an MCU.
    max_sampling: (usize, usize),
}

impl Frame {
    /// # Errors
    /// [`BadImage::Unsupported`] for what libjpeg does not read as 8-bit samples, [`BadImage::Damaged`] for an
    /// inconsistent header.
    pub fn parse(marker: u8, body: &[u8]) -> Result<Self, BadImage> {
        let unsupported = |what: &str| Err(BadImage::Unsupported(what.into()));
        match marker {
            SOF0 | SOF1 | SOF2 => {}
            0xc9 | 0xca => return unsupported("arithmetic-coded JPEG"),
            0xc3 | 0xcb => return unsupported("lossless JPEG"),
            _ => return unsupported("hierarchical JPEG"),
        }
        let short = || BadImage::Damaged("a frame header that does not fit its length".into());
        let &[precision, h1, h0, w1, w0, count] = body.first_chunk().ok_or_else(short)?;
        let listed = body[6..].chunks_exact(3);
        if listed.len() != usize::from(count) || !listed.remainder().is_empty() {
            return Err(short());
        }
        if precision != 8 {
            return Err(BadImage::Unsupported(format!("JPEG of {precision} bits a sample")));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(BadImage::Unsupported(format!("JPEG of {count} colours")));
        }
        let components = listed.map(component).collect::<Result<Vec<_>, _>>()?;
        let frame = Self {
            width: usize::from(u16::from_be_bytes([w1, w0])),
            height: usize::from(u16::from_be_bytes([h1, h0])),
            is_progressive: marker == SOF2,
            max_sampling: max_sampling(&components),
            components,
        };
        frame.check_sampling()?;
        Ok(frame.with_one_component_unsampled())
    }

    /// Only integer ratios can be upsampled, as in libjpeg.
    fn check_sampling(&self) -> Result<(), BadImage> {
        let (across, down) = self.max_sampling;
        match self.components.iter().find(|c| across % c.across != 0 || down % c.down != 0) {
            None => Ok(()),
            Some(c) => Err(BadImage::Unsupported(format!(
                "JPEG with a colour sampled {}x{} beside one of {across}x{down}, which is no whole ratio",
                c.across, c.down
            ))),
        }
    }

    /// A single component is not subsampled, whatever its sampling factors.
    fn with_one_component_unsampled(mut self) -> Self {
        if let [only] = self.components.as_mut_slice() {
            only.across = 1;
            only.down = 1;
            self.max_sampling = (1, 1);
        }
        self
    }

    /// MCUs across and down in an interleaved scan.
    pub fn mcus(&self) -> (usize, usize) {
        let (across, down) = self.max_sampling;
        (self.width.div_ceil(BLOCK * across), self.height.div_ceil(BLOCK * down))
    }

    /// Blocks across and down of a component, as in a scan of it alone.
    pub fn blocks(&self, component: usize) -> (usize, usize) {
        let (across, down) = self.axes(component);
        (across.len().div_ceil(BLOCK), down.len().div_ceil(BLOCK))
    }

    /// Horizontal and vertical upsampling of a component.
    pub fn axes(&self, component: usize) -> (Axis, Axis) {
        let Component { across, down, .. } = self.components[component];
        Axis::pair(self.width, self.height, self.max_sampling.0 / across, self.max_sampling.1 / down)
    }
}

fn component(listed: &[u8]) -> Result<Component, BadImage> {
    let across = usize::from(listed[1] >> 4);
    let down = usize::from(listed[1] & 15);
    if !(1..=MAX_SAMPLING).contains(&across) || !(1..=MAX_SAMPLING).contains(&down) {
        return Err(BadImage::Damaged(format!("a colour sampled {across}x{down}, expected 1 to {MAX_SAMPLING}")));
    }
    Ok(Component { id: listed[0], across, down, quantizer: listed[2] })
}

fn max_sampling(components: &[Component]) -> (usize, usize) {
    components.iter().fold((1, 1), |(across, down), c| (across.max(c.across), down.max(c.down)))
}
