//! Which class serves a size?

use crate::pool::body::Pool;

/// By the bits that the last byte's offset of a size takes, the smallest pool that may have it: for
/// sizes of `2^(b-1) + 1` to `2^b` entry `b`. Null where no class is that large.
///
/// Where classes are successive powers of two this is the pool; else one that follows may be.
pub struct SizeTable([*const Pool; usize::BITS as usize + 1]);

impl SizeTable {
    /// For pools in ascending order of their entries' size.
    pub fn of(pools: &[&Pool]) -> Self {
        Self(core::array::from_fn(|bits| {
            // Size 0 is looked up as the largest there is, and no class is.
            let smallest = if bits == 0 { 1 } else { (1usize << (bits - 1)).saturating_add(1) };
            match pools.iter().find(|pool| pool.elem_size() >= smallest) {
                Some(pool) if bits < usize::BITS as usize => &raw const **pool,
                _ => core::ptr::null(),
            }
        }))
    }

    /// The smallest pool that may have entries of `size` bytes.
    #[inline(always)]
    pub(super) fn first_for(&self, size: usize) -> Option<&Pool> {
        let bits = usize::BITS - size.wrapping_sub(1).leading_zeros();
        // SAFETY: the table holds live pools of the collection that it is of.
        unsafe { self.0[bits as usize].as_ref() }
    }
}
