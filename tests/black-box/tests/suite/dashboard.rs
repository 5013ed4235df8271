//! The dashboard in a real Chromium: starts nginx with traffic for tests/browser/dashboard.mjs, which looks and clicks.
//! TEST_BROWSER=yes asks for it: it needs `scripts/setup browser` and, once, `npm ci` in tests/browser.

use black_box::{Config, browser};

#[test]
fn shows_and_changes_what_the_api_says() {
    if !browser::wanted() {
        return;
    }
    let nginx = Config::new()
        .workers(2)
        .releases(&["a", "b"])
        .http("lobechat_canary_zone lobechat_canary:1m state=@DIR@/state.json;")
        .server(
            "location /canary/ { lobechat_canary_api write; }
             location / {
                 lobechat_canary chat {
                     release stable a version=2.1.25; release canary b version=2.1.26 weight=10%;
                     user cookie:uid; salt dashboard; rollback on;
                 }
                 proxy_pass http://lobechat_canary;
             }",
        )
        .start();
    let site = format!("http://127.0.0.1:{}/", nginx.port());
    browser::run("dashboard.mjs", &[&format!("{site}canary/"), "--site", &site]);
}
