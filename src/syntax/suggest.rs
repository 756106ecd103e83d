//! "did you mean": the known name nearest to what was typed.

/// The candidate that is a likely slip of `typed`: up to a third of its characters differ.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (typed.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(typed, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A help line for an unknown name: the likely one, or all that exist.
pub fn help<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str> + Clone, what: &str) -> String {
    if let Some(name) = nearest(typed, candidates.clone()) {
        return format!("did you mean `{name}`?");
    }
    let all: Vec<String> = candidates.into_iter().map(|name| format!("`{name}`")).collect();
    match all.len() {
        0 => format!("there are no {what}"),
        1..=20 => format!("{what}: {}", all.join(", ")),
        _ => format!("{what}: {}, …", all[..20].join(", ")),
    }
}
