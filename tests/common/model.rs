//! What does a simple model of pools say, and does the C face say the same?
//!
//! After every call the answer and `errno` are compared with the model's, and every figure of one class
//! in turn; those of all classes whenever whoever makes the calls asks for it. Every entry carries a
//! pattern that is verified before it goes.
//!
//! A run is as cheap as it can be, since the fuzzer's runs are counted in thousands a second, and
//! instrumented: nothing here looks at memory byte by byte, nor at all entries for one of them.

// Each test file uses its own part of this.
#![allow(dead_code)]

#[path = "ledger.rs"]
mod ledger;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use cmempool as c;

pub use ledger::Ledger;

const NAME: &CStr = c"the model's";
/// What is in memory that nobody has written yet.
const UNTOUCHED: u8 = 0xA5;
/// Bytes on both sides of a buffer that must stay as they are.
const MARGIN: usize = 64;

// ---- What holds for all pools of the process ------------------------------------------------------

/// What the environment and who watches make of all pools.
#[derive(Clone, Copy)]
pub enum Mode {
    /// Nothing.
    Plain,
    /// Each entry comes from the heap.
    Bypassed,
    /// Somebody is told which bytes are whose, and says whether all of a range may be touched, or none.
    Watched { open: fn(*const u8, usize) -> bool, closed: fn(*const u8, usize) -> bool },
}

static MODE: OnceLock<Mode> = OnceLock::new();

/// Says in which mode the process is, before its first pool.
pub fn set_mode(mode: Mode) {
    MODE.get_or_init(|| mode);
}

fn mode() -> Mode {
    MODE.get().copied().unwrap_or(Mode::Plain)
}

fn bypassed() -> bool {
    matches!(mode(), Mode::Bypassed)
}

fn watched() -> bool {
    matches!(mode(), Mode::Watched { .. })
}

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
    /// All but so many of each class that has more.
    Drain(usize),
    /// Of all live entries in the pool's own order. Every so many are freed; 0 frees none.
    Visit(usize),
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
        // SAFETY: without a visitor, it counts.
        unsafe { self.for_each_live(None, null_mut()) }
    }

    /// # Safety
    /// The visitor can be called with the context.
    unsafe fn for_each_live(self, visit: c::mempool_visitor, context: *mut c_void) -> usize {
        // SAFETY: as in `alloc`, and by this function's contract.
        unsafe {
            match self {
                Pool::Ordinary(mp) => c::mempool_for_each_live(mp, visit, context),
                Pool::Ranged(rmp) => c::r_mempool_for_each_live(rmp, visit, context),
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
    /// What stands in for the slots are the heap's first.
    bypassed: bool,
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

    /// What a call that takes `n` at once does. One that fails changes nothing but two counts.
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
        let before = self.classes.clone();
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
        taken.iter().for_each(|&source| self.remove(source));
        // However many it wanted, it is one call.
        self.classes = before;
        self.classes[class].exhausted += 1;
        match refusal {
            None => Ok(taken),
            Some(refusal) => {
                self.classes[class].failed += 1;
                Err(refusal)
            }
        }
    }

    /// One more is out.
    fn add(&mut self, source: Source) {
        let (Source::Slot(class) | Source::Heap(class)) = source;
        let class = &mut self.classes[class];
        match source {
            Source::Slot(_) => class.used += 1,
            Source::Heap(_) => class.dynamic += 1,
        }
        class.peak = class.peak.max(class.used);
        class.dynamic_peak = class.dynamic_peak.max(class.dynamic);
    }

    /// One is back.
    fn remove(&mut self, source: Source) {
        let (Source::Slot(class) | Source::Heap(class)) = source;
        let class = &mut self.classes[class];
        let is_dynamic = match source {
            // Those are that are more than the capacity, whichever they are.
            _ if self.bypassed => class.dynamic > 0,
            Source::Slot(_) => false,
            Source::Heap(_) => true,
        };
        let count = if is_dynamic { &mut class.dynamic } else { &mut class.used };
        *count -= 1;
    }

    fn realloc(&mut self, from: Source, size: usize) -> Result<Move, Refusal> {
        let (Source::Slot(has) | Source::Heap(has)) = from;
        let wants = self.fitting(size)?;
        if wants > has {
            return self.alloc(size).map(Move::To);
        }
        // The smallest that fits, if it is smaller; a shrink never takes from the heap.
        let smaller = self.first_with_a_slot(wants).filter(|&class| class < has);
        if wants < has && smaller != Some(wants) {
            self.classes[wants].exhausted += 1;
        }
        Ok(smaller.map_or(Move::Stays, |class| Move::To(Source::Slot(class))))
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

/// A live entry. Its first `filled` bytes hold the pattern of its seed.
#[derive(Clone, Copy)]
struct Entry {
    at: *mut u8,
    source: Source,
    usable: usize,
    /// As many as may be written: of a guarded pool's those that were asked for.
    filled: usize,
    seed: usize,
}

/// Bytes that patterns are cut from, each at its own place.
fn patterns() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut state = 1_u64;
        let byte = |_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        (0..PATTERNS + LARGEST).map(byte).collect()
    })
}

/// How many patterns there are, and the bytes of the largest entry.
const PATTERNS: usize = 4093;
const LARGEST: usize = 16384;

impl Entry {
    fn expected(&self, bytes: usize) -> &'static [u8] {
        &patterns()[self.seed * 167 % PATTERNS..][..bytes]
    }

    fn write(&self) {
        let pattern = self.expected(self.filled);
        // SAFETY: the entry is live and has that many bytes.
        unsafe { self.at.copy_from_nonoverlapping(pattern.as_ptr(), self.filled) };
    }

    /// Verifies the first `bytes` bytes, which may have moved to `at`.
    fn verify(&self, at: *const u8, bytes: usize) {
        // SAFETY: a live entry of at least that many bytes, all of them written, is at `at`.
        let found = unsafe { std::slice::from_raw_parts(at, bytes) };
        let expected = self.expected(bytes);
        if found != expected {
            let changed = found.iter().zip(expected).position(|(found, byte)| found != byte);
            panic!("byte {changed:?} of {} changed", self.filled);
        }
    }

    fn address(&self) -> usize {
        self.at as usize
    }
}

/// A buffer of the caller's, with margins.
pub struct Buffer {
    // Words of 16 bytes, so that it starts at a multiple of that.
    room: *mut [MaybeUninit<u128>],
    start: usize,
    len: usize,
}

impl Buffer {
    fn new(start: usize, len: usize) -> Self {
        let bytes = len + 2 * MARGIN + 2 * 256;
        let room = Box::into_raw(Box::new_uninit_slice(bytes.div_ceil(16)));
        // SAFETY: the room has that many words.
        unsafe { room.cast::<u128>().write_bytes(UNTOUCHED, room.len()) };
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
        for range in [0..self.start, self.start + self.len..bytes] {
            // SAFETY: the room has `bytes` bytes, all of them written.
            let margin = unsafe {
                let first = self.room.cast::<u8>().add(range.start);
                std::slice::from_raw_parts(first, range.len())
            };
            assert!(all_are(margin, UNTOUCHED), "written beside the buffer");
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
    /// Addresses and usable bytes of slots that were out before and are free.
    freed: BTreeMap<usize, usize>,
    next_seed: usize,
    /// Who called first, and whether others did too: then the high-water marks are not exact.
    first_caller: usize,
    several_callers: bool,
    /// The class that is looked at next.
    next_look: usize,
}

/// A number of the calling thread's own.
fn this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    thread_local!(static OWN: Cell<usize> = const { Cell::new(0) });
    if OWN.get() == 0 {
        // Relaxed: the number only has to be this thread's own.
        OWN.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    OWN.get()
}

impl Run {
    pub fn new(setup: &Setup) -> Self {
        let classes = setup.shape.classes().expect("only pools that make sense");
        let falls_back = setup.has(c::MEMPOOL_FALL_BACK);
        let policy = setup.shape.policy();
        let model = Model { classes, policy, falls_back, bypassed: bypassed() };
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
            freed: BTreeMap::new(),
            next_seed: 0,
            first_caller: this_thread(),
            several_callers: false,
            next_look: 0,
        };
        if run.reports_leaks() {
            // SAFETY: it can be called with whatever it gets.
            unsafe { c::mempool_set_misuse_handler(Some(note_misuse), null_mut()) };
        }
        run.verify_buffer_size(bytes);
        run.compare();
        run
    }

    fn align(&self) -> usize {
        if self.setup.plain() { 16 } else { self.setup.alignment.max(16) }
    }

    /// Whether what was asked for is all that may be touched.
    fn guarded(&self) -> bool {
        watched() || bypassed() || self.setup.has(c::MEMPOOL_HARDENED) && !self.setup.plain()
    }

    fn reports_leaks(&self) -> bool {
        self.setup.has(c::MEMPOOL_REPORT_LEAKS) && !self.setup.plain()
    }

    /// From one entry of a class to the next, in bytes.
    fn stride(&self, class: usize) -> usize {
        let has_gap = self.guarded() && self.buffer.is_none();
        self.stride_with(class, if has_gap { 16 } else { 0 })
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

    /// Makes a call and compares all that there is to see.
    pub fn call(&mut self, call: &Call) {
        self.quick_call(call);
        self.compare();
    }

    /// Makes a call and compares what it answers, and the figures of one class.
    pub fn quick_call(&mut self, call: &Call) {
        self.several_callers |= this_thread() != self.first_caller;
        match *call {
            Call::AllocBulk(size, n) => self.alloc_bulk(self.bytes(size), n),
            Call::FreeBulk(first, n) if !self.live.is_empty() => {
                self.free_bulk(first % self.live.len(), n);
            }
            Call::Drain(left) => self.drain(left),
            Call::Visit(every) => self.visit(every),
            Call::Reset => self.reset(),
            Call::ResetPeak => {
                self.pool.reset_peak();
                for class in &mut self.model.classes {
                    (class.peak, class.dynamic_peak) = (class.used, class.dynamic);
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
        self.compare_figures(self.next_look);
        self.next_look = (self.next_look + 1) % self.model.classes.len();
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
                let accept = |(&at, from)| self.accept(at, from, size);
                let taken: Vec<_> = places.iter().zip(sources).map(accept).collect();
                taken.into_iter().for_each(|entry| self.fill(entry, 0));
            }
        }
    }

    fn free_bulk(&mut self, first: usize, n: usize) {
        let n = n.min(self.live.len() - first);
        let mut places: Vec<*mut c_void> = vec![];
        for entry in &self.live[first..first + n] {
            entry.verify(entry.at, entry.filled);
            places.push(entry.at.cast());
            if entry.seed.is_multiple_of(8) {
                places.push(null_mut());
            }
        }
        // SAFETY: NULL or live entries, each once.
        unsafe { c::mempool_free_bulk(places.as_ptr(), places.len()) };
        (first..first + n).rev().for_each(|index| self.forget(index));
    }

    /// Takes all but `left` of each class that has more.
    fn drain(&mut self, left: usize) {
        for i in 0..self.model.classes.len() {
            let class = &self.model.classes[i];
            let (size, free) = (class.elem_size, class.capacity - class.used);
            self.alloc_bulk(size, free.saturating_sub(left));
        }
    }

    fn visit(&mut self, every: usize) {
        let live: BTreeMap<_, _> =
            self.live.iter().map(|entry| (entry.address(), *entry)).collect();
        let mut visit = Visit { live, every, number: 0, freed: vec![] };
        // SAFETY: the visitor is this context's.
        let visited = unsafe {
            let context: *mut Visit = &mut visit;
            self.pool.for_each_live(Some(visitor), context.cast())
        };
        assert_eq!((visited, visit.live.len()), (self.live.len(), 0), "live entries");
        for address in visit.freed {
            let index = self.live.iter().position(|entry| entry.address() == address);
            self.forget(index.expect("it was live"));
        }
    }

    fn reset(&mut self) {
        let is_slot = |entry: &&Entry| matches!(entry.source, Source::Slot(_)) && !bypassed();
        let slots: Vec<_> = self.live.iter().filter(is_slot).take(8).map(|e| e.at).collect();
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
                let entry = self.accept(at, source, size);
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
        old.verify(old.at, old.filled);
        clear_errno();
        // SAFETY: the entry is live.
        let at = unsafe { self.pool.realloc(old.at, size) };
        match self.model.realloc(old.source, size) {
            Err(refusal) => {
                verify_refusal(at, refusal);
                old.verify(old.at, old.filled);
            }
            Ok(Move::Stays) => {
                assert_eq!(at, old.at, "the entry stays");
                let filled = self.may_fill(old.usable, size);
                old.verify(old.at, old.filled.min(filled));
                let entry = Entry { filled, ..old };
                expect_open(&entry);
                entry.write();
                self.live[index] = entry;
            }
            Ok(Move::To(source)) => {
                // The old entry is still out while the new one is taken.
                let entry = self.accept(at, source, size);
                let kept = old.filled.min(size);
                old.verify(entry.at, kept);
                self.forget(index);
                // What was not filled may be anything, and may be copied, too.
                self.fill(entry, old.usable.min(size));
            }
        }
    }

    fn free(&mut self, index: usize, name: usize) {
        let entry = self.live[index];
        entry.verify(entry.at, entry.filled);
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

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.model.classes.iter().map(|class| class.capacity).sum()
    }

    /// How many entries there are for a size without the heap.
    pub fn free_for(&self, size: Size) -> usize {
        let Ok(class) = self.model.fitting(self.bytes(size)) else { return 0 };
        let end = if self.model.policy == Some(1) { class + 1 } else { self.model.classes.len() };
        self.model.classes[class..end].iter().map(|class| class.capacity - class.used).sum()
    }

    /// Verifies that an entry is where one from this source can be, and that nobody else is there.
    fn accept(&mut self, at: *mut u8, source: Source, size: usize) -> Entry {
        assert!(!at.is_null(), "NULL with errno {} instead of one from {source:?}", errno());
        let usable = self.model.usable(source);
        let filled = self.may_fill(usable, size);
        let entry = Entry { at, source, usable, filled, seed: self.next_seed };
        self.next_seed += 1;
        assert_eq!(entry.address() % self.align(), 0, "alignment");
        assert!(self.is_free(entry.address(), usable), "an entry at another one that is out");
        // SAFETY: the entry is live.
        let (size, owner) =
            unsafe { (c::mempool_usable_size(at.cast()), c::mempool_owner(at.cast())) };
        assert_eq!((size, owner), (usable, self.pool.address()), "usable bytes and owner");
        let is_slot = matches!(source, Source::Slot(_)) && !bypassed();
        // Of others it is found by a look at each: not each time.
        if is_slot || entry.seed.is_power_of_two() {
            assert!(self.pool.owns(at) && !self.pool.owns(at.wrapping_add(1)));
        }
        if let Some(buffer) = &self.buffer {
            assert_eq!(buffer.contains(&entry), is_slot, "in the buffer, if from {source:?}");
        }
        expect_open(&entry);
        if let Source::Slot(class) = source
            && is_slot
        {
            // A class is so many slots in a row.
            let stride = self.stride(class);
            expect_closed(entry.address() + usable, stride - 8 - usable);
            let class = &mut self.model.classes[class];
            let distance = entry.address().abs_diff(*class.seen.get_or_insert(entry.address()));
            assert_eq!(distance % stride, 0, "no slot of the class starts there");
            assert!(distance / stride < class.capacity, "not one of the class's slots");
        }
        self.model.add(source);
        entry
    }

    /// How many bytes of an entry may be written.
    fn may_fill(&self, usable: usize, size: usize) -> usize {
        let whole = self.model.policy.is_none() || !self.guarded();
        if whole { usable } else { size }
    }

    /// Takes an accepted entry into the live ones. Its first `copied` bytes are what realloc copied.
    fn fill(&mut self, entry: Entry, copied: usize) {
        let was_out = self.freed.remove(&entry.address()).is_some();
        if was_out && self.setup.has(c::MEMPOOL_ZERO_ON_FREE) && !self.setup.plain() {
            verify_zeros(entry.at, copied..entry.filled);
        }
        entry.write();
        self.spans.insert(entry.address(), entry.address() + entry.usable);
        self.live.push(entry);
    }

    fn forget(&mut self, index: usize) {
        let entry = self.live.swap_remove(index);
        self.spans.remove(&entry.address());
        if matches!(entry.source, Source::Slot(_)) && !bypassed() {
            expect_closed(entry.address(), entry.usable);
            if watched() || self.setup.has(c::MEMPOOL_ZERO_ON_FREE) {
                self.freed.insert(entry.address(), entry.usable);
            }
        }
        self.model.remove(entry.source);
    }

    /// Compares all figures of all classes.
    pub fn compare(&self) {
        let classes = &self.model.classes;
        let below = classes[..self.next_look].last().map_or(0, |class| class.elem_size);
        for i in 0..classes.len() {
            self.compare_figures(i);
        }
        // The sizes at both ends of what a class serves.
        let class = &classes[self.next_look];
        for size in [below + 1, class.elem_size] {
            let dynamic = self.model.dynamic(self.next_look);
            assert_eq!(self.pool.capacity(size), class.capacity, "capacity for {size}");
            assert_eq!(self.pool.used(size), class.used, "used for {size}");
            assert_eq!(self.pool.dynamic(size), dynamic, "dynamic for {size}");
        }
        if let Some(ledger) = &self.ledger {
            let from_heap = |class: &Class| class.dynamic + if bypassed() { class.used } else { 0 };
            let blocks: usize = classes.iter().map(from_heap).sum();
            assert_eq!(ledger.given(), blocks + usize::from(self.buffer.is_none()));
        }
        if self.model.policy.is_some() {
            let size = [0, self.model.largest() + 1, usize::MAX][self.next_seed % 3];
            assert_eq!(self.pool.capacity(size), 0, "capacity for {size}");
            assert_eq!(self.pool.used(size), 0, "used for {size}");
            assert_eq!(self.pool.dynamic(size), 0, "dynamic for {size}");
        }
    }

    fn compare_figures(&self, i: usize) {
        let class = &self.model.classes[i];
        let stats = self.pool.stats(i);
        assert_eq!((stats.elem_size, stats.capacity), (class.elem_size, class.capacity));
        assert_eq!((stats.used, stats.dynamic_used), (class.used, class.dynamic));
        assert_eq!((stats.exhausted, stats.failed), (class.exhausted, class.failed));
        assert_eq!(stats.dynamic_peak, class.dynamic_peak);
        assert_eq!(stats.bytes_per_entry, self.stride(i));
        assert!(stats.used + stats.cached <= stats.capacity);
        // What other threads' caches hold may be in the mark.
        let most =
            if self.several_callers && !self.guarded() { class.capacity } else { class.peak };
        let marks = class.peak..=most;
        assert!(marks.contains(&stats.peak_used), "peak {}, not {marks:?}", stats.peak_used);
    }

    /// Destroys the pool with entries still out; a buffer can hold another one then.
    pub fn end(self) {
        self.compare();
        assert_eq!(self.pool.count_live(), self.live.len(), "live entries");
        for entry in &self.live {
            expect_open(entry);
            entry.verify(entry.at, entry.filled);
        }
        self.freed.iter().for_each(|(&address, &usable)| expect_closed(address, usable));
        self.pool.destroy();
        self.verify_reports();
        let ledger = self.ledger.as_ref();
        assert_eq!(ledger.map_or(0, Ledger::given), 0, "not given back");
        if let Some(buffer) = self.buffer {
            if let Mode::Watched { open, .. } = mode() {
                assert!(open(buffer.base(), buffer.len), "closed, though no pool is there");
            }
            let again = self.setup.create(buffer.base().cast(), buffer.len, ledger);
            let again = again.expect("it fits again");
            assert!(!again.alloc(1).is_null());
            assert_eq!((again.used(1), again.dynamic(1)), (1, 0));
            again.destroy();
            REPORTS.take();
            buffer.verify_margins();
        }
    }

    /// Whether destroy reported each class of which there are entries out, if it was to.
    fn verify_reports(&self) {
        let reports = REPORTS.take();
        let is_missing = |class: &&Class| class.used + class.dynamic > 0;
        let classes = self.model.classes.iter().filter(is_missing).map(|class| class.elem_size);
        let expected: Vec<_> = classes.filter(|_| self.reports_leaks()).collect();
        let found: Vec<_> = reports.iter().map(|report| report.entry_size).collect();
        assert_eq!(found, expected, "classes with leaks");
        for report in reports {
            assert_eq!(report.pool, self.pool.address() as usize);
            assert!(self.spans.contains_key(&report.pointer), "not an entry that is out");
        }
    }
}

/// What a visitor knows.
struct Visit {
    /// Those that it was not called with yet.
    live: BTreeMap<usize, Entry>,
    every: usize,
    number: usize,
    freed: Vec<usize>,
}

unsafe extern "C" fn visitor(at: *mut c_void, usable: usize, context: *mut c_void) -> bool {
    // SAFETY: the context is the visit's, which is waiting for this.
    let visit = unsafe { &mut *context.cast::<Visit>() };
    let entry = visit.live.remove(&(at as usize)).expect("live, and not visited before");
    assert_eq!(entry.usable, usable);
    visit.number += 1;
    if visit.every > 0 && visit.number.is_multiple_of(visit.every) {
        entry.verify(entry.at, entry.filled);
        visit.freed.push(entry.address());
        // SAFETY: it is live.
        unsafe { c::mempool_free_entry(at) };
    }
    true
}

/// What a handler of misuse was told.
struct Report {
    pool: usize,
    entry_size: usize,
    pointer: usize,
}

thread_local!(static REPORTS: RefCell<Vec<Report>> = const { RefCell::new(vec![]) });

/// Keeps a report of a leak; others are shown, and the process ends.
unsafe extern "C" fn note_misuse(report: *const c::mempool_misuse, _: *mut c_void) {
    // SAFETY: the library calls this with a report.
    let report = unsafe { &*report };
    if report.kind == c::mempool_misuse_kind::MEMPOOL_MISUSE_LEAK as u32 {
        let (pool, pointer) = (report.pool as usize, report.pointer as usize);
        let report = Report { pool, entry_size: report.entry_size, pointer };
        REPORTS.with_borrow_mut(|reports| reports.push(report));
    } else {
        // SAFETY: the text is a string.
        eprintln!("{:?}", unsafe { CStr::from_ptr(report.text) });
    }
}

/// Whether an entry's holder may touch it, if that can be known.
fn expect_open(entry: &Entry) {
    if let Mode::Watched { open, .. } = mode() {
        assert!(open(entry.at, entry.filled), "closed to its holder");
    }
}

/// Whether nobody may touch these bytes, if that can be known.
fn expect_closed(address: usize, len: usize) {
    if let Mode::Watched { closed, .. } = mode() {
        let at = std::ptr::without_provenance(address);
        assert!(len == 0 || closed(at, len), "open, though nobody's");
    }
}

fn all_are(bytes: &[u8], value: u8) -> bool {
    // Each is as the one before it.
    bytes.split_first().is_none_or(|(&first, rest)| first == value && rest == &bytes[..rest.len()])
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
    if range.is_empty() {
        return;
    }
    // SAFETY: the caller's entry is live and has that many bytes, zeros or what was there before.
    let bytes = unsafe { std::slice::from_raw_parts(at.add(range.start), range.len()) };
    assert!(all_are(bytes, 0), "not all of the bytes {range:?} are zero");
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
