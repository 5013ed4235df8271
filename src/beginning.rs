//! A text that others may begin with. Used by cookies and by pinned paths, for each request.
//!
//! A call that compares a few bytes costs as much as the rest of a look-up, so up to 32 are compared as two pieces of 16.

const PIECE: usize = 16;
type Piece = [u8; PIECE];

#[derive(Debug)]
pub struct Beginning {
    text: Box<[u8]>,
    /// The first bytes, the bits of them that count, and the last bytes of a text that is longer than a piece.
    head: Piece,
    mask: Piece,
    tail: Piece,
}

impl Beginning {
    pub fn new(text: Box<[u8]>) -> Beginning {
        let (mut head, mut mask) = (Piece::default(), Piece::default());
        for ((head, mask), &byte) in head.iter_mut().zip(&mut mask).zip(&text) {
            (*head, *mask) = (byte, 0xff);
        }
        let tail = text.last_chunk().copied().unwrap_or_default();
        Beginning { text, head, mask, tail }
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What is behind it in a text that begins with it.
    #[inline(always)]
    pub fn strip<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let (begin, rest) = text.split_at_checked(self.text.len())?;
        let is_same = match text.first_chunk() {
            Some(head) if begin.len() <= PIECE => self.has_head(head),
            Some(head) if begin.len() <= 2 * PIECE => {
                self.has_head(head) && begin.last_chunk() == Some(&self.tail)
            }
            _ => *begin == *self.text,
        };
        is_same.then_some(rest)
    }

    #[inline]
    fn has_head(&self, head: &Piece) -> bool {
        u128::from_le_bytes(*head) & u128::from_le_bytes(self.mask) == u128::from_le_bytes(self.head)
    }
}

/// Whether a text begins with these letters, hyphens and slashes, in any case. Of a constant length, so that the compiler
/// compares many bytes at once; a control character may pass for a hyphen or a slash.
#[inline(always)]
pub fn begins<const N: usize>(text: &[u8], lower_case: &[u8; N]) -> bool {
    let differs = |head: &[u8; N]| {
        head.iter().zip(lower_case).fold(0, |differs, (byte, lower)| differs | ((byte | 0x20) ^ lower))
    };
    text.first_chunk::<N>().is_some_and(|head| differs(head) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        let long = b"0123456789abcdefghijklmnopqrstuvwxyz-0123456789";
        for length in 0..40 {
            let beginning = Beginning::new(long[..length].into());
            for given in 0..=long.len() {
                let text = &long[..given];
                assert_eq!(beginning.strip(text), text.strip_prefix(&long[..length]), "{length} {given}");
                for at in 0..given {
                    let mut other = text.to_vec();
                    other[at] ^= 0x20;
                    let expected = other.strip_prefix(&long[..length]);
                    assert_eq!(beginning.strip(&other), expected, "{length} {given} {at}");
                }
            }
        }
    }
}
