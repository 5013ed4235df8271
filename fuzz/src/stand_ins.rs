//! Stand-ins for what the web server gives the core: a request made of plain data, an environment without
//! nginx, and policies from text.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;

use lobechat_canary::claims::Claims;
use lobechat_canary::config::{ConfigError, Environment, KeyFile, Pattern, Place, VariableId};
use lobechat_canary::failure::Failure;
use lobechat_canary::identity::Kind;
use lobechat_canary::inputs::{Lengths, Request};
use lobechat_canary::policy::{Policy, PolicyBuilder};

/// The variables that [`Server`] knows, by number.
pub const VARIABLES: [&str; 4] = ["remote_addr", "http_user_agent", "geoip2_country", "key"];

/// A request made of plain data.
#[derive(Clone, Default)]
pub struct PlainRequest {
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub path: Vec<u8>,
    pub query: Vec<u8>,
    /// Of another method than GET.
    pub posts: bool,
    pub variables: [Vec<u8>; VARIABLES.len()],
    /// Seconds since 1970-01-01 UTC.
    pub now: u64,
    memory: Memory<Vec<u8>>,
    claims: Memory<Rc<Claims>>,
    refused: RefCell<Vec<(Kind, Failure)>>,
}

/// What has been made for a request: a list that only grows, so that references into it stay good.
struct Memory<T> {
    first: OnceCell<Box<Piece<T>>>,
    /// How many more pieces there is room for; `None`: any number.
    room: Cell<Option<usize>>,
}

struct Piece<T> {
    value: T,
    next: OnceCell<Box<Piece<T>>>,
}

impl<T> Default for Memory<T> {
    fn default() -> Memory<T> {
        Memory { first: OnceCell::new(), room: Cell::new(None) }
    }
}

/// A copy of a request starts with nothing made.
impl<T> Clone for Memory<T> {
    fn clone(&self) -> Memory<T> {
        Memory { first: OnceCell::new(), room: self.room.clone() }
    }
}

/// One piece after the other: thousands of them would be too deep for the stack.
impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        let mut next = self.first.take();
        while let Some(mut piece) = next {
            next = piece.next.take();
        }
    }
}

impl<T> Memory<T> {
    fn store(&self, value: T) -> Option<&T> {
        if let Some(room) = self.room.get() {
            self.room.set(Some(room.checked_sub(1)?));
        }
        let mut end = &self.first;
        while let Some(piece) = end.get() {
            end = &piece.next;
        }
        Some(&end.get_or_init(|| Box::new(Piece { value, next: OnceCell::new() })).value)
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::successors(self.first.get(), |piece| piece.next.get()).map(|piece| &piece.value)
    }
}

impl PlainRequest {
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> PlainRequest {
        self.headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// How many bytes it holds, and how many have been made of them since.
    pub fn sizes(&self) -> (usize, usize) {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        let sent = headers.chain(self.variables.iter().map(Vec::len)).sum::<usize>() + self.query.len();
        (sent, self.memory.iter().map(Vec::len).sum())
    }

    /// The same request, with memory for so many pieces only.
    pub fn short_of_memory(&self, pieces: usize) -> PlainRequest {
        let request = self.clone();
        request.memory.room.set(Some(pieces));
        request
    }

    pub fn at(mut self, now: u64) -> PlainRequest {
        self.now = now;
        self
    }

    /// The claims that were verified at the last decision.
    pub fn last_claims(&self) -> Option<&Claims> {
        self.claims.iter().last().map(|claims| &**claims)
    }

    /// What the identities have said of its tokens since the last call.
    pub fn take_refused(&self) -> Vec<(Kind, Failure)> {
        self.refused.take()
    }

    pub fn path(mut self, path: impl AsRef<[u8]>) -> PlainRequest {
        self.path = path.as_ref().to_vec();
        self
    }

    pub fn query(mut self, query: impl AsRef<[u8]>) -> PlainRequest {
        self.query = query.as_ref().to_vec();
        self
    }

    pub fn variable(mut self, name: &str, value: impl AsRef<[u8]>) -> PlainRequest {
        let number = VARIABLES.iter().position(|known| *known == name);
        self.variables[number.unwrap_or_else(|| panic!("no variable ${name}"))] = value.as_ref().to_vec();
        self
    }

    /// Reads a request of one item a line: `/path`, `?query`, `$variable=value`, `POST`, else a header line `Name: value`.
    /// Bytes that no client can get past nginx are not left out: the core shall not care.
    pub fn parse(text: &[u8]) -> PlainRequest {
        let mut request = PlainRequest::default();
        for line in text.split(|&b| b == b'\n') {
            match line {
                [b'?', query @ ..] => request.query = query.to_vec(),
                [b'/', ..] => request.path = line.to_vec(),
                b"POST" => request.posts = true,
                [b'$', line @ ..] => {
                    let (name, value) = cut(line, b'=');
                    if let Some(variable) = VARIABLES.iter().position(|known| known.as_bytes() == name) {
                        request.variables[variable] = value.to_vec();
                    }
                }
                _ => {
                    let (name, value) = cut(line, b':');
                    request.headers.push((name.to_vec(), value.strip_prefix(b" ").unwrap_or(value).to_vec()));
                }
            }
        }
        request
    }
}

/// What stands before and after the first `at`.
fn cut(line: &[u8], at: u8) -> (&[u8], &[u8]) {
    let end = line.iter().position(|&b| b == at).unwrap_or(line.len());
    (&line[..end], line.get(end + 1..).unwrap_or_default())
}

/// As [`PlainRequest::parse`] reads it, with escapes.
impl fmt::Debug for PlainRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.headers {
            writeln!(f, "{}: {}", name.escape_ascii(), value.escape_ascii())?;
        }
        for (name, value) in VARIABLES.iter().zip(&self.variables) {
            writeln!(f, "${name}={}", value.escape_ascii())?;
        }
        writeln!(f, "{}", self.path.escape_ascii())?;
        if self.posts {
            writeln!(f, "POST")?;
        }
        writeln!(f, "?{}", self.query.escape_ascii())
    }
}

impl Request for PlainRequest {
    fn for_each_cookie_line<'r>(&'r self, mut visit: impl FnMut(&'r [u8])) {
        let cookies = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"cookie"));
        cookies.for_each(|(_, value)| visit(value));
    }

    fn for_each_header<'r>(&'r self, lengths: Lengths, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
        let headers = self.headers.iter().filter(|(name, _)| lengths.contains(name.len()));
        headers.for_each(|(name, value)| visit(name, value));
    }

    fn authorization(&self) -> &[u8] {
        let line = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"authorization"));
        line.map_or(&[], |(_, value)| value)
    }

    fn target(&self) -> (&[u8], &[u8]) {
        (&self.path, &self.query)
    }

    fn plain_path(&self) -> Option<&[u8]> {
        let has = |text: &[u8]| self.path.windows(text.len()).any(|part| part == text);
        let is_plain = self.query.is_empty() && ![&b"%"[..], b"#", b"//", b"/."].into_iter().any(has);
        is_plain.then_some(&*self.path)
    }

    fn is_get(&self) -> bool {
        !self.posts
    }

    fn variable(&self, id: VariableId) -> &[u8] {
        &self.variables[id.0]
    }

    fn concat(&self, parts: &[&[u8]]) -> Option<&[u8]> {
        self.memory.store(parts.concat()).map(Vec::as_slice)
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn identified(&self, claims: Rc<Claims>) -> Option<&Claims> {
        self.claims.store(claims).map(|claims| &**claims)
    }

    fn token_refused(&self, kind: Kind, failure: Failure) {
        self.refused.borrow_mut().push((kind, failure));
    }
}

/// The web server while it reads its configuration. Its regular expressions know no operators: a pattern
/// matches what contains it; `(*LIMIT_MATCH=0)` in front, as PCRE spells it, makes the engine give up.
#[derive(Default)]
pub struct Server {
    /// The content of key files and environment variables, by path or name.
    pub keys: Vec<(String, Vec<u8>)>,
    pub warnings: Vec<String>,
}

impl Server {
    fn key(&self, name: &[u8]) -> Result<Vec<u8>, String> {
        let known = self.keys.iter().find(|(known, _)| known.as_bytes() == name);
        known.map(|(_, text)| text.clone()).ok_or_else(|| "no such key".to_owned())
    }
}

/// What `in file:` reads; any other path is missing.
pub const FILES: [(&str, &[u8]); 3] =
    [("testers", b"alice\nbob\r\n\n\xe7\x88\xb1\n"), ("empty", b"\n\r\n"), ("one", b"value without an end")];

#[derive(Debug)]
struct Substring {
    text: Vec<u8>,
    caseless: bool,
    gives_up: bool,
}

impl Pattern for Substring {
    fn is_match(&self, text: &[u8]) -> Option<bool> {
        let same = |window: &[u8]| match self.caseless {
            true => window.eq_ignore_ascii_case(&self.text),
            false => window == self.text,
        };
        let found = self.text.is_empty() || text.windows(self.text.len()).any(same);
        (!self.gives_up).then_some(found)
    }
}

impl Environment for Server {
    fn regex(&mut self, pattern: &[u8], caseless: bool) -> Result<Box<dyn Pattern>, String> {
        if pattern.starts_with(b"(") && !pattern.contains(&b')') {
            return Err("pcre_compile() failed: missing closing parenthesis".to_owned());
        }
        let (gives_up, text) = match pattern.strip_prefix(b"(*LIMIT_MATCH=0)") {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        Ok(Box::new(Substring { text: text.to_vec(), caseless, gives_up }))
    }

    fn variable(&mut self, name: &[u8]) -> Result<VariableId, String> {
        let known = VARIABLES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
        known.map(VariableId).ok_or_else(|| "unknown variable".to_owned())
    }

    fn read_file(&mut self, path: &[u8]) -> Result<Vec<u8>, String> {
        let file = FILES.iter().find(|(name, _)| name.as_bytes() == path);
        file.map(|(_, text)| text.to_vec()).ok_or_else(|| "no such file".to_owned())
    }

    fn read_key(&mut self, path: &[u8]) -> Result<(KeyFile, Vec<u8>), String> {
        let file =
            KeyFile { path: String::from_utf8_lossy(path).into(), open: false, place: Place::default() };
        Ok((file, self.key(path)?))
    }

    fn environment_variable(&mut self, name: &[u8]) -> Result<Vec<u8>, String> {
        self.key(name)
    }

    fn random_key(&mut self) -> Result<[u8; 32], String> {
        Ok([7; 32])
    }

    /// Numbered apart from the others.
    fn claim_variable(&mut self, name: &[u8]) -> Result<VariableId, String> {
        let add = |number: usize, b: &u8| number.wrapping_mul(31).wrapping_add(usize::from(*b) % 31);
        let number = name.iter().fold(0, add);
        Ok(VariableId(VARIABLES.len() + number % 1000))
    }

    fn warn(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

/// The words of a line, parted by blanks; a word in quotes may hold blanks or nothing.
pub fn words(line: &[u8]) -> Vec<&[u8]> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let (quote, from) = match rest {
            [] => return words,
            [quote @ (b'"' | b'\''), ..] => (Some(*quote), 1),
            _ => (None, 0),
        };
        let ends = |b: &u8| quote.map_or(b.is_ascii_whitespace(), |quote| *b == quote);
        let end = rest[from..].iter().position(ends).map_or(rest.len(), |n| from + n);
        words.push(&rest[from..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
}

/// The policy `name` from a directive a line.
pub fn policy_named(name: &str, text: &str) -> Result<Policy, ConfigError> {
    policy_on(&mut Server::default(), name, text)
}

/// The same, with the keys of `server`.
pub fn policy_on(server: &mut Server, name: &str, text: &str) -> Result<Policy, ConfigError> {
    let mut builder = PolicyBuilder::new(name.as_bytes(), Place::default())?;
    for (number, line) in text.lines().enumerate() {
        let place = Place { file: "policy".to_owned(), line: number + 1 };
        builder.directive(&words(line.as_bytes()), &place, server)?;
    }
    builder.finish(server)
}

/// The policy `default` from a directive a line; a mistake in it is one of the test.
pub fn policy(text: &str) -> Policy {
    policy_named("default", text).unwrap_or_else(|error| panic!("{}\n{text}", error.message))
}
