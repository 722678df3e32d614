//! Layers of 2014 as those of today.

use super::proto::{LayerParameter, ParamSpec, V1LayerParameter};

/// Today's name of a kind of layer of 2014.
fn kind(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "Accuracy",
        4 => "Convolution",
        5 => "Data",
        6 => "Dropout",
        8 => "Flatten",
        9 => "HDF5Data",
        12 => "ImageData",
        14 => "InnerProduct",
        15 => "LRN",
        16 => "MultinomialLogisticLoss",
        17 => "Pooling",
        18 => "ReLU",
        19 => "Sigmoid",
        20 => "Softmax",
        21 => "SoftmaxWithLoss",
        22 => "Split",
        23 => "TanH",
        24 => "WindowData",
        29 => "MemoryData",
        30 => "ArgMax",
        32 => "DummyData",
        36 => "Silence",
        _ => return None,
    })
}

/// A layer of 2014 as one of today.
///
/// # Errors
/// A message for a layer of before 2014.
pub(super) fn upgrade(old: V1LayerParameter) -> Result<LayerParameter, String> {
    let Some(number) = old.kind else {
        let what = "is a file of Caffe from before 2014; upgrade it with Caffe's upgrade_net_proto_binary";
        return Err(what.into());
    };
    let count = old.blobs_lr.len().max(old.weight_decay.len());
    let spec =
        |i: usize| ParamSpec { lr_mult: old.blobs_lr.get(i).copied(), decay_mult: old.weight_decay.get(i).copied() };
    Ok(LayerParameter {
        name: old.name,
        kind: Some(kind(number).map_or_else(|| format!("number {number}"), str::to_string)),
        bottom: old.bottom,
        top: old.top,
        param: (0..count).map(spec).collect(),
        blobs: old.blobs,
        include: old.include,
        transform_param: old.transform_param,
        data_param: old.data_param,
        image_data_param: old.image_data_param,
        convolution_param: old.convolution_param,
        dropout_param: old.dropout_param,
        inner_product_param: old.inner_product_param,
        lrn_param: old.lrn_param,
        pooling_param: old.pooling_param,
        relu_param: old.relu_param,
        batch_norm_param: None,
        input_param: None,
    })
}
