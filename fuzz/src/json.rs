//! JSON by the letter of RFC 8259, read anew in the plainest way: everything is built, nothing is borrowed from the
//! parser under test.

/// A value; numbers, booleans, lists and objects come with their text.
pub enum Json<'t> {
    Null,
    /// `None`: it holds half of a surrogate pair.
    Text(Option<String>),
    Other(&'t str),
    List(&'t str, Vec<Json<'t>>),
    Object(&'t str, Members<'t>),
}

pub type Members<'t> = Vec<(Option<String>, Json<'t>)>;

/// Levels of objects and lists that claims may have.
const LEVELS: usize = 17;

impl<'t> Json<'t> {
    /// `None` for what is no JSON.
    pub fn parse(text: &'t [u8]) -> Option<Json<'t>> {
        let mut reader = Reader { text: std::str::from_utf8(text).ok()?, at: 0 };
        let value = reader.value()?;
        reader.blanks();
        (reader.at == text.len()).then_some(value)
    }

    /// Whether every name within is a text that stands once in its object, and nothing nests too deep.
    pub fn is_unambiguous(&self) -> bool {
        self.is_unambiguous_within(LEVELS)
    }

    fn is_unambiguous_within(&self, levels: usize) -> bool {
        match self {
            Json::List(_, elements) => {
                levels > 0 && elements.iter().all(|element| element.is_unambiguous_within(levels - 1))
            }
            Json::Object(_, members) => {
                let once = |(name, _): &(Option<String>, Json)| {
                    name.is_some() && members.iter().filter(|(other, _)| other == name).count() == 1
                };
                levels > 0
                    && members.iter().all(once)
                    && members.iter().all(|(_, value)| value.is_unambiguous_within(levels - 1))
            }
            _ => true,
        }
    }

    pub fn member(&self, name: &str) -> Option<&Json<'t>> {
        match self {
            Json::Object(_, members) => {
                members.iter().find(|(known, _)| known.as_deref() == Some(name)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The text of a member that is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.member(name) {
            Some(Json::Text(text)) => text.as_deref(),
            _ => None,
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Json<'t>> {
        self.blanks();
        let start = self.at;
        match self.peek()? {
            b'{' => {
                let members = self.sequence(b'}', |reader| {
                    reader.blanks();
                    let name = reader.string()?;
                    reader.blanks();
                    reader.take(b':').then_some(())?;
                    Some((name, reader.value()?))
                })?;
                Some(Json::Object(&self.text[start..self.at], members))
            }
            b'[' => {
                let elements = self.sequence(b']', Reader::value)?;
                Some(Json::List(&self.text[start..self.at], elements))
            }
            b'"' => self.string().map(Json::Text),
            b'n' => self.word("null").map(|_| Json::Null),
            b't' => self.word("true").map(Json::Other),
            b'f' => self.word("false").map(Json::Other),
            _ => {
                self.number()?;
                Some(Json::Other(&self.text[start..self.at]))
            }
        }
    }

    /// What stands between the bracket here and the one that ends it.
    fn sequence<T>(&mut self, end: u8, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.at += 1;
        self.blanks();
        let mut items = Vec::new();
        if self.take(end) {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            self.blanks();
            if self.take(end) {
                return Some(items);
            }
            self.take(b',').then_some(())?;
        }
    }

    fn word(&mut self, word: &'static str) -> Option<&'static str> {
        self.text[self.at..].starts_with(word).then_some(())?;
        self.at += word.len();
        Some(word)
    }

    fn string(&mut self) -> Option<Option<String>> {
        self.take(b'"').then_some(())?;
        let mut units = Vec::new();
        loop {
            let c = self.text[self.at..].chars().next()?;
            self.at += c.len_utf8();
            match c {
                '"' => return Some(String::from_utf16(&units).ok()),
                '\\' => units.push(self.escape()?),
                '\0'..' ' => return None,
                c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        let c = self.peek()?;
        self.at += 1;
        Some(match c {
            b'"' | b'\\' | b'/' => c.into(),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
                u16::from_str_radix(digits, 16).ok()?
            }
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
