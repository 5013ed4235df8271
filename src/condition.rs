//! The conditions of a `route` line: a source, and what its value must be.

use crate::claims::Claim;
use crate::config::{Environment, Pattern, quote};
use crate::inputs::{InputNames, Inputs, Request};
use crate::source::Source;
use crate::value_set::ValueSet;

/// `S`, `S = text`, `S ~ regex`, `S in a|b` and their kin. A missing value is the empty string.
#[derive(Debug)]
pub struct Condition {
    source: Source,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present,
    Equal { text: Box<[u8]>, wanted: bool },
    Matches { pattern: Box<dyn Pattern>, wanted: bool },
    In(ValueSet),
}

impl Condition {
    /// Parses `C [and C …]`, all words of it. The error is a sentence.
    pub fn parse_all(
        words: &[&[u8]],
        names: &mut InputNames,
        env: &mut dyn Environment,
    ) -> Result<Vec<Condition>, String> {
        let mut conditions = Vec::new();
        let mut rest = words;
        loop {
            let Some((source, after)) = rest.split_first() else {
                let before = if conditions.is_empty() { "if" } else { "and" };
                return Err(format!("a condition must follow \"{before}\""));
            };
            refuse_negation(source)?;
            let text = source;
            let source = Source::parse(text, names, env)?;
            let (test, after) = Test::parse(after, env)?;
            if matches!(test, Test::Present) && source.is_never_empty() {
                return Err(always_holds(text));
            }
            conditions.push(Condition { source, test });
            match after {
                [] => return Ok(conditions),
                [b"and", after @ ..] => rest = after,
                [word, ..] => return Err(unexpected(word)),
            }
        }
    }

    /// `None` when memory is short.
    #[inline(always)]
    pub fn holds<'r>(&self, inputs: Inputs<'_, 'r>, request: &'r impl Request) -> Option<bool> {
        let value = match &self.source {
            Source::Cookie(slot) => inputs.cookie(*slot),
            Source::Claim(slot) => match inputs.claim(*slot) {
                Claim::Text(text) => text.as_bytes(),
                claim => return Some(self.test.holds_for(claim)),
            },
            source => source.value(inputs, request)?,
        };
        Some(match &self.test {
            Test::Equal { text, wanted } => (value == &**text) == *wanted,
            test => test.holds(value),
        })
    }
}

impl Test {
    #[inline(never)]
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Test::Present => !value.is_empty(),
            Test::Equal { text, wanted } => (value == &**text) == *wanted,
            // An engine that gave up has found neither a match nor the absence of one.
            Test::Matches { pattern, wanted } => pattern.is_match(value) == Some(*wanted),
            Test::In(set) => set.contains(value),
        }
    }

    /// A list equals, matches or is in whatever one of its elements does.
    fn holds_for(&self, claim: &Claim) -> bool {
        match self {
            Test::Equal { text, wanted } => claim.elements().any(|e| e.as_bytes() == &**text) == *wanted,
            Test::Matches { pattern, wanted } => {
                let mut gave_up = false;
                let found = claim.elements().any(|element| {
                    let matched = pattern.is_match(element.as_bytes());
                    gave_up |= matched.is_none();
                    matched == Some(true)
                });
                found == *wanted && (found || !gave_up)
            }
            Test::Present | Test::In(_) => claim.elements().any(|element| self.holds(element.as_bytes())),
        }
    }

    /// Reads an operator and its operand off the front; without an operator the test is for presence.
    fn parse<'w>(words: &'w [&'w [u8]], env: &mut dyn Environment) -> Result<(Test, &'w [&'w [u8]]), String> {
        let Some((&operator, after)) = words.split_first() else {
            return Ok((Test::Present, words));
        };
        if !matches!(operator, b"=" | b"!=" | b"~" | b"~*" | b"!~" | b"!~*" | b"in") {
            return Ok((Test::Present, words));
        }
        let Some((&operand, after)) = after.split_first() else {
            return Err(format!("a value must follow {}", quote(operator)));
        };
        let test = match operator {
            b"=" | b"!=" => Test::Equal { text: operand.into(), wanted: operator == b"=" },
            b"in" => Test::In(parse_set(operand, env)?),
            _ => {
                let caseless = operator.ends_with(b"*");
                let pattern = env.regex(operand, caseless)?;
                Test::Matches { pattern, wanted: !operator.starts_with(b"!") }
            }
        };
        Ok((test, after))
    }
}

/// What other languages write in front of a condition.
fn refuse_negation(word: &[u8]) -> Result<(), String> {
    match word {
        b"not" | [b'!', ..] => {
            Err(format!("unexpected {}: write \"cookie:uid = ''\" for a value that is missing", quote(word)))
        }
        [b'(', ..] => Err(format!("unexpected {}: conditions take no parentheses", quote(word))),
        _ => Ok(()),
    }
}

/// `$cookie_a=x` without spaces is a text, and one that is never empty.
fn always_holds(text: &[u8]) -> String {
    let word = |b: &u8| b.is_ascii_alphanumeric() || b"${}_".contains(b);
    let source = text.iter().take_while(|b| word(b)).count();
    let operator = text[source..].iter().take_while(|b| b"=!~*".contains(b)).count();
    let hint = match operator {
        0 => "compare it with \"=\" or another operator".to_owned(),
        _ => {
            let (source, rest) = text.split_at(source);
            let (operator, value) = rest.split_at(operator);
            format!("write {}, with spaces", quote(&[source, operator, value].join(&b' ')))
        }
    };
    format!("{} is never empty, so the condition always holds: {hint}", quote(text))
}

fn parse_set(operand: &[u8], env: &mut dyn Environment) -> Result<ValueSet, String> {
    let Some(path) = operand.strip_prefix(b"file:") else {
        if operand.contains(&b',') && !operand.contains(&b'|') {
            return Err(format!(
                "invalid list {}: write values with \"|\" between them, e.g. \"a|b|c\"",
                quote(operand)
            ));
        }
        return ValueSet::from_list(operand).map_err(|e| format!("invalid list {}: {e}", quote(operand)));
    };
    let set = ValueSet::from_lines(env.read_file(path)?)?;
    if set.is_empty() {
        return Err(format!("{} holds no value: write one value a line", quote(operand)));
    }
    Ok(set)
}

fn unexpected(word: &[u8]) -> String {
    let hint = match word {
        b"==" => "write \"=\"".to_owned(),
        b"&&" => "write \"and\"".to_owned(),
        b"or" | b"||" => "write a second \"route\" line, the first that matches wins".to_owned(),
        b"not" => "write \"!=\", \"!~\" or \"!~*\"".to_owned(),
        _ => "conditions are joined by \"and\", a value with spaces needs quotes, operators are \"=\", \"!=\", \"~\", \"~*\", \"!~\", \"!~*\" and \"in\"".to_owned(),
    };
    format!("unexpected {}: {hint}", quote(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::TestEnvironment;
    use crate::inputs::testing::TestRequest;

    fn parse(text: &str, names: &mut InputNames) -> Result<Vec<Condition>, String> {
        let words: Vec<&[u8]> =
            text.split(' ').map(|w| if w == "''" { &b""[..] } else { w.as_bytes() }).collect();
        Condition::parse_all(&words, names, &mut TestEnvironment)
    }

    #[test]
    fn operators() {
        let request = TestRequest::with(&[("Cookie", "c=Canary; e=; n=two")]);
        for (text, holds) in [
            ("cookie:c", true),
            ("cookie:e", false),
            ("cookie:none", false),
            ("cookie:c = Canary", true),
            ("cookie:c = canary", false),
            ("cookie:c != canary", true),
            ("cookie:none = ''", true),
            ("cookie:none != x", true),
            ("cookie:c ~ Can", true),
            ("cookie:c ~ can", false),
            ("cookie:c ~* cAN", true),
            ("cookie:c !~ can", true),
            ("cookie:c !~* can", false),
            ("cookie:c in stable|Canary", true),
            ("cookie:c in stable|canary", false),
            ("cookie:none in a|b", false),
            ("cookie:n in file:values", true),
            ("cookie:c in file:values", false),
            ("cookie:c and cookie:n", true),
            ("cookie:c and cookie:n = two and cookie:none", false),
            ("cookie:and = and and cookie:c", false),
        ] {
            let mut names = InputNames::default();
            let conditions = parse(text, &mut names).unwrap();
            let mut slots = vec![None; names.count()];
            let inputs = names.read(&request, &mut slots).unwrap();
            assert_eq!(conditions.iter().all(|c| c.holds(inputs, &request).unwrap()), holds, "{text}");
        }
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (text, hint) in [
            ("cookie:c =", "a value must follow \"=\""),
            ("cookie:c = x and", "a condition must follow \"and\""),
            ("cookie:c == x", "write \"=\""),
            ("cookie:c && cookie:d", "write \"and\""),
            ("cookie:c or cookie:d", "second \"route\" line"),
            ("cookie:c = a b", "needs quotes"),
            ("cookie:c ~ (", "missing )"),
            ("cookie:c in a||b", "an alternative is empty"),
            ("cookie:c in file:missing", "no such file"),
            ("$v1=x", "write \"$v1 = x\", with spaces"),
            ("$v1!~*x", "write \"$v1 !~* x\", with spaces"),
            ("a-$v1", "always holds"),
            ("not cookie:c", "cookie:uid = ''"),
            ("!cookie:c", "cookie:uid = ''"),
            ("(cookie:c)", "no parentheses"),
            ("cookie:c in a,b", "\"|\" between"),
            ("uid = 7", "did you mean \"cookie:uid\"?"),
        ] {
            let error = parse(text, &mut InputNames::default()).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
