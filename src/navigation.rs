//! What a navigation is: a request whose answer becomes a page in a browser's tab. Only there can a cookie
//! be set that speaks for the page; subresources may be fetched without credentials, prefetches be dropped.
//! Used by decisions that pin pages, and by the header filter.

use memchr::memmem;

use crate::beginning::begins;
use crate::inputs::{Hashes, Request, header_hash};

/// What the header lines of a request say about the page that it belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageHeaders<'r> {
    mode: Option<&'r [u8]>,
    dest: Option<&'r [u8]>,
    /// Whether there is any Fetch Metadata.
    metadata: bool,
    prefetch: bool,
    /// `x-deployment-id`, as Next.js sends it with what its router fetches; empty without one.
    pub deployment: &'r [u8],
}

const MODE: usize = header_hash(b"sec-fetch-mode");
const DEST: usize = header_hash(b"sec-fetch-dest");
const SITE: usize = header_hash(b"sec-fetch-site");
const USER: usize = header_hash(b"sec-fetch-user");
const STORAGE_ACCESS: usize = header_hash(b"sec-fetch-storage-access");
const PURPOSE: usize = header_hash(b"purpose");
const SEC_PURPOSE: usize = header_hash(b"sec-purpose");
const DEPLOYMENT: usize = header_hash(b"x-deployment-id");
const ACCEPT: usize = header_hash(b"accept");

const OF_PAGES: Hashes =
    Hashes::of(&[MODE, DEST, SITE, USER, STORAGE_ACCESS, PURPOSE, SEC_PURPOSE, DEPLOYMENT]);

impl<'r> PageHeaders<'r> {
    #[inline(never)]
    pub fn read(request: &'r impl Request) -> PageHeaders<'r> {
        let mut headers = PageHeaders::default();
        request.for_each_hashed_header(OF_PAGES, |name, value| {
            headers.metadata |= matches!(name, MODE | DEST | SITE | USER | STORAGE_ACCESS);
            match name {
                MODE => headers.mode = Some(value),
                DEST => headers.dest = Some(value),
                PURPOSE | SEC_PURPOSE => headers.prefetch |= begins(value, b"prefetch"),
                DEPLOYMENT => headers.deployment = value,
                _ => {}
            }
        });
        headers
    }

    /// The deployment alone, for what is no navigation anyway.
    #[inline(always)]
    pub fn read_deployment(request: &'r impl Request) -> PageHeaders<'r> {
        let mut headers = PageHeaders::default();
        request.for_each_hashed_header(Hashes::One(DEPLOYMENT), |_, value| headers.deployment = value);
        headers
    }

    /// Whether `request`, which they were read from, is a navigation that the user is waiting for, hence may set cookies.
    ///
    /// Browsers say so by Fetch Metadata (W3C Fetch Metadata Request Headers): mode `navigate` and destination
    /// `document`, or `empty` when a service worker passes it on. Where no such header is sent (plain HTTP,
    /// older browsers), a GET that accepts `text/html` by name is one; `fetch()` sends `*/*`.
    #[inline]
    pub fn is_navigation(&self, request: &impl Request) -> bool {
        let navigation = match self.metadata {
            true => self.mode == Some(b"navigate") && matches!(self.dest, Some(b"document" | b"empty")),
            false => request.is_get() && accepts_html(request),
        };
        navigation && !self.prefetch
    }

    /// Whether a browser fetches something that nobody waits for, and may throw it away.
    pub fn is_prefetch(&self) -> bool {
        self.prefetch
    }
}

/// Whether `request` is a navigation.
pub fn is_navigation(request: &impl Request) -> bool {
    PageHeaders::read(request).is_navigation(request)
}

#[inline(never)]
fn accepts_html(request: &impl Request) -> bool {
    let mut accepts = false;
    request.for_each_hashed_header(Hashes::One(ACCEPT), |_, value| {
        accepts |= memmem::find(&value.to_ascii_lowercase(), b"text/html").is_some();
    });
    accepts
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
            (true, vec![("accept", "*/*"), ("Accept", "TEXT/HTML")], true),
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
            (true, vec![("Sec-Fetch-Storage-Access", "none"), HTML], false),
            (true, vec![("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "serviceworker")], false),
            (true, vec![NAVIGATE, DOCUMENT, ("Sec-Purpose", "prefetch;prerender")], false),
            (true, vec![HTML, ("Purpose", "prefetch")], false),
            (true, vec![HTML, ("Purpose", "pre")], true),
        ] {
            let request = TestRequest { get, ..TestRequest::with(&headers) };
            assert_eq!(is_navigation(&request), expected, "{get} {headers:?}");
        }
    }

    #[test]
    fn deployments() {
        let request = TestRequest::with(&[("X-Deployment-ID", "2-1-26"), ("x-deployment-i", "no")]);
        assert_eq!(PageHeaders::read(&request).deployment, b"2-1-26");
        assert_eq!(PageHeaders::read(&TestRequest::default()).deployment, b"");
    }
}
