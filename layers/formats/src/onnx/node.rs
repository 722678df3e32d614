//! One node of a graph: its attributes with ONNX' defaults.

use super::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// A node.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub &'a NodeProto);

impl<'a> Node<'a> {
    /// The name of an input, if it is given.
    pub fn input(self, index: usize) -> Option<&'a str> {
        self.0.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of an output, if it is used.
    pub fn output(self, index: usize) -> Option<&'a str> {
        self.0.output.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The node in messages.
    pub fn label(self) -> String {
        let shorten = |text: &str| text.chars().take(80).collect::<String>();
        let operator = shorten(&self.0.op_type);
        match (self.0.name.as_str(), self.output(0)) {
            ("", Some(output)) => format!("the {operator} that gives {:?}", shorten(output)),
            ("", None) => format!("a {operator}"),
            (name, _) => format!("the {operator} {:?}", shorten(name)),
        }
    }

    fn attribute(self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// A number.
    pub fn float(self, name: &str, default: f32) -> f64 {
        decimal(self.attribute(name).and_then(|attribute| attribute.f).unwrap_or(default))
    }

    /// A whole number.
    pub fn int(self, name: &str, default: i64) -> i64 {
        self.optional_int(name).unwrap_or(default)
    }

    /// A whole number, if it is given.
    pub fn optional_int(self, name: &str) -> Option<i64> {
        self.attribute(name).and_then(|attribute| attribute.i)
    }

    /// Whole numbers, if they are given.
    pub fn ints(self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// Numbers, if they are given.
    pub fn floats(self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|attribute| attribute.floats.as_slice())
    }

    /// A number, if it is given.
    pub fn optional_float(self, name: &str) -> Option<f32> {
        self.attribute(name).and_then(|attribute| attribute.f)
    }

    /// A text.
    pub fn text(self, name: &str) -> &'a str {
        let bytes = self.attribute(name).and_then(|attribute| attribute.s.as_deref()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// A tensor, if it is given.
    pub fn tensor(self, name: &str) -> Option<&'a TensorProto> {
        self.attribute(name).and_then(|attribute| attribute.t.as_ref())
    }

    /// A graph, if it is given.
    pub fn graph(self, name: &str) -> Option<&'a GraphProto> {
        self.attribute(name).and_then(|attribute| attribute.g.as_ref())
    }

    /// A pair of whole numbers from 1, for rows and columns.
    ///
    /// # Errors
    /// A message for another number of them, or numbers out of range.
    pub fn pair(self, name: &str, default: [usize; 2]) -> Result<[usize; 2], String> {
        let Some(values) = self.ints(name).filter(|values| !values.is_empty()) else { return Ok(default) };
        let pair = || -> Option<[usize; 2]> {
            let [rows, columns] = values.try_into().ok()?;
            let count = |n: i64| usize::try_from(n).ok().filter(|n| (1..=1 << 20).contains(n));
            Some([count(rows)?, count(columns)?])
        };
        pair().ok_or_else(|| format!("has {name} {values:?}; two numbers from 1 are read, for rows and columns"))
    }

    /// Fails unless all of these whole numbers are 1, if they are given.
    ///
    /// # Errors
    /// A message with the numbers.
    pub fn check_ones(self, name: &str) -> Result<(), String> {
        match self.ints(name) {
            Some(values) if values.iter().any(|&value| value != 1) => {
                Err(format!("has {name} {values:?}; layers here have none"))
            }
            _ => Ok(()),
        }
    }
}

/// The shortest decimal number that a file's f32 stands for: 0.0001 for 9.9999997e-5.
pub(super) fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
