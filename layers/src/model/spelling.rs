//! Suggestions for misspelt names.

/// `; did you mean "..."?` for the nearest of `known`, or nothing if none is near.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known).first() {
        Some(near) => format!("; did you mean {near:?}?"),
        None => String::new(),
    }
}

/// The names in `known` that `word` may be a misspelling of, nearest first.
pub(super) fn nearest(word: &str, known: &[&str]) -> Vec<String> {
    const MIN_SIMILARITY: f64 = 0.5;
    // The measure's time grows with the product of the lengths: a file may hold a key of any length.
    let word: String = word.chars().take(64).collect::<String>().to_lowercase();
    // A prefix counts as near: "max" for "max-pool".
    let similarity = |name: &str| {
        let is_prefix = word.len() > 1 && name.starts_with(&word);
        if is_prefix { 1.0 } else { strsim::normalized_damerau_levenshtein(&word, name) }
    };
    let mut scored: Vec<(f64, &str)> =
        known.iter().map(|name| (similarity(name), *name)).filter(|(score, _)| *score >= MIN_SIMILARITY).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().map(|(_, name)| name.to_owned()).collect()
}
