//! Programs that the tests borrow from the system: curl for HTTP/2 and TLS, openssl for certificates.
//! scripts/setup installs them.

use std::process::{Command, Output, Stdio};

use crate::client::Response;

/// Runs curl and reads the answer, headers included. curl ends well on any status.
pub fn curl(arguments: &[&str]) -> Response {
    try_curl(arguments).unwrap_or_else(|error| panic!("curl {arguments:?}: {error}"))
}

pub fn try_curl(arguments: &[&str]) -> Result<Response, String> {
    let all = ["--silent", "--show-error", "--insecure", "--include", "--max-time", "60"];
    let output = run("curl", &[&all[..], arguments].concat());
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let end = output.stdout.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no end of the headers")?;
    let head = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or("no status")?;
    let header = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned()));
    Ok(Response {
        status,
        headers: lines.filter_map(header).collect(),
        body: output.stdout[end + 4..].to_vec(),
    })
}

/// A self-signed certificate for a DNS name, and its key, both PEM.
pub fn certificate(name: &str) -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = |kind: &str| dir.path().join(kind).to_str().unwrap().to_owned();
    let (subject, alternative) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
    let fixed = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    let mut arguments: Vec<&str> = fixed.split(' ').collect();
    let (crt, key) = (path("crt"), path("key"));
    arguments.extend(["-subj", &subject, "-addext", &alternative, "-keyout", &key, "-out", &crt]);
    let output = run("openssl", &arguments);
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    (std::fs::read(crt).unwrap(), std::fs::read(key).unwrap())
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{program} does not run ({error}): scripts/setup installs it"))
}
