//! The `name=value` words of an `identity` directive, and the secret that one of them names.

use crate::config::{Environment, KeyFile, quote, warn_if_open};
use crate::json::Members;

/// What a parameter says about a directive that does not take it.
pub struct Form(pub &'static str);

impl Form {
    /// The parameters, each checked against those known; `repeated` ones may stand several times.
    pub fn split<'w>(
        &self,
        words: &[&'w [u8]],
        known: &[&str],
        repeated: &[&str],
    ) -> Result<Parameters<'w>, String> {
        let mut parameters: Vec<(&str, &[u8])> = Vec::new();
        for word in words {
            let (name, value) = match memchr::memchr(b'=', word) {
                Some(at) => (&word[..at], &word[at + 1..]),
                None => return Err(self.unknown(word)),
            };
            let name = str::from_utf8(name).unwrap_or_default();
            if !known.contains(&name) {
                return Err(self.unknown(word));
            }
            if value.is_empty() {
                return Err(format!("a value must follow \"{name}=\""));
            }
            if !repeated.contains(&name) && parameters.iter().any(|(other, _)| *other == name) {
                return Err(format!("duplicate parameter {}", quote(word)));
            }
            parameters.push((name, value));
        }
        Ok(Parameters { form: self.0, words: parameters })
    }

    fn unknown(&self, word: &[u8]) -> String {
        format!("unknown parameter {}: write \"{};\"", quote(word), self.0)
    }
}

/// The parameters of one line.
pub struct Parameters<'w> {
    form: &'static str,
    words: Vec<(&'w str, &'w [u8])>,
}

impl<'w> Parameters<'w> {
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'w [u8]> {
        self.words.iter().filter(move |(known, _)| *known == name).map(|(_, value)| *value)
    }

    pub fn one(&self, name: &str) -> Option<&'w [u8]> {
        self.all(name).next()
    }

    pub fn required(&self, name: &str) -> Result<&'w [u8], String> {
        self.one(name).ok_or_else(|| format!("\"{name}=\" is missing: write \"{};\"", self.form))
    }

    /// The name of a cookie.
    pub fn cookie(&self, default: &'w str) -> Result<&'w str, String> {
        let name = self.one("cookie").map_or(Ok(default), str::from_utf8).unwrap_or_default();
        // A token of RFC 6265 section 4.1.1.
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        match !name.is_empty() && name.bytes().all(token) {
            true => Ok(name),
            false => Err(format!(
                "invalid cookie name {} in \"cookie=\"",
                quote(self.one("cookie").unwrap_or_default())
            )),
        }
    }
}

/// A secret and the file it came from; without one it stays as it is until nginx starts again.
pub struct Secret {
    pub text: Vec<u8>,
    pub file: Option<KeyFile>,
}

/// Reads `secret=file` or `secret=env:NAME`.
pub fn read_secret(value: &[u8], env: &mut dyn Environment) -> Result<Secret, String> {
    if let Some(name) = value.strip_prefix(b"env:") {
        return Ok(Secret { text: env.environment_variable(name)?, file: None });
    }
    let (file, text) = env.read_key(value)?;
    warn_if_open(&file, env);
    Ok(Secret { text, file: Some(file) })
}

/// One newline at the end of a secret's file is the editor's.
pub fn cut_newline(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// Whoever takes a public key for a secret lets everybody sign: the key is no secret (RFC 8725 section 2.1).
pub fn refuse_key_file(secret: &[u8]) -> Result<(), String> {
    let text = secret.trim_ascii_start();
    let is_key = text.starts_with(b"-----BEGIN ")
        || text.starts_with(b"ssh-")
        || Members::parse(text).is_ok_and(|members| members.has("keys") || members.has("kty"));
    match is_key {
        true => Err("it holds keys and no shared secret: \"identity jwt keys=file\" reads keys".to_owned()),
        false => Ok(()),
    }
}

/// The secret of an application may have any length, which is the application's choice.
pub fn warn_if_short(secret: &[u8]) -> Result<Vec<String>, String> {
    refuse_key_file(secret)?;
    match secret.len() {
        0 => Err("the secret is empty".to_owned()),
        length @ 1..32 => Ok(vec![format!(
            "the secret has {length} bytes, and should have 32 or more: a short one can be guessed from one session"
        )]),
        _ => Ok(Vec::new()),
    }
}

/// How many verified tokens a worker remembers.
pub fn cache_size(value: Option<&[u8]>) -> Result<usize, String> {
    const DEFAULT: usize = 1024;
    let Some(value) = value else {
        return Ok(DEFAULT);
    };
    let number = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number
        .filter(|&number| number <= 1_000_000)
        .ok_or_else(|| format!("invalid number {} in \"cache=\": write 0 to 1000000", quote(value)))
}
