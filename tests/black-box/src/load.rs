//! Clients that send requests from several threads while a test does something to nginx.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::{Connection, Request, Response};
use crate::nginx::Nginx;
use crate::tools::try_curl;

/// How a client connects; the number is the port.
pub enum Client {
    /// Over a new connection each time.
    Fresh(u16),
    /// Over one connection for as long as nginx keeps it.
    Kept(u16, Option<Connection>),
    /// Over a new HTTP/2 connection each time.
    Http2(u16),
}

#[derive(Default)]
pub struct Outcome {
    pub answered: usize,
    /// Requests sent a second time, since nginx closed the connection without a byte of an answer. It closes
    /// idle connections when it reloads, also one whose request is on the way; browsers try again.
    pub retried: usize,
    pub failures: Vec<String>,
}

impl Client {
    fn send(&mut self, request: &Request) -> io::Result<Response> {
        match self {
            Client::Fresh(port) => {
                Connection::open(*port)?.try_fetch(&request.clone().header("Connection", "close"))
            }
            Client::Kept(port, kept) => {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => Connection::open(*port)?,
                };
                let response = connection.try_fetch(request)?;
                *kept = (response.header("Connection") != Some("close")).then_some(connection);
                Ok(response)
            }
            Client::Http2(port) => {
                let url = format!("http://127.0.0.1:{port}{}", request.target());
                let lines = request.header_lines();
                let headers = lines.iter().flat_map(|line| ["-H", line]);
                let arguments: Vec<&str> =
                    ["--http2-prior-knowledge", &url].into_iter().chain(headers).collect();
                try_curl(&arguments).map_err(|error| {
                    // Framing error, empty reply, send and receive failures; see curl's manual.
                    let closed = ["(16)", "(52)", "(55)", "(56)"].iter().any(|code| error.contains(code));
                    io::Error::new(
                        if closed { ErrorKind::ConnectionAborted } else { ErrorKind::Other },
                        error,
                    )
                })
            }
        }
    }

    /// Sends requests until told to stop.
    fn run(
        mut self,
        start: usize,
        stop: &AtomicBool,
        request: &impl Fn(usize) -> Request,
        judge: &impl Fn(&Response) -> Result<(), String>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut round = start;
        while !stop.load(Ordering::Relaxed) {
            let request = request(round);
            let result = match self.send(&request) {
                Err(error) if is_closed(&error) => {
                    outcome.retried += 1;
                    self.send(&request)
                }
                result => result,
            };
            match result.map_err(|error| error.to_string()).and_then(|response| judge(&response)) {
                Ok(()) => outcome.answered += 1,
                Err(failure) => outcome.failures.push(failure),
            }
            round += 1;
        }
        outcome
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Runs `work` under the load of `clients`. `request` makes the request of a round, `judge` its verdict.
pub fn under_load(
    nginx: &mut Nginx,
    clients: Vec<Client>,
    request: impl Fn(usize) -> Request + Sync,
    judge: impl Fn(&Response) -> Result<(), String> + Sync,
    work: impl FnOnce(&mut Nginx),
) -> Outcome {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (stop, request, judge) = (&stop, &request, &judge);
        let threads: Vec<_> = (clients.into_iter().enumerate())
            .map(|(index, client)| scope.spawn(move || client.run(index * 100, stop, request, judge)))
            .collect();
        // A test that fails in `work` must not leave the clients running.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(nginx)));
        stop.store(true, Ordering::Relaxed);
        let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
        let outcome = outcomes.fold(Outcome::default(), |mut sum, outcome| {
            sum.answered += outcome.answered;
            sum.retried += outcome.retried;
            sum.failures.extend(outcome.failures);
            sum
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        outcome
    })
}
