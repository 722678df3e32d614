//! From a [`Model`] to TOML.

use std::fmt::Write;

use tensor::ops::PoolKind;
use toml::{Table, Value};

use super::parse::{ALPHA_RULES, CHANNEL_ORDERS, DROPOUT_SCALES, EDGES, REGIONS};
use super::{Conv, Input, LayerKind, LayerSpec, Learned, Mean, Model, Pad, Pool, Units};
use crate::init::Init;

impl Model {
    /// The network as text that [`parse`](Self::parse) reads back as the same network. Every setting is written, so
    /// that what a run used stays readable when defaults change.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        line(&mut text, "name", quoted(&self.name));
        line(&mut text, "about", quoted(&self.about));
        line(&mut text, "classes", self.classes);
        write_input(&mut text, &self.input);
        for layer in &self.layers {
            write_layer(&mut text, layer);
        }
        if !self.train.is_empty() {
            let table = Table::from_iter([("train".to_owned(), Value::Table(self.train.clone()))]);
            text.push('\n');
            text.push_str(&table.to_string());
        }
        text
    }
}

fn line(text: &mut String, key: &str, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The shortest digits that read back as the same number; TOML takes Rust's form.
fn number(value: f64) -> String {
    format!("{value:?}")
}

fn word<T: PartialEq>(choices: &[(&'static str, T)], value: &T) -> String {
    let found = choices.iter().find(|(_, choice)| choice == value);
    format!("{:?}", found.map_or("", |(name, _)| name))
}

fn write_input(text: &mut String, input: &Input) {
    text.push_str("\n[input]\n");
    line(text, "size", input.size);
    line(text, "crop", input.crop);
    line(text, "channels", word(CHANNEL_ORDERS, &input.channels));
    line(text, "scale", number(input.scale));
    match input.mean {
        Mean::None => line(text, "mean", "\"none\""),
        Mean::PackImage => line(text, "mean", "\"pack-image\""),
        Mean::PackRgb => line(text, "mean", "\"pack-rgb\""),
        Mean::Rgb(colour) => line(text, "mean", format!("{colour:?}")),
    }
    if let Some(deviation) = input.deviation {
        line(text, "deviation", format!("{deviation:?}"));
    }
}

fn write_layer(text: &mut String, layer: &LayerSpec) {
    text.push_str("\n[[layer]]\n");
    line(text, "name", quoted(&layer.name));
    line(text, "kind", quoted(layer.kind.name()));
    if let Some(export) = &layer.export {
        line(text, "export", quoted(export));
    }
    match &layer.kind {
        LayerKind::Conv(conv) | LayerKind::Local(conv) => write_conv(text, conv),
        LayerKind::Linear(linear) => {
            match linear.units {
                Units::Classes => line(text, "units", "\"classes\""),
                Units::Number(n) => line(text, "units", n),
            }
            write_learned(text, &linear.learned);
        }
        LayerKind::Lrn(lrn) => {
            line(text, "size", lrn.size);
            line(text, "alpha", number(lrn.alpha));
            line(text, "beta", number(lrn.beta));
            line(text, "k", number(lrn.k));
            line(text, "region", word(REGIONS, &lrn.region));
            line(text, "alpha_rule", word(ALPHA_RULES, &lrn.alpha_rule));
        }
        LayerKind::Pool(pool) => write_pool(text, pool),
        LayerKind::Dropout(dropout) => {
            line(text, "p", number(dropout.p));
            line(text, "scale", word(DROPOUT_SCALES, &dropout.scale));
        }
        LayerKind::BatchNorm(norm) => {
            line(text, "epsilon", number(norm.epsilon));
            line(text, "momentum", number(norm.momentum));
            line(text, "rate", number(norm.rate));
            line(text, "decay", number(norm.decay));
        }
        LayerKind::Activation(_) | LayerKind::Flatten | LayerKind::Softmax => {}
    }
}

fn write_conv(text: &mut String, conv: &Conv) {
    line(text, "filters", conv.filters);
    write_window(text, conv.kernel, conv.stride, conv.padding);
    line(text, "groups", conv.groups);
    write_learned(text, &conv.learned);
}

fn write_pool(text: &mut String, pool: &Pool) {
    write_window(text, pool.kernel, pool.stride, pool.padding);
    line(text, "edge", word(EDGES, &pool.edge));
    if pool.kind != PoolKind::Max {
        line(text, "count_padding", pool.kind == PoolKind::AverageWithPadding);
    }
}

fn write_window(text: &mut String, kernel: [usize; 2], stride: [usize; 2], padding: Pad) {
    let both = |[v, h]: [usize; 2]| if v == h { v.to_string() } else { format!("[{v}, {h}]") };
    line(text, "kernel", both(kernel));
    line(text, "stride", both(stride));
    match padding {
        Pad::Same => line(text, "padding", "\"same\""),
        Pad::Sides(p) if [p.bottom, p.left, p.right] == [p.top; 3] => line(text, "padding", p.top),
        Pad::Sides(p) => line(text, "padding", format!("{:?}", [p.top, p.bottom, p.left, p.right])),
    }
}

fn write_learned(text: &mut String, learned: &Learned) {
    line(text, "init", init(learned.init));
    match learned.bias {
        None => line(text, "bias", false),
        Some(Init::Constant(value)) => line(text, "bias", number(value)),
        Some(other) => line(text, "bias", init(other)),
    }
    line(text, "weight_rate", number(learned.weight_rate));
    line(text, "bias_rate", number(learned.bias_rate));
    line(text, "weight_decay", number(learned.weight_decay));
    line(text, "bias_decay", number(learned.bias_decay));
}

fn init(init: Init) -> String {
    match init {
        Init::Constant(value) => format!("{{ kind = \"constant\", value = {value:?} }}"),
        Init::Normal { mean, std } => format!("{{ kind = \"normal\", mean = {mean:?}, std = {std:?} }}"),
        Init::Uniform { low, high } => format!("{{ kind = \"uniform\", low = {low:?}, high = {high:?} }}"),
        Init::GlorotUniform => "{ kind = \"glorot-uniform\" }".into(),
        Init::GlorotNormal => "{ kind = \"glorot-normal\" }".into(),
        Init::HeUniform => "{ kind = \"he-uniform\" }".into(),
        Init::HeNormal => "{ kind = \"he-normal\" }".into(),
        Init::TorchDefault => "{ kind = \"torch-default\" }".into(),
    }
}
