//! A small HTTP/1.1 client. It sends what it is given, also what no proper client would send.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::PATIENCE;

#[derive(Clone)]
pub struct Request {
    line: String,
    host: String,
    headers: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Request {
        let line = format!("{method} {target} HTTP/1.1");
        Request { line, host: "chat.example".to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn host(mut self, name: &str) -> Request {
        self.host = name.to_owned();
        self
    }

    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        self.headers.extend_from_slice(name.as_bytes());
        self.headers.extend_from_slice(b": ");
        self.headers.extend_from_slice(value.as_ref());
        self.headers.extend_from_slice(b"\r\n");
        self
    }

    pub fn cookie(self, value: impl AsRef<[u8]>) -> Request {
        self.header("Cookie", value)
    }

    pub fn bearer(self, token: &str) -> Request {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// What a browser sends when somebody types an address.
    pub fn navigation(target: &str) -> Request {
        let request = Request::get(target).header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        request.header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", "document")
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", length)
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The header lines that were added, for a client that writes them itself.
    pub fn header_lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.headers);
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let head = format!("{}\r\nHost: {}\r\n", self.line, self.host);
        [head.as_bytes(), &self.headers, b"\r\n", &self.body].concat()
    }
}

/// An answer. Header bytes above 0x7f are read as Latin-1, so that nothing is lost.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The body without its final newline.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end_matches('\n').to_owned()
    }

    /// The value of a cookie that the answer sets, without its attributes.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pair = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
        let line = self.all("Set-Cookie").into_iter().find(pair)?;
        line[name.len() + 1..].split(';').next()
    }
}

/// A connection to 127.0.0.1 that serves one request after the other.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { stream: BufReader::with_capacity(64 * 1024, stream) })
    }

    pub fn fetch(&mut self, request: &Request) -> Response {
        self.try_fetch(request).expect("an answer")
    }

    pub fn try_fetch(&mut self, request: &Request) -> io::Result<Response> {
        self.write(&request.to_bytes())?;
        let mut response = self.read_head()?;
        if !request.line.starts_with("HEAD ") {
            // Whatever breaks now breaks an answer that has begun.
            self.read_body(&mut response).map_err(|error| io::Error::new(ErrorKind::UnexpectedEof, error))?;
        }
        Ok(response)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Exactly `count` bytes of a body or a tunnel.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("more bytes");
        bytes
    }

    /// Status line and headers; the body stays to be read. The error is ConnectionAborted if nginx closed
    /// the connection without a byte of an answer.
    pub fn read_head(&mut self) -> io::Result<Response> {
        let mut head = Vec::new();
        loop {
            let line = head.len();
            let result = self.stream.read_until(b'\n', &mut head);
            if head.len() == line {
                result.or_else(|error| match error.kind() {
                    ErrorKind::ConnectionReset => Ok(0),
                    _ => Err(error),
                })?;
                let kind =
                    if head.is_empty() { ErrorKind::ConnectionAborted } else { ErrorKind::UnexpectedEof };
                return Err(io::Error::new(kind, "the connection was closed"));
            }
            if head[line..] == *b"\r\n" {
                break;
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut headers);
        parsed.parse(&head).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let latin = |value: &[u8]| value.iter().map(|&b| char::from(b)).collect::<String>();
        let headers = parsed.headers.iter().map(|h| (h.name.to_owned(), latin(h.value))).collect();
        Ok(Response { status: parsed.code.unwrap_or(0), headers, body: Vec::new() })
    }

    /// The next answer, to whatever has been written.
    pub fn read_answer(&mut self) -> io::Result<Response> {
        let mut response = self.read_head()?;
        self.read_body(&mut response)?;
        Ok(response)
    }

    fn read_body(&mut self, response: &mut Response) -> io::Result<()> {
        if response.status < 200 || [204, 304].contains(&response.status) {
            return Ok(());
        }
        if response.header("Transfer-Encoding") == Some("chunked") {
            while let Some(chunk) = self.read_chunk()? {
                response.body.extend_from_slice(&chunk);
            }
            return Ok(());
        }
        match response.header("Content-Length") {
            Some(length) => {
                let length = length.parse().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                response.body = vec![0; length];
                self.stream.read_exact(&mut response.body)
            }
            None => self.stream.read_to_end(&mut response.body).map(|_| ()),
        }
    }

    /// The next chunk of a chunked body; `None` after the last.
    pub fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut size = String::new();
        self.stream.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16)
            .map_err(|_| io::Error::new(ErrorKind::UnexpectedEof, format!("no chunk size: {size:?}")))?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk)?;
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }
}
