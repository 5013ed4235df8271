//! The files of the dashboard, which the module carries with it.

use super::Answer;

#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! page {
    ($name:literal, $content_type:ident, $file:literal) => {
        Page { name: $name, content_type: $content_type, text: include_str!(concat!("../dashboard/", $file)) }
    };
}

/// Each file of `src/dashboard`.
static PAGES: [Page; 12] = [
    page!("", HTML, "index.html"),
    page!("style.css", CSS, "style.css"),
    page!("actions.js", SCRIPT, "actions.js"),
    page!("api.js", SCRIPT, "api.js"),
    page!("events.js", SCRIPT, "events.js"),
    page!("page.js", SCRIPT, "page.js"),
    page!("policy.js", SCRIPT, "policy.js"),
    page!("rates.js", SCRIPT, "rates.js"),
    page!("release.js", SCRIPT, "release.js"),
    page!("script.js", SCRIPT, "script.js"),
    page!("words.js", SCRIPT, "words.js"),
    page!("zh.js", SCRIPT, "zh.js"),
];

/// Nothing from elsewhere, no scripts but ours, and no frame around the buttons.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn find(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}

impl Page {
    pub fn answer(&self) -> Answer {
        let mut answer = Answer::new(200, self.content_type, self.text.as_bytes().to_vec());
        answer.headers.push(("Content-Security-Policy", POLICY));
        answer
    }
}
