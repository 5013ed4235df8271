//! The query of a request to the API.

use super::problem::Problem;
use crate::explain::ExplainQuery;
use crate::inputs::argument;

/// `after=SEQ`; 0 where there is none.
pub fn after(query: &str) -> Result<u64, Problem> {
    match argument(query.as_bytes(), b"after") {
        b"" => Ok(0),
        text => text_of(text).parse().map_err(|_| {
            Problem::bad_request(format!(
                "invalid after \"{}\": write the number \"seq\" or \"last\" of an earlier answer",
                text_of(text)
            ))
        }),
    }
}

/// `as=navigation&uri=…`
pub fn explain(query: &str) -> Result<ExplainQuery, Problem> {
    let navigation = match argument(query.as_bytes(), b"as") {
        b"" => false,
        b"navigation" => true,
        other => {
            return Err(Problem::bad_request(format!(
                "invalid as \"{}\": write \"as=navigation\", or leave it out for the request as it is",
                text_of(other)
            )));
        }
    };
    let uri = match argument(query.as_bytes(), b"uri") {
        b"" => None,
        text => Some(unescape(text).filter(|uri| uri.starts_with('/')).ok_or_else(|| {
            Problem::bad_request(format!(
                "invalid uri \"{}\": write a path, with its query escaped, such as \"uri=/chat%3Fv%3D2\"",
                text_of(text)
            ))
        })?),
    };
    Ok(ExplainQuery { navigation, uri })
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Undoes percent-encoding; `None` where it is none, or no UTF-8 comes out.
fn unescape(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses() {
        assert_eq!(after(""), Ok(0));
        assert_eq!(after("after=12&x"), Ok(12));
        for query in ["after=x", "after=-1", "after=99999999999999999999", "after=1.5"] {
            assert_eq!(after(query).unwrap_err().status, 400, "{query}");
        }
        let asked = |navigation, uri: Option<&str>| ExplainQuery { navigation, uri: uri.map(str::to_owned) };
        assert_eq!(explain(""), Ok(asked(false, None)));
        assert_eq!(explain("as=navigation"), Ok(asked(true, None)));
        assert_eq!(explain("uri=/a%3fv%3D2%26w&as="), Ok(asked(false, Some("/a?v=2&w"))));
        for query in ["as=page", "uri=a", "uri=%", "uri=/%f", "uri=/%zz", "uri=/%ff", "uri=http://x/"] {
            assert_eq!(explain(query).unwrap_err().status, 400, "{query}");
        }
    }
}
