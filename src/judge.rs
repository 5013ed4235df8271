pub const EVIDENCE_WORDS: usize = 32;
pub fn bin(ms: u64) -> usize {
    (ms as usize / 8).min(52)
}
