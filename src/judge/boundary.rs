//! When a block of the test ends. Asked once a second by whoever holds the bitmaps of the judged releases.

/// How far apart in time requests may be and still be compared.
pub const BLOCK_SECONDS: u64 = 60;

/// What becomes of the open block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockEnd {
    /// It goes on.
    Wait,
    /// Count it and begin the next.
    Close,
    /// Forget it and begin the next: nobody was there to compare with.
    Drop,
}

/// Asked at the end of each whole second, `seconds` after the block began, with the distinct active buckets so far, those
/// that failed earlier included. It depends on arrivals only, never on outcomes: a rule that waited for a failure or
/// hurried after one would choose what is compared.
pub fn block_is_complete(seconds: u64, units_stable: u32, units_canary: u32) -> BlockEnd {
    match seconds {
        0 => BlockEnd::Wait,
        _ if units_stable > 0 && units_canary > 0 => BlockEnd::Close,
        BLOCK_SECONDS.. => BlockEnd::Drop,
        _ => BlockEnd::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_with_both_and_gives_up_after_a_minute() {
        for (seconds, stable, canary, end) in [
            (0, 5, 5, BlockEnd::Wait),
            (1, 5, 5, BlockEnd::Close),
            (1, 5, 0, BlockEnd::Wait),
            (59, 0, 7, BlockEnd::Wait),
            (60, 0, 7, BlockEnd::Drop),
            (60, 0, 0, BlockEnd::Drop),
            (60, 1, 1, BlockEnd::Close),
            (61, 1, 0, BlockEnd::Drop),
        ] {
            assert_eq!(block_is_complete(seconds, stable, canary), end, "{seconds} {stable} {canary}");
        }
    }
}
