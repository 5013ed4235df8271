//! The page that a request belongs to, and whether it may follow it. Called once for each decision.
//!
//! Only a pin cookie with a right tag is proof of where a page came from. Everything else, anybody can write: it may name
//! what its sender could reach anyhow, or a file that is public with its build.

use super::{Pin, Pinned};
use crate::in_force::InForce;
use crate::inputs::{Inputs, Request};
use crate::navigation::PageHeaders;
use crate::policy::Policy;

/// What a request is to its page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// The policy pins no pages: each request is one of its own.
    #[default]
    Unpinned,
    /// A navigation, which is decided afresh.
    Navigation,
    /// A navigation that belongs to the page before it.
    Return,
    /// A file under `assets=`.
    Asset,
    /// Whatever else a page asks for.
    Follower,
}

/// The build that a request's page came from, as far as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Belongs {
    #[default]
    Nowhere,
    /// To the build of this line of the file.
    To(usize),
    /// To a build that the file does not have.
    Elsewhere,
}

/// What the pin makes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Following {
    pub part: Part,
    pub belongs: Belongs,
    /// The line of the file that it follows.
    pub line: Option<usize>,
    /// Whether the split chose the page, by a cookie that proves it.
    pub is_dealt: bool,
    pub cookie: Option<Pinned>,
}

/// A request as the pin sees it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    pub part: Part,
    query: &'r [u8],
    headers: PageHeaders<'r>,
}

impl Part {
    /// Whether the answer becomes a page.
    pub fn is_navigation(self) -> bool {
        matches!(self, Part::Navigation | Part::Return)
    }
}

impl Belongs {
    /// Whether the request is served by another build than that of its page.
    #[inline]
    pub fn is_skew(self, served: usize) -> bool {
        match self {
            Belongs::Nowhere => false,
            Belongs::To(line) => line != served,
            Belongs::Elsewhere => true,
        }
    }
}

impl Pin {
    /// The page of a file whose path is plain, where only the cookie says what that is, and proves it. Otherwise `asked`
    /// knows more.
    #[inline(always)]
    pub fn page_of_file(&self, in_force: &InForce, request: &impl Request) -> Option<Following> {
        let path = request.plain_path()?;
        if !self.assets.hold(path) || has(path, b'\\', request) {
            return None;
        }
        let headers = PageHeaders::read_deployment(request);
        self.proved_page(Asked { part: Part::Asset, query: &[], headers }, in_force, request)
    }

    /// The page of a request, where only the cookie says what that is, and proves it. Otherwise `follow` weighs what there
    /// is.
    #[inline(always)]
    pub fn proved_page(
        &self,
        Asked { part, query, headers }: Asked<'_>,
        in_force: &InForce,
        request: &impl Request,
    ) -> Option<Following> {
        if part.is_navigation()
            || self.by.is_some()
            || !headers.deployment.is_empty()
            || !query.is_empty() && !request.argument(query, b"dpl").is_empty()
        {
            return None;
        }
        let (line, is_dealt) = self.cookie.find(request)?;
        if part != Part::Asset && !in_force.keeps_pages(line) {
            return None;
        }
        let cookie = Some(Pinned::Genuine { line, is_dealt, issued: 0 });
        Some(Following { part, belongs: Belongs::To(line), line: Some(line), is_dealt, cookie })
    }

    /// What a request is, by its path and its header lines.
    #[inline]
    pub fn asked<'r>(&self, request: &'r impl Request) -> Asked<'r> {
        let (path, query) = request.target();
        if self.assets.hold(path) && is_plain(path, request) {
            return Asked { part: Part::Asset, query, headers: PageHeaders::read_deployment(request) };
        }
        let headers = PageHeaders::read(request);
        let part = match headers.is_navigation(request) {
            false => Part::Follower,
            true if self.follow.hold(path) => Part::Return,
            true => Part::Navigation,
        };
        Asked { part, query, headers }
    }

    /// `own` is the release to which a route or a remember cookie leads this request; of a file it is not asked. `None` when
    /// memory is short.
    #[inline]
    pub fn follow<'r>(
        &self,
        asked: Asked<'r>,
        (policy, in_force): (&Policy, &InForce),
        inputs: Inputs<'_, 'r>,
        request: &'r impl Request,
        own: Option<usize>,
    ) -> Option<Following> {
        let Asked { part, query, headers } = asked;
        let first = inputs.cookie(self.cookie.slot);
        let cookie = self.cookie.of(request, first, part.is_navigation());
        let mut following = Following { part, cookie, ..Following::default() };
        if part == Part::Navigation {
            return Some(following);
        }
        let is_asset = part == Part::Asset;
        let may_name = |line: usize| {
            let release = in_force.release_of(line);
            is_asset || in_force.is_public(release) || own == Some(release)
        };
        let by = match &self.by {
            Some(source) => source.value(inputs, request)?,
            None => &[],
        };
        let deployment = if query.is_empty() { &[] } else { request.argument(query, b"dpl") };
        for name in [by, deployment, headers.deployment].into_iter().filter(|name| !name.is_empty()) {
            following.named(policy.line_named(name, in_force), may_name);
        }
        match cookie {
            Some(Pinned::Genuine { line, is_dealt, .. }) => {
                following.proved(line, is_dealt, is_asset || in_force.keeps_pages(line));
            }
            Some(Pinned::Claimed { line }) => following.named(Some(line), may_name),
            Some(Pinned::Unknown) => following.named(None, may_name),
            None => {}
        }
        Some(following)
    }
}

impl Following {
    /// Something that anybody can write names a page.
    #[inline]
    fn named(&mut self, line: Option<usize>, may_name: impl Fn(usize) -> bool) {
        if self.line.is_some() {
            return;
        }
        self.line = line.filter(|&line| may_name(line));
        self.belongs = match (line, self.belongs) {
            (Some(line), Belongs::Nowhere | Belongs::Elsewhere) => Belongs::To(line),
            (None, Belongs::Nowhere) => Belongs::Elsewhere,
            (_, known) => known,
        };
    }

    /// A cookie proves where the page came from.
    #[inline]
    fn proved(&mut self, line: usize, is_dealt: bool, is_kept: bool) {
        match self.line {
            Some(named) => self.is_dealt = is_dealt && named == line,
            None => {
                self.line = is_kept.then_some(line);
                self.is_dealt = is_dealt;
                if !matches!(self.belongs, Belongs::To(_)) {
                    self.belongs = Belongs::To(line);
                }
            }
        }
    }
}

/// Whether a server cannot take a path for one elsewhere: it has no segment `..`, no backslash, and no code for a dot, a
/// slash or a backslash.
#[inline]
fn is_plain(path: &[u8], request: &impl Request) -> bool {
    if has(path, b'\\', request) || has(path, b'%', request) && !is_coded_well(path) {
        return false;
    }
    let mut rest = path;
    loop {
        let (before, after) = request.split(b'.', rest);
        match (before, after) {
            _ if before.len() == rest.len() => return true,
            ([.., b'/'], [b'.', ..]) => return false,
            _ => rest = after,
        }
    }
}

#[inline(always)]
fn has(path: &[u8], byte: u8, request: &impl Request) -> bool {
    request.split(byte, path).0.len() < path.len()
}

#[inline(never)]
fn is_coded_well(path: &[u8]) -> bool {
    memchr::memchr_iter(b'%', path).all(|at| match path.get(at + 1..at + 3) {
        Some(code) => ![b"2e", b"2f", b"5c"].iter().any(|known| code.eq_ignore_ascii_case(*known)),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::testing::TestRequest;

    #[test]
    fn paths_that_lead_elsewhere() {
        let request = TestRequest::default();
        for path in [
            "/a/b.js",
            "/_next/static/chunks/app/%5Bvariants%5D/(main)/%40modal/page-1.js",
            "/a/b..c",
            "/a/[...b]",
            "/",
        ] {
            assert!(is_plain(path.as_bytes(), &request), "{path}");
        }
        for path in [
            "/a/../b",
            "/a/..",
            "/a/b.js/..",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a%2fb",
            "/a\\..\\b",
            "/a%5C..",
            "/a%",
            "/a%2",
        ] {
            assert!(!is_plain(path.as_bytes(), &request), "{path}");
        }
    }
}
