//! `pin`: keeps together what belongs to one page. Files with a hash in their name exist in one build only, and what
//! scripts ask for is shaped by their build, so a page that mixes releases breaks. Parsed by the builder, asked by
//! decisions.

mod cookie;
mod page;

pub use self::cookie::{PinCookie, Pinned};
pub use self::page::{Asked, Belongs, Following, Part};

use crate::beginning::Beginning;
use crate::config::{Environment, arity, quote};
use crate::duration::{self, Seconds};
use crate::inputs::InputNames;
use crate::set_cookie;
use crate::source::Source;

#[derive(Debug)]
pub struct Pin {
    pub cookie: PinCookie,
    /// Where files of builds are.
    pub assets: Prefixes,
    /// Where navigations belong to the page before them.
    pub follow: Prefixes,
    /// What names the page's deployment, before anything else.
    by: Option<Source>,
}

const FORM: &str =
    "pin on [cookie=name] [expires=time] [assets=path[,path ...]] [follow=path[,path ...]] [by=source] | off";
const ASSETS: &[u8] = b"/_next/static/,/spa/,/_spa/";
const FOLLOW: &[u8] = b"/api/auth/,/oidc/";
const LIFE: Seconds = 30 * 86_400;

impl Pin {
    /// Parses the words after `pin` in the policy of this name. `None`: it is off. The error is a sentence.
    pub fn parse(
        words: &[&[u8]],
        policy: &str,
        names: &mut InputNames,
        env: &mut dyn Environment,
    ) -> Result<Option<Pin>, String> {
        let parameters = match words {
            [b"off"] => return Ok(None),
            [b"off", more, ..] => return Err(format!("\"pin off\" takes no {}", quote(more))),
            [b"on", parameters @ ..] => parameters,
            _ => return Err(arity("pin", FORM)),
        };
        let (mut cookie, mut life, mut assets, mut follow, mut by) = (None, None, None, None, None);
        for parameter in parameters {
            let key = memchr::memchr(b'=', parameter).map_or(parameter.len(), |equals| equals + 1);
            let (key, value) = parameter.split_at(key);
            let added = match key {
                b"cookie=" => once(&mut cookie, cookie_name(value)),
                b"expires=" => once(&mut life, positive(value)),
                b"assets=" => once(&mut assets, Prefixes::parse(value)),
                b"follow=" => once(&mut follow, Prefixes::parse(value)),
                b"by=" => once(&mut by, Source::parse(value, names, env)),
                _ => Err(format!("unknown parameter {}: write \"{FORM};\"", quote(parameter))),
            };
            added.map_err(|error| format!("{error} in \"pin\" directive, at {}", quote(parameter)))?;
        }
        let cookie = cookie.unwrap_or_else(|| set_cookie::name("release", policy));
        Ok(Some(Pin {
            cookie: PinCookie::new(cookie, life.unwrap_or(LIFE), names),
            assets: assets.map_or_else(|| Prefixes::parse(ASSETS), Ok)?,
            follow: follow.map_or_else(|| Prefixes::parse(FOLLOW), Ok)?,
            by,
        }))
    }

    /// Whether a verified claim may name the page.
    pub fn reads_claims(&self) -> bool {
        matches!(self.by, Some(Source::Claim(_)))
    }
}

fn once<T>(slot: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    match slot.replace(value?) {
        None => Ok(()),
        Some(_) => Err("duplicate parameter".to_owned()),
    }
}

fn cookie_name(text: &[u8]) -> Result<String, String> {
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#%&'*+-.^_`|~".contains(b);
    match text {
        [] => Err("a cookie needs a name".to_owned()),
        name if name.iter().all(token) => Ok(String::from_utf8_lossy(name).into_owned()),
        _ => Err("a cookie's name takes letters, digits, \"-\" and \"_\"".to_owned()),
    }
}

fn positive(time: &[u8]) -> Result<Seconds, String> {
    match duration::parse(time)? {
        0 => Err("\"expires=\" needs a time above 0".to_owned()),
        seconds => Ok(seconds),
    }
}

/// Beginnings of paths, as clients send them.
#[derive(Debug)]
pub struct Prefixes(Box<[Beginning]>);

impl Prefixes {
    /// Parses a list with commas. The error is a sentence.
    fn parse(text: &[u8]) -> Result<Prefixes, String> {
        let prefixes = text.split(|&b| b == b',');
        let checked = prefixes.map(|prefix| match prefix {
            [b'/', ..] => Ok(Beginning::new(prefix.into())),
            _ => Err(format!(
                "invalid path {}: paths begin with \"/\" and are parted by commas",
                quote(prefix)
            )),
        });
        checked.collect::<Result<_, _>>().map(Prefixes)
    }

    #[inline(always)]
    pub fn hold(&self, path: &[u8]) -> bool {
        for prefix in &self.0 {
            if prefix.strip(path).is_some() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::TestEnvironment;

    fn parse(line: &str) -> Result<Option<Pin>, String> {
        let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        Pin::parse(&words, "chat", &mut InputNames::default(), &mut TestEnvironment)
    }

    #[test]
    fn defaults() {
        let pin = parse("on").unwrap().unwrap();
        assert_eq!(pin.cookie.name, "lobechat_release_chat");
        assert!(pin.assets.hold(b"/_next/static/chunks/a.js") && pin.assets.hold(b"/spa/x"));
        assert!(!pin.assets.hold(b"/_next/static") && !pin.assets.hold(b"/chat/_next/static/"));
        assert!(pin.follow.hold(b"/api/auth/callback/x") && !pin.follow.hold(b"/api/chat"));
        assert!(pin.by.is_none() && parse("off").unwrap().is_none());
    }

    #[test]
    fn parameters() {
        let pin = parse("on cookie=page expires=1h assets=/static/,/x/ follow=/login by=header:x-build")
            .unwrap()
            .unwrap();
        assert_eq!(pin.cookie.name, "page");
        assert!(pin.assets.hold(b"/x/") && !pin.assets.hold(b"/_next/static/"));
        assert!(pin.follow.hold(b"/login?") && matches!(pin.by, Some(Source::Header(_))));
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (line, hint) in [
            ("", "pin on [cookie=name]"),
            ("yes", "pin on [cookie=name]"),
            ("off cookie=a", "\"pin off\" takes no \"cookie=a\""),
            ("on cookies=a", "unknown parameter \"cookies=a\""),
            ("on fast", "unknown parameter \"fast\""),
            ("on cookie=", "needs a name"),
            ("on cookie=a;b", "letters, digits"),
            ("on cookie=a cookie=b", "duplicate parameter in \"pin\" directive, at \"cookie=b\""),
            ("on expires=0", "above 0"),
            ("on expires=soon", "\"30d\""),
            ("on assets=_next", "paths begin with \"/\""),
            ("on assets=", "paths begin with \"/\""),
            ("on follow=/a,", "paths begin with \"/\""),
            ("on by=uid", "did you mean \"cookie:uid\"?"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }
}
