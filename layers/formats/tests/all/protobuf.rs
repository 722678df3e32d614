//! Protocol buffers by hand, without the crate that the readers use.

/// A message that is being written.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn key(mut self, number: u64, kind: u64) -> Self {
        self.varint(number << 3 | kind);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn int(self, number: u64, value: i64) -> Self {
        let mut message = self.key(number, 0);
        message.varint(value as u64);
        message
    }

    pub fn float(self, number: u64, value: f32) -> Self {
        let mut message = self.key(number, 5);
        message.0.extend(value.to_le_bytes());
        message
    }

    pub fn bytes(self, number: u64, bytes: &[u8]) -> Self {
        let mut message = self.key(number, 2);
        message.varint(bytes.len() as u64);
        message.0.extend(bytes);
        message
    }

    pub fn text(self, number: u64, text: &str) -> Self {
        self.bytes(number, text.as_bytes())
    }

    pub fn message(self, number: u64, inner: Self) -> Self {
        self.bytes(number, &inner.0)
    }

    pub fn floats(self, number: u64, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(number, &bytes)
    }

    pub fn packed_ints(self, number: u64, values: &[i64]) -> Self {
        let mut inner = Self::default();
        for &value in values {
            inner.varint(value as u64);
        }
        self.bytes(number, &inner.0)
    }

    /// Each element as a field of its own, as old programs write lists.
    pub fn ints(self, number: u64, values: &[i64]) -> Self {
        values.iter().fold(self, |message, &value| message.int(number, value))
    }

    pub fn texts(self, number: u64, values: &[&str]) -> Self {
        values.iter().fold(self, |message, value| message.text(number, value))
    }
}
