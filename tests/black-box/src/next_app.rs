//! Two builds of the Next.js application in tests/browser/next-app, each behind a server of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::browser;

/// Both servers. They end when this is dropped, and also when the test's process dies.
pub struct NextApp {
    pub ports: [u16; 2],
    /// Where the builds `a` and `b` are.
    pub builds: [PathBuf; 2],
    server: Child,
}

/// The directory of the builds. Says so, past the test runner's capture, when there is none.
pub fn find() -> Option<PathBuf> {
    let dir = std::env::var_os("TEST_NEXT_APP").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if dir.is_none() {
        let _ =
            writeln!(std::io::stderr(), "skipped: TEST_NEXT_APP is not set; scripts/test installed sets it");
    }
    dir
}

impl NextApp {
    /// `kind` is `plain` or, with deployment ids, `deployment`. Returns when both serve.
    pub fn start(kind: &str) -> Option<NextApp> {
        let dir = find()?;
        let builds = ["a", "b"].map(|name| dir.join(format!("{kind}-{name}")));
        let mut command = Command::new("node");
        command.current_dir(browser::directory()).arg("next-app/serve.mjs").args(&builds);
        // It ends with its standard input.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().expect("node runs: scripts/setup browser installs it");
        let mut line = String::new();
        let output = server.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("the ports");
        let ports: Vec<u16> = line.split_whitespace().map_while(|port| port.parse().ok()).collect();
        let ports =
            ports.try_into().unwrap_or_else(|_| panic!("the servers do not start: \"{line}\", and above"));
        Some(NextApp { ports, builds, server })
    }
}

impl Drop for NextApp {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}
