//! `identity jwt`: a JSON Web Token (RFC 7519) signed by somebody whose keys are configured.

use std::cell::RefCell;

use super::parameters::{Form, cache_size, cut_newline, read_secret, refuse_key_file};
use super::validity::Validity;
use super::{Loaded, Tokens, Verdict};
use crate::algorithm::{Algorithm, Algorithms};
use crate::claims::ClaimNames;
use crate::config::{Environment, KeyFile, quote, warn_if_open};
use crate::duration;
use crate::failure::Failure;
use crate::inputs::{InputNames, Inputs, Request};
use crate::json::{JsonError, Members, elements, string};
use crate::jwk::KeySet;
use crate::jws;
use crate::source::Source;

const FORM: Form = Form(
    "identity jwt keys=file | secret=file | secret=env:NAME [from=source ...] [alg=A,...] [iss=text ...] [aud=text ...] [leeway=time] [require=claim,...] [cache=number]",
);

#[derive(Debug)]
pub struct Jwt {
    keys: RefCell<KeySet>,
    is_secret: bool,
    names_algorithms: bool,
    allowed: Algorithms,
    issuers: Vec<Box<str>>,
    audiences: Vec<Box<str>>,
    leeway: u64,
    required: Vec<Box<str>>,
}

/// Where a token may be, and how it is written there.
#[derive(Debug)]
pub struct TokenSource {
    source: Source,
    scheme: Scheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// `Bearer TOKEN` only (RFC 6750 section 2.1).
    Bearer,
    /// With `Bearer` or without.
    Either,
    Bare,
}

/// Parses the words after `identity jwt`.
pub fn parse(
    words: &[&[u8]],
    names: &mut InputNames,
    env: &mut dyn Environment,
) -> Result<Loaded<Jwt>, String> {
    let known = ["keys", "secret", "from", "alg", "iss", "aud", "leeway", "require", "cache"];
    let parameters = FORM.split(words, &known, &["from", "iss", "aud"])?;
    let one = |name| parameters.one(name);
    let all = |name| parameters.all(name).map(text).collect();
    let mut jwt = Jwt {
        keys: RefCell::default(),
        is_secret: one("secret").is_some(),
        names_algorithms: one("alg").is_some(),
        allowed: one("alg").map_or(Ok(Algorithms::ALL), parse_algorithms)?,
        issuers: all("iss"),
        audiences: all("aud"),
        leeway: one("leeway").map_or(Ok(0), duration::parse)?,
        required: one("require").map_or(Ok(Vec::new()), parse_required)?,
    };
    let file = jwt.read_keys(one("keys"), one("secret"), env)?;
    let mut sources = Vec::new();
    for value in parameters.all("from") {
        sources.push(TokenSource::parse(value, names, env)?);
    }
    if sources.is_empty() {
        sources.push(TokenSource::parse(b"header:authorization", names, env)?);
    }
    Ok(Loaded { scheme: jwt, tokens: Tokens::Sources(sources), cache: cache_size(one("cache"))?, file })
}

fn text(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(value).into()
}

fn parse_algorithms(value: &[u8]) -> Result<Algorithms, String> {
    let parse = |name: &[u8]| {
        Algorithm::parse(&String::from_utf8_lossy(name)).ok_or_else(|| {
            format!(
                "unknown algorithm {} in \"alg=\": write some of {}",
                quote(name),
                Algorithms::ALL.names()
            )
        })
    };
    value.split(|&b| b == b',').map(parse).collect()
}

fn parse_required(value: &[u8]) -> Result<Vec<Box<str>>, String> {
    let names: Vec<Box<str>> = value.split(|&b| b == b',').map(text).collect();
    match names.iter().any(|name| name.is_empty()) {
        true => Err(format!(
            "invalid list {} in \"require=\": write claims with \",\" between them, e.g. \"exp,sub\"",
            quote(value)
        )),
        false => Ok(names),
    }
}

impl Jwt {
    fn read_keys(
        &mut self,
        keys: Option<&[u8]>,
        secret: Option<&[u8]>,
        env: &mut dyn Environment,
    ) -> Result<Option<KeyFile>, String> {
        match (keys, secret) {
            (Some(path), None) => {
                let (file, text) = env.read_key(path)?;
                for warning in
                    self.load(&text).map_err(|why| format!("cannot use \"keys=\" {}: {why}", quote(path)))?
                {
                    env.warn(&format!("in {}, {warning}", quote(path)));
                }
                if self.keys.borrow().has_secret() {
                    warn_if_open(&file, env);
                }
                Ok(Some(file))
            }
            (None, Some(value)) => {
                let secret = read_secret(value, env)?;
                self.load(&secret.text)
                    .map_err(|why| format!("cannot use \"secret=\" {}: {why}", quote(value)))?;
                Ok(secret.file)
            }
            (None, None) => Err(format!("no keys: write \"{};\"", FORM.0)),
            (Some(_), Some(_)) => {
                Err("\"keys=\" and \"secret=\" exclude each other: write two \"identity jwt\" lines"
                    .to_owned())
            }
        }
    }

    /// Takes the content of the key file; the result is what an operator should know of it.
    pub fn load(&self, text: &[u8]) -> Result<Vec<String>, String> {
        let mut keys = match self.is_secret {
            true => {
                refuse_key_file(text)?;
                KeySet::secret(cut_newline(text))?
            }
            false => KeySet::parse(text)?,
        };
        let able = keys.algorithms();
        if able.and(self.allowed).is_empty() {
            let (able, allowed) = (able.names(), self.allowed.names());
            return Err(format!("its keys allow {able}, but \"alg=\" allows {allowed} only"));
        }
        // A secret is known whole, so one that is too short for a named algorithm is a mistake; a JWK Set may get
        // another key later.
        let short = |&algorithm: &Algorithm| !able.contains(algorithm);
        if let Some(algorithm) =
            self.allowed.iter().find(short).filter(|_| self.is_secret && self.names_algorithms)
        {
            return Err(format!(
                "it is too short for \"alg={}\", and long enough for {}: make a longer one with \"openssl rand -base64 48\"",
                algorithm.name(),
                able.names()
            ));
        }
        let unusable = std::mem::take(&mut keys.unusable);
        self.keys.replace(keys);
        Ok(unusable)
    }

    pub fn verify(&self, token: &[u8], names: &ClaimNames) -> Result<Verdict, Failure> {
        let payload = jws::verify(token, &self.keys.borrow(), self.allowed)?;
        let claims = Members::parse(&payload).map_err(|error| match error {
            JsonError::Invalid => Failure::Malformed,
            JsonError::NotAnObject => Failure::Claims,
        })?;
        let validity = Validity::of(&claims, self.leeway)?;
        Ok((validity, self.check(&claims).map(|()| names.read(&claims, |_| None))))
    }

    /// The claims that the configuration makes demands on.
    fn check(&self, claims: &Members<'_>) -> Result<(), Failure> {
        let is = |wanted: &[Box<str>], value: &str| {
            string(value).is_some_and(|value| wanted.iter().any(|wanted| **wanted == *value))
        };
        if !self.issuers.is_empty() && !claims.get("iss").is_some_and(|issuer| is(&self.issuers, issuer)) {
            return Err(Failure::Issuer);
        }
        // One audience or a list of them (RFC 7519 section 4.1.3).
        let names_us = |audience: &str| match elements(audience) {
            Some(audiences) => audiences.iter().any(|audience| is(&self.audiences, audience)),
            None => is(&self.audiences, audience),
        };
        if !self.audiences.is_empty() && !claims.get("aud").is_some_and(names_us) {
            return Err(Failure::Audience);
        }
        match self.required.iter().all(|name| claims.get(name).is_some()) {
            true => Ok(()),
            false => Err(Failure::Claims),
        }
    }
}

impl TokenSource {
    fn parse(text: &[u8], names: &mut InputNames, env: &mut dyn Environment) -> Result<TokenSource, String> {
        if text.starts_with(b"claim:") {
            return Err(format!("invalid source {} in \"from=\": claims come from a token", quote(text)));
        }
        let scheme = match text.strip_prefix(b"header:") {
            Some(name) if name.eq_ignore_ascii_case(b"authorization") => Scheme::Bearer,
            Some(_) => Scheme::Either,
            None => Scheme::Bare,
        };
        let source = Source::parse(text, names, env).map_err(|e| format!("{e} in \"from=\""))?;
        Ok(TokenSource { source, scheme })
    }

    /// The token of a request; empty when there is none. `None` when memory is short.
    #[inline]
    pub fn token<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<&'r [u8]> {
        let value = match self.source {
            Source::Authorization => request.authorization(),
            _ => self.source.value(inputs, request)?,
        };
        Some(match self.scheme {
            _ if value.is_empty() => value,
            Scheme::Bare => value,
            Scheme::Either => bearer(value).unwrap_or(value),
            Scheme::Bearer => bearer(value).unwrap_or_default(),
        })
    }
}

/// What follows the scheme's name, which counts in any case (RFC 9110 section 11.1).
#[inline]
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (head, token) = value.split_first_chunk::<7>()?;
    let is_bearer = head == b"Bearer " || head.eq_ignore_ascii_case(b"bearer ");
    is_bearer.then(|| match token {
        [b' ', ..] | [.., b' '] => token.trim_ascii(),
        _ => token,
    })
}
