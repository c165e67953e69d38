//! Which live pool has this handle?
//!
//! A treap through the links: a search tree by handle that is a heap by a number which follows from the
//! handle and the process's secret. As if the handles had come in random order, so its height is
//! O(log pools) whatever a program does. Neither entering nor leaving needs memory.

use core::ptr::NonNull;

use super::link::{Branches, Link};
use crate::slots::secret::keyed;

/// Invariant: handles are all different, those below `smaller` are smaller and those below `larger` larger;
/// no link's rank is above that of the one it hangs from.
pub struct Tree {
    root: Option<NonNull<Link>>,
}

/// What a link hangs by: the tree's root, or a branch of another link.
type Edge = *mut Option<NonNull<Link>>;

impl Tree {
    pub const EMPTY: Self = Self { root: None };

    /// # Safety
    /// All links in the tree are live.
    pub unsafe fn find(&self, handle: usize) -> Option<NonNull<Link>> {
        let mut at = self.root;
        while let Some(link) = at {
            // SAFETY: by this function's contract.
            let link = unsafe { link.as_ref() };
            if link.handle == handle {
                break;
            }
            let Branches { smaller, larger } = link.branches;
            at = if handle < link.handle { smaller } else { larger };
        }
        at
    }

    /// # Safety
    /// All links in the tree are live, so is the new one, and none has its handle.
    pub unsafe fn insert(&mut self, new: NonNull<Link>) {
        // SAFETY: by this function's contract each link can be followed, and each edge starts in one or
        // in `self`.
        unsafe {
            let handle = new.as_ref().handle;
            let mut edge: Edge = &mut self.root;
            while let Some(link) = *edge
                && rank(link) >= rank(new)
            {
                edge = towards(link, handle);
            }
            // What hung there is split along the way to the new handle.
            let mut rest = *edge;
            *edge = Some(new);
            let branches = &raw mut (*new.as_ptr()).branches;
            let mut smaller: Edge = &raw mut (*branches).smaller;
            let mut larger: Edge = &raw mut (*branches).larger;
            while let Some(link) = rest {
                let next = towards(link, handle);
                rest = *next;
                if link.as_ref().handle < handle {
                    *smaller = Some(link);
                    smaller = next;
                } else {
                    *larger = Some(link);
                    larger = next;
                }
            }
            (*smaller, *larger) = (None, None);
        }
    }

    /// # Safety
    /// All links in the tree are live, and this is one of them.
    pub unsafe fn remove(&mut self, old: NonNull<Link>) {
        // SAFETY: as in `insert`.
        unsafe {
            let handle = old.as_ref().handle;
            let mut edge: Edge = &mut self.root;
            while let Some(link) = *edge
                && link != old
            {
                edge = towards(link, handle);
            }
            let Branches { mut smaller, mut larger } = old.as_ref().branches;
            // The two subtrees are joined: of their roots the one with the higher rank is next.
            while let (Some(left), Some(right)) = (smaller, larger) {
                if rank(left) >= rank(right) {
                    *edge = smaller;
                    edge = &raw mut (*left.as_ptr()).branches.larger;
                    smaller = *edge;
                } else {
                    *edge = larger;
                    edge = &raw mut (*right.as_ptr()).branches.smaller;
                    larger = *edge;
                }
            }
            *edge = smaller.or(larger);
        }
    }

    /// Proves the invariant and counts the links.
    ///
    /// # Safety
    /// All links in the tree are live.
    #[cfg(test)]
    pub unsafe fn check(&self) -> usize {
        unsafe fn below(at: Option<NonNull<Link>>, handles: core::ops::Range<usize>) -> usize {
            let Some(link) = at else { return 0 };
            // SAFETY: as above.
            unsafe {
                let Link { handle, branches: Branches { smaller, larger }, .. } = *link.as_ref();
                assert!(handles.contains(&handle));
                assert!(
                    [smaller, larger].into_iter().flatten().all(|child| rank(child) <= rank(link))
                );
                1 + below(smaller, handles.start..handle) + below(larger, handle + 1..handles.end)
            }
        }
        // SAFETY: by this function's contract.
        unsafe { below(self.root, 0..usize::MAX) }
    }
}

/// The branch of a link below which a handle is, or is to be.
///
/// # Safety
/// The link is live.
unsafe fn towards(link: NonNull<Link>, handle: usize) -> Edge {
    // SAFETY: by this function's contract.
    unsafe {
        let branches = &raw mut (*link.as_ptr()).branches;
        if handle < link.as_ref().handle {
            &raw mut (*branches).smaller
        } else {
            &raw mut (*branches).larger
        }
    }
}

/// # Safety
/// The link is live.
unsafe fn rank(link: NonNull<Link>) -> u64 {
    // Twice: of handles at equal distances, the keyed numbers alone are too regular to keep the tree low.
    // SAFETY: by this function's contract.
    keyed(keyed(unsafe { link.as_ref() }.handle as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(handle: usize) -> Link {
        Link {
            next: None,
            previous: None,
            serial: 0,
            handle,
            branches: Branches::NONE,
            going: false,
        }
    }

    #[test]
    fn finds_what_is_there_and_nothing_else() {
        crate::slots::secret::draw();
        let count = 1000;
        let mut links: Vec<_> = (0..count).map(|i| link(4096 * (i * 7919 % count) + 128)).collect();
        let entered: Vec<_> = links.iter_mut().map(NonNull::from).collect();
        let mut tree = Tree::EMPTY;
        // SAFETY: the links outlive the tree.
        unsafe {
            for (i, &link) in entered.iter().enumerate() {
                assert_eq!(tree.find(link.as_ref().handle), None);
                tree.insert(link);
                assert_eq!(tree.check(), i + 1);
            }
            for (i, &link) in entered.iter().enumerate() {
                assert_eq!(tree.find(link.as_ref().handle), Some(link));
                assert_eq!(tree.find(link.as_ref().handle + 1), None);
                tree.remove(link);
                assert_eq!(tree.find(link.as_ref().handle), None);
                assert_eq!(tree.check(), count - i - 1);
            }
        }
    }

    #[test]
    fn is_not_high() {
        crate::slots::secret::draw();
        unsafe fn height(at: Option<NonNull<Link>>) -> usize {
            // SAFETY: the links outlive the tree.
            at.map_or(0, |link| unsafe {
                let Branches { smaller, larger } = link.as_ref().branches;
                1 + height(smaller).max(height(larger))
            })
        }
        // In ascending order, which would make a list of a plain tree.
        let mut links: Vec<_> = (1..10_000).map(|i| link(4096 * i)).collect();
        let mut tree = Tree::EMPTY;
        for link in &mut links {
            // SAFETY: the links outlive the tree.
            unsafe { tree.insert(NonNull::from(link)) };
        }
        // SAFETY: as above.
        assert!(unsafe { height(tree.root) } < 60);
    }
}
