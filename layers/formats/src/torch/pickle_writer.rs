//! The pickle of a state dict, as `torch.save` writes it in protocol 2, without its memory of earlier values.

/// An `OrderedDict` of contiguous f32 tensors: names and shapes. Their storages have the keys 0, 1, and so on.
pub fn state_dict(tensors: &[(&str, Vec<usize>)]) -> Vec<u8> {
    let mut pickle = Pickle(b"\x80\x02".to_vec());
    pickle.ordered_dict();
    pickle.byte(b'(');
    for (key, (name, shape)) in tensors.iter().enumerate() {
        pickle.text(name);
        pickle.tensor(&key.to_string(), shape);
    }
    pickle.byte(b'u');
    pickle.byte(b'.');
    pickle.0
}

/// The bytes so far.
struct Pickle(Vec<u8>);

impl Pickle {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").into_bytes());
    }

    /// A call of `OrderedDict` without arguments.
    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.0.extend(b")R");
    }

    fn text(&mut self, text: &str) {
        self.byte(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    /// A whole number that is not negative. Lengths of tensors are below 2^63.
    fn number(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(number @ 0..=255) => self.0.extend([b'K', number as u8]),
            Ok(number) => {
                self.byte(b'J');
                self.0.extend(number.to_le_bytes());
            }
            Err(_) => {
                self.0.extend(b"\x8a\x08");
                self.0.extend((number as u64).to_le_bytes());
            }
        }
    }

    fn numbers(&mut self, numbers: impl Iterator<Item = usize>) {
        self.byte(b'(');
        for number in numbers {
            self.number(number);
        }
        self.byte(b't');
    }

    /// `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`, where the storage is the persistent
    /// `("storage", FloatStorage, key, "cpu", length)`.
    fn tensor(&mut self, key: &str, shape: &[usize]) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.0.extend(b"((");
        self.text("storage");
        self.global("torch", "FloatStorage");
        self.text(key);
        self.text("cpu");
        self.number(shape.iter().product());
        self.0.extend(b"tQ");
        self.number(0);
        self.numbers(shape.iter().copied());
        self.numbers((0..shape.len()).map(|axis| shape[axis + 1..].iter().product()));
        self.byte(b'\x89');
        self.ordered_dict();
        self.0.extend(b"tR");
    }
}
