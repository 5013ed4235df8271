//! What parsing a policy needs from outside, and what it says when it fails. Implemented by the glue with
//! nginx's own regexes, variables and paths, and by tests and fuzz targets with stand-ins.

use std::fmt::Debug;

/// Where a directive stands, for errors that are found only after it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: usize,
}

/// A sentence for the operator: quotes what is wrong and says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub message: String,
    /// `None`: the directive that is being read.
    pub place: Option<Place>,
}

impl ConfigError {
    pub fn at(place: &Place, message: String) -> ConfigError {
        ConfigError { message, place: Some(place.clone()) }
    }
}

impl From<String> for ConfigError {
    fn from(message: String) -> ConfigError {
        ConfigError { message, place: None }
    }
}

/// A compiled regular expression.
pub trait Pattern: Debug {
    /// `None` when the engine gave up, e.g. at its match limit.
    fn is_match(&self, text: &[u8]) -> Option<bool>;
}

/// A variable of the web server, known to it by this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariableId(pub usize);

/// The web server, while it reads its configuration. Errors are sentences.
pub trait Environment {
    fn regex(&mut self, pattern: &[u8], caseless: bool) -> Result<Box<dyn Pattern>, String>;
    fn variable(&mut self, name: &[u8]) -> Result<VariableId, String>;
    fn read_file(&mut self, path: &[u8]) -> Result<Vec<u8>, String>;
    /// Reads keys that may be read again later.
    fn read_key(&mut self, path: &[u8]) -> Result<(KeyFile, Vec<u8>), String>;
    /// An environment variable, which workers and a later binary keep, too.
    fn environment_variable(&mut self, name: &[u8]) -> Result<Vec<u8>, String>;
    /// Random bytes that stay the same until the server starts again.
    fn random_key(&mut self) -> Result<[u8; 32], String>;
    /// Declares a variable whose value is a claim.
    fn claim_variable(&mut self, name: &[u8]) -> Result<VariableId, String>;
    fn warn(&mut self, message: &str);
}

/// A file with keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// Absolute.
    pub path: String,
    /// Whether everybody can read it.
    pub open: bool,
    pub place: Place,
}

/// A secret is nobody else's business.
pub fn warn_if_open(file: &KeyFile, env: &mut dyn Environment) {
    if file.open {
        let path = &file.path;
        env.warn(&format!("everybody can read the secret in \"{path}\": write \"chmod o= {path}\""));
    }
}

/// Text of the configuration as it is shown in an error.
pub fn quote(text: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(text))
}

/// The error for a directive with too few or too many words.
pub fn arity(directive: &str, form: &str) -> String {
    format!("invalid number of arguments in \"{directive}\" directive: write \"{form};\"")
}

/// Names of policies and releases appear in headers, cookie names, labels and paths.
pub fn is_name(text: &[u8], also: &[u8]) -> bool {
    let allowed =
        |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(b) || also.contains(b);
    (1..=63).contains(&text.len()) && text.iter().all(allowed)
}

/// Stand-ins for unit tests: a regex is a substring, variables are numbered by their last digit.
#[cfg(test)]
pub mod testing {
    use super::*;

    #[derive(Debug)]
    struct Substring(Vec<u8>, bool);

    impl Pattern for Substring {
        fn is_match(&self, text: &[u8]) -> Option<bool> {
            let text = if self.1 { text.to_ascii_lowercase() } else { text.to_vec() };
            Some(memchr::memmem::find(&text, &self.0).is_some())
        }
    }

    pub struct TestEnvironment;

    impl Environment for TestEnvironment {
        fn regex(&mut self, pattern: &[u8], caseless: bool) -> Result<Box<dyn Pattern>, String> {
            if pattern == b"(" {
                return Err("missing )".to_owned());
            }
            let pattern = if caseless { pattern.to_ascii_lowercase() } else { pattern.to_vec() };
            Ok(Box::new(Substring(pattern, caseless)))
        }

        fn variable(&mut self, name: &[u8]) -> Result<VariableId, String> {
            let digit = name.last().filter(|b| b.is_ascii_digit()).ok_or("unknown variable")?;
            Ok(VariableId(usize::from(digit - b'0')))
        }

        fn read_file(&mut self, path: &[u8]) -> Result<Vec<u8>, String> {
            if path == b"missing" {
                Err("no such file".to_owned())
            } else {
                Ok(b"one\ntwo\r\n\nthree".to_vec())
            }
        }

        /// A key file holds its name, and a newline.
        fn read_key(&mut self, path: &[u8]) -> Result<(KeyFile, Vec<u8>), String> {
            self.read_file(path)?;
            let name = String::from_utf8_lossy(path).into_owned();
            let text = [path, b"\n"].concat();
            Ok((KeyFile { path: name, open: false, place: Place::default() }, text))
        }

        fn environment_variable(&mut self, name: &[u8]) -> Result<Vec<u8>, String> {
            self.read_file(name)?;
            Ok(name.to_vec())
        }

        fn random_key(&mut self) -> Result<[u8; 32], String> {
            Ok([7; 32])
        }

        fn claim_variable(&mut self, name: &[u8]) -> Result<VariableId, String> {
            self.variable(name)
        }

        fn warn(&mut self, _: &str) {}
    }
}
