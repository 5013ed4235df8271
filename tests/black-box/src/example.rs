//! Loads a file of nginx-conf/ as it is, except for what only its own machine has: listening addresses,
//! addresses of servers, and paths. All examples share the tables of this file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{Check, Config, check_file, fill_in, preamble, temp_dir};
use crate::tools;

/// Directives of the main level, where lines are not indented, that the harness writes itself.
const LEFT_OUT: [&str; 5] = ["load_module", "user", "pid", "daemon", "error_log"];

/// Where an example's paths lie in the test's directory.
const PATHS: [(&str, &str); 7] = [
    ("/etc/nginx/", "@DIR@/"),
    ("/etc/ssl/", "@DIR@/"),
    ("/run/secrets/", "@DIR@/"),
    ("/var/log/nginx/", "@DIR@/"),
    ("/var/cache/nginx/", "@DIR@/"),
    ("/var/lib/nginx/", "@DIR@/"),
    ("/usr/share/nginx/", "@DIR@/"),
];

/// The `.conf` files of nginx-conf/ and of the directories in it.
pub fn all() -> Vec<PathBuf> {
    let mut files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nginx-conf"));
    files.retain(|path| path.extension().is_some_and(|e| e == "conf"));
    files.sort();
    files
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Runs `nginx -t` over an example.
pub fn check(example: &Path) -> Check {
    let dir = temp_dir();
    // Where an nginx without a path of its own writes its access log.
    std::fs::create_dir(dir.path().join("logs")).unwrap();
    let text = std::fs::read_to_string(example).unwrap();
    let text: String = text.lines().map(|line| adapt(line) + "\n").collect();
    let text = fill_in(&(preamble() + &text), dir.path(), &mut Vec::new());
    std::fs::write(dir.path().join("nginx.conf"), &text).unwrap();
    provide(dir.path(), &text);
    check_file(dir.path(), &text)
}

/// An example of nginx-conf/ that runs, with backends on these ports in place of `lobe-a` and `lobe-b`.
pub fn config(name: &str, backends: [u16; 2]) -> Config {
    Config::whole(&text(name, backends))
}

/// The text of such a configuration, for a test that changes a line of it.
pub fn text(name: &str, backends: [u16; 2]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nginx-conf").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let backend = |line: &str| usize::from(line.contains("lobe-b:"));
    let adapt = |line: &str| adapt_to(line, &format!("127.0.0.1:{}", backends[backend(line)])) + "\n";
    text.lines().map(adapt).collect()
}

fn adapt(line: &str) -> String {
    adapt_to(line, "127.0.0.1:9")
}

fn adapt_to(line: &str, backend: &str) -> String {
    let first = line.split_whitespace().next().unwrap_or_default();
    // A second address family would be a second listener on the same address.
    if (LEFT_OUT.contains(&first) && line.starts_with(first)) || line.contains("listen [::]") {
        return String::new();
    }
    let listener = if line.contains(" ssl") { "127.0.0.1:@PORT2@" } else { "127.0.0.1:@PORT@" };
    let line = replace_argument(&replace_argument(line, "listen", listener), "server", backend);
    PATHS.iter().fold(line, |line, (from, to)| line.replace(from, to))
}

/// Replaces the first argument of each `directive` in a line, unless it opens a block.
fn replace_argument(line: &str, directive: &str, new: &str) -> String {
    let mut words = line.split(' ');
    let mut text = words.next().unwrap_or_default().to_owned();
    let mut before = text.trim_start().to_owned();
    for word in words {
        let argument = word.trim_end_matches(';');
        let replaced = before == directive && !argument.is_empty() && argument != "{";
        text = text + " " + &if replaced { word.replacen(argument, new, 1) } else { word.to_owned() };
        before = word.to_owned();
    }
    text
}

/// Puts a file wherever the configuration reads one.
fn provide(dir: &Path, text: &str) {
    let own = dir.to_str().expect("a UTF-8 name");
    for start in text.match_indices(own).map(|(start, _)| start) {
        let path = text[start..].split([';', ' ', '"', '\'', '\n']).next().unwrap_or_default();
        let path = Path::new(path);
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("_secret")) {
            secret(path, "a secret of the application, long enough");
        }
        // nginx writes it itself, into a directory that is there.
        if path.file_name().is_some_and(|name| name == "state.json") {
            std::fs::create_dir_all(path.parent().expect("a parent")).unwrap();
            continue;
        }
        if path.exists() || path.extension().is_none() || path.to_string_lossy().contains('$') {
            continue;
        }
        std::fs::create_dir_all(path.parent().expect("a parent")).unwrap();
        let (certificate, key) = tools::certificate("chat.example");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt" | "pem") => {
                std::fs::write(path, certificate).unwrap();
                std::fs::write(path.with_extension("key"), key).unwrap();
            }
            Some("json") => secret(path, JWKS),
            Some("key") => secret(path, "a key of the module's own cookies, one line\n"),
            Some("types") => std::fs::write(path, "types { text/html html; }").unwrap(),
            Some("txt" | "list") => std::fs::write(path, "value\n").unwrap(),
            _ => {}
        }
    }
}

/// The key of RFC 8037 appendix A.2.
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// A file that not everybody can read.
fn secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
}
