//! Networks of Caffe for tests, in the messages of today and in those of 2014.

use crate::onnx_file::numbers;
use crate::protobuf::Message;

/// The messages that layers are written in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Version {
    /// `layer`, and blobs with a shape.
    Today,
    /// `layers`, and blobs of four axes.
    Of2014,
}

/// One layer.
pub struct CaffeLayer<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub bottom: &'a str,
    pub top: &'a str,
    /// Shapes of the blobs.
    pub blobs: &'a [&'a [i64]],
    /// The settings, as in `caffe.proto`.
    pub settings: Option<Message>,
}

/// The number of a kind of 2014, and of its settings then and today.
fn numbers_of(kind: &str) -> (i64, u64, u64) {
    match kind {
        "Convolution" => (4, 10, 106),
        "Data" => (5, 36, 100),
        "Dropout" => (6, 12, 108),
        "InnerProduct" => (14, 17, 117),
        "LRN" => (15, 18, 118),
        "Pooling" => (17, 19, 121),
        "ReLU" => (18, 30, 123),
        "Sigmoid" => (19, 38, 124),
        "Softmax" => (20, 39, 125),
        "SoftmaxWithLoss" => (21, 39, 125),
        "Accuracy" => (1, 27, 102),
        "Split" => (22, 0, 0),
        "BatchNorm" => (0, 0, 139),
        _ => (99, 99, 142),
    }
}

impl CaffeLayer<'_> {
    pub fn message(&self, version: Version) -> Message {
        let (number, old_field, field) = numbers_of(self.kind);
        let named = |index: usize| format!("{}.{index}", self.name);
        let blobs = self.blobs.iter().enumerate().map(|(i, shape)| blob(&named(i), shape, version));
        let rates = (1.0, 2.0);
        let mut message = match version {
            Version::Today => {
                let spec = |rate: f32, decay: f32| Message::default().float(3, rate).float(4, decay);
                let message = Message::default().text(1, self.name).text(2, self.kind);
                let message = message.texts(3, &[self.bottom]).texts(4, &[self.top]);
                message.message(6, spec(rates.0, 1.0)).message(6, spec(rates.1, 0.0))
            }
            Version::Of2014 => {
                let message = Message::default().texts(2, &[self.bottom]).texts(3, &[self.top]);
                let message = message.text(4, self.name).int(5, number);
                message.float(7, rates.0).float(7, rates.1).float(8, 1.0).float(8, 0.0)
            }
        };
        for blob in blobs {
            message = message.message(if version == Version::Today { 7 } else { 6 }, blob);
        }
        match (&self.settings, version) {
            (None, _) => message,
            (Some(settings), Version::Today) => message.message(field, settings.clone()),
            (Some(settings), Version::Of2014) => message.message(old_field, settings.clone()),
        }
    }
}

fn blob(name: &str, shape: &[i64], version: Version) -> Message {
    let values = numbers(name, shape);
    let message = Message::default().floats(5, &values);
    if version == Version::Today {
        return message.message(7, Message::default().packed_ints(1, shape));
    }
    let axes: Vec<i64> = std::iter::repeat_n(1, 4 - shape.len()).chain(shape.iter().copied()).collect();
    (1..).zip(axes).fold(message, |message, (field, axis)| message.int(field, axis))
}

/// A network of these layers.
pub fn net(name: &str, layers: &[CaffeLayer], version: Version) -> Message {
    let field = if version == Version::Today { 100 } else { 2 };
    let named = Message::default().text(1, name);
    layers.iter().fold(named, |message, layer| message.message(field, layer.message(version)))
}
