//! The largest of many, in bounded memory.

/// The items with the largest keys of any number of items: the worst mistakes, or the least certain images.
///
/// ```
/// use alexnet_classification::Largest;
///
/// let mut worst = Largest::new(2);
/// for (loss, name) in [(0.1, "a"), (2.5, "b"), (0.7, "c"), (2.5, "d")] {
///     worst.offer(loss, || name);
/// }
/// assert_eq!(worst.into_sorted(), [(2.5, "b"), (2.5, "d")]);
/// ```
#[derive(Clone, Debug)]
pub struct Largest<T> {
    limit: usize,
    /// Sorted by falling keys, of equals in the order of their offers.
    items: Vec<(f64, T)>,
}

impl<T> Largest<T> {
    /// Keeps at most `limit` items.
    pub fn new(limit: usize) -> Self {
        Self { limit, items: Vec::new() }
    }

    /// Whether an item with this key would be kept.
    pub fn would_keep(&self, key: f64) -> bool {
        let is_larger = self.items.last().is_none_or(|(smallest, _)| key > *smallest);
        !key.is_nan() && self.limit > 0 && (self.items.len() < self.limit || is_larger)
    }

    /// Keeps the item that `make` makes, if its key is among the largest so far. Of equal keys the first offers stay. A key
    /// that is not a number is never kept.
    pub fn offer(&mut self, key: f64, make: impl FnOnce() -> T) {
        if !self.would_keep(key) {
            return;
        }
        let place = self.items.partition_point(|(other, _)| *other >= key);
        self.items.insert(place, (key, make()));
        self.items.truncate(self.limit);
    }

    /// The items, largest key first.
    pub fn into_sorted(self) -> Vec<(f64, T)> {
        self.items
    }
}
