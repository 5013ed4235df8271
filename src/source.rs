//! Where a condition or a user id takes its value from: `cookie:NAME`, `header:NAME`, `arg:NAME`, `claim:PATH`
//! or a text with nginx variables.

use crate::claims::Claim;
use crate::config::{Environment, VariableId, quote};
use crate::inputs::{InputNames, Inputs, Request};

/// A source, with its names resolved to slots and variable numbers.
#[derive(Debug)]
pub enum Source {
    Cookie(usize),
    Header(usize),
    Authorization,
    Argument(Box<[u8]>),
    Claim(usize),
    Text(Box<[Part]>),
}

/// A piece of a text with variables.
#[derive(Debug)]
pub enum Part {
    Literal(Box<[u8]>),
    Variable(VariableId),
}

impl Source {
    /// Parses a source. The error is a sentence.
    pub fn parse(text: &[u8], names: &mut InputNames, env: &mut dyn Environment) -> Result<Source, String> {
        if let Some(name) = text.strip_prefix(b"cookie:") {
            Ok(Source::Cookie(names.cookie(checked_name(text, name)?)))
        } else if let Some(name) = text.strip_prefix(b"header:") {
            match checked_name(text, name)? {
                name if name.eq_ignore_ascii_case(b"authorization") => Ok(Source::Authorization),
                name => Ok(Source::Header(names.header(name))),
            }
        } else if let Some(name) = text.strip_prefix(b"arg:") {
            Ok(Source::Argument(checked_name(text, name)?.into()))
        } else if let Some(path) = text.strip_prefix(b"claim:") {
            refuse_operator(text, path)?;
            Ok(Source::Claim(names.claims.slot(path)?))
        } else if text.contains(&b'$') {
            Ok(Source::Text(parse_text(text, env)?))
        } else if text.contains(&b':') {
            Err(format!("unknown source {}: {FORMS}", quote(text)))
        } else if text.contains(&b'=') {
            Err(format!("unknown parameter {}: {FORMS}", quote(text)))
        } else {
            let word = String::from_utf8_lossy(text);
            Err(format!("unknown source \"{word}\": did you mean \"cookie:{word}\"? {FORMS}"))
        }
    }

    /// Whether the value has a part that is always there.
    pub fn is_never_empty(&self) -> bool {
        matches!(self, Source::Text(parts) if parts.iter().any(|part| matches!(part, Part::Literal(_))))
    }

    /// The value for a condition; a missing one is empty. `None` when memory is short.
    #[inline]
    pub fn value<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<&'r [u8]> {
        match self {
            Source::Cookie(slot) => Some(inputs.cookie(*slot)),
            _ => self.other_value(inputs, request),
        }
    }

    /// Kept apart, so that the way of cookies, which most requests take, stays short.
    #[inline(never)]
    fn other_value<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<&'r [u8]> {
        match self {
            Source::Cookie(slot) => Some(inputs.cookie(*slot)),
            Source::Header(slot) => Some(inputs.header(*slot)),
            Source::Authorization => Some(request.authorization()),
            Source::Argument(name) => Some(request.argument(request.query(), name)),
            // A list as one text, which only a user id wants; conditions look at its elements.
            Source::Claim(slot) => match inputs.claim(*slot) {
                Claim::Missing => Some(&[]),
                Claim::Text(text) => request.concat(&[text.as_bytes()]),
                claim => request.concat(&claim.parts()),
            },
            Source::Text(parts) => join(parts, request),
        }
    }

    /// The value as a user id: empty also when a variable in a text is. `None` when memory is short.
    #[inline]
    pub fn id<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<&'r [u8]> {
        match self {
            Source::Cookie(slot) => Some(inputs.cookie(*slot)),
            Source::Text(parts) => join_all(parts, request),
            _ => self.other_value(inputs, request),
        }
    }
}

const FORMS: &str = "a source is \"cookie:NAME\", \"header:NAME\", \"arg:NAME\", \"claim:PATH\" or a text with a variable such as \"$remote_addr\"";

/// Refuses `cookie:a=b`, which was meant for a condition.
fn refuse_operator(text: &[u8], name: &[u8]) -> Result<(), String> {
    if let Some(at) = name.iter().position(|b| b"=!~".contains(b)) {
        let (name, rest) = (&text[..text.len() - name.len() + at], &name[at..]);
        let operator = rest.iter().take_while(|b| b"=!~*".contains(b)).count();
        let (operator, value) = rest.split_at(operator);
        let spaced = [name, operator, value].map(String::from_utf8_lossy).join(" ");
        return Err(format!("invalid source {}: write \"{}\", with spaces", quote(text), spaced.trim_end()));
    }
    Ok(())
}

fn checked_name<'t>(text: &[u8], name: &'t [u8]) -> Result<&'t [u8], String> {
    refuse_operator(text, name)?;
    if name.is_empty() {
        return Err(format!("invalid source {}: a name must follow the colon", quote(text)));
    }
    // A token of RFC 9110 section 5.6.2, less `$`, which would look like a variable, and `!` and `~`, which would
    // look like operators; in a query `&` and `#` end an argument.
    let ends = |b: &u8| text.starts_with(b"arg:") && b"&#".contains(b);
    let token = |b: &u8| (b.is_ascii_alphanumeric() || b"#%&'*+-.^_`|".contains(b)) && !ends(b);
    if !name.iter().all(token) {
        return Err(format!(
            "invalid source {}: the name after the colon is taken literally and may not hold {}",
            quote(text),
            quote(&[*name.iter().find(|b| !token(b)).unwrap_or(&b' ')])
        ));
    }
    Ok(name)
}

/// Splits a text at its `$name` and `${name}`.
fn parse_text(text: &[u8], env: &mut dyn Environment) -> Result<Box<[Part]>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = memchr::memchr(b'$', rest) {
        if dollar > 0 {
            parts.push(Part::Literal(rest[..dollar].into()));
        }
        let after = &rest[dollar + 1..];
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let (name, tail) = match after.strip_prefix(b"{") {
            Some(braced) => match memchr::memchr(b'}', braced) {
                Some(end) => (&braced[..end], &braced[end + 1..]),
                None => return Err(format!("the closing bracket in {} is missing", quote(text))),
            },
            None => after.split_at(after.iter().take_while(|b| is_word(b)).count()),
        };
        if name.is_empty() || !name.iter().all(is_word) {
            return Err(format!("invalid variable name in {}", quote(text)));
        }
        if name.iter().all(u8::is_ascii_digit) {
            return Err(format!(
                "a capture in {} has no meaning here: a request is decided outside of any match, use a map",
                quote(text)
            ));
        }
        parts.push(Part::Variable(env.variable(name)?));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.into()));
    }
    Ok(parts.into())
}

/// As `join`, but empty when a variable is.
#[inline(never)]
fn join_all<'r>(parts: &[Part], request: &'r impl Request) -> Option<&'r [u8]> {
    let empty = |part: &Part| matches!(part, Part::Variable(id) if request.variable(*id).is_empty());
    if parts.len() > 1 && parts.iter().any(empty) { Some(&[]) } else { join(parts, request) }
}

fn join<'r>(parts: &[Part], request: &'r impl Request) -> Option<&'r [u8]> {
    if let [Part::Variable(id)] = parts {
        return Some(request.variable(*id));
    }
    let mut pieces = Vec::new();
    pieces.try_reserve_exact(parts.len()).ok()?;
    pieces.extend(parts.iter().map(|part| match part {
        Part::Literal(literal) => literal,
        Part::Variable(id) => request.variable(*id),
    }));
    request.concat(&pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::TestEnvironment;
    use crate::inputs::testing::TestRequest;

    fn parse(text: &str, names: &mut InputNames) -> Result<Source, String> {
        Source::parse(text.as_bytes(), names, &mut TestEnvironment)
    }

    #[test]
    fn values_and_ids() {
        let mut request = TestRequest::with(&[
            ("Cookie", "uid=7; empty="),
            ("X-Tier", "gold"),
            ("Authorization", "Basic eA=="),
        ]);
        request.query = "v=2";
        request.variables = vec!["", "one", "two"];
        for (text, value, id) in [
            ("cookie:uid", "7", Some("7")),
            ("cookie:empty", "", None),
            ("cookie:none", "", None),
            ("header:x-tier", "gold", Some("gold")),
            ("header:AUTHORIZATION", "Basic eA==", Some("Basic eA==")),
            ("arg:v", "2", Some("2")),
            ("$v1", "one", Some("one")),
            ("a-${v1}-$v2", "a-one-two", Some("a-one-two")),
            ("a-$v0", "a-", None),
            ("http://$v1", "http://one", Some("http://one")),
        ] {
            let mut names = InputNames::default();
            let source = parse(text, &mut names).unwrap();
            let mut slots = vec![None; names.count()];
            let inputs = names.read(&request, &mut slots).unwrap();
            assert_eq!(source.value(inputs, &request).unwrap(), value.as_bytes(), "{text}");
            assert_eq!(source.id(inputs, &request).unwrap(), id.unwrap_or_default().as_bytes(), "{text}");
        }
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (text, hint) in [
            ("uid", "did you mean \"cookie:uid\"?"),
            ("claims:role", "unknown source"),
            ("claim:", "a name is empty"),
            ("claim:a..b", "a name is empty"),
            ("claim:role=tester", "write \"claim:role = tester\", with spaces"),
            ("cookie:", "a name must follow"),
            ("cookie:a=b", "write \"cookie:a = b\", with spaces"),
            ("cookie:a~*b", "write \"cookie:a ~* b\", with spaces"),
            ("cookie:$x1", "taken literally"),
            ("header:x y", "taken literally"),
            ("arg:a&b", "may not hold \"&\""),
            ("$", "invalid variable name"),
            ("a${v1", "closing bracket"),
            ("$1", "no meaning here"),
            ("$unknown", "unknown variable"),
        ] {
            let error = parse(text, &mut InputNames::default()).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
