//! The scenarios of pages_next.rs with two real LobeChat releases, and a chat whose answer streams.
//! Runs where TEST_LOBECHAT names the servers and TEST_BROWSER=yes asks for a browser.

use black_box::browser;
use black_box::lobechat::{self, LobeChat};

/// With the pin they stay whole, without it they break. One after the other, as the servers are large.
#[test]
fn pages_of_lobechat() {
    if !browser::wanted() {
        return;
    }
    let Some(from) = lobechat::find() else { return };
    let lobechat = LobeChat::start_open(&from);
    let [stable, canary] = lobechat.builds();
    for (policy, more) in [("", &[][..]), ("pin off;", &["--broken"])] {
        let nginx = browser::front(lobechat.ports, policy);
        browser::pages(&nginx, [&stable, &canary], &[&["--app", "lobechat"], more].concat());
    }
}
