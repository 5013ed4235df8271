//! How many servers nginx may still ask for one request, over all releases. Used by the peer.

/// The servers that may still be asked. nginx counts them in one number, which the balancer of the release in turn
/// counts down, too: this keeps the two apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tries {
    /// The number of the release's own balancer.
    release: usize,
    /// What `proxy_next_upstream_tries` leaves.
    limit: usize,
    /// The number that nginx was shown last.
    shown: usize,
}

impl Tries {
    /// With a limit of 0 there is none.
    pub fn new(limit: usize) -> Tries {
        Tries { release: 0, limit: if limit == 0 { usize::MAX } else { limit }, shown: 0 }
    }

    /// A release takes its turn, with as many tries as its balancer gives. Without any it is asked all the same, and says
    /// that it has no live server.
    #[inline]
    pub fn enter(&mut self, release: usize) {
        self.release = release.max(1);
    }

    /// Before a server is asked for. nginx has counted up from what it was shown when a kept connection turned out to
    /// be closed: that try cost nothing, and the same release has it again.
    #[inline]
    pub fn begin(&mut self, visible: usize) {
        if visible > self.shown {
            self.release = self.release.saturating_add(1);
            self.limit = self.limit.saturating_add(1);
        }
    }

    /// The number for the release's balancer. 0: another release must take its turn.
    #[inline]
    pub fn of_release(&self) -> usize {
        self.release
    }

    /// A server has been asked, and the balancer left this number.
    #[inline]
    pub fn end(&mut self, release: usize) {
        self.release = release;
        self.limit = self.limit.saturating_sub(1);
    }

    /// The number to show to nginx, which goes on above 0, or above 1 when it looks before the server is given back.
    #[inline]
    pub fn show(&mut self, another_release: bool) -> usize {
        let tries = self.release.saturating_add(usize::from(another_release));
        self.shown = tries.min(self.limit);
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// nginx's side of the count: asks servers of releases with these many, the first `stale` attempts on kept connections
    /// that turn out to be closed, all others fail. Returns how often each release was asked.
    fn ask_all(servers: &[usize], limit: usize, mut stale: usize) -> Vec<usize> {
        let (mut tries, mut release, mut asked) = (Tries::new(limit), 0, vec![0; servers.len()]);
        tries.enter(servers[0]);
        let mut visible = tries.show(servers.len() > 1);
        visible = if limit > 0 { visible.min(limit) } else { visible };
        for _ in 0..1000 {
            tries.begin(visible);
            if tries.of_release() == 0 {
                release += 1;
                tries.enter(servers[release]);
            }
            let another = release + 1 < servers.len();
            assert!(tries.show(another) > 0);
            asked[release] += 1;
            tries.end(tries.of_release() - 1);
            visible = tries.show(another);
            if stale > 0 {
                (stale, visible) = (stale - 1, visible + 1);
            }
            if visible == 0 {
                return asked;
            }
        }
        panic!("nginx never stops");
    }

    #[test]
    fn each_release_has_its_own_tries() {
        assert_eq!(ask_all(&[1], 0, 0), [1]);
        assert_eq!(ask_all(&[3], 0, 0), [3]);
        assert_eq!(ask_all(&[1, 1], 0, 0), [1, 1]);
        assert_eq!(ask_all(&[2, 3, 1], 0, 0), [2, 3, 1]);
    }

    #[test]
    fn the_limit_is_one_for_all_releases() {
        assert_eq!(ask_all(&[2, 3, 1], 1, 0), [1, 0, 0]);
        assert_eq!(ask_all(&[2, 3, 1], 2, 0), [2, 0, 0]);
        assert_eq!(ask_all(&[2, 3, 1], 4, 0), [2, 2, 0]);
        assert_eq!(ask_all(&[2, 3, 1], 100, 0), [2, 3, 1]);
    }

    #[test]
    fn a_stale_connection_costs_no_try() {
        assert_eq!(ask_all(&[1], 0, 1), [2]);
        assert_eq!(ask_all(&[1, 1], 0, 3), [4, 1]);
        assert_eq!(ask_all(&[1, 1], 1, 1), [2, 0]);
        assert_eq!(ask_all(&[2, 1], 2, 2), [4, 0]);
    }

    #[test]
    fn a_release_is_asked_once_at_least() {
        let mut tries = Tries::new(0);
        tries.enter(0);
        assert_eq!((tries.of_release(), tries.show(true)), (1, 2));
    }

    /// Whatever the numbers: never more attempts than servers, than the limit, and never fewer than the two allow.
    #[test]
    fn all_small_counts() {
        let counts = [1usize, 2, 3];
        for (a, b, c) in
            counts.iter().flat_map(|a| counts.map(|b| (*a, b))).flat_map(|(a, b)| counts.map(|c| (a, b, c)))
        {
            for limit in 0..=10 {
                for stale in 0..=4 {
                    let asked: usize = ask_all(&[a, b, c], limit, stale).iter().sum();
                    let allowed = if limit == 0 { a + b + c } else { limit.min(a + b + c) };
                    assert_eq!(asked, allowed + stale, "{a} {b} {c} limit {limit} stale {stale}");
                }
            }
        }
    }
}
