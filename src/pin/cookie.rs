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

/// All that a cookie says but the time, with the dot before that.
type Sealed = [u8; SEALED];
const SEALED: usize = GENERATION + ".s.".len() + TAG + ".".len();
const GENERATION: usize = 16;
const TAG: usize = 22;
/// The time has ten digits until the year 2286.
const VALUE: usize = SEALED + 10;

/// One such text, and what it proves.
#[derive(Debug)]
struct Seal {
    text: Sealed,
    proof: Proof,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proof {
    /// Of the file, whose first line with a generation stands for it.
    line: usize,
    is_dealt: bool,
    /// Whether an older key has made it.
    is_old: bool,
}

/// What the cookie says of how its page was chosen: by the split or not.
const DEALT: [(bool, char); 2] = [(true, 's'), (false, 'o')];

impl PinCookie {
    pub fn new(name: String, life: Seconds, names: &mut InputNames) -> PinCookie {
        let (slot, alone) = (names.cookie(name.as_bytes()), CookieName::new(&name));
        PinCookie { name, slot, alone, life, seals: RefCell::default() }
    }

    /// Makes the texts of the generations that the lines of the file name. Called again when keys have changed.
    pub fn seal(&self, policy: &str, generations: impl Iterator<Item = Generation>, keys: &CookieKeys) {
        let mut seals = Vec::new();
        for (line, generation) in generations.enumerate() {
            for (number, key) in keys.iter().enumerate() {
                for (is_dealt, dealt) in DEALT {
                    let text = sealed(key, policy, generation, dealt);
                    seals.push(Seal { text, proof: Proof { line, is_dealt, is_old: number > 0 } });
                }
            }
        }
        self.seals.replace(seals.into());
    }

    /// Looks for a genuine cookie, and nothing else: at both ends of the line first, since a look through a long one costs
    /// as much as the rest of a decision. Its time of issue is left out.
    #[inline(always)]
    pub fn find(&self, request: &impl Request) -> Option<(usize, bool)> {
        let found = request.only_cookie_line().and_then(|line| {
            let value = self.alone.at_start(line).or_else(|| self.alone.at_end(line, VALUE))?;
            self.genuine(value.first_chunk()?)
        });
        let proof = found.or_else(|| self.first_in(request))?;
        Some((proof.line, proof.is_dealt))
    }

    /// What the cookie of a request says, of which `first` is the value where it stands first. Of several the one counts
    /// that [`PinCookie::find`] finds. Without `with_time` the time of issue is 0.
    pub fn of(&self, request: &impl Request, first: &[u8], with_time: bool) -> Option<Pinned> {
        let line = request.only_cookie_line().filter(|line| self.alone.at_start(line).is_none());
        let last = self.alone.at_end(line.unwrap_or_default(), VALUE);
        let last = last.and_then(|value| self.read(value, with_time));
        last.filter(|pinned| matches!(pinned, Pinned::Genuine { .. })).or_else(|| self.read(first, with_time))
    }

    #[inline(never)]
    fn first_in(&self, request: &impl Request) -> Option<Proof> {
        let mut found = None;
        request.for_each_cookie_line(|line| {
            found = found.or_else(|| self.alone.find(line, |text| request.split(b';', text)));
        });
        self.genuine(found?.first_chunk()?)
    }

    /// What this module has written, by its beginning.
    #[inline(always)]
    fn genuine(&self, text: &Sealed) -> Option<Proof> {
        for seal in &**self.seals.borrow() {
            if is_same(&seal.text, text) {
                return Some(seal.proof);
            }
        }
        None
    }

    /// `None`: there is no cookie, or nothing like one of ours. Without `with_time` the time of issue is 0.
    fn read(&self, value: &[u8], with_time: bool) -> Option<Pinned> {
        let (text, time) = value.split_first_chunk()?;
        if let Some(Proof { line, is_dealt, is_old }) = self.genuine(text) {
            // One that an older key has sealed is due.
            let issued = if with_time && !is_old { number(time) } else { 0 };
            return Some(Pinned::Genuine { line, is_dealt, issued });
        }
        let (generation, [b'.', b's' | b'o', b'.', _tag @ .., b'.']) =
            text.split_first_chunk::<GENERATION>()?
        else {
            return None;
        };
        match self.seals.borrow().iter().find(|seal| seal.text.starts_with(generation)) {
            Some(seal) => Some(Pinned::Claimed { line: seal.proof.line }),
            None => is_generation(generation).then_some(Pinned::Unknown),
        }
    }

    /// Whether a cookie has to be set again: past half its life, or from the future.
    pub fn is_due(&self, issued: Seconds, now: Seconds) -> bool {
        set_cookie::age(issued, now).is_none_or(|age| age > self.life / 2)
    }

    /// A cookie for a page that the build of this line has served. `None`: there is no key.
    pub fn line(&self, line: usize, is_dealt: bool, now: Seconds, secure: bool) -> Option<String> {
        let seals = self.seals.borrow();
        let proof = Proof { line, is_dealt, is_old: false };
        let seal = seals.iter().find(|seal| seal.proof == proof)?;
        let text = str::from_utf8(&seal.text).ok()?;
        Some(set_cookie::line(&self.name, format_args!("{text}{now}"), self.life, secure))
    }
}

#[cold]
fn is_generation(text: &[u8; 16]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

/// Compares 96 bits of the tag as a whole, then all that is left: whatever time it takes, there is nothing to be guessed
/// step by step.
#[inline]
fn is_same(a: &Sealed, b: &Sealed) -> bool {
    let piece =
        |text: &Sealed, at: usize| text[at..].first_chunk::<16>().map(|piece| u128::from_ne_bytes(*piece));
    let differ = |at: usize| match (piece(a, at), piece(b, at)) {
        (Some(a), Some(b)) => a ^ b,
        _ => u128::MAX,
    };
    differ(GENERATION + 3) == 0 && differ(0) | differ(16) | differ(SEALED - 16) == 0
}

/// The name of a policy has no zero byte.
fn sealed(key: &CookieKey, policy: &str, generation: Generation, dealt: char) -> Sealed {
    let code = key.pin.sign(&[policy.as_bytes(), b"\0", &generation.to_word().to_be_bytes(), &[dealt as u8]]);
    let tag = URL_SAFE_NO_PAD.encode(code);
    let text = format!("{generation}.{dealt}.{tag:.TAG$}.");
    text.as_bytes().first_chunk().copied().unwrap_or([0; SEALED])
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
