//! The files of the dashboard, which the module carries with it.

use super::Answer;

#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

static PAGES: [Page; 3] = [
    Page {
        name: "",
        content_type: "text/html; charset=utf-8",
        text: include_str!("../dashboard/index.html"),
    },
    Page {
        name: "style.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("../dashboard/style.css"),
    },
    Page {
        name: "script.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("../dashboard/script.js"),
    },
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
