//! From stored images to a network's input: crop, mirror, colour, mean and scale in one pass (paper, sections 2 and
//! 4.1).

use crate::tensor::element_count;
use crate::{Alloc, Backend, Error, Handle, Operation, Result, Tensor};

const OP: &str = "prepare";

/// What is done to every pixel of every image: `(pixel + shift) * factor - mean`, times the view's damping. Colours
/// are R, G, B, pixels 0 to 255.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    /// Side of the crops.
    pub crop: usize,
    /// Blue, green, red in the output.
    pub bgr: bool,
    /// What a colour is multiplied by: scale / deviation.
    pub factor: [f32; 3],
    /// What is subtracted from a colour after that: mean / deviation.
    pub mean: [f32; 3],
}

/// What is cut from an image, and how it is varied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Which image.
    pub image: u32,
    /// Rows above the crop.
    pub top: u32,
    /// Columns left of the crop.
    pub left: u32,
    /// Whether left and right are exchanged, after cropping.
    pub mirror: bool,
    /// Added to R, G and B, on the scale of 0 to 255.
    pub shift: [f32; 3],
    /// What the values are multiplied by at the end.
    pub damping: f32,
}

impl Prepare {
    /// What is done to the pixels of `view` of images of `size` x `size`.
    pub fn cut(&self, size: usize, view: &View) -> Cut {
        let offset = |c: usize| (view.shift[c] * self.factor[c] - self.mean[c]) * view.damping;
        Cut {
            start: 3 * (view.top as usize * size + view.left as usize),
            image: view.image as usize,
            mirror: view.mirror,
            factor: self.factor.map(|factor| factor * view.damping),
            offset: std::array::from_fn(offset),
            damping: view.damping,
        }
    }
}

impl View {
    /// A crop of image `image` as it is.
    pub fn crop(image: u32, left: u32, top: u32, mirror: bool) -> Self {
        Self { image, top, left, mirror, shift: [0.0; 3], damping: 1.0 }
    }
}

/// What a backend is told of one view: the value of a pixel is `pixel * factor + offset`, or with a mean image
/// `pixel * factor + (offset - mean * damping)`, in this order. [`RawImages::prepare`] gives backends only what lies
/// within the images.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Where the crop's first byte stands in its image.
    pub start: usize,
    /// Which image.
    pub image: usize,
    /// Whether left and right are exchanged.
    pub mirror: bool,
    /// By R, G, B.
    pub factor: [f32; 3],
    /// By R, G, B.
    pub offset: [f32; 3],
    /// What the mean image is multiplied by.
    pub damping: f32,
}

/// Sides and the order of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Side of the images.
    pub size: usize,
    /// Side of the crops.
    pub crop: usize,
    /// Blue, green, red in the output.
    pub bgr: bool,
}

impl Layout {
    /// Bytes of an image.
    pub fn image(&self) -> usize {
        self.size * self.size * 3
    }

    /// Values of a view.
    pub fn view(&self) -> usize {
        self.crop * self.crop * 3
    }
}

/// Crops, mirrors and normalises images: `[cuts, crop, crop, 3]` in the format of activations. Operands: the images' bytes, and
/// perhaps a mean image. Output: the values.
#[derive(Clone, Copy, Debug)]
pub struct PrepareImages<'c> {
    /// Sides and the order of colours.
    pub layout: Layout,
    /// The views, in order.
    pub cuts: &'c [Cut],
}

impl Operation for PrepareImages<'_> {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 0], [&'a I; 1], Option<&'a F>);
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "prepare"
    }

    /// Every view reads its crop of an image; the mean image is shared.
    fn bytes_read(&self) -> Option<u64> {
        Some((self.cuts.len() * self.layout.view()) as u64)
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok([new.activations(self.cuts.len() * self.layout.view())?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

/// Squares of bytes on a device: `[count, size, size, 3]`, rows from the top, colours R, G, B. Cloning shares.
#[derive(Clone, Debug)]
pub struct RawImages<B: Backend> {
    device: B,
    count: usize,
    size: usize,
    data: B::IntBuffer,
}

impl<B: Backend> RawImages<B> {
    /// Images of `size` x `size`, one after another in `bytes`. From a thread of its own this overlaps with the
    /// device's work.
    ///
    /// # Errors
    /// [`Error::Argument`] if `bytes` are no whole images.
    pub fn upload(device: &B, size: usize, bytes: &[u8]) -> Result<Self> {
        let image = element_count(OP, &[size, size, 3])?;
        if image == 0 || !bytes.len().is_multiple_of(image) {
            let what = format!("expected whole images of {size} x {size} x 3 bytes, got {} bytes", bytes.len());
            return Err(Error::argument(OP, what));
        }
        let data = device.upload_images(bytes)?;
        Ok(Self { device: device.clone(), count: bytes.len() / image, size, data })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Side of the images.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The views of these images as a network takes them, `[views, crop, crop, 3]` in the type that flows between
    /// layers: value by value `((pixel + shift) * factor - mean) * damping`. To the mean of the colour comes, with
    /// `mean_image` `[size, size, 3]`, that of the place in the stored image: it is cropped and mirrored with it.
    ///
    /// # Errors
    /// [`Error::Argument`] if a view is of no image or does not lie within it; [`Error::Shape`] if the mean image is
    /// not of the images' size.
    pub fn prepare(&self, spec: &Prepare, mean_image: Option<&Tensor<B>>, views: &[View]) -> Result<Tensor<B>> {
        let Prepare { crop, bgr, .. } = *spec;
        if crop == 0 || crop > self.size {
            return Err(Error::argument(OP, format!("the crop must be 1 to {}, got {crop}", self.size)));
        }
        if let Some(mean) = mean_image
            && mean.shape() != [self.size, self.size, 3]
        {
            return Err(Error::shape(OP, format!("a mean image of {0} x {0} x 3", self.size), mean.shape()));
        }
        let layout = Layout { size: self.size, crop, bgr };
        let cuts = views.iter().map(|view| self.cut(spec, view)).collect::<Result<Vec<_>>>()?;
        let shape = [views.len(), crop, crop, 3];
        element_count(OP, &shape)?;
        let op = PrepareImages { layout, cuts: &cuts };
        let [data] = self.device.run(&op, ([], [&self.data], mean_image.map(|mean| &mean.data)))?;
        Ok(Tensor::from_parts(self.device.clone(), shape.to_vec(), data))
    }

    fn cut(&self, spec: &Prepare, view: &View) -> Result<Cut> {
        let (top, left, image) = (view.top as usize, view.left as usize, view.image as usize);
        let margin = self.size - spec.crop;
        if image >= self.count || top > margin || left > margin {
            let images = format!("{} images of {1} x {1}", self.count, self.size);
            let what = format!("expected a crop of {} within {images}, got {view:?}", spec.crop);
            return Err(Error::argument(OP, what));
        }
        Ok(spec.cut(self.size, view))
    }
}
