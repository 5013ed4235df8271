//! The bodies of changes: what they may look like, and what they ask for.

use super::endpoint::Action;
use super::problem::Problem;
use super::reason;
use super::{Call, MAX_BODY, command::Command};
use crate::control::State;
use crate::json::{Members, string};
use crate::percent::Percent;

const WEIGHTS: &str = "{\"weights\":{\"canary\":\"25%\"},\"if_epoch\":7}, where if_epoch may be left out";
const STATE: &str = "{\"state\":\"up\"}, \"drain\" or \"down\", and \"reason\" if you like";
const RAMP: &str = "{\"release\":\"canary\"}, or no body where the policy has one ramp";

/// The command that a call with this action gives.
pub fn command(action: Action<'_>, call: &Call<'_>) -> Result<Command, Problem> {
    check(call)?;
    let (body, name) = (call.body, str::to_owned);
    Ok(match action {
        Action::Weights => weights(body)?,
        Action::Rollback(release) => Command::Rollback { release: name(release), reason: reason::of(body) },
        Action::Promote(release) => Command::Promote { release: name(release), reason: reason::of(body) },
        Action::Reset(release) => Command::Reset { release: name(release), reason: reason::of(body) },
        Action::State(release) => state(release, body)?,
        Action::RampStart => Command::RampStart { release: ramp(body)? },
        Action::RampPause => Command::RampPause { release: ramp(body)? },
    })
}

/// Size, type, and whether it is JSON at all.
fn check(call: &Call<'_>) -> Result<(), Problem> {
    if call.body.len() > MAX_BODY {
        return Err(Problem::new(413, format!("the body is longer than {} KiB", MAX_BODY / 1024)));
    }
    if call.body.is_empty() {
        return Ok(());
    }
    let media_type = call.content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let detail = match media_type {
            "" => "the body has no type: send \"Content-Type: application/json\"".to_owned(),
            _ => format!("the body has the type \"{media_type}\": send \"Content-Type: application/json\""),
        };
        return Err(Problem::new(415, detail));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(call.body) {
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::bad_request(format!("the body is no JSON: {error}"))),
    }
}

/// The members of an object whose names are unique and all known.
fn members<'a>(body: &'a [u8], known: &[&str], form: &str) -> Result<Members<'a>, Problem> {
    let refuse = |what: &str| Problem::bad_request(format!("{what} write {form}"));
    if body.is_empty() {
        return Err(refuse("the body is empty:"));
    }
    let not_unique = "the body is no object, or says something twice:";
    let members = Members::parse(body).map_err(|_| refuse(not_unique))?;
    let unknown = members.iter().map(|(name, _)| name).find(|name| !known.contains(name));
    let Some(name) = unknown else {
        return Ok(members);
    };
    let name = reason::shown(name);
    match known.iter().find(|known| is_near(&name, known)) {
        Some(near) => Err(refuse(&format!("unknown member \"{name}\", did you mean \"{near}\"?"))),
        None => Err(refuse(&format!("unknown member \"{name}\":"))),
    }
}

/// `weight` for `weights`, `ifEpoch` for `if_epoch`.
fn is_near(name: &str, known: &str) -> bool {
    let bare = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.collect::<String>().to_ascii_lowercase().trim_end_matches('s').to_owned()
    };
    bare(name) == bare(known)
}

fn weights(body: &[u8]) -> Result<Command, Problem> {
    let body = members(body, &["weights", "if_epoch"], WEIGHTS)?;
    let refuse = |what: &str| Problem::bad_request(format!("{what}: write {WEIGHTS}"));
    let weights = body.get("weights").ok_or_else(|| refuse("\"weights\" is missing"))?;
    let weights = Members::parse(weights.as_bytes()).map_err(|_| refuse("\"weights\" is no object"))?;
    let weights = weights.iter().map(weight).collect::<Result<Vec<_>, _>>()?;
    if weights.is_empty() {
        return Err(refuse("\"weights\" names no release"));
    }
    let if_epoch = match body.get("if_epoch") {
        None => None,
        Some(number) => Some(number.parse().map_err(|_| {
            let number = reason::shown(number);
            let detail = format!(
                "invalid if_epoch {number}: write the number \"epoch\" of the answer that you have read"
            );
            Problem::bad_request(detail)
        })?),
    };
    Ok(Command::Weights { weights, if_epoch })
}

/// A weight, for which people write `25` and `0.25`, too: then the error shows how it is written.
fn weight((release, value): (&str, &str)) -> Result<(String, Percent), Problem> {
    let text = string(value).unwrap_or(value.into());
    match Percent::parse(&reason::shown(&text)) {
        Ok(weight) => Ok((release.to_owned(), weight)),
        Err(error) => {
            Err(Problem::bad_request(format!("{error} for release \"{}\"", reason::shown(release))))
        }
    }
}

/// An object, or the state alone.
fn state(release: &str, body: &[u8]) -> Result<Command, Problem> {
    let alone = str::from_utf8(body).ok().map(str::trim_ascii).and_then(string);
    let (state, reason) = match alone {
        Some(state) => (state.into_owned(), None),
        None => {
            let members = members(body, &["state", "reason"], STATE)?;
            let state = members.text("state").ok_or_else(|| {
                Problem::bad_request(format!("\"state\" is missing, or no text: write {STATE}"))
            })?;
            (state.into_owned(), reason::of(body))
        }
    };
    let state = match &*state {
        "up" => State::Up,
        "drain" => State::Drain,
        "down" => State::Down,
        other => {
            let detail = format!("unknown state \"{}\": write {STATE}", reason::shown(other));
            return Err(Problem::bad_request(detail));
        }
    };
    Ok(Command::State { release: release.to_owned(), state, reason })
}

/// The release whose ramp is meant, if the body names one.
fn ramp(body: &[u8]) -> Result<Option<String>, Problem> {
    if body.is_empty() {
        return Ok(None);
    }
    let members = members(body, &["release"], RAMP)?;
    match members.get("release") {
        None => Ok(None),
        Some(value) => match string(value) {
            Some(release) => Ok(Some(release.into_owned())),
            None => Err(Problem::bad_request(format!("\"release\" is no text: write {RAMP}"))),
        },
    }
}
