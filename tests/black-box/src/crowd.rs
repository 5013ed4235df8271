//! A crowd of users, each with a cookie of its own, who send requests at a steady rate over kept connections while a test
//! does something to what they use.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Connection, Request, Response};

pub struct Crowd {
    pub port: u16,
    pub users: usize,
    /// Requests a second of all together.
    pub rate: u32,
    /// Connections, each of which has one request under way.
    pub connections: usize,
    /// Method and path of each round in turn.
    pub requests: &'static [(&'static str, &'static str)],
}

/// What the users met.
#[derive(Debug, Default)]
pub struct Met {
    pub answered: usize,
    pub by_canary: usize,
    /// Requests that may be repeated and were not answered with 200, though no answer had begun.
    pub failed: Vec<String>,
    pub posts_failed: Vec<String>,
    /// Answers that broke off.
    pub cut: usize,
    /// Kept connections that nginx had closed; the request was sent again, as browsers do.
    pub reopened: usize,
    pub longest: Duration,
}

impl Crowd {
    pub fn new(port: u16) -> Crowd {
        Crowd { port, users: 400, rate: 300, connections: 12, requests: &[("GET", "/")] }
    }

    /// Lets the crowd loose while `work` runs.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Met) {
        let (stop, round, start) = (AtomicBool::new(false), AtomicUsize::new(0), Instant::now());
        std::thread::scope(|scope| {
            let run = || self.run(&stop, &round, start);
            let threads: Vec<_> = (0..self.connections).map(|_| scope.spawn(run)).collect();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            stop.store(true, Ordering::Relaxed);
            let mut met = Met::default();
            threads.into_iter().for_each(|thread| met.add(thread.join().unwrap()));
            (result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), met)
        })
    }

    fn run(&self, stop: &AtomicBool, rounds: &AtomicUsize, start: Instant) -> Met {
        let (mut met, mut kept) = (Met::default(), None);
        while !stop.load(Ordering::Relaxed) {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let due = start + Duration::from_secs(1) * round as u32 / self.rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (method, path) = self.requests[round % self.requests.len()];
            // A step without a common divisor: users and paths do not go in lockstep.
            let user = round.wrapping_mul(7919) / self.requests.len() % self.users;
            let request = Request::new(method, path).cookie(format!("uid=user-{user}"));
            let request = if method == "POST" { request.body("a message") } else { request };
            let sent = Instant::now();
            let result = self.send(&mut kept, &request, &mut met.reopened);
            met.longest = met.longest.max(sent.elapsed());
            met.note(method, result);
        }
        met
    }

    fn send(
        &self,
        kept: &mut Option<Connection>,
        request: &Request,
        reopened: &mut usize,
    ) -> io::Result<Response> {
        if let Some(mut connection) = kept.take() {
            match connection.try_fetch(request) {
                Ok(response) => {
                    *kept = (response.header("Connection") != Some("close")).then_some(connection);
                    return Ok(response);
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(error),
                Err(_) => *reopened += 1,
            }
        }
        let mut connection = Connection::open(self.port)?;
        let response = connection.try_fetch(request)?;
        *kept = (response.header("Connection") != Some("close")).then_some(connection);
        Ok(response)
    }
}

impl Met {
    fn note(&mut self, method: &str, result: io::Result<Response>) {
        let failures = if method == "POST" { &mut self.posts_failed } else { &mut self.failed };
        match result {
            Ok(response) if response.status == 200 => {
                self.answered += 1;
                self.by_canary += usize::from(response.body.starts_with(b"b"));
            }
            Ok(response) => failures.push(format!("{method} {}", response.status)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.cut += 1,
            Err(error) => failures.push(format!("{method} {error}")),
        }
    }

    fn add(&mut self, other: Met) {
        self.answered += other.answered;
        self.by_canary += other.by_canary;
        self.failed.extend(other.failed);
        self.posts_failed.extend(other.posts_failed);
        self.cut += other.cut;
        self.reopened += other.reopened;
        self.longest = self.longest.max(other.longest);
    }
}
