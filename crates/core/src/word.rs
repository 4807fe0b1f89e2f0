//! Reasons as words for programs.

use std::fmt::Debug;

/// The name of an enum's variant in snake case: `NoFreeNodes` is `no_free_nodes`.
#[must_use]
pub fn variant_name(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    let mut word = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(c.to_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::variant_name;
    use crate::demand::JobWhy;
    use crate::plan::Why;

    #[test]
    fn variants_are_named_without_their_fields() {
        assert_eq!(variant_name(&Why::AtMax { max: 3 }), "at_max");
        assert_eq!(variant_name(&Why::Busy), "busy");
        assert_eq!(variant_name(&JobWhy::NoFreeNodes), "no_free_nodes");
    }
}
