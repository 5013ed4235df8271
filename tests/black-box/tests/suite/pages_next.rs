//! Open pages of a Next.js application while releases change: nginx-conf/lobechat.conf, two builds of
//! tests/browser/next-app and a real Chromium, driven by tests/browser/pages.mjs.
//! TEST_BROWSER=yes and TEST_NEXT_APP ask for it: scripts/test installed sets both.
//! TEST_SCENARIO='two tabs' runs only the scenarios with that in their names.

use black_box::browser;
use black_box::next_app::NextApp;

fn run(kind: &str, policy: &str, more: &[&str]) {
    if !browser::wanted() {
        return;
    }
    let Some(app) = NextApp::start(kind) else { return };
    let nginx = browser::front(app.ports, policy);
    browser::pages(&nginx, app.builds.each_ref().map(|path| path.as_path()), more);
}

#[test]
fn pages_stay_whole() {
    run("plain", "", &[]);
}

#[test]
fn pages_with_deployment_ids_stay_whole() {
    run("deployment", "", &["--deployment"]);
}

/// Else the two above would pass whatever `pin` does.
#[test]
fn pages_break_without_pin() {
    for kind in ["plain", "deployment"] {
        run(kind, "pin off;", &["--broken"]);
    }
}
