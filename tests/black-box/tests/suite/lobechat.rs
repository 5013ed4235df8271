//! Sessions that real LobeChat servers re-issue: Auth.js seals the session cookie anew in each answer, so
//! that its text is another every time, while the user in it stays. Runs where TEST_LOBECHAT names the servers.

use std::collections::{BTreeSet, HashSet};

use black_box::lobechat::{self, COOKIE, LobeChat};
use black_box::token::now;
use black_box::{Config, Nginx, Request, Response, vectors};
use serde_json::json;

/// Answers that each user follows her cookie through.
const ANSWERS: usize = 12;

/// What a page of the release says about its build.
fn build_of(release: &str) -> &'static str {
    match release {
        "stable" => "6AJ_HM-5dtf_Q_MvFWL7-",
        "canary" => "ovj5H_917t-1KxdC856kb",
        _ => panic!("the release {release}"),
    }
}

fn config(lobechat: &LobeChat, secret: &str, weight: &str) -> Config {
    let [stable, canary] = lobechat.ports;
    Config::new()
        .http(&format!(
            "upstream a {{ server 127.0.0.1:{stable}; }} upstream b {{ server 127.0.0.1:{canary}; }}
            lobechat_canary {{ release stable a; release canary b weight={weight};
                identity authjs secret=secret; user claim:sub; }}"
        ))
        .file("secret", secret)
        .server(
            "add_header X-Identity $lobechat_canary_identity always;
            add_header X-User $lobechat_canary_user always;
            add_header X-Bucket $lobechat_canary_bucket always;
            add_header X-Release $lobechat_canary_release always;
            add_header X-Reason $lobechat_canary_reason always;
            location / { proxy_pass http://lobechat_canary; proxy_set_header Host $host; }",
        )
}

/// The secret and the session of one user, as Auth.js itself made it for the recording.
fn recorded() -> (String, String, String) {
    let lines = vectors::read("sessions/recording.jsonl");
    let line = lines.iter().find(|line| line["id"] == "authjs/plain").expect("authjs/plain");
    let text = |at: &str| line.pointer(at).and_then(|value| value.as_str()).expect(at).to_owned();
    assert_eq!(text("/cookies/0/0"), COOKIE);
    (text("/secret"), text("/claims/sub"), text("/cookies/0/1"))
}

fn ask(nginx: &Nginx, target: &str, session: &str) -> Response {
    let response = nginx.fetch(Request::get(target).cookie(format!("{COOKIE}={session}")));
    assert_eq!(response.status, 200, "{target}: {}", response.text());
    response
}

/// The session cookies that an answer sets. LobeChat's middleware and its handler set one each, and a
/// browser keeps the last.
fn sessions(response: &Response) -> Vec<String> {
    let start = format!("{COOKIE}=");
    let pairs = response.all("Set-Cookie").into_iter().filter_map(|line| line.strip_prefix(&start));
    pairs.map(|rest| rest.split(';').next().unwrap_or_default().to_owned()).collect()
}

/// Identity, user, bucket and release.
fn decided(response: &Response) -> [String; 4] {
    ["X-Identity", "X-User", "X-Bucket", "X-Release"]
        .map(|name| response.header(name).unwrap_or_default().to_owned())
}

/// Asks again and again with the cookie that the last answer set. Returns that cookie, and what was decided
/// each time.
fn follow(nginx: &Nginx, sub: &str, session: &str) -> (String, [String; 4]) {
    let mut seen = HashSet::from([session.to_owned()]);
    let (mut session, mut first) = (session.to_owned(), None);
    for number in 0..ANSWERS {
        let target = if number % 4 == 3 { "/chat" } else { "/api/auth/session" };
        let response = ask(nginx, target, &session);
        let decided = decided(&response);
        assert_eq!(first.get_or_insert_with(|| decided.clone()), &decided, "{sub}, answer {number}");
        let mark =
            if target == "/chat" { build_of(&decided[3]).to_owned() } else { format!("\"id\":\"{sub}\"") };
        assert!(response.text().contains(&mark), "{sub}, answer {number}: no {mark}");
        for reissued in sessions(&response) {
            assert!(seen.insert(reissued.clone()), "{sub}, answer {number}: a cookie came twice");
            session = reissued;
        }
        assert!(seen.len() > number + 1, "{sub}, answer {number}: {target} re-issues nothing");
    }
    (session, first.expect("a decision"))
}

/// One letter of the ciphertext is another.
fn tampered(session: &str) -> String {
    let at = session.rfind('.').expect("a tag") - 40;
    let other = if session.as_bytes()[at] == b'A' { "B" } else { "A" };
    [&session[..at], other, &session[at + 1..]].concat()
}

fn assert_anonymous(nginx: &Nginx, session: &str) {
    let response = ask(nginx, "/api/auth/session", session);
    assert_eq!(decided(&response), ["authjs:signature", "", "", "stable"]);
    assert_eq!(response.header("X-Reason"), Some("anonymous"));
    assert_eq!(response.text(), "null", "LobeChat takes it for nobody, too");
}

#[test]
fn reissued_sessions_keep_their_release() {
    let Some(from) = lobechat::find() else { return };
    let (secret, ada, session) = recorded();
    let mut users = vec![(ada, session)];
    for number in 0..8 {
        let sub = format!("user_{number}");
        let claims = json!({ "sub": sub, "userId": sub, "name": sub, "iat": now(), "exp": now() + 3600 });
        users.push((sub, lobechat::seal(&secret, &claims)));
    }
    let lobechat = LobeChat::start(&from, &secret);
    let mut nginx = config(&lobechat, &secret, "50%").start();
    let mut followed = Vec::new();
    for (sub, session) in &users {
        let (last, decided) = follow(&nginx, sub, session);
        assert_anonymous(&nginx, &tampered(&last));
        followed.push((sub, last, decided));
    }
    let all = |at: usize| followed.iter().map(|(_, _, decided)| &*decided[at]).collect::<BTreeSet<_>>();
    assert_eq!(all(0), BTreeSet::from(["authjs"]));
    assert_eq!(all(1).len(), users.len(), "each user is one of her own: {:?}", all(1));
    assert_eq!(all(3), BTreeSet::from(["canary", "stable"]));

    // What the one release sealed, the other opens.
    nginx.reload(&config(&lobechat, &secret, "100%"));
    for (sub, session, before) in &followed {
        let response = ask(&nginx, "/api/auth/session", session);
        let after = decided(&response);
        assert_eq!((&after[..3], &*after[3]), (&before[..3], "canary"), "{sub}");
        assert!(response.text().contains(&format!("\"id\":\"{sub}\"")), "{sub}: {}", response.text());
    }
}
