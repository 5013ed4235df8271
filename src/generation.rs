//! The identity of what a `release` line puts behind its name: policy, upstream and version. State, weight, verdict and
//! evidence belong to it, so that a line that names another build starts afresh. Used by the control of policies,
//! the shared zone, the state file and the API.

use std::fmt;
use std::str::FromStr;

use openssl::sha::sha256;
use serde::{Deserialize, Serialize};

use crate::hash::first_word;

/// The first 64 bits of SHA-256 of policy, upstream and version; never 0, which marks a free slot of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Generation(u64);

impl Generation {
    pub fn new(policy: &str, upstream: &[u8], version: Option<&str>) -> Generation {
        // None of the three can hold a zero byte.
        let text = [policy.as_bytes(), upstream, version.unwrap_or_default().as_bytes()].join(&0);
        Generation(first_word(&sha256(&text)).max(1))
    }

    pub fn to_word(self) -> u64 {
        self.0
    }

    /// `None` for the word of a free slot.
    pub fn from_word(word: u64) -> Option<Generation> {
        (word != 0).then_some(Generation(word))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Generation {
    type Err = String;

    fn from_str(text: &str) -> Result<Generation, String> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let word = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        word.and_then(Generation::from_word).ok_or_else(|| format!("\"{text}\" is no generation"))
    }
}

impl From<Generation> for String {
    fn from(generation: Generation) -> String {
        generation.to_string()
    }
}

impl TryFrom<String> for Generation {
    type Error = String;

    fn try_from(text: String) -> Result<Generation, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_policy_upstream_and_version_apart() {
        let base = Generation::new("chat", b"lobe_b", Some("2.1.26"));
        assert_eq!(base, Generation::new("chat", b"lobe_b", Some("2.1.26")));
        for other in [
            Generation::new("chat2", b"lobe_b", Some("2.1.26")),
            Generation::new("chat", b"lobe_c", Some("2.1.26")),
            Generation::new("chat", b"lobe_b", Some("2.1.27")),
            Generation::new("chat", b"lobe_b", None),
            Generation::new("chatlobe_b", b"", Some("2.1.26")),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(base.to_string().parse(), Ok(base));
        assert!(
            "0000000000000000".parse::<Generation>().is_err()
                && "+00000000000000f".parse::<Generation>().is_err()
        );
    }
}
