//! Arrays of shared numbers, for the slots of a zone.

use core::ops::Deref;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug)]
#[repr(transparent)]
pub struct Numbers<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Numbers<N> {
    fn default() -> Numbers<N> {
        Numbers([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Deref for Numbers<N> {
    type Target = [AtomicU64; N];

    fn deref(&self) -> &[AtomicU64; N] {
        &self.0
    }
}

impl<const N: usize> Numbers<N> {
    /// Adds one to the number at `index`, if there is one.
    #[inline]
    pub fn count(&self, index: usize) {
        if let Some(number) = self.0.get(index) {
            number.fetch_add(1, Relaxed);
        }
    }

    pub fn load(&self) -> [u64; N] {
        core::array::from_fn(|index| self.0[index].load(Relaxed))
    }

    pub fn store(&self, values: &[u64; N]) {
        self.0.iter().zip(values).for_each(|(number, value)| number.store(*value, Relaxed));
    }
}
