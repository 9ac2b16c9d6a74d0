//! Large blocks of memory, kept while somebody proves and given again.
//!
//! A proof takes and gives back blocks of many MB dozens of times. A block fresh from the kernel is
//! cleared page by page when it is first written to: a seventh of a proof's time. Here a freed block is
//! kept while there is a [`Keeper`]. Huge pages are not asked for: where memory is in pieces, making them
//! cost more than they saved (docs/adr/0040-the-engine-in-lanes.md).
//!
//! What is kept holds witnesses and masks of earlier proofs, as freed memory does in any program. No
//! code sees them: safe Rust reads no memory that it did not write, and [`Pool`] clears what is asked
//! for cleared. In this crate's own tests every large block is filled with garbage before it is given.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

/// Smaller blocks are left to the system.
const LOG_LEAST: u32 = 20;
const LOG_MOST: u32 = 40;
/// Sizes of a power of two: a block is at most an eighth longer than what was asked for.
const STEPS: usize = 8;
const CLASSES: usize = STEPS * (LOG_MOST - LOG_LEAST) as usize;
#[cfg(test)]
const GARBAGE: u8 = 0xa5;

/// The allocator; a program that proves names it as its `#[global_allocator]`.
pub struct Pool;

/// While there is one, freed blocks are kept; with the last one they go back to the system.
#[derive(Debug)]
pub struct Keeper(());

struct Kept {
    keepers: usize,
    /// The first block of each class; each holds the next one in its first word.
    heads: [*mut u8; CLASSES],
}

// SAFETY: the blocks belong to nobody else, and are only touched under the lock.
unsafe impl Send for Kept {}

static KEPT: Mutex<Kept> = Mutex::new(Kept { keepers: 0, heads: [null_mut(); CLASSES] });

/// Runs under the lock. Nothing here panics or allocates.
fn with<T>(act: impl FnOnce(&mut Kept) -> T) -> T {
    act(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Keeper {
    pub fn new() -> Self {
        with(|kept| kept.keepers += 1);
        Self(())
    }
}

impl Default for Keeper {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        with(|kept| {
            kept.keepers -= 1;
            if kept.keepers > 0 {
                return;
            }
            for class in 0..CLASSES {
                while let Some(block) = kept.pop(class) {
                    // SAFETY: a block of this class, of this layout, that nobody has.
                    unsafe { System.dealloc(block, layout_of(class)) };
                }
            }
        });
    }
}

impl Kept {
    fn pop(&mut self, class: usize) -> Option<*mut u8> {
        let block = self.heads[class];
        if block.is_null() {
            return None;
        }
        // SAFETY: a kept block is ours and holds the next one in its first word.
        self.heads[class] = unsafe { block.cast::<*mut u8>().read() };
        Some(block)
    }

    /// Takes the block if there is a keeper.
    fn push(&mut self, class: usize, block: *mut u8) -> bool {
        if self.keepers == 0 {
            return false;
        }
        // SAFETY: the block was given back, and is longer than a word and aligned for one.
        unsafe { block.cast::<*mut u8>().write(self.heads[class]) };
        self.heads[class] = block;
        true
    }
}

/// The class of a large block; `None` for those that the system serves.
fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size();
    if !(1 << LOG_LEAST..=1 << (LOG_MOST - 1)).contains(&size) || layout.align() > 16 {
        return None;
    }
    let log = size.ilog2();
    let steps = size.div_ceil(1 << (log - STEPS.ilog2()));
    Some(STEPS * (log - LOG_LEAST) as usize + steps - STEPS)
}

/// The layout of all blocks of a class.
fn layout_of(class: usize) -> Layout {
    let log = LOG_LEAST + (class / STEPS) as u32;
    let size = (STEPS + class % STEPS) << (log - STEPS.ilog2());
    // SAFETY: 16 is a power of two, and the size far below isize::MAX.
    unsafe { Layout::from_size_align_unchecked(size, 16) }
}

// SAFETY: a large block is one of the system's with the layout of its class, which is at least as long
// as asked for and aligned to 16, given to one owner at a time; all others are the system's own.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's promises.
            return unsafe { System.alloc(layout) };
        };
        let layout = layout_of(class);
        let block = with(|kept| kept.pop(class)).unwrap_or_else(|| {
            // SAFETY: the size of a class is not zero.
            unsafe { System.alloc(layout) }
        });
        #[cfg(test)]
        if !block.is_null() {
            // SAFETY: the block is ours and so long.
            unsafe { block.write_bytes(GARBAGE, layout.size()) };
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's promises.
            return unsafe { System.alloc_zeroed(layout) };
        };
        if let Some(block) = with(|kept| kept.pop(class)) {
            // SAFETY: the block is ours and at least as long as asked for.
            unsafe { block.write_bytes(0, layout.size()) };
            return block;
        }
        let layout = layout_of(class);
        // SAFETY: the size of a class is not zero.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's promises.
            return unsafe { System.dealloc(block, layout) };
        };
        if !with(|kept| kept.push(class, block)) {
            // SAFETY: such a block was made with the layout of its class.
            unsafe { System.dealloc(block, layout_of(class)) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size fits the alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class_of(layout), class_of(new)) {
            // SAFETY: the caller's promises.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (before, after) if before == after => block,
            _ => {
                // SAFETY: the caller's promises; the new block is another one.
                let to = unsafe { self.alloc(new) };
                if !to.is_null() {
                    // SAFETY: both blocks are at least as long, and are different ones.
                    unsafe {
                        to.copy_from_nonoverlapping(block, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                }
                to
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Pool = Pool;

    fn of(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    #[test]
    fn a_class_holds_what_is_asked_for_and_little_more() {
        assert_eq!(class_of(of((1 << LOG_LEAST) - 1)), None);
        assert_eq!(class_of(Layout::from_size_align(1 << 21, 64).unwrap()), None);
        for log in LOG_LEAST..LOG_MOST - 1 {
            for more in [0, 1, (1 << log) / 8, (1 << log) / 8 + 1, (1 << log) - 1] {
                let size = (1usize << log) + more;
                let class = class_of(of(size)).unwrap();
                let room = layout_of(class).size();
                assert!(room >= size && room <= size + size / 8, "{size}: {room}");
                assert_eq!(class_of(of(room)), Some(class));
                assert!(class < CLASSES);
            }
        }
    }

    #[test]
    fn what_is_asked_for_cleared_is_clear_and_growing_keeps_values() {
        let _keeper = Keeper::new();
        for size in [1 << 20, (1 << 20) + 1, 3_000_000, 9_000_001] {
            for _ in 0..3 {
                drop(vec![7u8; size]);
                assert!(vec![0u8; size].iter().all(|&x| x == 0));
            }
        }
        let mut grown: Vec<u32> = Vec::new();
        (0..3_000_000).for_each(|i| grown.push(i));
        grown.shrink_to(2_900_000);
        grown.truncate(10);
        grown.shrink_to_fit();
        assert_eq!(grown, (0..10).collect::<Vec<u32>>());
    }
}
