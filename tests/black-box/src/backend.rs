//! Backends that behave as an nginx server block cannot: they see raw requests, answer in pieces when told
//! to, or break off. One thread a connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::PATIENCE;

/// A listener on 127.0.0.1 that runs a function for each connection. Stops when dropped.
pub struct Backend {
    pub port: u16,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub fn start(serve: impl Fn(Peer) + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, serve) = (Arc::clone(&stopping), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (peer, serve) = (Peer::new(stream.unwrap()), Arc::clone(&serve));
                std::thread::spawn(move || serve(peer));
            }
        });
        Backend { port, stopping, thread: Some(thread) }
    }

    /// `server 127.0.0.1:PORT;`, for an upstream block.
    pub fn server(&self) -> String {
        format!("server 127.0.0.1:{};", self.port)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The backend's end of a connection from nginx.
pub struct Peer {
    stream: BufReader<TcpStream>,
}

/// A request as the backend got it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

impl Peer {
    fn new(stream: TcpStream) -> Peer {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream: BufReader::with_capacity(256 * 1024, stream) }
    }

    /// The next request with its body; `None` when nginx closed the connection.
    pub fn request(&mut self) -> Option<Received> {
        let mut received = self.head()?;
        let number = |text: &str| text.trim().parse::<usize>().ok();
        if let Some(length) = received.header("Content-Length").and_then(number) {
            received.body = self.read(length).ok()?;
        } else if received.header("Transfer-Encoding").is_some() {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).ok()?;
                let chunk = self.read(size + 2).ok()?;
                received.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        Some(received)
    }

    /// Request line and headers; the body stays to be read.
    pub fn head(&mut self) -> Option<Received> {
        let mut received = Received { line: self.line()?, ..Received::default() };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                return Some(received);
            };
            received.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).ok().filter(|&count| count > 0)?;
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    pub fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Everything until nginx closes its side.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// Writes; that nginx went away is the test's to notice.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// A whole answer that leaves the connection open.
    pub fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.write(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"));
    }

    pub fn close(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }
}
