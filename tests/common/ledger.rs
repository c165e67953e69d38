//! Does what a backing gave come back as it went?
//!
//! A backing that writes down each block, over memory that is never what the pool would like it to be:
//! full of what others left.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Mutex;

use cmempool as c;

/// What is in memory that nobody has written yet, and in that which came back.
const GARBAGE: u8 = 0x5B;

type Blocks = Mutex<BTreeMap<usize, Layout>>;

pub struct Ledger {
    /// From a box, which the pool has the address of.
    blocks: *mut Blocks,
}

impl Ledger {
    pub fn new() -> Self {
        Self { blocks: Box::into_raw(Box::default()) }
    }

    pub fn backing(&self) -> c::mempool_backing {
        c::mempool_backing {
            struct_size: size_of::<c::mempool_backing>(),
            alloc: Some(give),
            free: Some(take_back),
            context: self.blocks.cast(),
        }
    }

    /// How many blocks are with the pool.
    pub fn given(&self) -> usize {
        // SAFETY: the box is there until the drop.
        unsafe { &*self.blocks }.lock().expect("nothing panics under it").len()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and the pool is gone or was lost in a panic.
        drop(unsafe { Box::from_raw(self.blocks) });
    }
}

unsafe extern "C" fn give(size: usize, alignment: usize, context: *mut c_void) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(size, alignment) else { return null_mut() };
    assert!(size > 0 && alignment >= 16);
    // SAFETY: the context is a ledger's, and the layout is of more than nothing.
    unsafe {
        let memory = alloc(layout);
        assert!(!memory.is_null());
        memory.write_bytes(GARBAGE, size);
        let blocks = &*context.cast::<Blocks>();
        let known = blocks.lock().expect("nothing panics under it").insert(memory as usize, layout);
        assert!(known.is_none());
        memory.cast()
    }
}

unsafe extern "C" fn take_back(memory: *mut c_void, size: usize, context: *mut c_void) {
    // SAFETY: the context is a ledger's; what it knows was given with that layout.
    unsafe {
        let blocks = &*context.cast::<Blocks>();
        let layout = blocks.lock().expect("nothing panics under it").remove(&(memory as usize));
        let layout = layout.expect("given, and not taken back");
        assert_eq!(layout.size(), size);
        memory.cast::<u8>().write_bytes(GARBAGE, size);
        dealloc(memory.cast(), layout);
    }
}
