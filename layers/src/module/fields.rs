//! [`Parameters`] for structs of modules and for containers.

use tensor::Backend;

use super::{Module, Parameter, Parameters, Pass};
use crate::{Result, Var};

/// Implements [`Parameters`] for a struct `Name<B: Backend>`: the fields that have parameters, in
/// order. A field is a [`Parameter`], a module, or a `Vec`, an array, an `Option` or a `Box` of those.
///
/// ```
/// use alexnet_layers::tensor::{Backend, Cpu, Tensor};
/// use alexnet_layers::{Parameter, ParameterSpec, Parameters, parameters};
///
/// struct Head<B: Backend> {
///     scale: Parameter<B>,
///     shifts: Vec<Parameter<B>>,
///     epsilon: f64, // no parameter
/// }
///
/// parameters! { Head { scale, shifts } }
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let parameter = || Ok::<_, alexnet_layers::Error>(Parameter::new(ParameterSpec::new("", &[1]), Tensor::zeros(&cpu, &[1])?));
/// let head = Head { scale: parameter()?, shifts: vec![parameter()?, parameter()?], epsilon: 1e-5 };
/// let names: Vec<String> = head.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["scale", "shifts.0", "shifts.1"]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[macro_export]
macro_rules! parameters {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl<B: $crate::tensor::Backend> $crate::Parameters<B> for $name<B> {
            #[allow(unused_variables)]
            fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a $crate::Parameter<B>)) {
                $($crate::Parameters::visit(&self.$field, &$crate::module::join(prefix, stringify!($field)), f);)*
            }

            #[allow(unused_variables)]
            fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut $crate::Parameter<B>)) {
                $($crate::Parameters::visit_mut(
                    &mut self.$field,
                    &$crate::module::join(prefix, stringify!($field)),
                    f,
                );)*
            }
        }
    };
}

/// The name of a field or an item within the module that `prefix` names.
#[doc(hidden)]
pub fn join(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}.{name}"),
    }
}

impl<B: Backend, M: Parameters<B>> Parameters<B> for [M] {
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>)) {
        for (number, item) in self.iter().enumerate() {
            item.visit(&join(prefix, &number.to_string()), f);
        }
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {
        for (number, item) in self.iter_mut().enumerate() {
            item.visit_mut(&join(prefix, &number.to_string()), f);
        }
    }
}

impl<B: Backend, M: Parameters<B>> Parameters<B> for Vec<M> {
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>)) {
        self.as_slice().visit(prefix, f);
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {
        self.as_mut_slice().visit_mut(prefix, f);
    }
}

impl<B: Backend, M: Parameters<B>, const N: usize> Parameters<B> for [M; N] {
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>)) {
        self.as_slice().visit(prefix, f);
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {
        self.as_mut_slice().visit_mut(prefix, f);
    }
}

impl<B: Backend, M: Parameters<B>> Parameters<B> for Option<M> {
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>)) {
        if let Some(module) = self {
            module.visit(prefix, f);
        }
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {
        if let Some(module) = self {
            module.visit_mut(prefix, f);
        }
    }
}

impl<B: Backend, M: Parameters<B> + ?Sized> Parameters<B> for Box<M> {
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>)) {
        (**self).visit(prefix, f);
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {
        (**self).visit_mut(prefix, f);
    }
}

impl<B: Backend, M: Module<B> + ?Sized> Module<B> for Box<M> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        (**self).forward(x, pass)
    }
}
