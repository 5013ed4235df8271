//! The scenarios of pages_next.rs with two real LobeChat releases, and a chat whose answer streams.
//! Runs where TEST_LOBECHAT names the servers and TEST_BROWSER=yes asks for a browser.

use black_box::browser;
use black_box::lobechat::{self, LobeChat};

#[test]
fn pages_of_lobechat_stay_whole() {
    if !browser::wanted() {
        return;
    }
    let Some(from) = lobechat::find() else { return };
    let lobechat = LobeChat::start_open(&from);
    let nginx = browser::front(lobechat.ports, "");
    let [stable, canary] = lobechat.builds();
    browser::pages(&nginx, [&stable, &canary], &["--app", "lobechat"]);
}
