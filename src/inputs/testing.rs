//! A request made of plain data, for unit tests.

use super::*;

#[derive(Default)]
pub struct TestRequest {
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub path: &'static str,
    pub query: &'static str,
    pub get: bool,
    pub variables: Vec<&'static str>,
    pub now: u64,
    pub refused: std::cell::RefCell<Vec<String>>,
}

impl TestRequest {
    pub fn with(headers: &[(&'static str, &str)]) -> TestRequest {
        let headers = headers.iter().map(|&(name, value)| (name, value.into())).collect();
        TestRequest { headers, ..TestRequest::default() }
    }
}

impl Request for TestRequest {
    fn for_each_cookie_line<'r>(&'r self, mut visit: impl FnMut(&'r [u8])) {
        for (_, value) in self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
            visit(value);
        }
    }

    fn for_each_header<'r>(&'r self, lengths: Lengths, mut visit: impl FnMut(&'r [u8], &'r [u8])) {
        for (name, value) in self.headers.iter().filter(|(name, _)| lengths.contains(name.len())) {
            visit(name.as_bytes(), value);
        }
    }

    fn authorization(&self) -> &[u8] {
        let line = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        line.map_or(&[], |(_, value)| value)
    }

    fn target(&self) -> (&[u8], &[u8]) {
        (self.path.as_bytes(), self.query.as_bytes())
    }

    fn is_get(&self) -> bool {
        self.get
    }

    fn variable(&self, id: VariableId) -> &[u8] {
        self.variables.get(id.0).copied().unwrap_or_default().as_bytes()
    }

    fn concat(&self, parts: &[&[u8]]) -> Option<&[u8]> {
        Some(parts.concat().leak())
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn identified(&self, claims: Rc<Claims>) -> Option<&Claims> {
        Some(Box::leak(Box::new(claims)))
    }

    fn token_refused(&self, kind: Kind, failure: Failure) {
        self.refused.borrow_mut().push(format!("{}:{}", kind.name(), failure.name()));
    }
}
