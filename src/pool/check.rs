//! Do a pool's invariants hold?

use core::ptr::NonNull;

use super::body::Pool;
use super::shared::{self, Shared};
use crate::caches::cache::Cache;
use crate::caches::magazine::{ROOMS, UNIT, reserved, size_of_room};
use crate::slots::word::{Entry, State};

impl Pool {
    /// Proves the invariants while no thread is inside a call, in O(capacity).
    pub fn check(&self) {
        assert!(!(self.traits.recorded && self.traits.single_thread));
        let shared = &*self.shared.lock();
        let Shared { depot, rack, open, active, held_back, peak, .. } = shared;
        depot.check();
        self.dynamic.lock().check();
        let mut cached = std::collections::HashSet::new();
        for cache in self.all_caches() {
            // SAFETY: this call holds the lock, and nobody is inside another.
            unsafe { cache.check(|entry| assert!(cached.insert(self.slot(entry)))) };
        }
        let sizes = |cache: &Cache| {
            let units = |room| ROOMS[size_of_room(room)].div_ceil(UNIT) as u32;
            let first = if cache.room() == 0 { 0 } else { units(cache.room()) };
            [first, if cache.spare().0.is_null() { 0 } else { first }]
        };
        let in_caches: u32 = self.all_caches().flat_map(sizes).sum();
        let firsts = self.all_caches().filter(|cache| cache.room() > 0).count() as u32;
        let for_firsts = reserved(self.caches.count() as u32);
        assert_eq!(in_caches - firsts + for_firsts + rack.lendable(), rack.units());
        rack.check(in_caches, |payload| {
            assert!(cached.insert(self.slot(Entry::new(NonNull::new(payload).unwrap()))));
        });
        assert_eq!(self.all_caches().filter(|cache| cache.is_open()).count(), *active as usize);
        assert!(*open || *active == 0);
        let out = (0..depot.fresh())
            .filter(|&slot| {
                let entry = self.entry(slot);
                assert_eq!(entry.address() % self.align(), 0);
                assert_eq!(self.slot(entry), slot);
                // SAFETY: it is a slot of this pool's.
                let decoded = unsafe { entry.decode_shared() };
                let (owner, state) = decoded.owner_and_state().unwrap();
                assert_eq!(owner, self.address());
                assert!(!(cached.contains(&slot) && state == State::Out));
                state == State::Out
            })
            .count();
        assert_eq!(out + cached.len() + shared.kept_back() as usize, depot.out() as usize);
        assert_eq!(self.all_caches().map(Cache::held_back).sum::<usize>(), *held_back as usize);
        assert!(shared.handed() - held_back <= *peak);
        // What a falling cache handed out since somebody looked at it is not in the mark yet.
        assert!(shared.falling != shared::NONE || out <= *peak as usize);
    }
}
