//! Writes nginx configurations, so that a test holds little more than the lines it is about, and runs
//! `nginx -t` over them.
//!
//! In all texts `@DIR@` is the test's directory, `@PORT@` the front server's port, `@PORT2@` and so on
//! further free ports.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::nginx::{Flavour, Nginx, free_port};
use crate::tools;

/// A configuration. Lines are added in the order of the calls.
#[derive(Clone)]
pub struct Config {
    workers: usize,
    /// Everything but what the harness needs at the top.
    whole: Option<String>,
    main: String,
    http: String,
    front: Option<String>,
    listen: String,
    log_level: &'static str,
    user: &'static str,
    pub(crate) daemon: bool,
    pub(crate) environment: Vec<(String, String)>,
    files: Vec<(String, Vec<u8>)>,
    directories: Vec<String>,
    pub(crate) expected: Vec<String>,
}

/// What `nginx -t` said.
pub struct Check {
    pub ok: bool,
    pub output: String,
    /// The number of the line that ends in `#!`.
    pub marked: Option<usize>,
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl Config {
    pub fn new() -> Config {
        Config {
            workers: 1,
            whole: None,
            main: String::new(),
            http: String::new(),
            front: None,
            listen: "listen 127.0.0.1:@PORT@;".to_owned(),
            log_level: "notice",
            user: "root",
            daemon: false,
            environment: Vec::new(),
            files: Vec::new(),
            directories: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// A file as it is, less what the harness writes at its top.
    pub fn whole(text: &str) -> Config {
        Config { whole: Some(text.to_owned()), ..Config::new() }
    }

    /// One upstream and one backend server per name, which answers `NAME\n` as text/html.
    pub fn releases(self, names: &[&str]) -> Config {
        names.iter().fold(self, |config, name| {
            config
                .release(name, &format!("location / {{ default_type text/html; return 200 \"{name}\\n\"; }}"))
        })
    }

    /// An upstream and its backend server with these lines.
    pub fn release(self, name: &str, server: &str) -> Config {
        let config = self.backend(name, server);
        config.http(&format!("upstream {name} {{ server unix:@DIR@/{name}.sock; }}"))
    }

    /// A backend server that listens on `@DIR@/NAME.sock`.
    pub fn backend(self, name: &str, server: &str) -> Config {
        self.http(&format!("server {{ listen unix:@DIR@/{name}.sock; {server} }}"))
    }

    /// Lines of the http block.
    pub fn http(mut self, lines: &str) -> Config {
        self.http.push_str(lines);
        self.http.push('\n');
        self
    }

    /// Lines of the server that tests talk to.
    pub fn server(mut self, lines: &str) -> Config {
        let front = self.front.get_or_insert_default();
        front.push_str(lines);
        front.push('\n');
        self
    }

    /// Replaces the front server's `listen` lines.
    pub fn listen(mut self, lines: &str) -> Config {
        self.listen = lines.to_owned();
        self
    }

    pub fn workers(mut self, workers: usize) -> Config {
        self.workers = workers;
        self
    }

    /// `master_process off`: the process that reads the configuration serves requests as well.
    pub fn single_process(mut self) -> Config {
        self.main.push_str("master_process off;\n");
        self.workers(0)
    }

    /// `daemon on`: a binary upgrade asks for a master that its first parent has left.
    pub fn daemon(mut self) -> Config {
        self.daemon = true;
        self
    }

    /// Workers that run as this user, where the tests run as root.
    pub fn user(mut self, name: &'static str) -> Config {
        self.user = name;
        self
    }

    /// A variable of the environment that nginx starts in.
    pub fn environment(mut self, name: &str, value: &str) -> Config {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn log_level(mut self, level: &'static str) -> Config {
        self.log_level = level;
        self
    }

    /// A file in the test's directory, written before nginx starts.
    pub fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Config {
        self.files.push((name.to_owned(), content.as_ref().to_vec()));
        self
    }

    /// A directory in the test's directory, which everybody may write.
    pub fn directory(mut self, name: &str) -> Config {
        self.directories.push(name.to_owned());
        self
    }

    /// A self-signed certificate for a DNS name as `NAME.crt` and `NAME.key`.
    pub fn certificate(self, name: &str) -> Config {
        let (certificate, key) = tools::certificate(name);
        self.file(&format!("{name}.crt"), certificate).file(&format!("{name}.key"), key)
    }

    /// An `[alert]` or `[emerg]` line with this text does not fail the test.
    pub fn expect_log(mut self, fragment: &str) -> Config {
        self.expected.push(fragment.to_owned());
        self
    }

    pub fn start(self) -> Nginx {
        Nginx::start(self)
    }

    /// Runs `nginx -t`.
    pub fn check(self) -> Check {
        let dir = temp_dir();
        let text = self.write(dir.path(), &mut Vec::new());
        check_file(dir.path(), &text)
    }

    /// Writes the configuration and its files.
    pub(crate) fn write(&self, dir: &Path, ports: &mut Vec<u16>) -> String {
        let text = fill_in(&self.render(), dir, ports);
        if self.whole.is_some() {
            // Where an nginx without a path of its own writes its access log.
            std::fs::create_dir_all(dir.join("logs")).unwrap();
        }
        for name in &self.directories {
            let directory = dir.join(name);
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        for (name, content) in &self.files {
            std::fs::write(dir.join(name), content).unwrap();
        }
        if self.user != "root" {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(dir.join("nginx.conf"), &text).unwrap();
        text
    }

    pub(crate) fn workers_wanted(&self) -> usize {
        self.workers
    }

    fn render(&self) -> String {
        let server = match &self.front {
            Some(front) => format!("server {{\n{}\nserver_name chat.example;\n{front}}}\n", self.listen),
            None => String::new(),
        };
        let top = format!(
            "{}{}worker_processes {};\nerror_log @DIR@/error.log {};\n",
            preamble_for(self.user).replace("daemon off;", if self.daemon { DAEMON } else { "daemon off;" }),
            self.main,
            self.workers.max(1),
            self.log_level
        );
        match &self.whole {
            Some(text) => top + text,
            None => format!(
                "{top}events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n{}{}{server}}}\n",
                temp_paths(),
                self.http
            ),
        }
    }
}

/// The nginx of an upgrade gets the variables that are named here.
const DAEMON: &str = "daemon on;\nenv ASAN_OPTIONS;";

/// Puts the directory and the ports in. Takes ports from `ports` and adds those that lack.
pub(crate) fn fill_in(text: &str, dir: &Path, ports: &mut Vec<u16>) -> String {
    let mut text = text.replace("@DIR@", dir.to_str().expect("a temporary directory with a UTF-8 name"));
    for (index, name) in ["@PORT@", "@PORT2@", "@PORT3@"].iter().enumerate() {
        if text.contains(name) {
            while ports.len() <= index {
                ports.push(free_port());
            }
            text = text.replace(name, &ports[index].to_string());
        }
    }
    text
}

/// What every configuration needs at its top to run from the test's directory with the module loaded.
pub fn preamble() -> String {
    preamble_for("root")
}

fn preamble_for(user: &str) -> String {
    let module = Flavour::get().module.display();
    // Workers that drop root cannot enter the temporary directory, unless a test lets them.
    let user = if rustix::process::geteuid().is_root() { format!("user {user};\n") } else { String::new() };
    format!("load_module {module};\n{user}daemon off;\npid @DIR@/nginx.pid;\n")
}

fn temp_paths() -> String {
    let path = |kind: &str| format!("{kind}_temp_path @DIR@/{kind}_temp;\n");
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(path).concat()
}

pub(crate) fn temp_dir() -> TempDir {
    let mut dir = tempfile::Builder::new().prefix("canary-test-").tempdir().unwrap();
    dir.disable_cleanup(std::env::var_os("TEST_NGINX_LEAVE").is_some());
    dir
}

/// Runs `nginx -t` over `nginx.conf` in `dir`, whose text is `text`.
pub fn check_file(dir: &Path, text: &str) -> Check {
    let output = Command::new(&Flavour::get().binary)
        .arg("-t")
        .arg("-e")
        .arg("stderr")
        .arg("-p")
        .arg(dir)
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .stdin(Stdio::null())
        .output()
        .expect("nginx -t runs");
    let marked = text.lines().position(|line| line.trim_end().ends_with("#!")).map(|index| index + 1);
    let output_text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some(), "nginx -t died: {:?}\n{output_text}", output.status);
    Check { ok: output.status.success(), output: output_text, marked }
}
