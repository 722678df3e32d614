//! Valid names of networks.

/// The names that [`is_network`] accepts, in words.
pub(super) const NETWORKS: &str =
    "a text of 1 to 60 letters, digits, spaces, '_', '-', '.', '+', '(' and ')', with a letter, a digit or '_' first";

/// Whether a network may have this name, which becomes the name of a folder and part of terminal output.
pub(super) fn is_network(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || " _-.+()".contains(c);
    let first = name.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    first && name.chars().count() <= 60 && name.chars().all(fits)
}

/// A name for a network whose text gives none: the file's, without the characters that names may not have.
pub(super) fn of_origin(origin: &str) -> String {
    let last = origin.rsplit(['/', '\\']).next().unwrap_or_default();
    let text: String = last.chars().map(|c| if is_network(&format!("_{c}")) { c } else { '-' }).take(60).collect();
    let name = text.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
    if name.is_empty() { "network".to_string() } else { name.to_string() }
}
