//! What a navigation is: a request whose answer becomes a page in a browser's tab. Only there can a cookie
//! be set that speaks for the page; subresources may be fetched without credentials, prefetches be dropped.
//! Used by decisions that pin pages, and by the header filter.

use memchr::memmem;

use crate::inputs::{HeaderName, Lengths, Request};

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

/// By which Next.js's router names its build.
pub const DEPLOYMENT: HeaderName = HeaderName::new(b"x-deployment-id");
const ACCEPT: Lengths = Lengths::of(&[b"accept"]);
/// `sec-fetch-dest`, `-site` and `-user` are as long as `-mode`.
const NAMES: Lengths = Lengths::of(&[
    DEPLOYMENT.lower_case,
    b"purpose",
    b"sec-purpose",
    b"sec-fetch-mode",
    b"sec-fetch-storage-access",
]);

impl<'r> PageHeaders<'r> {
    #[inline(never)]
    pub fn read(request: &'r impl Request) -> PageHeaders<'r> {
        let mut headers = PageHeaders::default();
        request.for_each_header(NAMES, |name, value| match name.len() {
            14 | 24 if begins(name, b"sec-fetch-") => {
                headers.metadata = true;
                if is(name, b"sec-fetch-mode") {
                    headers.mode = Some(value);
                } else if is(name, b"sec-fetch-dest") {
                    headers.dest = Some(value);
                }
            }
            7 if is(name, b"purpose") => headers.prefetch |= begins(value, b"prefetch"),
            11 if is(name, b"sec-purpose") => headers.prefetch |= begins(value, b"prefetch"),
            15 if is(name, b"x-deployment-id") => headers.deployment = value,
            _ => {}
        });
        headers
    }

    /// The deployment alone, for what is no navigation anyway.
    #[inline]
    pub fn read_deployment(request: &'r impl Request) -> PageHeaders<'r> {
        PageHeaders { deployment: request.header(DEPLOYMENT), ..PageHeaders::default() }
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
    request.for_each_header(ACCEPT, |name, value| {
        accepts |= is(name, b"accept") && memmem::find(&value.to_ascii_lowercase(), b"text/html").is_some();
    });
    accepts
}

#[inline]
fn is<const N: usize>(name: &[u8], lower_case: &[u8; N]) -> bool {
    name.len() == N && begins(name, lower_case)
}

/// Whether a text begins with these letters and hyphens, in any case. Of a constant length, so that the compiler compares
/// many bytes at once; a control character may pass for a hyphen, and has no place in a name.
#[inline(always)]
fn begins<const N: usize>(text: &[u8], lower_case: &[u8; N]) -> bool {
    let differs = |head: &[u8; N]| {
        head.iter().zip(lower_case).fold(0, |differs, (byte, lower)| differs | ((byte | 0x20) ^ lower))
    };
    text.first_chunk::<N>().is_some_and(|head| differs(head) == 0)
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
