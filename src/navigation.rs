//! What a navigation is: a request whose answer becomes a page in a browser's tab. Only there can a cookie
//! be set that speaks for the page; subresources may be fetched without credentials, prefetches be dropped.
//! Used by the header filter.

use memchr::memmem;

use crate::inputs::{Lengths, Request};

/// Whether `request` is a navigation that the user is waiting for, hence may set cookies.
///
/// Browsers say so by Fetch Metadata (W3C Fetch Metadata Request Headers): mode `navigate` and destination
/// `document`, or `empty` when a service worker passes it on. Where no such header is sent (plain HTTP,
/// older browsers), a GET that accepts `text/html` by name is one; `fetch()` sends `*/*`.
pub fn is_navigation(is_get: bool, request: &impl Request) -> bool {
    let (mut mode, mut dest, mut metadata) = (None, None, false);
    let mut accepts_html = false;
    request.for_each_header(Lengths::ALL, |name, value| {
        if is_prefix(name, b"sec-fetch-") {
            metadata = true;
            match name[10..].to_ascii_lowercase().as_slice() {
                b"mode" => mode = Some(value),
                b"dest" => dest = Some(value),
                _ => {}
            }
        } else if name.eq_ignore_ascii_case(b"accept") {
            accepts_html |= memmem::find(&value.to_ascii_lowercase(), b"text/html").is_some();
        }
    });
    let navigation = match metadata {
        true => mode == Some(b"navigate") && matches!(dest, Some(b"document" | b"empty")),
        false => is_get && accepts_html,
    };
    navigation && !is_prefetch(request)
}

/// Whether a browser fetches something that nobody waits for, and may throw it away.
pub fn is_prefetch(request: &impl Request) -> bool {
    let mut prefetch = false;
    request.for_each_header(Lengths::ALL, |name, value| {
        if name.eq_ignore_ascii_case(b"sec-purpose") || name.eq_ignore_ascii_case(b"purpose") {
            prefetch |= is_prefix(value, b"prefetch");
        }
    });
    prefetch
}

fn is_prefix(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::testing::TestRequest;

    #[test]
    fn navigations() {
        const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        const NAVIGATE: (&str, &str) = ("Sec-Fetch-Mode", "navigate");
        const DOCUMENT: (&str, &str) = ("Sec-Fetch-Dest", "document");
        for (get, headers, expected) in [
            (true, vec![HTML], true),
            (true, vec![("accept", "*/*")], false),
            (true, vec![], false),
            (false, vec![HTML], false),
            (true, vec![NAVIGATE, DOCUMENT], true),
            (false, vec![NAVIGATE, DOCUMENT], true),
            (true, vec![NAVIGATE, ("sec-fetch-dest", "empty")], true),
            (true, vec![NAVIGATE, ("Sec-Fetch-Dest", "iframe"), HTML], false),
            (true, vec![NAVIGATE, HTML], false),
            (true, vec![("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty"), HTML], false),
            (true, vec![("Sec-Fetch-Site", "none"), HTML], false),
            (true, vec![NAVIGATE, DOCUMENT, ("Sec-Purpose", "prefetch;prerender")], false),
            (true, vec![HTML, ("Purpose", "prefetch")], false),
        ] {
            assert_eq!(is_navigation(get, &TestRequest::with(&headers)), expected, "{get} {headers:?}");
        }
    }
}
