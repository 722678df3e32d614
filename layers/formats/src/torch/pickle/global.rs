//! The meaning of names of modules and their members.

use std::rc::Rc;

/// A name that a pickle refers to.
#[derive(Clone, Debug, PartialEq)]
pub enum Global {
    /// `_rebuild_tensor(storage, offset, size, stride)` and its later forms, whose further arguments are not needed.
    RebuildTensor,
    /// `_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, ..)`.
    RebuildTensorOfType,
    /// A function whose first argument is the tensor: `_rebuild_parameter`, `Parameter`.
    FirstArgument,
    /// `_rebuild_from_type_v2(function, class, arguments, state)`.
    RebuildFromType,
    /// A dictionary's class.
    Dict,
    /// The class of a storage with numbers of this type.
    Storage(Dtype),
    /// A type of numbers.
    Dtype(Dtype),
    /// Anything else: its name.
    Other(Rc<str>),
}

impl Global {
    /// The meaning of a member of a module.
    pub fn of(module: &str, name: &str) -> Self {
        match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorOfType,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Self::FirstArgument,
            ("torch.nn.parameter", "Parameter" | "Buffer") => Self::FirstArgument,
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("collections", "OrderedDict" | "defaultdict") => Self::Dict,
            ("builtins" | "__builtin__", "dict") => Self::Dict,
            ("torch" | "torch.cuda" | "torch.storage", _) => Self::of_torch(module, name),
            _ => Self::Other(format!("{module}.{name}").into()),
        }
    }

    fn of_torch(module: &str, name: &str) -> Self {
        if let Some(dtype) = name.strip_suffix("Storage").and_then(Dtype::of_storage) {
            return Self::Storage(dtype);
        }
        match Dtype::of_name(name) {
            Some(dtype) if module == "torch" => Self::Dtype(dtype),
            _ => Self::Other(format!("{module}.{name}").into()),
        }
    }
}

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// Whole numbers and truth values: the name, and the bytes of one.
    Whole(&'static str, u64),
    F16,
    BF16,
    F32,
    F64,
    /// Bytes without a type.
    Untyped,
    /// Numbers that are not read: the name, and the bytes of one.
    Other(&'static str, u64),
}

impl Dtype {
    fn of_storage(kind: &str) -> Option<Self> {
        Some(match kind {
            "Float" => Self::F32,
            "Double" => Self::F64,
            "Half" => Self::F16,
            "BFloat16" => Self::BF16,
            "Long" => Self::Whole("i64", 8),
            "Int" => Self::Whole("i32", 4),
            "Short" => Self::Whole("i16", 2),
            "Char" => Self::Whole("i8", 1),
            "Byte" => Self::Whole("u8", 1),
            "Bool" => Self::Whole("bool", 1),
            "Untyped" => Self::Untyped,
            "ComplexFloat" => Self::Other("complex64", 8),
            "ComplexDouble" => Self::Other("complex128", 16),
            "QInt8" => Self::Other("qint8", 1),
            "QUInt8" => Self::Other("quint8", 1),
            "QInt32" => Self::Other("qint32", 4),
            _ => return None,
        })
    }

    fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "float32" | "float" => Self::F32,
            "float64" | "double" => Self::F64,
            "float16" | "half" => Self::F16,
            "bfloat16" => Self::BF16,
            "int64" => Self::Whole("i64", 8),
            "int32" => Self::Whole("i32", 4),
            "int16" => Self::Whole("i16", 2),
            "int8" => Self::Whole("i8", 1),
            "uint64" => Self::Whole("u64", 8),
            "uint32" => Self::Whole("u32", 4),
            "uint16" => Self::Whole("u16", 2),
            "uint8" => Self::Whole("u8", 1),
            "bool" => Self::Whole("bool", 1),
            "complex32" => Self::Other("complex32", 4),
            "complex64" => Self::Other("complex64", 8),
            "complex128" => Self::Other("complex128", 16),
            "float8_e4m3fn" => Self::Other("float8_e4m3fn", 1),
            "float8_e4m3fnuz" => Self::Other("float8_e4m3fnuz", 1),
            "float8_e5m2" => Self::Other("float8_e5m2", 1),
            "float8_e5m2fnuz" => Self::Other("float8_e5m2fnuz", 1),
            "float8_e8m0fnu" => Self::Other("float8_e8m0fnu", 1),
            _ => return None,
        })
    }

    /// The bytes of one number.
    pub fn size(self) -> u64 {
        match self {
            Self::Whole(_, size) | Self::Other(_, size) => size,
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Untyped => 1,
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole(name, _) | Self::Other(name, _) => name,
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Untyped => "bytes",
        }
    }
}
