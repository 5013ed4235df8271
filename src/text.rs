//! Text that has to be shortened: what people write has no bounds, its places have. Used by events and the control.

/// The beginning of a text, of at most so many bytes.
pub fn head(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_characters() {
        assert_eq!([0, 1, 2, 3, 9].map(|longest| head("héllo", longest)), ["", "h", "h", "hé", "héllo"]);
    }
}
