//! Wiping of what holds a share.

use std::hint::black_box;
use std::sync::atomic::{Ordering, compiler_fence};
use zeroize::Zeroize;

/// Overwrites residues with zeros in a way that is not optimised away, faster than element by element.
pub(crate) fn wipe(residues: &mut [u32]) {
    residues.fill(0);
    black_box(&mut *residues);
    compiler_fence(Ordering::SeqCst);
}

/// Sets the length of a buffer that is about to be overwritten. Where it has to move, nothing is left
/// behind.
pub(crate) fn resize<T: Clone + Default + Zeroize>(buffer: &mut Vec<T>, len: usize) {
    if buffer.capacity() < len {
        buffer.zeroize();
        buffer.reserve_exact(len);
    }
    buffer.resize(len, T::default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiped_is_zero_and_resized_is_as_long_as_asked() {
        let mut residues = vec![7; 1000];
        wipe(&mut residues[..999]);
        assert!(residues[..999].iter().all(|&x| x == 0) && residues[999] == 7);
        for len in [10, 1000, 2000, 3] {
            resize(&mut residues, len);
            assert_eq!(residues.len(), len);
        }
    }

    /// A longer buffer starts from nothing, so that no copy of the old one is made.
    #[test]
    fn growth_takes_nothing_along() {
        let mut buffer = vec![7u32; 10];
        let len = buffer.capacity() + 1;
        resize(&mut buffer, len);
        assert!(buffer.iter().all(|&x| x == 0));
    }
}
