//! What goes wrong, as `application/problem+json` (RFC 9457) with a sentence to act on.

use serde::Serialize;

use super::Answer;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: u16,
    pub detail: String,
    /// The methods that there are, with 405.
    pub allow: Option<&'static str>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub fn new(status: u16, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), allow: None }
    }

    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(400, detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(403, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(404, detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(409, detail)
    }

    pub fn wrong_method(method: &str, allow: &'static str) -> Problem {
        let detail = format!("the method {method} has no meaning here: use {}", allow.replace(", ", " or "));
        Problem { status: 405, detail, allow: Some(allow) }
    }

    pub fn into_answer(self) -> Answer {
        let body = Body {
            r#type: "about:blank",
            title: title(self.status),
            status: self.status,
            detail: &self.detail,
        };
        let mut answer = Answer::json(self.status, &body);
        answer.content_type = "application/problem+json";
        answer.headers.extend(self.allow.map(|allow| ("Allow", allow)));
        answer
    }
}

/// The reason phrases of RFC 9110, as `about:blank` wants them.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
