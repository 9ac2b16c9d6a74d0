//! Large blocks of memory, kept while somebody proves and given again.
//!
//! A proof takes and gives back blocks of many MB dozens of times. A block fresh from the kernel is
//! cleared page by page when it is first written to: a seventh of a proof's time. Here a freed block is
//! kept while there is a [`Keeper`], within what was in use at the most: keeping costs no memory. Huge pages are not asked for: where memory is in pieces, making them
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
    /// Bytes of large blocks in use, and the most that there were since somebody proves.
    used: usize,
    most: usize,
    /// Bytes that are kept: with those in use never more than `most`.
    bytes: usize,
}

// SAFETY: the blocks belong to nobody else, and are only touched under the lock.
unsafe impl Send for Kept {}

static KEPT: Mutex<Kept> =
    Mutex::new(Kept { keepers: 0, heads: [null_mut(); CLASSES], used: 0, most: 0, bytes: 0 });

/// Runs under the lock. Nothing here panics or allocates.
fn with<T>(act: impl FnOnce(&mut Kept) -> T) -> T {
    act(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Keeper {
    pub fn new() -> Self {
        with(Kept::enter);
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
            kept.shrink(0);
            kept.most = 0;
        });
    }
}

impl Kept {
    /// One keeper more; what was in use before the first one is not what a proof needs.
    fn enter(&mut self) {
        if self.keepers == 0 {
            self.most = self.used;
        }
        self.keepers += 1;
    }

    fn pop(&mut self, class: usize) -> Option<*mut u8> {
        let block = self.heads[class];
        if block.is_null() {
            return None;
        }
        // SAFETY: a kept block is ours and holds the next one in its first word.
        self.heads[class] = unsafe { block.cast::<*mut u8>().read() };
        self.bytes -= layout_of(class).size();
        Some(block)
    }

    /// A kept block for whoever asks; without one, room for another so that the sum does not grow.
    fn take(&mut self, class: usize) -> Option<*mut u8> {
        let block = self.pop(class);
        self.used += layout_of(class).size();
        self.most = self.most.max(self.used);
        if block.is_none() {
            self.shrink(self.most - self.used);
        }
        block
    }

    /// Counts a block of another size in place of one, where nobody keeps blocks.
    fn regrow(&mut self, before: usize, after: usize) -> bool {
        if self.keepers > 0 {
            return false;
        }
        self.lose(layout_of(before).size());
        self.used += layout_of(after).size();
        true
    }

    /// Counts a block that is not in use any more. An allocator must not panic, whatever it is told.
    fn lose(&mut self, size: usize) {
        self.used = self.used.saturating_sub(size);
    }

    /// Gives back blocks, the largest first, until no more bytes than these are kept.
    fn shrink(&mut self, bytes: usize) {
        for class in (0..CLASSES).rev() {
            while self.bytes > bytes {
                let Some(block) = self.pop(class) else { break };
                // SAFETY: a block of this class, of this layout, that nobody has.
                unsafe { System.dealloc(block, layout_of(class)) };
            }
        }
    }

    /// Takes a block that is given back, if there is a keeper.
    fn push(&mut self, class: usize, block: *mut u8) -> bool {
        let size = layout_of(class).size();
        self.lose(size);
        if self.keepers == 0 {
            return false;
        }
        // SAFETY: the block was given back, and is longer than a word and aligned for one.
        unsafe { block.cast::<*mut u8>().write(self.heads[class]) };
        self.heads[class] = block;
        self.bytes += size;
        true
    }
}

/// A block of a class from the system; where that has none, what is kept goes back to it first.
fn fresh(class: usize, get: impl Fn(Layout) -> *mut u8) -> *mut u8 {
    let layout = layout_of(class);
    let mut block = get(layout);
    if block.is_null() {
        with(|kept| kept.shrink(0));
        block = get(layout);
    }
    if block.is_null() {
        with(|kept| kept.lose(layout.size()));
    }
    block
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
        let block = with(|kept| kept.take(class)).unwrap_or_else(|| {
            // SAFETY: the size of a class is not zero.
            fresh(class, |layout| unsafe { System.alloc(layout) })
        });
        #[cfg(test)]
        if !block.is_null() {
            // SAFETY: the block is ours and so long.
            unsafe { block.write_bytes(GARBAGE, layout_of(class).size()) };
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's promises.
            return unsafe { System.alloc_zeroed(layout) };
        };
        if let Some(block) = with(|kept| kept.take(class)) {
            // SAFETY: the block is ours and at least as long as asked for.
            unsafe { block.write_bytes(0, layout.size()) };
            return block;
        }
        // SAFETY: the size of a class is not zero.
        fresh(class, |layout| unsafe { System.alloc_zeroed(layout) })
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
            (Some(before), Some(after)) if with(|kept| kept.regrow(before, after)) => {
                // SAFETY: the block has the layout of its class, and nobody keeps blocks: it grows or
                // shrinks where it stands, or the system moves it.
                let to =
                    unsafe { System.realloc(block, layout_of(before), layout_of(after).size()) };
                if to.is_null() {
                    with(|kept| kept.regrow(after, before));
                }
                to
            }
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
    fn no_more_is_kept_than_was_in_use() {
        let mut kept =
            Kept { keepers: 0, heads: [null_mut(); CLASSES], used: 0, most: 9 << 30, bytes: 0 };
        assert!(kept.regrow(0, CLASSES / 2) && kept.regrow(CLASSES / 2, 0));
        kept.lose(layout_of(0).size());
        kept.enter();
        assert!(!kept.regrow(0, 1) && kept.most == 0);
        let mut held = Vec::new();
        let mut rng = crate::program::testing::Rng(7);
        let mut most = 0;
        for _ in 0..2000 {
            if held.len() > 12 || (rng.below(2) == 0 && !held.is_empty()) {
                let (class, block) = held.swap_remove(rng.below(held.len()));
                assert!(kept.push(class, block));
            } else {
                let class = rng.below(CLASSES / 4);
                // SAFETY: the size of a class is not zero.
                let new = || unsafe { System.alloc(layout_of(class)) };
                held.push((class, kept.take(class).unwrap_or_else(new)));
            }
            let used: usize = held.iter().map(|&(class, _)| layout_of(class).size()).sum();
            most = most.max(used);
            assert_eq!((kept.used, kept.most), (used, most));
            assert!(kept.used + kept.bytes <= most);
        }
        held.into_iter().for_each(|(class, block)| assert!(kept.push(class, block)));
        kept.shrink(0);
        assert_eq!((kept.bytes, kept.used), (0, 0));
        assert!(kept.heads.iter().all(|head| head.is_null()));
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
