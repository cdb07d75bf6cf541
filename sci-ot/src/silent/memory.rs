//! Tables on huge pages.
//!
//! The encoder reads its table at uniformly random places. With pages of 4 KiB nearly every read
//! misses the translation buffers as well as the cache; asking the kernel for pages of 2 MiB halves
//! the time. A system without them gives ordinary memory, which is correct and slower.

use sci_core::Block;
use sci_core::prg::wipe;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Size and alignment of a huge page of x86-64 and of most others.
const HUGE: usize = 2 << 20;

/// A fixed number of blocks, zero at first, on huge pages if the system has them. Wiped on drop.
pub(super) struct Table {
    start: NonNull<Block>,
    len: usize,
    layout: Layout,
}

#[expect(unsafe_code, reason = "memory with the alignment of a huge page")]
impl Table {
    /// A table of `len` blocks, at least one.
    pub(super) fn new(len: usize) -> Self {
        let len = len.max(1);
        let bytes = len.saturating_mul(size_of::<Block>()).next_multiple_of(HUGE);
        let Ok(layout) = Layout::from_size_align(bytes, HUGE) else {
            unreachable!("a table of {len} blocks, whose number is one of four constants")
        };
        // SAFETY: the layout has at least HUGE bytes.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        advise(start, bytes);
        // SAFETY: the allocation has `bytes` bytes, and `len` blocks fit into them; zero is a value
        // of a block, so that all of them are initialised.
        unsafe { start.write_bytes(0, len * size_of::<Block>()) };
        Self { start: start.cast(), len, layout }
    }
}

/// Asks for huge pages; whether they are given changes the speed alone.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call")]
fn advise(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the range is an allocation of ours, aligned to a page; this advice changes how the
    // kernel backs it, never what it holds.
    unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_start: NonNull<u8>, _bytes: usize) {}

#[expect(unsafe_code, reason = "the owner of plain memory")]
// SAFETY: the table owns its memory as a `Box<[Block]>` would.
unsafe impl Send for Table {}

#[expect(unsafe_code, reason = "the owner of plain memory")]
// SAFETY: shared access is by shared slices alone.
unsafe impl Sync for Table {}

impl Deref for Table {
    type Target = [Block];

    #[expect(unsafe_code, reason = "a view of memory that this owns")]
    fn deref(&self) -> &[Block] {
        // SAFETY: `len` initialised blocks, aligned, alive as long as `self`, and nobody writes
        // while it is borrowed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Table {
    #[expect(unsafe_code, reason = "a view of memory that this owns")]
    fn deref_mut(&mut self) -> &mut [Block] {
        // SAFETY: as in `deref`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Table {
    #[expect(unsafe_code, reason = "memory with the alignment of a huge page")]
    fn drop(&mut self) {
        wipe(self);
        // SAFETY: allocated with this layout, and not used again.
        unsafe { dealloc(self.start.as_ptr().cast(), self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_zero_and_keeps_what_is_written() {
        for len in [1, 1 << 16, (1 << 17) + 3] {
            let mut table = Table::new(len);
            assert_eq!(table.len(), len);
            assert_eq!(table.as_ptr() as usize % HUGE, 0);
            assert!(table.iter().all(|block| *block == Block::ZERO));
            table[len - 1] = Block::ONES;
            table[0] = Block::from(7);
            assert!(table[len - 1] == if len == 1 { Block::from(7) } else { Block::ONES });
        }
    }
}
