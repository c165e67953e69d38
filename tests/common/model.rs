//! What does a simple model of pools say, and does the C face say the same?
//!
//! After every call the answer, `errno` and every count are compared with the model's; every entry
//! carries a pattern that is verified before it goes.

// Each test file uses its own part of this.
#![allow(dead_code)]

#[path = "ledger.rs"]
mod ledger;

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

use cmempool as c;

pub use ledger::Ledger;

const NAME: &CStr = c"the model's";
/// What is in memory that nobody has written yet.
const UNTOUCHED: u8 = 0xA5;
/// Bytes on both sides of a buffer that must stay as they are.
const MARGIN: usize = 64;

// ---- Pools and calls -----------------------------------------------------------------------------

#[derive(Clone, Debug)]
pub enum Shape {
    Ordinary { count: usize, size: usize },
    Powers { smallest: usize, largest: usize, count: usize, policy: u32 },
    List { classes: Vec<(usize, usize)>, policy: u32 },
}

#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// The library's, by the function with options.
    Own,
    /// The library's, by the function without options.
    OwnPlain,
    /// A buffer that starts so many times 16 bytes after a multiple of 256, and has `extra` bytes
    /// more than it must.
    Buffer { start: usize, extra: usize },
}

#[derive(Clone, Debug)]
pub struct Setup {
    pub shape: Shape,
    pub alignment: usize,
    pub flags: u64,
    pub memory: Memory,
    /// Functions of the caller's give the memory, but for a buffer's.
    pub backed: bool,
}

/// How a size relates to the classes.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    Zero,
    /// So many more than the largest class has, or the largest number there is.
    TooLarge(usize),
    /// The class's (modulo their number), less so many.
    Class(usize, usize),
    /// Any up to the largest class's, by its share of 2^16.
    Share(u16),
}

#[derive(Clone, Copy, Debug)]
pub enum Call {
    Alloc(Size),
    Calloc(Size),
    /// Of the live entry with this number, modulo how many there are; by which name, modulo three.
    Free(usize, usize),
    Realloc(usize, Size),
    ReallocNull(Size),
    /// So many at once.
    AllocBulk(Size, usize),
    /// So many at once, from the live entry with this number on.
    FreeBulk(usize, usize),
    Reset,
    ResetPeak,
    /// Calls with NULL.
    Nothing,
}

// ---- The C face, ordinary and ranged pools alike -------------------------------------------------

#[derive(Clone, Copy)]
pub enum Pool {
    Ordinary(*mut c::mempool),
    Ranged(*mut c::r_mempool),
}

/// As `MEMPOOL_OPTIONS_INIT`.
const OPTIONS: c::mempool_options = c::mempool_options {
    struct_size: size_of::<c::mempool_options>(),
    elem_count: 0,
    elem_size: 0,
    alignment: 0,
    name: null(),
    buffer: null_mut(),
    buffer_size: 0,
    flags: 0,
    backing: null(),
};

/// As `R_MEMPOOL_OPTIONS_INIT`.
pub const RANGED_OPTIONS: c::r_mempool_options = c::r_mempool_options {
    struct_size: size_of::<c::r_mempool_options>(),
    smallest_size: 0,
    largest_size: 0,
    smallest_count: 0,
    classes: null(),
    class_count: 0,
    alignment: 0,
    name: null(),
    buffer: null_mut(),
    buffer_size: 0,
    flags: 0,
    policy: 0,
    reserved: 0,
    backing: null(),
};

/// Complete options; they point into the list, if there is one.
enum Options {
    Ordinary(c::mempool_options),
    Ranged(c::r_mempool_options, Vec<c::r_mempool_class>),
}

impl Setup {
    /// What its functions know, if it is backed.
    pub fn ledger(&self) -> Option<Ledger> {
        (self.backed && !self.plain()).then(Ledger::new)
    }

    /// Made by the function that takes no options, which ignores them.
    pub fn plain(&self) -> bool {
        matches!(self.memory, Memory::OwnPlain) && !matches!(self.shape, Shape::List { .. })
    }

    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    fn options(
        &self,
        buffer: *mut c_void,
        buffer_size: usize,
        backing: *const c::mempool_backing,
    ) -> Options {
        let Self { alignment, flags, .. } = *self;
        let name = NAME.as_ptr();
        let policy = self.shape.policy().unwrap_or(0);
        let ranged = c::r_mempool_options {
            alignment,
            name,
            buffer,
            buffer_size,
            flags,
            policy,
            backing,
            ..RANGED_OPTIONS
        };
        match self.shape {
            Shape::Ordinary { count: elem_count, size: elem_size } => {
                Options::Ordinary(c::mempool_options {
                    elem_count,
                    elem_size,
                    alignment,
                    name,
                    buffer,
                    buffer_size,
                    flags,
                    backing,
                    ..OPTIONS
                })
            }
            Shape::Powers { smallest, largest, count, .. } => {
                let options = c::r_mempool_options {
                    smallest_size: smallest,
                    largest_size: largest,
                    smallest_count: count,
                    ..ranged
                };
                Options::Ranged(options, Vec::new())
            }
            Shape::List { ref classes, .. } => {
                let class = |&(elem_size, elem_count)| c::r_mempool_class { elem_size, elem_count };
                let list: Vec<_> = classes.iter().map(class).collect();
                let (classes, class_count) = (list.as_ptr(), list.len());
                Options::Ranged(c::r_mempool_options { classes, class_count, ..ranged }, list)
            }
        }
    }

    pub fn buffer_size(&self) -> usize {
        match self.options(null_mut(), 0, null()) {
            // SAFETY: the options are complete.
            Options::Ordinary(options) => unsafe { c::mempool_buffer_size(&options) },
            // SAFETY: as above, and the list is there until the end of the call.
            Options::Ranged(options, _list) => unsafe { c::r_mempool_buffer_size(&options) },
        }
    }

    pub fn create(
        &self,
        buffer: *mut c_void,
        buffer_size: usize,
        ledger: Option<&Ledger>,
    ) -> Option<Pool> {
        let backing = ledger.map(Ledger::backing);
        let backing = backing.as_ref().map_or(null(), |backing| &raw const *backing);
        let ordinary = |mp: *mut c::mempool| (!mp.is_null()).then_some(Pool::Ordinary(mp));
        let ranged = |rmp: *mut c::r_mempool| (!rmp.is_null()).then_some(Pool::Ranged(rmp));
        match (self.shape.clone(), self.options(buffer, buffer_size, backing)) {
            (Shape::Ordinary { count, size }, _) if self.plain() => {
                ordinary(c::mempool_create(count, size, self.has(c::MEMPOOL_FALL_BACK)))
            }
            (Shape::Powers { smallest, largest, count, policy }, _) if self.plain() => {
                ranged(c::r_mempool_create(smallest, largest, count, policy))
            }
            (_, Options::Ordinary(options)) => {
                // SAFETY: the options are complete, and the buffer is this pool's alone.
                ordinary(unsafe { c::mempool_create_with(&options) })
            }
            (_, Options::Ranged(options, _list)) => {
                // SAFETY: as above, and the list is there until the end of the call.
                ranged(unsafe { c::r_mempool_create_with(&options) })
            }
        }
    }
}

impl Pool {
    pub fn alloc(self, size: usize) -> *mut u8 {
        // SAFETY: the pool is live until `destroy`, which the run calls last.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_alloc_entry(mp).cast(),
                Pool::Ranged(rmp) => c::r_mempool_alloc_entry(rmp, size).cast(),
            }
        }
    }

    fn calloc(self, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_calloc_entry(mp).cast(),
                Pool::Ranged(rmp) => c::r_mempool_calloc_entry(rmp, size).cast(),
            }
        }
    }

    /// # Safety
    /// The entry is NULL or a live one of this pool's.
    unsafe fn realloc(self, entry: *mut u8, size: usize) -> *mut u8 {
        let Pool::Ranged(rmp) = self else { panic!("only a ranged pool reallocs") };
        // SAFETY: the pool is live as in `alloc`, the entry by this function's contract.
        unsafe { c::r_mempool_realloc_entry(rmp, entry.cast(), size).cast() }
    }

    fn alloc_bulk(self, size: usize, places: &mut [*mut u8]) -> bool {
        let (entries, n) = (places.as_mut_ptr().cast(), places.len());
        // SAFETY: as in `alloc`; there are `n` places.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_alloc_bulk(mp, entries, n),
                Pool::Ranged(rmp) => c::r_mempool_alloc_bulk(rmp, size, entries, n),
            }
        }
    }

    fn reset(self) {
        // SAFETY: as in `alloc`; the models' calls never overlap.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_reset(mp),
                Pool::Ranged(rmp) => c::r_mempool_reset(rmp),
            }
        }
    }

    fn reset_peak(self) {
        // SAFETY: as in `alloc`.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_reset_peak(mp),
                Pool::Ranged(rmp) => c::r_mempool_reset_peak(rmp),
            }
        }
    }

    fn stats(self, class: usize) -> c::mempool_stats {
        let mut stats =
            c::mempool_stats { struct_size: size_of::<c::mempool_stats>(), ..Default::default() };
        // SAFETY: as in `alloc`; the struct has the size it says.
        let filled = unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_get_stats(mp, &mut stats),
                Pool::Ranged(rmp) => c::r_mempool_get_stats(rmp, class, &mut stats),
            }
        };
        assert!(filled, "figures of class {class}");
        stats
    }

    fn address(self) -> *mut c_void {
        match self {
            Pool::Ordinary(mp) => mp.cast(),
            Pool::Ranged(rmp) => rmp.cast(),
        }
    }

    fn owns(self, address: *const u8) -> bool {
        // SAFETY: as in `alloc`; any pointer will do.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_owns(mp, address.cast()),
                Pool::Ranged(rmp) => c::r_mempool_owns(rmp, address.cast()),
            }
        }
    }

    fn count_live(self) -> usize {
        // SAFETY: as in `alloc`; without a visitor, it counts.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_for_each_live(mp, None, null_mut()),
                Pool::Ranged(rmp) => c::r_mempool_for_each_live(rmp, None, null_mut()),
            }
        }
    }

    pub fn capacity(self, size: usize) -> usize {
        // SAFETY: as in `alloc`.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_total_capacity(mp),
                Pool::Ranged(rmp) => c::r_mempool_total_capacity(rmp, size),
            }
        }
    }

    pub fn used(self, size: usize) -> usize {
        // SAFETY: as in `alloc`.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_used_count(mp),
                Pool::Ranged(rmp) => c::r_mempool_used_count(rmp, size),
            }
        }
    }

    pub fn dynamic(self, size: usize) -> usize {
        // SAFETY: as in `alloc`.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_dynamic_allocs_count(mp),
                Pool::Ranged(rmp) => c::r_mempool_dynamic_allocs_count(rmp, size),
            }
        }
    }

    pub fn destroy(self) {
        // SAFETY: the pool is live, and nobody uses it afterwards.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_destroy(mp),
                Pool::Ranged(rmp) => c::r_mempool_destroy(rmp),
            }
        }
    }
}

pub fn clear_errno() {
    // SAFETY: the address is that of this thread's own `errno`.
    unsafe { *libc::__errno_location() = 0 };
}

pub fn errno() -> i32 {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() }
}

// ---- The model -----------------------------------------------------------------------------------

#[derive(Clone, Debug)]
pub struct Class {
    pub elem_size: usize,
    pub capacity: usize,
    used: usize,
    dynamic: usize,
    peak: usize,
    dynamic_peak: usize,
    exhausted: u64,
    failed: u64,
    /// Where its first entry was seen.
    seen: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Source {
    Slot(usize),
    Heap(usize),
}

/// What a call answers when it gives no entry.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Refusal {
    Invalid,
    NoMemory,
}

/// What realloc does.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Move {
    Stays,
    To(Source),
}

struct Model {
    classes: Vec<Class>,
    /// None for an ordinary pool.
    policy: Option<u32>,
    falls_back: bool,
}

impl Shape {
    pub fn policy(&self) -> Option<u32> {
        match self {
            Shape::Ordinary { .. } => None,
            Shape::Powers { policy, .. } | Shape::List { policy, .. } => Some(*policy),
        }
    }

    /// The classes, if the numbers make sense.
    pub fn classes(&self) -> Option<Vec<Class>> {
        let sizes_and_counts = match self {
            Shape::Ordinary { count, size } => vec![(*size, *count)],
            Shape::List { classes, .. } => classes.clone(),
            Shape::Powers { smallest, largest, count, .. } => {
                if [smallest, largest, count].contains(&&0) {
                    return None;
                }
                let mut class = (smallest.next_power_of_two().max(16), count.next_power_of_two());
                if largest.next_power_of_two() <= class.0 {
                    return None;
                }
                let mut classes = vec![class];
                while class.0 < *largest {
                    class = (class.0 * 2, class.1 / 2);
                    classes.push(class);
                }
                classes
            }
        };
        let valid = !sizes_and_counts.is_empty()
            && sizes_and_counts.is_sorted_by(|below, above| below.0 < above.0)
            && sizes_and_counts.iter().all(|&(size, count)| size > 0 && count > 0);
        let class = |(elem_size, capacity)| Class {
            elem_size,
            capacity,
            used: 0,
            dynamic: 0,
            peak: 0,
            dynamic_peak: 0,
            exhausted: 0,
            failed: 0,
            seen: None,
        };
        valid.then(|| sizes_and_counts.into_iter().map(class).collect())
    }
}

impl Model {
    fn largest(&self) -> usize {
        self.classes.last().expect("one class at least").elem_size
    }

    fn fitting(&self, size: usize) -> Result<usize, Refusal> {
        if self.policy.is_none() {
            return Ok(0);
        }
        let fits = |class: &Class| size <= class.elem_size;
        self.classes.iter().position(fits).filter(|_| size > 0).ok_or(Refusal::Invalid)
    }

    fn first_with_a_slot(&self, from: usize) -> Option<usize> {
        (from..self.classes.len()).find(|&i| self.classes[i].used < self.classes[i].capacity)
    }

    /// What a call that takes one does. Counts the misses.
    fn alloc(&mut self, size: usize) -> Result<Source, Refusal> {
        let class = self.fitting(size)?;
        let (cascades, falls_back) = match self.policy {
            None => (false, self.falls_back),
            Some(policy) => (policy != 1, policy != 0),
        };
        let source = match self.first_with_a_slot(class) {
            Some(with_a_slot) if cascades || with_a_slot == class => Ok(Source::Slot(with_a_slot)),
            _ if falls_back => Ok(Source::Heap(class)),
            _ => Err(Refusal::NoMemory),
        };
        if source != Ok(Source::Slot(class)) {
            self.classes[class].exhausted += 1;
            self.classes[class].failed += u64::from(source.is_err());
        }
        source
    }

    /// What a call that takes `n` at once does. The marks see what it takes before it finds that there
    /// are not so many.
    fn alloc_bulk(&mut self, size: usize, n: usize) -> Result<Vec<Source>, Refusal> {
        let class = self.fitting(size)?;
        let left = self.classes[class].capacity - self.classes[class].used;
        if n <= left {
            return Ok(vec![Source::Slot(class); n]);
        }
        if self.policy.is_none() {
            self.classes[0].exhausted += 1;
            self.classes[0].failed += u64::from(!self.falls_back);
            let (slots, heap) = (vec![Source::Slot(0); left], vec![Source::Heap(0); n - left]);
            return if self.falls_back {
                Ok([slots, heap].concat())
            } else {
                Err(Refusal::NoMemory)
            };
        }
        let mut taken = vec![];
        let refusal = loop {
            match self.alloc(size) {
                Ok(source) if taken.len() < n => taken.push(source),
                Ok(_) => unreachable!("stops at n"),
                Err(refusal) => break Some(refusal),
            }
            self.add(taken[taken.len() - 1]);
            if taken.len() == n {
                break None;
            }
        };
        // Who calls this counts what is accepted.
        taken.iter().for_each(|&source| *self.count(source) -= 1);
        refusal.map_or(Ok(taken), Err)
    }

    /// One more is out.
    fn add(&mut self, source: Source) {
        *self.count(source) += 1;
        let (Source::Slot(class) | Source::Heap(class)) = source;
        let class = &mut self.classes[class];
        class.peak = class.peak.max(class.used);
        class.dynamic_peak = class.dynamic_peak.max(class.dynamic);
    }

    fn realloc(&mut self, from: Source, size: usize) -> Result<Move, Refusal> {
        let (Source::Slot(has) | Source::Heap(has)) = from;
        let wants = self.fitting(size)?;
        if wants > has {
            return self.alloc(size).map(Move::To);
        }
        // The smallest that fits, if it is smaller; a shrink never takes from the heap.
        let smaller = self.first_with_a_slot(wants).filter(|&class| class < has);
        Ok(smaller.map_or(Move::Stays, |class| Move::To(Source::Slot(class))))
    }

    fn count(&mut self, source: Source) -> &mut usize {
        match source {
            Source::Slot(class) => &mut self.classes[class].used,
            Source::Heap(class) => &mut self.classes[class].dynamic,
        }
    }

    fn dynamic(&self, class: usize) -> usize {
        match self.policy {
            Some(2) => self.classes.iter().map(|class| class.dynamic).sum(),
            _ => self.classes[class].dynamic,
        }
    }

    /// Usable bytes of an entry.
    fn usable(&self, source: Source) -> usize {
        let (Source::Slot(class) | Source::Heap(class)) = source;
        self.classes[class].elem_size
    }
}

// ---- Both side by side ---------------------------------------------------------------------------

/// A live entry. Its usable bytes hold the pattern of its seed.
#[derive(Clone, Copy)]
struct Entry {
    at: *mut u8,
    source: Source,
    usable: usize,
    seed: usize,
}

impl Entry {
    fn expected(&self, i: usize) -> u8 {
        (self.seed.wrapping_mul(167) ^ i ^ (i >> 8)) as u8
    }

    fn write(&self) {
        // SAFETY: the entry is live and has that many bytes, which are cleared first: a slice has
        // bytes of some value.
        let bytes = unsafe {
            self.at.write_bytes(0, self.usable);
            std::slice::from_raw_parts_mut(self.at, self.usable)
        };
        bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = self.expected(i));
    }

    /// Verifies the first `bytes` bytes, which may have moved to `at`.
    fn verify(&self, at: *const u8, bytes: usize) {
        // SAFETY: a live entry of at least that many bytes, all of them written, is at `at`.
        let found = unsafe { std::slice::from_raw_parts(at, bytes) };
        let changed = found.iter().enumerate().position(|(i, byte)| *byte != self.expected(i));
        assert_eq!(changed, None, "a byte of {} changed", self.usable);
    }

    fn address(&self) -> usize {
        self.at as usize
    }
}

/// A buffer of the caller's, with margins.
pub struct Buffer {
    // Words of 16 bytes, so that it starts at a multiple of that.
    room: *mut [u128],
    start: usize,
    len: usize,
}

impl Buffer {
    fn new(start: usize, len: usize) -> Self {
        let word = u128::from_ne_bytes([UNTOUCHED; 16]);
        let bytes = len + 2 * MARGIN + 2 * 256;
        let room = Box::into_raw(vec![word; bytes.div_ceil(16)].into_boxed_slice());
        let first = room.cast::<u8>() as usize + MARGIN;
        Self { room, start: first.next_multiple_of(256) - first + MARGIN + start * 16, len }
    }

    fn base(&self) -> *mut u8 {
        // SAFETY: the room has more than that many bytes.
        unsafe { self.room.cast::<u8>().add(self.start) }
    }

    fn contains(&self, entry: &Entry) -> bool {
        let base = self.base() as usize;
        base <= entry.address() && entry.address() + entry.usable <= base + self.len
    }

    fn verify_margins(&self) {
        let bytes = self.room.len() * 16;
        for i in (0..self.start).chain(self.start + self.len..bytes) {
            // SAFETY: the room has `bytes` bytes.
            let byte = unsafe { self.room.cast::<u8>().add(i).read() };
            assert_eq!(byte, UNTOUCHED, "written beside the buffer");
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the room came from a box, and the pool in it is gone or was lost in a panic.
        drop(unsafe { Box::from_raw(self.room) });
    }
}

pub struct Run {
    setup: Setup,
    pool: Pool,
    model: Model,
    buffer: Option<Buffer>,
    ledger: Option<Ledger>,
    live: Vec<Entry>,
    /// Where they start and end.
    spans: BTreeMap<usize, usize>,
    /// Addresses of slots that were out before and are free.
    freed: HashSet<usize>,
    next_seed: usize,
    /// Who called first, and whether others did too: then the high-water marks are not exact.
    first_caller: std::thread::ThreadId,
    several_callers: bool,
}

impl Run {
    pub fn new(setup: &Setup) -> Self {
        let classes = setup.shape.classes().expect("only pools that make sense");
        let falls_back = setup.has(c::MEMPOOL_FALL_BACK);
        let model = Model { classes, policy: setup.shape.policy(), falls_back };
        let bytes = setup.buffer_size();
        let ledger = setup.ledger();
        let create = |base, bytes| setup.create(base, bytes, ledger.as_ref());
        let (pool, buffer) = match setup.memory {
            Memory::Own | Memory::OwnPlain => (create(null_mut(), 0), None),
            Memory::Buffer { start, extra } => {
                let buffer = Buffer::new(start, bytes + extra);
                let base: *mut c_void = buffer.base().cast();
                for (base, bytes) in [(base, bytes - 1), (base.wrapping_byte_add(8), bytes)] {
                    clear_errno();
                    assert!(create(base, bytes).is_none(), "too small, or not aligned");
                    assert_eq!(errno(), libc::EINVAL);
                }
                (create(base, buffer.len), Some(buffer))
            }
        };
        let pool = pool.expect("there is memory");
        let run = Self {
            setup: setup.clone(),
            pool,
            model,
            buffer,
            ledger,
            live: vec![],
            spans: BTreeMap::new(),
            freed: HashSet::new(),
            next_seed: 0,
            first_caller: std::thread::current().id(),
            several_callers: false,
        };
        run.verify_buffer_size(bytes);
        run.compare_counts();
        run
    }

    fn align(&self) -> usize {
        if self.setup.plain() { 16 } else { self.setup.alignment.max(16) }
    }

    /// From one entry of a class to the next, in bytes.
    fn stride(&self, class: usize) -> usize {
        let guarded = self.setup.has(c::MEMPOOL_HARDENED) && !self.setup.plain();
        self.stride_with(class, if guarded && self.buffer.is_none() { 16 } else { 0 })
    }

    fn stride_with(&self, class: usize, gap: usize) -> usize {
        (self.model.classes[class].elem_size + gap + 8).next_multiple_of(self.align())
    }

    /// The header's macros give the same number, for the default alignment.
    fn verify_buffer_size(&self, bytes: usize) {
        if self.setup.alignment <= 16 {
            let per_class = |(i, class): (usize, &Class)| {
                let per_slot = self.stride_with(i, 0) + c::CMEMPOOL_PER_SLOT;
                c::CMEMPOOL_PER_CLASS + class.capacity * per_slot
            };
            let classes = self.model.classes.iter().enumerate().map(per_class).sum::<usize>();
            let ranged = self.setup.shape.policy().map_or(0, |_| c::CMEMPOOL_PER_RANGED);
            assert_eq!(bytes, c::CMEMPOOL_PER_REGION + ranged + classes);
        }
    }

    fn bytes(&self, size: Size) -> usize {
        match size {
            Size::Zero => 0,
            Size::TooLarge(more) => self.model.largest().saturating_add(more),
            Size::Class(class, less) => {
                let class = &self.model.classes[class % self.model.classes.len()];
                class.elem_size.saturating_sub(less).max(1)
            }
            Size::Share(share) => ((self.model.largest() * usize::from(share)) >> 16) + 1,
        }
    }

    pub fn call(&mut self, call: &Call) {
        self.several_callers |= std::thread::current().id() != self.first_caller;
        match *call {
            Call::AllocBulk(size, n) => self.alloc_bulk(self.bytes(size), n),
            Call::FreeBulk(first, n) if !self.live.is_empty() => {
                self.free_bulk(first % self.live.len(), n);
            }
            Call::Reset => self.reset(),
            Call::ResetPeak => {
                self.pool.reset_peak();
                for class in &mut self.model.classes {
                    (class.peak, class.dynamic_peak) = (class.used, class.dynamic);
                    (class.exhausted, class.failed) = (0, 0);
                }
            }
            Call::Alloc(size) => self.alloc(self.bytes(size), Pool::alloc, false),
            Call::Calloc(size) => self.alloc(self.bytes(size), Pool::calloc, true),
            Call::ReallocNull(size) if self.model.policy.is_some() => {
                // SAFETY: NULL is a valid entry to realloc.
                let call = |pool: Pool, size| unsafe { pool.realloc(null_mut(), size) };
                self.alloc(self.bytes(size), call, false);
            }
            Call::Realloc(entry, size) if self.model.policy.is_some() && !self.live.is_empty() => {
                self.realloc(entry % self.live.len(), self.bytes(size));
            }
            Call::Free(entry, name) if !self.live.is_empty() => {
                self.free(entry % self.live.len(), name);
            }
            _ => calls_with_null(),
        }
        self.compare_counts();
        // Not after each call of many: what they tell adds up.
        if self.live.len().is_multiple_of(4) {
            self.compare_figures();
        }
    }

    fn alloc_bulk(&mut self, size: usize, n: usize) {
        let mut places = vec![std::ptr::dangling_mut(); n];
        clear_errno();
        let done = self.pool.alloc_bulk(size, &mut places);
        if n == 0 {
            assert!(done, "none is always there");
            return;
        }
        match self.model.alloc_bulk(size, n) {
            Err(refusal) => {
                verify_refusal(if done { places[0] } else { null_mut() }, refusal);
                assert!(places.iter().all(|place| place.is_null()), "an entry of a refused call");
            }
            Ok(sources) => {
                assert!(done, "errno {} instead of {n} entries", errno());
                let taken: Vec<_> =
                    places.iter().zip(sources).map(|(&at, from)| self.accept(at, from)).collect();
                taken.into_iter().for_each(|entry| self.fill(entry, 0));
            }
        }
    }

    fn free_bulk(&mut self, first: usize, n: usize) {
        let n = n.min(self.live.len() - first);
        let mut places: Vec<*mut c_void> = vec![];
        for entry in &self.live[first..first + n] {
            entry.verify(entry.at, entry.usable);
            places.push(entry.at.cast());
            if entry.seed.is_multiple_of(8) {
                places.push(null_mut());
            }
        }
        // SAFETY: NULL or live entries, each once.
        unsafe { c::mempool_free_bulk(places.as_ptr(), places.len()) };
        (first..first + n).rev().for_each(|index| self.forget(index));
    }

    fn reset(&mut self) {
        let is_slot = |entry: &Entry| matches!(entry.source, Source::Slot(_));
        let slots: Vec<_> = self.live.iter().filter(|e| is_slot(e)).map(|e| e.at).collect();
        self.pool.reset();
        (0..self.live.len()).rev().for_each(|index| self.forget(index));
        assert!(slots.iter().all(|&at| !self.pool.owns(at)), "owns what was reset");
    }

    fn alloc(&mut self, size: usize, call: impl FnOnce(Pool, usize) -> *mut u8, zeroed: bool) {
        clear_errno();
        let at = call(self.pool, size);
        let expected = self.model.alloc(size);
        match expected {
            Err(refusal) => verify_refusal(at, refusal),
            Ok(source) => {
                let entry = self.accept(at, source);
                let zeros = match (zeroed, self.model.policy) {
                    (true, Some(_)) => size,
                    (true, None) => entry.usable,
                    (false, _) => 0,
                };
                verify_zeros(entry.at, 0..zeros);
                self.fill(entry, 0);
            }
        }
    }

    fn realloc(&mut self, index: usize, size: usize) {
        let old = self.live[index];
        old.verify(old.at, old.usable);
        clear_errno();
        // SAFETY: the entry is live.
        let at = unsafe { self.pool.realloc(old.at, size) };
        match self.model.realloc(old.source, size) {
            Err(refusal) => {
                verify_refusal(at, refusal);
                old.verify(old.at, old.usable);
            }
            Ok(Move::Stays) => {
                assert_eq!(at, old.at, "the entry stays");
                old.verify(old.at, old.usable);
            }
            Ok(Move::To(source)) => {
                // The old entry is still out while the new one is taken.
                let entry = self.accept(at, source);
                let kept = old.usable.min(size);
                old.verify(entry.at, kept);
                self.forget(index);
                self.fill(entry, kept);
            }
        }
    }

    fn free(&mut self, index: usize, name: usize) {
        let entry = self.live[index];
        entry.verify(entry.at, entry.usable);
        let free = [c::mempool_free_entry, c::r_mempool_free_entry, c::_mempool_free_entry];
        // SAFETY: the entry is live; each name frees entries of every pool.
        unsafe { free[name % free.len()](entry.at.cast()) };
        self.forget(index);
    }

    /// Whether an entry can be there: no live one overlaps it or the 8 bytes before it, which are the
    /// library's.
    pub fn is_free(&self, at: usize, usable: usize) -> bool {
        let next = self.spans.range(at..).next();
        let last = self.spans.range(..at).next_back();
        next.is_none_or(|(&start, _)| at + usable <= start - 8)
            && last.is_none_or(|(_, &end)| end <= at - 8)
    }

    /// The entry that was taken last, if it is still out: its address and usable bytes.
    pub fn latest(&self) -> Option<(usize, usize)> {
        self.live.last().map(|entry| (entry.address(), entry.usable))
    }

    /// How many are out.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Verifies that an entry is where one from this source can be, and that nobody else is there.
    fn accept(&mut self, at: *mut u8, source: Source) -> Entry {
        assert!(!at.is_null(), "NULL with errno {} instead of one from {source:?}", errno());
        let usable = self.model.usable(source);
        let entry = Entry { at, source, usable, seed: self.next_seed };
        self.next_seed += 1;
        assert_eq!(entry.address() % self.align(), 0, "alignment");
        assert!(self.is_free(entry.address(), usable), "an entry at another one that is out");
        // SAFETY: the entry is live.
        let (size, owner) =
            unsafe { (c::mempool_usable_size(at.cast()), c::mempool_owner(at.cast())) };
        assert_eq!((size, owner), (usable, self.pool.address()), "usable bytes and owner");
        assert!(self.pool.owns(at) && !self.pool.owns(at.wrapping_add(1)));
        if let Some(buffer) = &self.buffer {
            let is_slot = matches!(source, Source::Slot(_));
            assert_eq!(buffer.contains(&entry), is_slot, "in the buffer, if from {source:?}");
        }
        if let Source::Slot(class) = source {
            // A class is so many slots in a row.
            let stride = self.stride(class);
            let class = &mut self.model.classes[class];
            let distance = entry.address().abs_diff(*class.seen.get_or_insert(entry.address()));
            assert_eq!(distance % stride, 0, "no slot of the class starts there");
            assert!(distance / stride < class.capacity, "not one of the class's slots");
        }
        self.model.add(source);
        entry
    }

    /// Takes an accepted entry into the live ones. Its first `kept` bytes are what realloc copied.
    fn fill(&mut self, entry: Entry, kept: usize) {
        if let Source::Slot(_) = entry.source {
            let was_out = self.freed.remove(&entry.address());
            if was_out && self.setup.has(c::MEMPOOL_ZERO_ON_FREE) && !self.setup.plain() {
                verify_zeros(entry.at, kept..entry.usable);
            }
        }
        // An entry that is not from where the model says may be smaller: find out before writing.
        self.compare_counts();
        entry.write();
        self.spans.insert(entry.address(), entry.address() + entry.usable);
        self.live.push(entry);
    }

    fn forget(&mut self, index: usize) {
        let entry = self.live.swap_remove(index);
        self.spans.remove(&entry.address());
        if let Source::Slot(_) = entry.source {
            self.freed.insert(entry.address());
        }
        *self.model.count(entry.source) -= 1;
    }

    fn compare_counts(&self) {
        let mut below = 0;
        for (i, class) in self.model.classes.iter().enumerate() {
            // The sizes at both ends of what the class serves.
            for size in [below + 1, class.elem_size] {
                assert_eq!(self.pool.capacity(size), class.capacity, "capacity for {size}");
                assert_eq!(self.pool.used(size), class.used, "used for {size}");
                assert_eq!(self.pool.dynamic(size), self.model.dynamic(i), "dynamic for {size}");
            }
            below = class.elem_size;
        }
        if let Some(ledger) = &self.ledger {
            let dynamic: usize = self.model.classes.iter().map(|class| class.dynamic).sum();
            assert_eq!(ledger.given(), dynamic + usize::from(self.buffer.is_none()));
        }
        if self.model.policy.is_some() {
            for size in [0, below + 1, usize::MAX] {
                assert_eq!(self.pool.capacity(size), 0, "capacity for {size}");
                assert_eq!(self.pool.used(size), 0, "used for {size}");
                assert_eq!(self.pool.dynamic(size), 0, "dynamic for {size}");
            }
        }
    }

    fn compare_figures(&self) {
        for (i, class) in self.model.classes.iter().enumerate() {
            let stats = self.pool.stats(i);
            assert_eq!((stats.elem_size, stats.capacity), (class.elem_size, class.capacity));
            assert_eq!((stats.used, stats.dynamic_used), (class.used, class.dynamic));
            assert_eq!((stats.exhausted, stats.failed), (class.exhausted, class.failed));
            assert_eq!(stats.dynamic_peak, class.dynamic_peak);
            assert_eq!(stats.bytes_per_entry, self.stride(i));
            assert!(stats.used + stats.cached <= stats.capacity);
            let marks = if self.several_callers {
                class.peak..=class.capacity
            } else {
                class.peak..=class.peak
            };
            assert!(marks.contains(&stats.peak_used), "peak {}, not {marks:?}", stats.peak_used);
        }
        // It looks at each slot.
        if self.live.len().is_multiple_of(32) {
            assert_eq!(self.pool.count_live(), self.live.len(), "live entries");
        }
    }

    /// Destroys the pool with entries still out; a buffer can hold another one then.
    pub fn end(self) {
        for entry in &self.live {
            entry.verify(entry.at, entry.usable);
        }
        self.pool.destroy();
        let ledger = self.ledger.as_ref();
        assert_eq!(ledger.map_or(0, Ledger::given), 0, "not given back");
        if let Some(buffer) = self.buffer {
            let again = self.setup.create(buffer.base().cast(), buffer.len, ledger);
            let again = again.expect("it fits again");
            assert!(!again.alloc(1).is_null());
            assert_eq!((again.used(1), again.dynamic(1)), (1, 0));
            again.destroy();
            buffer.verify_margins();
        }
    }
}

fn verify_refusal(at: *mut u8, refusal: Refusal) {
    assert!(at.is_null(), "an entry instead of {refusal:?}");
    let code = match refusal {
        Refusal::Invalid => libc::EINVAL,
        Refusal::NoMemory => libc::ENOMEM,
    };
    assert_eq!(errno(), code, "{refusal:?}");
}

fn verify_zeros(at: *const u8, range: std::ops::Range<usize>) {
    for i in range {
        // SAFETY: the caller's entry is live and has that many bytes.
        assert_eq!(unsafe { at.add(i).read() }, 0, "byte {i} is not zero");
    }
}

fn calls_with_null() {
    // SAFETY: each of these takes NULL.
    unsafe {
        c::mempool_free_entry(null_mut());
        c::_mempool_free_entry(null_mut());
        c::r_mempool_free_entry(null_mut());
        c::mempool_destroy(null_mut());
        c::_mempool_destroy(null_mut());
        c::r_mempool_destroy(null_mut());
        c::_r_mempool_destroy(null_mut());
        assert_eq!(c::mempool_total_capacity(null_mut()), 0);
        assert_eq!(c::mempool_used_count(null_mut()), 0);
        assert_eq!(c::mempool_dynamic_allocs_count(null_mut()), 0);
        assert_eq!(c::r_mempool_total_capacity(null_mut(), 1), 0);
        assert_eq!(c::r_mempool_used_count(null_mut(), 1), 0);
        assert_eq!(c::r_mempool_dynamic_allocs_count(null_mut(), 1), 0);
        for call in [
            || c::mempool_alloc_entry(null_mut()),
            || c::mempool_calloc_entry(null_mut()),
            || c::r_mempool_alloc_entry(null_mut(), 1),
            || c::r_mempool_calloc_entry(null_mut(), 1),
            || c::r_mempool_realloc_entry(null_mut(), null_mut(), 1),
            || c::mempool_create_with(null_mut()).cast(),
            || c::r_mempool_create_with(null_mut()).cast(),
            || std::ptr::without_provenance_mut(c::mempool_buffer_size(null_mut())),
            || std::ptr::without_provenance_mut(c::r_mempool_buffer_size(null_mut())),
        ] {
            clear_errno();
            verify_refusal(call().cast(), Refusal::Invalid);
        }
    }
}
