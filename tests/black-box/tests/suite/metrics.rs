//! The metrics as promtool and a real Prometheus read them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use black_box::api::{self, value};
use black_box::{Config, Connection, Nginx, Request, wait_for};

const CANARY: &str = r#"policy="chat",release="canary",version="2.1.26""#;
const STABLE: &str = r#"policy="chat",release="stable",version="2.1.25""#;

fn start() -> Nginx {
    Config::new()
        .workers(2)
        .releases(&["a", "b"])
        .http("lobechat_canary_zone lobechat_canary:1m state=off;")
        .file("secret", "a secret of the tests, forty-eight bytes or longer!")
        .server(
            "location / { lobechat_canary chat { release stable a version=2.1.25; release canary b version=2.1.26 weight=30%;
                route canary if cookie:tester; user cookie:uid; identity jwt secret=@DIR@/secret; claim $sub sub; rollback on; }
                proxy_pass http://lobechat_canary; }
             location /beside/ { lobechat_canary beside { release only a; } proxy_pass http://lobechat_canary; }",
        )
        .server(&api::location("write"))
        .start()
}

#[test]
fn every_family_is_there_before_the_first_request() {
    let nginx = start();
    let response = nginx.api("GET", "metrics", "");
    assert_eq!(response.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = response.text();
    let families: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE lobechat_canary_"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    for family in [
        "requests_total",
        "responses_total",
        "attempts_total",
        "fallbacks_total",
        "ttfb_seconds",
        "weight_ratio",
        "release_state",
        "epoch",
        "rollbacks_total",
        "evidence",
        "skew_total",
        "identity_failures_total",
    ] {
        assert!(families.contains(family), "{family} in {families:?}");
    }
    let metrics = nginx.metrics();
    for code in ["1xx", "2xx", "3xx", "4xx", "5xx", "000"] {
        assert_eq!(value(&metrics, &format!("responses_total{{{CANARY},code=\"{code}\"}}")), 0.0);
    }
    for reason in ["route", "pin", "remembered", "split", "anonymous", "default"] {
        assert_eq!(value(&metrics, &format!("requests_total{{{CANARY},reason=\"{reason}\"}}")), 0.0);
    }
    for outcome in ["ok", "status", "connect", "timeout", "reset", "cut", "no_live", "aborted", "stale"] {
        assert_eq!(value(&metrics, &format!("attempts_total{{{STABLE},outcome=\"{outcome}\"}}")), 0.0);
    }
    assert_eq!(value(&metrics, r#"fallbacks_total{policy="chat",from="canary",to="stable"}"#), 0.0);
    // What nobody has a version of has an empty label.
    assert_eq!(value(&metrics, r#"weight_ratio{policy="beside",release="only",version=""}"#), 1.0);
}

#[test]
fn gauges_follow_changes() {
    let nginx = start();
    let gauge = |series: &str| value(&nginx.metrics(), series);
    let (weight, epoch) = (format!("weight_ratio{{{CANARY}}}"), r#"epoch{policy="chat"}"#);
    assert_eq!((gauge(&weight), gauge(&format!("weight_ratio{{{STABLE}}}"))), (0.3, 0.7));
    let before = gauge(epoch);
    nginx.api_ok("PATCH", "v1/policies/chat", &api::weights("canary", "12.34%"));
    assert_eq!((gauge(&weight), gauge(epoch)), (0.1234, before + 1.0));
    nginx.api_ok("POST", "v1/policies/chat/releases/canary/rollback", "");
    let states = api::counted(&nginx.metrics(), "release_state");
    assert!(states.contains(&(format!("{CANARY},state=\"down\""), 1)), "{states:?}");
    assert_eq!(states.len(), 3, "one state for each release");
    assert_eq!((gauge(&weight), gauge(&format!("rollbacks_total{{{CANARY}}}"))), (0.0, 1.0));
}

#[test]
fn promtool_finds_no_fault() {
    let nginx = start();
    traffic(&nginx, 50);
    let text = nginx.get(&format!("{}metrics", api::PATH)).body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs: scripts/setup test installs it");
    promtool.stdin.take().unwrap().write_all(&text).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// Requests by both releases, some of them by a route.
fn traffic(nginx: &Nginx, count: usize) {
    for user in 0..count {
        assert_eq!(nginx.fetch(Request::get("/").cookie(format!("uid={user}"))).status, 200);
        assert_eq!(nginx.fetch(Request::get("/").cookie("tester=1")).status, 200);
    }
}

/// A Prometheus that reads the metrics each second. Ends with the test.
struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    fn start(dir: &Path, target: u16) -> Prometheus {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: canary\n  metrics_path: {}metrics\n  static_configs:\n  - targets: ['127.0.0.1:{target}']\n",
            api::PATH
        );
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let log = std::fs::File::create(dir.join("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus runs: scripts/setup test installs it");
        Prometheus { child, port }
    }

    /// The value of a query that has one result.
    fn query(&self, query: &str) -> Option<String> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let request = Request::get(&format!("/api/v1/query?query={escaped}")).header("Connection", "close");
        // It does not listen at once.
        let answer = Connection::open(self.port).ok()?.try_fetch(&request).ok()?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        let result = answer["data"]["result"].as_array()?;
        assert!(result.len() <= 1, "{query}: {answer}");
        Some(result.first()?["value"][1].as_str()?.to_owned())
    }

    fn wait(&self, query: &str, expected: &str) {
        let mut last = None;
        wait_for(&format!("{query} to be {expected}, Prometheus"), || {
            last = self.query(query);
            std::thread::sleep(Duration::from_millis(100));
            (last.as_deref() == Some(expected)).then_some(())
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_reads_them() {
    let nginx = start();
    let prometheus = Prometheus::start(nginx.dir(), nginx.port());
    traffic(&nginx, 40);
    for _ in 0..3 {
        assert_eq!(nginx.fetch(Request::get("/").cookie("tester=1").bearer("a.b.c")).status, 200);
    }
    prometheus.wait(&format!("lobechat_canary_requests_total{{{CANARY},reason=\"route\"}}"), "43");
    prometheus.wait("sum(lobechat_canary_requests_total)", "83");
    prometheus.wait("sum(lobechat_canary_responses_total{code=\"2xx\"})", "83");
    prometheus.wait("sum(lobechat_canary_ttfb_seconds_count)", "83");
    prometheus.wait("sum(lobechat_canary_identity_failures_total{kind=\"jwt\"})", "3");
    prometheus.wait("up{job=\"canary\"}", "1");
    prometheus.wait(&format!("lobechat_canary_weight_ratio{{{CANARY}}}"), "0.3");
    // The histogram is one.
    let median = "histogram_quantile(0.5, sum by (le) (lobechat_canary_ttfb_seconds_bucket))";
    let median: f64 = wait_for("a median", || prometheus.query(median)).parse().unwrap();
    assert!(median > 0.0 && median < 0.1, "{median}");
    traffic(&nginx, 10);
    prometheus.wait("sum(lobechat_canary_requests_total)", "103");
}
