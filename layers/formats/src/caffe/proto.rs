//! The messages of `caffe.proto`, for the decoder.

use prost::Message;

use crate::wire::Schema;

/// The fields of a network that hold messages.
pub(crate) static NET: Schema = Schema(&[(2, &V1_LAYER), (8, &SHAPE), (100, &LAYER)]);
/// The fields of a blob that hold messages.
pub(crate) static BLOB: Schema = Schema(&[(7, &SHAPE)]);
static SHAPE: Schema = Schema(&[]);
static PLAIN: Schema = Schema(&[]);
static FILLED: Schema = Schema(&[(3, &PLAIN), (4, &PLAIN), (7, &PLAIN), (8, &PLAIN)]);
static V1_LAYER: Schema =
    Schema(&[(6, &BLOB), (10, &FILLED), (11, &PLAIN), (15, &PLAIN), (17, &FILLED), (32, &PLAIN), (36, &PLAIN)]);
static LAYER: Schema =
    Schema(&[(6, &PLAIN), (7, &BLOB), (8, &PLAIN), (100, &PLAIN), (106, &FILLED), (117, &FILLED), (143, &INPUT)]);
static INPUT: Schema = Schema(&[(1, &SHAPE)]);

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BlobShape {
    #[prost(int64, repeated, tag = "1")]
    pub dim: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BlobProto {
    #[prost(int64, optional, tag = "1")]
    pub num: Option<i64>,
    #[prost(int64, optional, tag = "2")]
    pub channels: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    pub height: Option<i64>,
    #[prost(int64, optional, tag = "4")]
    pub width: Option<i64>,
    #[prost(float, repeated, tag = "5")]
    pub data: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    pub shape: Option<BlobShape>,
    #[prost(double, repeated, tag = "8")]
    pub double_data: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NetParameter {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(message, repeated, tag = "2")]
    pub layers: Vec<V1LayerParameter>,
    #[prost(string, repeated, tag = "3")]
    pub input: Vec<String>,
    #[prost(int64, repeated, tag = "4")]
    pub input_dim: Vec<i64>,
    #[prost(message, repeated, tag = "8")]
    pub input_shape: Vec<BlobShape>,
    #[prost(message, repeated, tag = "100")]
    pub layer: Vec<LayerParameter>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LayerParameter {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub kind: Option<String>,
    #[prost(string, repeated, tag = "3")]
    pub bottom: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub top: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub param: Vec<ParamSpec>,
    #[prost(message, repeated, tag = "7")]
    pub blobs: Vec<BlobProto>,
    #[prost(message, repeated, tag = "8")]
    pub include: Vec<NetStateRule>,
    #[prost(message, optional, tag = "100")]
    pub transform_param: Option<TransformationParameter>,
    #[prost(message, optional, tag = "106")]
    pub convolution_param: Option<ConvolutionParameter>,
    #[prost(message, optional, tag = "107")]
    pub data_param: Option<DataParameter>,
    #[prost(message, optional, tag = "108")]
    pub dropout_param: Option<DropoutParameter>,
    #[prost(message, optional, tag = "115")]
    pub image_data_param: Option<DataParameter>,
    #[prost(message, optional, tag = "117")]
    pub inner_product_param: Option<InnerProductParameter>,
    #[prost(message, optional, tag = "118")]
    pub lrn_param: Option<LrnParameter>,
    #[prost(message, optional, tag = "121")]
    pub pooling_param: Option<PoolingParameter>,
    #[prost(message, optional, tag = "123")]
    pub relu_param: Option<ReluParameter>,
    #[prost(message, optional, tag = "139")]
    pub batch_norm_param: Option<BatchNormParameter>,
    #[prost(message, optional, tag = "143")]
    pub input_param: Option<InputParameter>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct V1LayerParameter {
    #[prost(string, repeated, tag = "2")]
    pub bottom: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub top: Vec<String>,
    #[prost(string, optional, tag = "4")]
    pub name: Option<String>,
    #[prost(int32, optional, tag = "5")]
    pub kind: Option<i32>,
    #[prost(message, repeated, tag = "6")]
    pub blobs: Vec<BlobProto>,
    #[prost(float, repeated, tag = "7")]
    pub blobs_lr: Vec<f32>,
    #[prost(float, repeated, tag = "8")]
    pub weight_decay: Vec<f32>,
    #[prost(message, optional, tag = "10")]
    pub convolution_param: Option<ConvolutionParameter>,
    #[prost(message, optional, tag = "11")]
    pub data_param: Option<DataParameter>,
    #[prost(message, optional, tag = "12")]
    pub dropout_param: Option<DropoutParameter>,
    #[prost(message, optional, tag = "15")]
    pub image_data_param: Option<DataParameter>,
    #[prost(message, optional, tag = "17")]
    pub inner_product_param: Option<InnerProductParameter>,
    #[prost(message, optional, tag = "18")]
    pub lrn_param: Option<LrnParameter>,
    #[prost(message, optional, tag = "19")]
    pub pooling_param: Option<PoolingParameter>,
    #[prost(message, optional, tag = "30")]
    pub relu_param: Option<ReluParameter>,
    #[prost(message, repeated, tag = "32")]
    pub include: Vec<NetStateRule>,
    #[prost(message, optional, tag = "36")]
    pub transform_param: Option<TransformationParameter>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct NetStateRule {
    #[prost(int32, optional, tag = "1")]
    pub phase: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ParamSpec {
    #[prost(float, optional, tag = "3", default = "1.0")]
    pub lr_mult: Option<f32>,
    #[prost(float, optional, tag = "4", default = "1.0")]
    pub decay_mult: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransformationParameter {
    #[prost(float, optional, tag = "1", default = "1.0")]
    pub scale: Option<f32>,
    #[prost(uint32, optional, tag = "3")]
    pub crop_size: Option<u32>,
    #[prost(string, optional, tag = "4")]
    pub mean_file: Option<String>,
    #[prost(float, repeated, tag = "5")]
    pub mean_value: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DataParameter {
    #[prost(float, optional, tag = "2", default = "1.0")]
    pub scale: Option<f32>,
    #[prost(string, optional, tag = "3")]
    pub mean_file: Option<String>,
    #[prost(uint32, optional, tag = "5")]
    pub crop_size: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FillerParameter {
    #[prost(string, optional, tag = "1", default = "constant")]
    pub kind: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub value: Option<f32>,
    #[prost(float, optional, tag = "3")]
    pub min: Option<f32>,
    #[prost(float, optional, tag = "4", default = "1.0")]
    pub max: Option<f32>,
    #[prost(float, optional, tag = "5")]
    pub mean: Option<f32>,
    #[prost(float, optional, tag = "6", default = "1.0")]
    pub std: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ConvolutionParameter {
    #[prost(uint32, optional, tag = "1")]
    pub num_output: Option<u32>,
    #[prost(bool, optional, tag = "2", default = "true")]
    pub bias_term: Option<bool>,
    #[prost(uint32, repeated, packed = "false", tag = "3")]
    pub pad: Vec<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "4")]
    pub kernel_size: Vec<u32>,
    #[prost(uint32, optional, tag = "5", default = "1")]
    pub group: Option<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "6")]
    pub stride: Vec<u32>,
    #[prost(message, optional, tag = "7")]
    pub weight_filler: Option<FillerParameter>,
    #[prost(message, optional, tag = "8")]
    pub bias_filler: Option<FillerParameter>,
    #[prost(uint32, optional, tag = "9")]
    pub pad_h: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub pad_w: Option<u32>,
    #[prost(uint32, optional, tag = "11")]
    pub kernel_h: Option<u32>,
    #[prost(uint32, optional, tag = "12")]
    pub kernel_w: Option<u32>,
    #[prost(uint32, optional, tag = "13")]
    pub stride_h: Option<u32>,
    #[prost(uint32, optional, tag = "14")]
    pub stride_w: Option<u32>,
    #[prost(uint32, repeated, packed = "false", tag = "18")]
    pub dilation: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct PoolingParameter {
    #[prost(int32, optional, tag = "1")]
    pub pool: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub kernel_size: Option<u32>,
    #[prost(uint32, optional, tag = "3", default = "1")]
    pub stride: Option<u32>,
    #[prost(uint32, optional, tag = "4")]
    pub pad: Option<u32>,
    #[prost(uint32, optional, tag = "5")]
    pub kernel_h: Option<u32>,
    #[prost(uint32, optional, tag = "6")]
    pub kernel_w: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub stride_h: Option<u32>,
    #[prost(uint32, optional, tag = "8")]
    pub stride_w: Option<u32>,
    #[prost(uint32, optional, tag = "9")]
    pub pad_h: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    pub pad_w: Option<u32>,
    #[prost(bool, optional, tag = "12")]
    pub global_pooling: Option<bool>,
    #[prost(int32, optional, tag = "13")]
    pub round_mode: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct LrnParameter {
    #[prost(uint32, optional, tag = "1", default = "5")]
    pub local_size: Option<u32>,
    #[prost(float, optional, tag = "2", default = "1.0")]
    pub alpha: Option<f32>,
    #[prost(float, optional, tag = "3", default = "0.75")]
    pub beta: Option<f32>,
    #[prost(int32, optional, tag = "4")]
    pub norm_region: Option<i32>,
    #[prost(float, optional, tag = "5", default = "1.0")]
    pub k: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InnerProductParameter {
    #[prost(uint32, optional, tag = "1")]
    pub num_output: Option<u32>,
    #[prost(bool, optional, tag = "2", default = "true")]
    pub bias_term: Option<bool>,
    #[prost(message, optional, tag = "3")]
    pub weight_filler: Option<FillerParameter>,
    #[prost(message, optional, tag = "4")]
    pub bias_filler: Option<FillerParameter>,
    #[prost(int32, optional, tag = "5", default = "1")]
    pub axis: Option<i32>,
    #[prost(bool, optional, tag = "6")]
    pub transpose: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct DropoutParameter {
    #[prost(float, optional, tag = "1", default = "0.5")]
    pub dropout_ratio: Option<f32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ReluParameter {
    #[prost(float, optional, tag = "1")]
    pub negative_slope: Option<f32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct BatchNormParameter {
    #[prost(float, optional, tag = "2", default = "0.999")]
    pub moving_average_fraction: Option<f32>,
    #[prost(float, optional, tag = "3", default = "1e-5")]
    pub eps: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct InputParameter {
    #[prost(message, repeated, tag = "1")]
    pub shape: Vec<BlobShape>,
}
