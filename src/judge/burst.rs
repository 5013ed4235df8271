//! The fast way down: attempts in a row whose connection never stood, while stable's did. No content of a request can cause
//! these, so a handful is enough. Workers share the numbers as atomics; the driver asks each second.

use serde::{Deserialize, Serialize};

use crate::duration::Seconds;

/// How fresh a connection of stable must be to count as "at the same time".
const SAME_TIME: Seconds = 10;

/// A run of failed connections to a release, unbroken by one that stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    pub in_a_row: u32,
    /// When the first of them failed.
    pub since: Seconds,
}

impl Burst {
    /// An attempt was refused, found nobody, or timed out before the connection stood.
    pub fn connect_failed(&mut self, now: Seconds) {
        if self.in_a_row == 0 {
            self.since = now;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// A connection to the release stood; or one to stable failed as well, so that the run says nothing about the release.
    pub fn connected(&mut self) {
        *self = Burst::default();
    }

    pub fn is_tripped(&self, limit: u32, now: Seconds, stable_last_connected: Option<Seconds>) -> bool {
        is_tripped(self.in_a_row, self.since, limit, now, stable_last_connected)
    }
}

/// Whether `limit` attempts in a row failed while connections to stable stood: one did since the run began, and not
/// long ago. An outage that both share thus trips nothing: until it is over no connection to stable stands, and the
/// first failure of one ends the run ([`Burst::connected`]).
pub fn is_tripped(
    in_a_row: u32,
    since: Seconds,
    limit: u32,
    now: Seconds,
    stable_last_connected: Option<Seconds>,
) -> bool {
    limit > 0
        && in_a_row >= limit
        && stable_last_connected.is_some_and(|at| at >= since && now.saturating_sub(at) <= SAME_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(times: u32, at: Seconds) -> Burst {
        let mut burst = Burst::default();
        (0..times).for_each(|i| burst.connect_failed(at + Seconds::from(i)));
        burst
    }

    #[test]
    fn five_in_a_row_while_stable_connects() {
        assert!(!failed(4, 100).is_tripped(5, 105, Some(105)));
        assert!(failed(5, 100).is_tripped(5, 105, Some(105)));
        assert!(failed(5, 100).is_tripped(5, 105, Some(100)));
        assert!(!failed(5, 100).is_tripped(0, 105, Some(105)));
        assert!(failed(1, 100).is_tripped(1, 100, Some(100)));
    }

    #[test]
    fn stable_must_have_connected_since_and_lately() {
        let burst = failed(5, 100);
        for (now, stable) in [(105, None), (105, Some(99)), (115, Some(104))] {
            assert!(!burst.is_tripped(5, now, stable), "{now} {stable:?}");
        }
    }

    #[test]
    fn a_connection_ends_the_run() {
        let mut burst = failed(4, 100);
        burst.connected();
        burst.connect_failed(200);
        assert_eq!(burst, Burst { in_a_row: 1, since: 200 });
    }
}
