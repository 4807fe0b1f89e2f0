//! Reasons as words for programs, and text from elsewhere as one line.

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

/// Text that may quote what was read elsewhere, as one line: a line feed becomes `\\n`.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{one_line, variant_name};
    use crate::demand::JobWhy;
    use crate::plan::Why;

    #[test]
    fn variants_are_named_without_their_fields() {
        assert_eq!(variant_name(&Why::AtMax { max: 3 }), "at_max");
        assert_eq!(variant_name(&Why::Busy), "busy");
        assert_eq!(variant_name(&JobWhy::NoFreeNodes), "no_free_nodes");
    }
    #[test]
    fn a_line_has_no_control_characters() {
        assert_eq!(one_line("a\nb\r\u{1b}[1m\u{85}c"), r"a\nb\r\u{1b}[1m\u{85}c");
        assert_eq!(one_line("größer `x`"), "größer `x`");
    }
}
