//! Which basis point of the users belongs to which release, worked out cell by cell.

use lobechat_canary::control::State;
use lobechat_canary::policy::Policy;
use lobechat_canary::release::Release;
use lobechat_canary::split::Anchor;

pub const CELLS: usize = 10_000;

/// The release of each cell, or `None` where the weights do not fit together.
pub fn paint(weights: &[(usize, Option<Anchor>)]) -> Option<Vec<usize>> {
    let mut cells = vec![0; CELLS];
    for (index, &(weight, from)) in weights.iter().enumerate() {
        let release = index + 1;
        let start = match (from, release) {
            _ if weight == 0 => continue,
            (Some(Anchor::Up(from)), _) => usize::from(from.basis_points()),
            (None, 1) => 0,
            (Some(Anchor::Top), _) | (None, 2) => CELLS.checked_sub(weight)?,
            (None, _) => return None,
        };
        for cell in cells.get_mut(start..start + weight)? {
            if *cell != 0 {
                return None;
            }
            *cell = release;
        }
    }
    Some(cells)
}

/// What [`paint`] takes, of a policy.
pub fn weights(releases: &[Release]) -> Vec<(usize, Option<Anchor>)> {
    let weight = |r: &Release| if r.state == State::Up { usize::from(r.weight.basis_points()) } else { 0 };
    releases.iter().skip(1).map(|r| (weight(r), r.from)).collect()
}

/// The release in the middle of a cell, on the scale of the policy's hash mode.
pub fn release_of_cell(policy: &Policy, cell: usize) -> usize {
    use lobechat_canary::hash::HashMode;
    let position = match policy.declared.split.mode() {
        HashMode::Native | HashMode::Unleash => cell as u32,
        HashMode::SplitClients => (((cell as u64 * 2 + 1) << 32) / (2 * CELLS as u64)) as u32,
    };
    policy.declared.split.release_at(position).unwrap_or(0)
}
