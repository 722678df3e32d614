//! Series of numbered files, and the numbers that are missing in them.

use std::collections::BTreeSet;

/// Missing numbers that a message names.
const SHOWN: usize = 5;

/// The numbers that are missing between two that are there.
pub(super) fn gaps(numbers: &BTreeSet<u64>) -> Vec<u64> {
    let pairs = numbers.iter().zip(numbers.iter().skip(1));
    pairs.flat_map(|(a, b)| (a + 1..*b).take(SHOWN)).collect()
}

/// The number in each name by which the names of a series differ; `None` if they differ in none or in several.
pub(super) fn numbers_of(names: &[String]) -> Option<Vec<u64>> {
    let all: Vec<Vec<&str>> = names.iter().map(|name| digits(name)).collect();
    let first = all.first()?;
    let differing = |at: usize| all.iter().any(|numbers| numbers.get(at) != first.get(at));
    let places: Vec<usize> = (0..first.len()).filter(|&at| differing(at)).collect();
    let [only] = places.as_slice() else { return None };
    all.iter().map(|numbers| numbers.get(*only)?.parse().ok()).collect()
}

/// A note on names of one numbered series of which some are missing.
pub(super) fn note(names: &[String]) -> Option<String> {
    let numbers = numbers_of(names)?.into_iter().collect();
    let gaps = gaps(&numbers);
    let shown: Vec<String> = gaps.iter().take(SHOWN).map(u64::to_string).collect();
    let more = if gaps.len() > SHOWN { ", ..." } else { "" };
    let first = names.first()?;
    let last = names.last()?;
    (!gaps.is_empty()).then(|| {
        format!(
            "of the series {first} to {last} the numbers {}{more} are missing; copy them there if they exist",
            shown.join(", ")
        )
    })
}

/// The digits in a name, as one text for each number.
fn digits(name: &str) -> Vec<&str> {
    name.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_numbers_of_a_series_are_named() {
        let of = |numbers: &[u64]| {
            let names: Vec<String> = numbers.iter().map(|n| format!("v2-train-{n:06}-of-000009.tar")).collect();
            note(&names)
        };
        assert_eq!(of(&[0, 1, 2]), None);
        assert_eq!(of(&[7]), None);
        let said = of(&[1, 2, 5, 6]).unwrap();
        assert!(
            said.contains("v2-train-000001-of-000009.tar to v2-train-000006") && said.contains("numbers 3, 4 are"),
            "{said}"
        );
        assert!(of(&[0, u64::MAX]).unwrap().contains("the numbers 1, 2, 3, 4, 5 are missing"));
        assert_eq!(numbers_of(&["a1-1".to_string(), "a2-2".to_string()]), None);
        assert_eq!(numbers_of(&["a".to_string(), "b".to_string()]), None);
    }
}
