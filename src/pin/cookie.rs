//! The pin cookie: which build served the page that a browser shows. Read by decisions, written by the header filter.
//!
//! Its value is `<generation>.<s|o>.<tag>.<issue time>`: `s` for a page that the split chose, `o` for any other, and 128
//! bits of an HMAC over the policy's name and these two, made once for each generation and key.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cookie::CookieName;
use crate::cookie_keys::{CookieKey, CookieKeys};
use crate::duration::Seconds;
use crate::generation::Generation;
use crate::inputs::{InputNames, Request};
use crate::set_cookie;

#[derive(Debug)]
pub struct PinCookie {
    pub name: String,
    pub slot: usize,
    alone: CookieName,
    life: Seconds,
    /// By the lines of the file.
    seals: RefCell<Box<[Seal]>>,
}

/// What a cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// This module has set it, for the build of this line of the file.
    Genuine { line: usize, is_dealt: bool, issued: Seconds },
    /// It names this line of the file, but anybody may have written it.
    Claimed { line: usize },
    /// A build that the file does not have.
    Unknown,
}

/// The tags of one generation.
#[derive(Clone, Debug)]
struct Seal {
    /// As the cookie has it.
    generation: [u8; 16],
    /// By key, of which the first seals; of pages that the split did not choose, and that it chose.
    tags: Vec<[Tag; 2]>,
}

const TAG: usize = 22;
type Tag = [u8; TAG];

/// What the cookie says of how its page was chosen.
const DEALT: [u8; 2] = *b"os";

impl PinCookie {
    pub fn new(name: String, life: Seconds, names: &mut InputNames) -> PinCookie {
        let (slot, alone) = (names.cookie(name.as_bytes()), CookieName::new(&name));
        PinCookie { name, slot, alone, life, seals: RefCell::default() }
    }

    /// Makes the tags of the generations that the lines of the file name. Called again when keys have changed.
    pub fn seal(&self, policy: &str, generations: impl Iterator<Item = Generation>, keys: &CookieKeys) {
        let seal = |generation: Generation| Seal {
            generation: digits(generation),
            tags: keys.iter().map(|key| DEALT.map(|dealt| tag(key, policy, generation, dealt))).collect(),
        };
        self.seals.replace(generations.map(seal).collect());
    }

    /// Looks for a genuine cookie, and nothing else. Its time of issue is left out.
    #[inline(always)]
    pub fn find(&self, request: &impl Request) -> Option<Pinned> {
        let mut found = None;
        request.for_each_cookie_line(|line| {
            found = found.or_else(|| self.alone.find(line, |text| request.split(b';', text)));
        });
        self.parse(found?, false).filter(|pinned| matches!(pinned, Pinned::Genuine { .. }))
    }

    /// `None`: there is no cookie, or nothing like one of ours. Without `with_time` the time of issue is 0.
    pub fn read(&self, value: &[u8], with_time: bool) -> Option<Pinned> {
        self.parse(value, with_time)
    }

    #[inline(always)]
    fn parse(&self, value: &[u8], with_time: bool) -> Option<Pinned> {
        let (generation, rest) = value.split_first_chunk::<16>()?;
        let [b'.', dealt, b'.', rest @ ..] = rest else {
            return None;
        };
        let (tag, issued) = rest.split_first_chunk::<TAG>()?;
        let is_dealt = usize::from(*dealt == DEALT[1]);
        if DEALT[is_dealt] != *dealt {
            return None;
        }
        let issued = issued.strip_prefix(b".")?;
        let seals = self.seals.borrow();
        let is_of = |seal: &Seal| u128::from_ne_bytes(seal.generation) == u128::from_ne_bytes(*generation);
        let Some(line) = seals.iter().position(is_of) else {
            return is_generation(generation).then_some(Pinned::Unknown);
        };
        for (key, tags) in seals[line].tags.iter().enumerate() {
            if is_same(&tags[is_dealt], tag) {
                // One that an older key has sealed is due.
                let issued = if key == 0 && with_time { number(issued) } else { 0 };
                return Some(Pinned::Genuine { line, is_dealt: is_dealt != 0, issued });
            }
        }
        Some(Pinned::Claimed { line })
    }

    /// Whether a cookie has to be set again: past half its life, or from the future.
    pub fn is_due(&self, issued: Seconds, now: Seconds) -> bool {
        set_cookie::age(issued, now).is_none_or(|age| age > self.life / 2)
    }

    /// A cookie for a page that the build of this line has served. `None`: there is no key.
    pub fn line(&self, line: usize, is_dealt: bool, now: Seconds, secure: bool) -> Option<String> {
        let seals = self.seals.borrow();
        let seal = seals.get(line)?;
        let (text, tag) = (str::from_utf8(&seal.generation).ok()?, seal.tags.first()?[usize::from(is_dealt)]);
        let (dealt, tag) = (char::from(DEALT[usize::from(is_dealt)]), String::from_utf8_lossy(&tag));
        Some(set_cookie::line(&self.name, format_args!("{text}.{dealt}.{tag}.{now}"), self.life, secure))
    }
}

#[cold]
fn is_generation(text: &[u8; 16]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

/// Compares pieces of 96 bits as a whole: whatever time it takes, there is nothing to be guessed step by step.
#[inline]
fn is_same(a: &Tag, b: &Tag) -> bool {
    let pieces = |tag: &Tag| Some((tag.first_chunk::<16>().copied()?, tag.last_chunk::<16>().copied()?));
    let (Some((a, a_end)), Some((b, b_end))) = (pieces(a), pieces(b)) else {
        return false;
    };
    let differ = |a: [u8; 16], b: [u8; 16]| u128::from_ne_bytes(a) ^ u128::from_ne_bytes(b);
    differ(a, b) | differ(a_end, b_end) == 0
}

fn digits(generation: Generation) -> [u8; 16] {
    let text = generation.to_string();
    text.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The name of a policy has no zero byte.
fn tag(key: &CookieKey, policy: &str, generation: Generation, dealt: u8) -> Tag {
    let code = key.pin.sign(&[policy.as_bytes(), b"\0", &generation.to_word().to_be_bytes(), &[dealt]]);
    let text = URL_SAFE_NO_PAD.encode(code);
    text.as_bytes().first_chunk().copied().unwrap_or_default()
}

fn number(digits: &[u8]) -> Seconds {
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Seconds = 1_795_525_200;

    fn generations() -> [Generation; 2] {
        ["1.0.0", "1.1.0"].map(|version| Generation::new("chat", b"a", Some(version)))
    }

    fn keys(lines: &[&str]) -> CookieKeys {
        CookieKeys::parse(lines.iter().map(|line| line.repeat(32) + "\n").collect::<String>().as_bytes())
            .unwrap()
    }

    fn cookie(keys: &CookieKeys) -> PinCookie {
        let cookie = PinCookie::new("p".to_owned(), 86_400, &mut InputNames::default());
        cookie.seal("chat", generations().into_iter(), keys);
        cookie
    }

    fn value(line: &str) -> Vec<u8> {
        line.strip_prefix("p=").unwrap().split(';').next().unwrap().into()
    }

    #[test]
    fn reads_what_it_writes() {
        let cookie = cookie(&keys(&["k"]));
        for (line, is_dealt) in [(0, false), (0, true), (1, false), (1, true)] {
            let text = cookie.line(line, is_dealt, NOW, true).unwrap();
            assert!(text.ends_with("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"), "{text}");
            assert_eq!(
                cookie.read(&value(&text), true),
                Some(Pinned::Genuine { line, is_dealt, issued: NOW })
            );
            assert_eq!(
                cookie.read(&value(&text), false),
                Some(Pinned::Genuine { line, is_dealt, issued: 0 })
            );
        }
        assert_eq!(cookie.line(2, true, NOW, true), None);
        assert_eq!(
            PinCookie::new("p".to_owned(), 1, &mut InputNames::default()).line(0, true, NOW, true),
            None
        );
    }

    #[test]
    fn a_wrong_tag_proves_nothing() {
        let cookie = cookie(&keys(&["k"]));
        let good = value(&cookie.line(1, false, NOW, false).unwrap());
        for at in 19..41 {
            let mut wrong = good.clone();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(cookie.read(&wrong, true), Some(Pinned::Claimed { line: 1 }), "{at}");
        }
        let mut dealt = good.clone();
        dealt[17] = b's';
        assert_eq!(cookie.read(&dealt, true), Some(Pinned::Claimed { line: 1 }));
        let other = [&generations()[0].to_string().into_bytes(), &good[16..]].concat();
        assert_eq!(cookie.read(&other, true), Some(Pinned::Claimed { line: 0 }));
        let foreign = PinCookie::new("p".to_owned(), 1, &mut InputNames::default());
        foreign.seal("other", generations().into_iter(), &keys(&["k"]));
        assert_eq!(foreign.read(&good, true), Some(Pinned::Claimed { line: 1 }));
    }

    #[test]
    fn foreign_values() {
        let cookie = cookie(&keys(&["k"]));
        let good = value(&cookie.line(1, false, NOW, false).unwrap());
        let mut unknown = good.clone();
        unknown[..16].copy_from_slice(b"00112233aabbccdd");
        assert_eq!(cookie.read(&unknown, true), Some(Pinned::Unknown));
        let mut letters = good.clone();
        letters[0] = b'x';
        let mut chosen = good.clone();
        chosen[17] = b'x';
        for value in [&b""[..], b"canary", &good[..41], &good[1..], &letters, &chosen, &[b'a'; 4096]] {
            assert_eq!(cookie.read(value, true), None, "{}", value.escape_ascii());
        }
        // The time is not sealed: who changes it changes when his own cookie is renewed.
        for end in [&b"."[..], b".x", b".99999999999999999999999"] {
            let odd = [&good[..41], end].concat();
            assert_eq!(
                cookie.read(&odd, true),
                Some(Pinned::Genuine { line: 1, is_dealt: false, issued: 0 })
            );
        }
    }

    #[test]
    fn keys_rotate() {
        let old = cookie(&keys(&["a"]));
        let text = value(&old.line(0, true, NOW, false).unwrap());
        let new = cookie(&keys(&["b", "a"]));
        let due = Pinned::Genuine { line: 0, is_dealt: true, issued: 0 };
        assert_eq!(new.read(&text, true), Some(due));
        assert!(new.is_due(0, NOW));
        assert_eq!(cookie(&keys(&["b"])).read(&text, true), Some(Pinned::Claimed { line: 0 }));
    }

    #[test]
    fn due_past_half_its_life() {
        let cookie = cookie(&keys(&["k"]));
        for (age, due) in [(0, false), (43_200, false), (43_201, true), (u64::MAX, true)] {
            assert_eq!(cookie.is_due(NOW.saturating_sub(age), NOW), due, "{age}");
        }
        assert!(!cookie.is_due(NOW + 86_400, NOW) && cookie.is_due(NOW + 86_401, NOW));
    }
}
