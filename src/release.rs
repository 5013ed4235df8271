//! A `release` line: a named version of the application behind an upstream.

use semver::Version;

use crate::config::{Place, arity, is_name, quote};
use crate::control::State;
use crate::percent::Percent;
use crate::split::Anchor;

/// A release as the file declares it.
#[derive(Clone, Debug)]
pub struct Release {
    pub name: String,
    /// The name of an `upstream {}` block, `host:port` or `unix:path`.
    pub upstream: Box<[u8]>,
    pub weight: Percent,
    /// What `from=` says; without it the release's place in the file decides.
    pub from: Option<Anchor>,
    /// The version as written, for variables and headers.
    pub version: Option<Box<str>>,
    /// `drain` or `down`, held above runtime.
    pub state: State,
    pub place: Place,
}

const FORM: &str = "release name upstream [weight=P] [from=P|top] [version=V] [drain | down]";

impl Release {
    /// Parses the words after `release`; the first release of a policy is the stable one.
    pub fn parse(words: &[&[u8]], stable: bool, place: &Place) -> Result<Release, String> {
        let [name, upstream, parameters @ ..] = words else {
            return Err(arity("release", FORM));
        };
        if !is_name(name, b".ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
            return Err(format!(
                "invalid release name {}: use 1 to 63 of a-z, A-Z, 0-9, \".\", \"_\", \"-\"",
                quote(name)
            ));
        }
        check_upstream(upstream).map_err(|e| format!("{e} in release {}", quote(name)))?;
        let mut release = Release {
            name: String::from_utf8_lossy(name).into_owned(),
            upstream: (*upstream).into(),
            weight: Percent::ZERO,
            from: None,
            version: None,
            state: State::Up,
            place: place.clone(),
        };
        let mut seen: Vec<&[u8]> = Vec::new();
        for parameter in parameters {
            let key = parameter.split(|&b| b == b'=').next().unwrap_or_default();
            if seen.contains(&key) {
                return Err(format!("duplicate parameter {} in release {}", quote(parameter), quote(name)));
            }
            seen.push(key);
            release.parameter(parameter, stable).map_err(|e| format!("{e} in release {}", quote(name)))?;
        }
        Ok(release)
    }

    fn parameter(&mut self, parameter: &[u8], stable: bool) -> Result<(), String> {
        let text = String::from_utf8_lossy(parameter);
        match text.split_once('=') {
            Some((key @ ("weight" | "from"), _)) if stable => Err(format!(
                "\"{text}\" is not allowed: the first release is the stable one and gets the users that the others leave, so it takes no \"{key}\""
            )),
            Some(("weight", weight)) => Percent::parse(weight).map(|weight| self.weight = weight),
            Some(("from", "top")) => {
                self.from = Some(Anchor::Top);
                Ok(())
            }
            Some(("from", from)) => Percent::parse(from)
                .map(|from| self.from = Some(Anchor::Up(from)))
                .map_err(|e| format!("{e}, or \"from=top\"")),
            Some(("version", version)) => {
                self.version = Some(parse_version(version)?.into());
                Ok(())
            }
            None if matches!(&*text, "drain" | "down") => self.held_in(&text, stable),
            _ => Err(format!("unknown parameter \"{text}\": write \"{FORM};\"")),
        }
    }

    fn held_in(&mut self, state: &str, stable: bool) -> Result<(), String> {
        if stable {
            return Err(format!(
                "\"{state}\" is not allowed: the first release is the stable one, which has to serve"
            ));
        }
        if self.state != State::Up {
            return Err("\"drain\" and \"down\" exclude each other".to_owned());
        }
        self.state = State::parse(state).unwrap_or_default();
        Ok(())
    }

    /// The text that errors and headers show where a version may be missing.
    pub fn label(&self) -> &str {
        self.version.as_deref().unwrap_or(&self.name)
    }
}

/// The index of the release that a directive names. The error is a sentence; `place` says where the name stands, such as
/// `in "ramp" directive`.
pub fn index_of(releases: &[Release], name: &[u8], place: &str) -> Result<usize, String> {
    releases
        .iter()
        .position(|release| release.name.as_bytes() == name)
        .ok_or_else(|| format!("unknown release {} {place}: the policy has {}", quote(name), names(releases)))
}

/// The names of releases, for a sentence.
pub fn names(releases: &[Release]) -> String {
    let names: Vec<&str> = releases.iter().map(|release| release.name.as_str()).collect();
    names.join(", ")
}

/// What nginx would refuse too, but in terms of addresses.
fn check_upstream(upstream: &[u8]) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("invalid upstream {}: {why}", quote(upstream)));
    if upstream.contains(&b'$') {
        return refuse("it takes no variables, name the \"upstream\" block, or write host:port or unix:path");
    }
    if memchr::memmem::find(upstream, b"://").is_some() {
        return refuse("leave out the scheme, which belongs to \"proxy_pass\"");
    }
    Ok(())
}

/// Accepts SemVer 2.0 with one leading `v`, which is cut.
fn parse_version(text: &str) -> Result<&str, String> {
    let version = text.strip_prefix('v').unwrap_or(text);
    match Version::parse(version) {
        Ok(_) => Ok(version),
        Err(error) => Err(format!(
            "invalid version \"{text}\" ({error}): write a Semantic Version such as \"2.1.26\", or a build id as \"0.0.0+1a2b3c\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, stable: bool) -> Result<Release, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        Release::parse(&words, stable, &Place::default())
    }

    #[test]
    fn parses() {
        let release = parse("canary lobe_b weight=10% from=top version=v2.1.26-rc.1+5", false).unwrap();
        assert_eq!(release.weight, Percent::parse("10%").unwrap());
        assert_eq!(release.from, Some(Anchor::Top));
        assert_eq!(release.version.as_deref(), Some("2.1.26-rc.1+5"));
        assert_eq!(parse("stable unix:/run/a.sock", true).unwrap().label(), "stable");
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (line, stable, hint) in [
            ("canary", false, "release name upstream"),
            ("canary http://b", false, "leave out the scheme"),
            ("canary $b", false, "takes no variables"),
            ("ca/nary b", false, "invalid release name \"ca/nary\""),
            ("stable a weight=10%", true, "takes no \"weight\""),
            ("stable a from=top", true, "takes no \"from\""),
            ("canary b weight=10", false, "write \"10%\""),
            ("canary b weight=", false, "percent sign"),
            ("canary b from=bottom", false, "or \"from=top\""),
            ("canary b version=latest", false, "\"0.0.0+1a2b3c\""),
            ("canary b version=vv1.2.3", false, "\"0.0.0+1a2b3c\""),
            ("canary b version=1.2", false, "\"0.0.0+1a2b3c\""),
            ("canary b wait=10%", false, "unknown parameter \"wait=10%\""),
            ("canary b 10%", false, "unknown parameter \"10%\""),
            ("canary b weight=1% weight=2%", false, "duplicate parameter \"weight=2%\""),
        ] {
            let error = parse(line, stable).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }
}
