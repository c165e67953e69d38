//! Does a call that fails change anything that anybody can see?
//!
//! Random pools, in a state into which two threads brought them, each with a cache of its own. Then calls
//! that fail: before and after, all that the library tells of the pool is compared, in both threads. It
//! may differ in one `exhausted` and one `failed` of the class that should have served.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};

use cmempool as c;
use proptest::collection::vec;
use proptest::prelude::*;

// ---- Pools ---------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
struct Setup {
    /// Bytes and entries of each class, ascending.
    classes: Vec<(usize, usize)>,
    /// None makes an ordinary pool of the first class.
    policy: Option<u32>,
    flags: u64,
    in_buffer: bool,
    backed: bool,
}

/// Whether every entry comes from the heap in this process.
fn bypass() -> bool {
    std::env::var("CMEMPOOL_OPTIONS").is_ok_and(|words| words.contains("bypass"))
}

fn setup() -> impl Strategy<Value = Setup> {
    // Pools of less than about a hundred entries have no caches.
    let count = || prop_oneof![2 => 1..12_usize, 1 => 12..90_usize, 3 => 100..400_usize];
    let ordinary = (1..80_usize, count()).prop_map(|class| (vec![class], None));
    let ranged = (proptest::collection::btree_map(1..200_usize, count(), 1..5), 0..3_u32)
        .prop_map(|(classes, policy)| (classes.into_iter().collect(), Some(policy)));
    let flags = prop_oneof![
        4 => Just(0),
        2 => Just(c::MEMPOOL_ZERO_ON_FREE),
        2 => Just(c::MEMPOOL_SINGLE_THREAD),
        2 => Just(c::MEMPOOL_HARDENED),
        1 => Just(c::MEMPOOL_HARDENED | c::MEMPOOL_ZERO_ON_FREE),
    ];
    let shape = prop_oneof![2 => ordinary, 3 => ranged];
    (shape, flags, any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.7)).prop_map(
        |((classes, policy), mut flags, fall_back, in_buffer, backed)| {
            if policy.is_none() && fall_back {
                flags |= c::MEMPOOL_FALL_BACK;
            }
            Setup { classes, policy, flags, in_buffer, backed }
        },
    )
}

/// A backing that gives no more than so many blocks.
#[derive(Default)]
struct Bank {
    blocks: Mutex<BTreeMap<usize, usize>>, // address, bytes
    limit: AtomicUsize,
}

const BLOCK_ALIGN: usize = 4096;

unsafe extern "C" fn give(size: usize, _: usize, bank: *mut c_void) -> *mut c_void {
    // SAFETY: the context is the bank, which outlives the pool.
    let bank = unsafe { &*bank.cast::<Bank>() };
    let mut blocks = bank.blocks.lock().expect("nothing panics under it");
    if blocks.len() >= bank.limit.load(Relaxed) {
        return null_mut();
    }
    let layout = std::alloc::Layout::from_size_align(size, BLOCK_ALIGN).expect("a size of ours");
    // SAFETY: the layout is of more than nothing.
    let memory = unsafe { std::alloc::alloc(layout) };
    assert!(blocks.insert(memory as usize, size).is_none());
    memory.cast()
}

unsafe extern "C" fn take_back(memory: *mut c_void, size: usize, bank: *mut c_void) {
    // SAFETY: as in `give`.
    let bank = unsafe { &*bank.cast::<Bank>() };
    let mut blocks = bank.blocks.lock().expect("nothing panics under it");
    assert_eq!(blocks.remove(&(memory as usize)), Some(size), "given, and not taken back");
    let layout = std::alloc::Layout::from_size_align(size, BLOCK_ALIGN).expect("a size of ours");
    // SAFETY: it was given with this layout.
    unsafe { std::alloc::dealloc(memory.cast(), layout) };
}

impl Bank {
    fn backing(&self) -> c::mempool_backing {
        c::mempool_backing {
            struct_size: size_of::<c::mempool_backing>(),
            alloc: Some(give),
            free: Some(take_back),
            context: (&raw const *self).cast_mut().cast(),
        }
    }

    fn blocks(&self) -> BTreeMap<usize, usize> {
        self.blocks.lock().expect("nothing panics under it").clone()
    }

    /// It gives so many more.
    fn grant(&self, more: usize) {
        self.limit.store(self.blocks().len().saturating_add(more), Relaxed);
    }

    fn left(&self) -> usize {
        self.limit.load(Relaxed).saturating_sub(self.blocks().len())
    }
}

#[derive(Clone, Copy)]
enum Pool {
    Ordinary(*mut c::mempool),
    Ranged(*mut c::r_mempool),
}

// SAFETY: the functions called on it may be called in any thread.
unsafe impl Send for Pool {}

/// Calls one of two functions.
macro_rules! of {
    ($pool:expr, $p:ident => $ordinary:expr, $ranged:expr) => {
        // SAFETY: the pool is live until `destroy`, which is called last; the other arguments are live
        // entries of it, NULL, or places for as much as is said.
        unsafe {
            match $pool {
                Pool::Ordinary($p) => $ordinary,
                Pool::Ranged($p) => $ranged,
            }
        }
    };
}

impl Pool {
    fn alloc(self, size: usize) -> *mut u8 {
        of!(self, p => c::mempool_alloc_entry(p), c::r_mempool_alloc_entry(p, size)).cast()
    }

    fn calloc(self, size: usize) -> *mut u8 {
        of!(self, p => c::mempool_calloc_entry(p), c::r_mempool_calloc_entry(p, size)).cast()
    }

    fn alloc_bulk(self, size: usize, places: &mut [*mut c_void], n: usize) -> bool {
        assert!(n <= places.len());
        let array = places.as_mut_ptr();
        of!(self, p => c::mempool_alloc_bulk(p, array, n), c::r_mempool_alloc_bulk(p, size, array, n))
    }

    fn class_count(self) -> usize {
        of!(self, _p => 1, c::r_mempool_class_count(_p))
    }

    /// How many entries are out that are not the pool's own, and how many of its own, and could be.
    fn counts(self, size: usize) -> [usize; 3] {
        of!(self,
        p => [
            c::mempool_used_count(p),
            c::mempool_dynamic_allocs_count(p),
            c::mempool_total_capacity(p),
        ],
        [
            c::r_mempool_used_count(p, size),
            c::r_mempool_dynamic_allocs_count(p, size),
            c::r_mempool_total_capacity(p, size),
        ])
    }

    fn get_stats(self, class: usize, stats: *mut c::mempool_stats) -> bool {
        of!(self, p => c::mempool_get_stats(p, stats), c::r_mempool_get_stats(p, class, stats))
    }

    fn stats(self, class: usize) -> Stats {
        let mut stats =
            c::mempool_stats { struct_size: size_of::<c::mempool_stats>(), ..Default::default() };
        assert!(self.get_stats(class, &mut stats), "figures of class {class}");
        Stats::of(&stats)
    }

    fn all_stats(self) -> Vec<Stats> {
        (0..self.class_count()).map(|class| self.stats(class)).collect()
    }

    fn owns(self, entry: usize) -> bool {
        let entry = std::ptr::with_exposed_provenance(entry);
        of!(self, p => c::mempool_owns(p, entry), c::r_mempool_owns(p, entry))
    }

    /// Where the entries are that are out, and what is in them.
    fn live(self) -> BTreeMap<usize, Vec<u8>> {
        let mut live = BTreeMap::new();
        let context = (&raw mut live).cast();
        let seen = of!(self,
            p => c::mempool_for_each_live(p, Some(see), context),
            c::r_mempool_for_each_live(p, Some(see), context));
        assert_eq!(seen, live.len(), "each is seen once");
        live
    }

    fn json(self) -> String {
        written(|out| of!(self, p => c::mempool_dump_json(p, out), c::r_mempool_dump_json(p, out)))
    }

    fn destroy(self) {
        of!(self, p => c::mempool_destroy(p), c::r_mempool_destroy(p));
    }
}

unsafe extern "C" fn see(entry: *mut c_void, usable: usize, live: *mut c_void) -> bool {
    // SAFETY: the context is the map of `Pool::live`; the entry is live and has that many bytes, all of
    // which were written.
    unsafe {
        assert_eq!(c::mempool_usable_size(entry), usable);
        let bytes = std::slice::from_raw_parts(entry.cast::<u8>(), usable).to_vec();
        let live = &mut *live.cast::<BTreeMap<usize, Vec<u8>>>();
        assert!(live.insert(entry.expose_provenance(), bytes).is_none(), "seen twice");
    }
    true
}

/// What is written to a stream.
fn written(write: impl FnOnce(*mut libc::FILE)) -> String {
    let (mut text, mut bytes): (*mut c_char, usize) = (null_mut(), 0);
    // SAFETY: both are there until the stream is closed, and the text is the caller's then.
    unsafe {
        let out = libc::open_memstream(&mut text, &mut bytes);
        assert!(!out.is_null());
        write(out);
        assert_eq!(libc::fclose(out), 0);
        let copy = std::slice::from_raw_parts(text.cast::<u8>(), bytes).to_vec();
        libc::free(text.cast());
        String::from_utf8(copy).expect("a report is UTF-8")
    }
}

fn clear_errno() {
    // SAFETY: the address is that of this thread's own `errno`.
    unsafe { *libc::__errno_location() = 0 };
}

fn errno() -> i32 {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() }
}

// ---- What can be seen ----------------------------------------------------------------------------

/// All figures of a class.
#[derive(Clone, PartialEq, Debug)]
struct Stats {
    elem_size: usize,
    capacity: usize,
    used: usize,
    peak_used: usize,
    cached: usize,
    dynamic: [usize; 2],
    exhausted: u64,
    failed: u64,
    others: [u64; 4],
}

impl Stats {
    fn of(s: &c::mempool_stats) -> Self {
        let memory = [s.bytes_reserved, s.bytes_per_entry, s.cache_bytes].map(|bytes| bytes as u64);
        Self {
            elem_size: s.elem_size,
            capacity: s.capacity,
            used: s.used,
            peak_used: s.peak_used,
            cached: s.cached,
            dynamic: [s.dynamic_used, s.dynamic_peak],
            exhausted: s.exhausted,
            failed: s.failed,
            others: [memory[0], memory[1], memory[2], s.notes],
        }
    }

    fn free(&self) -> usize {
        self.capacity - self.used
    }
}

/// A report without the two figures that a call that fails may change.
fn without_shortages(report: &str) -> String {
    let mut parts = report.split_inclusive("\"exhausted\":");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let part = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let part = part.strip_prefix(",\"failed\":").expect("it follows");
        rest += part.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    rest
}

/// What anybody can see of a pool.
#[derive(Clone, PartialEq, Debug)]
struct Sight {
    stats: Vec<Stats>,
    counts: Vec<[usize; 3]>,
    live: BTreeMap<usize, Vec<u8>>,
    report: String,
    in_all: usize,
    blocks: BTreeMap<usize, usize>,
    /// Of the other thread.
    others: Vec<Stats>,
}

// ---- A pool that two threads use -----------------------------------------------------------------

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does what it is told to, and keeps what it has in its caches.
struct Helper {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    fn new() -> Self {
        let (jobs, work) = channel::<Job>();
        let thread = spawn(move || work.into_iter().for_each(|job| job()));
        Self { jobs: Some(jobs), thread: Some(thread) }
    }

    fn begin(&self, job: impl FnOnce() + Send + 'static) {
        let jobs = self.jobs.as_ref().expect("it is there until the drop");
        jobs.send(Box::new(job)).expect("the thread lives");
    }

    fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (answer, answers) = channel();
        self.begin(move || answer.send(job()).expect("it is waited for"));
        answers.recv().expect("the job does not panic")
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Main,
    Helper,
}

/// How a size relates to the classes.
#[derive(Clone, Copy, Debug)]
enum Size {
    /// That of a class, modulo their number.
    Of(usize),
    Zero,
    /// So many above the largest.
    Above(usize),
    Largest,
}

#[derive(Clone, Copy, Debug)]
enum Many {
    /// So many more than there are, as far as the heap is known.
    Beyond(usize),
    /// So many more than the capacities of all classes together.
    Impossible(usize),
    Some(usize),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Takes so many of a class, one by one.
    Take(Who, usize, usize),
    TakeAll(Who, usize),
    TakeBulk(Who, usize, usize),
    /// Frees so many from one on.
    Free(Who, usize, usize),
    FreeBulk(Who, usize, usize),
    /// The backing gives so many more.
    Grant(usize),
    ResetPeak,
    // What may fail, and is watched.
    Alloc(Size, bool),
    Bulk(Size, Many),
    BulkNowhere(Size, usize),
    Realloc(usize, Size, usize),
    Stats(usize, usize),
    Create(usize),
    Null(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || prop_oneof![Just(Who::Main), Just(Who::Helper)];
    let index = any::<usize>;
    let size = || {
        prop_oneof![
            12 => index().prop_map(Size::Of),
            1 => Just(Size::Zero),
            1 => (1..100_usize).prop_map(Size::Above),
            1 => Just(Size::Largest),
        ]
    };
    let many = prop_oneof![
        4 => (1..5_usize).prop_map(Many::Beyond),
        2 => (1..300_usize).prop_map(Many::Impossible),
        1 => (1..300_usize).prop_map(Many::Some),
    ];
    let n = || 1..150_usize;
    prop_oneof![
        3 => (who(), index(), n()).prop_map(|(who, class, n)| Step::Take(who, class, n)),
        2 => (who(), index()).prop_map(|(who, class)| Step::TakeAll(who, class)),
        1 => (who(), index(), n()).prop_map(|(who, class, n)| Step::TakeBulk(who, class, n)),
        4 => (who(), index(), n()).prop_map(|(who, first, n)| Step::Free(who, first, n)),
        1 => (who(), index(), n()).prop_map(|(who, first, n)| Step::FreeBulk(who, first, n)),
        2 => (0..5_usize).prop_map(Step::Grant),
        1 => Just(Step::ResetPeak),
        4 => (size(), any::<bool>()).prop_map(|(size, zeroed)| Step::Alloc(size, zeroed)),
        8 => (size(), many).prop_map(|(size, many)| Step::Bulk(size, many)),
        1 => (size(), n()).prop_map(|(size, n)| Step::BulkNowhere(size, n)),
        5 => (index(), size(), 0..3_usize).prop_map(|(i, size, less)| Step::Realloc(i, size, less)),
        1 => (index(), prop_oneof![0..400_usize, index()]).prop_map(|(c, s)| Step::Stats(c, s)),
        1 => index().prop_map(Step::Create),
        1 => index().prop_map(Step::Null),
    ]
}

/// What a call does by the documents.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    Served,
    Refused(i32),
}

struct World {
    setup: Setup,
    pool: Pool,
    bank: Arc<Bank>,
    helper: Helper,
    name: String,
    live: Vec<usize>,
    /// How many bytes their holders may write.
    asked: BTreeMap<usize, usize>,
    seed: u8,
    _buffer: Vec<u128>,
}

/// What is in memory that must stay as it is.
const UNTOUCHED: u8 = 0x5A;

const OPTIONS: c::mempool_options = c::mempool_options {
    struct_size: size_of::<c::mempool_options>(),
    elem_count: 3,
    elem_size: 24,
    alignment: 0,
    name: c"never made".as_ptr(),
    buffer: null_mut(),
    buffer_size: 0,
    flags: 0,
    backing: null(),
};

const RANGED_OPTIONS: c::r_mempool_options = c::r_mempool_options {
    struct_size: size_of::<c::r_mempool_options>(),
    smallest_size: 0,
    largest_size: 0,
    smallest_count: 0,
    classes: null(),
    class_count: 0,
    alignment: 0,
    name: c"never made".as_ptr(),
    buffer: null_mut(),
    buffer_size: 0,
    flags: 0,
    policy: 0,
    reserved: 0,
    backing: null(),
};

impl World {
    fn new(setup: &Setup) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("world {}", NEXT.fetch_add(1, Relaxed));
        let text = CString::new(name.clone()).expect("no zero in it");
        let bank = Arc::new(Bank::default());
        bank.grant(1);
        let backing = bank.backing();
        let backing = if setup.backed { &raw const backing } else { null() };
        let (elem_size, elem_count) = setup.classes[0];
        let mut ordinary = c::mempool_options {
            elem_count,
            elem_size,
            name: text.as_ptr(),
            flags: setup.flags,
            backing,
            ..OPTIONS
        };
        let class = |&(elem_size, elem_count)| c::r_mempool_class { elem_size, elem_count };
        let list: Vec<_> = setup.classes.iter().map(class).collect();
        let mut ranged = c::r_mempool_options {
            classes: list.as_ptr(),
            class_count: list.len(),
            name: text.as_ptr(),
            flags: setup.flags,
            policy: setup.policy.unwrap_or(0),
            backing,
            ..RANGED_OPTIONS
        };
        let mut buffer = vec![];
        // SAFETY: the options are complete; the list, the name and the buffer are there.
        let pool = unsafe {
            if setup.in_buffer {
                let bytes = match setup.policy {
                    None => c::mempool_buffer_size(&ordinary),
                    Some(_) => c::r_mempool_buffer_size(&ranged),
                };
                buffer = vec![0; bytes.div_ceil(16)];
                let base = buffer.as_mut_ptr().cast::<c_void>();
                (ordinary.buffer, ordinary.buffer_size) = (base, bytes);
                (ranged.buffer, ranged.buffer_size) = (base, bytes);
            }
            match setup.policy {
                None => Pool::Ordinary(c::mempool_create_with(&ordinary)),
                Some(_) => Pool::Ranged(c::r_mempool_create_with(&ranged)),
            }
        };
        let null = match pool {
            Pool::Ordinary(mp) => mp.is_null(),
            Pool::Ranged(rmp) => rmp.is_null(),
        };
        assert!(!null, "errno {}", errno());
        bank.grant(0);
        let (setup, helper) = (setup.clone(), Helper::new());
        Self {
            setup,
            pool,
            bank,
            helper,
            name,
            live: vec![],
            asked: BTreeMap::new(),
            seed: 0,
            _buffer: buffer,
        }
    }

    fn sight(&self) -> Sight {
        let pool = self.pool;
        let sizes = self.setup.classes.iter().map(|class| class.0);
        let live = pool.live();
        assert!(live.keys().all(|&entry| pool.owns(entry)));
        let all = written(|out| {
            // SAFETY: it is a stream.
            unsafe { c::mempool_dump_all_json(out) }
        });
        let named = format!("\"name\":\"{}\"", self.name);
        Sight {
            stats: pool.all_stats(),
            counts: sizes.map(|size| pool.counts(size)).collect(),
            live,
            report: without_shortages(&pool.json()),
            in_all: all.lines().filter(|line| line.contains(&named)).count(),
            blocks: self.bank.blocks(),
            others: self.helper.run(move || pool.all_stats()),
        }
    }

    /// Compares what is seen now with what was.
    fn compare(&self, mut before: Sight, class: Option<usize>, [exhausted, failed]: [u64; 2]) {
        if let Some(class) = class {
            for stats in [&mut before.stats, &mut before.others] {
                stats[class].exhausted += exhausted;
                stats[class].failed += failed;
            }
        }
        let now = self.sight();
        assert_eq!(now.stats, before.stats, "what this thread sees");
        assert_eq!(now.others, before.others, "what the other thread sees");
        assert_eq!(now, before);
    }

    /// How many more blocks the heap gives.
    fn heap_left(&self) -> usize {
        if self.setup.backed { self.bank.left() } else { usize::MAX }
    }

    fn cascades(&self) -> bool {
        self.setup.policy.is_some_and(|policy| policy != 1)
    }

    fn falls_back(&self) -> bool {
        match self.setup.policy {
            None => self.setup.flags & c::MEMPOOL_FALL_BACK != 0,
            Some(policy) => policy != 0,
        }
    }

    fn bytes(&self, size: Size) -> usize {
        let classes = &self.setup.classes;
        let largest = classes[classes.len() - 1].0;
        match size {
            Size::Of(class) => classes[class % classes.len()].0,
            Size::Zero => 0,
            Size::Above(more) => largest + more,
            Size::Largest => usize::MAX,
        }
    }

    /// The class that should serve a size.
    fn fitting(&self, size: usize) -> Option<usize> {
        match self.setup.policy {
            None => Some(0),
            Some(_) => {
                self.setup.classes.iter().position(|class| size <= class.0).filter(|_| size > 0)
            }
        }
    }

    /// What comes of a wish for `n` at once, and how often it counts as exhausted and as failed.
    fn foretell(&self, stats: &[Stats], class: usize, n: usize) -> (Outcome, [u64; 2]) {
        let larger = if self.cascades() { stats.len() } else { class + 1 };
        let free: usize = stats[class..larger].iter().map(Stats::free).sum();
        let missing = n.saturating_sub(free);
        let wanted = if bypass() { n } else { missing };
        let served = (missing == 0 || self.falls_back()) && wanted <= self.heap_left();
        let exhausted = n > stats[class].free() || !served;
        let outcome = if served { Outcome::Served } else { Outcome::Refused(libc::ENOMEM) };
        (outcome, [u64::from(exhausted), u64::from(!served)])
    }

    /// Takes an entry into the live ones, and fills what was asked for: the rest is not its holder's.
    fn adopt(&mut self, entry: *mut u8, size: usize) {
        let bytes = self.setup.policy.map_or(self.setup.classes[0].0, |_| size);
        self.seed = self.seed.wrapping_add(29);
        // SAFETY: the entry is live and has that many bytes.
        unsafe { entry.write_bytes(self.seed, bytes) };
        self.live.push(entry.expose_provenance());
        self.asked.insert(entry.addr(), bytes);
    }

    fn on<R: Send + 'static>(&self, who: Who, job: impl FnOnce() -> R + Send + 'static) -> R {
        match who {
            Who::Main => job(),
            Who::Helper => self.helper.run(job),
        }
    }

    fn step(&mut self, step: Step) {
        let (pool, classes) = (self.pool, self.setup.classes.len());
        match step {
            Step::Take(who, class, n) => {
                let n = n.min(self.pool.stats(class % classes).free());
                self.take(who, class % classes, n);
            }
            Step::TakeAll(who, class) => {
                let n = self.pool.stats(class % classes).free();
                self.take(who, class % classes, n);
            }
            Step::TakeBulk(who, class, n) => {
                let size = self.bytes(Size::Of(class));
                let taken = self.on(who, move || {
                    let mut places = vec![null_mut(); n];
                    let done = pool.alloc_bulk(size, &mut places, n);
                    let taken = places.into_iter().map(|entry| entry.expose_provenance());
                    if done { taken.collect() } else { vec![] }
                });
                for entry in taken {
                    self.adopt(std::ptr::with_exposed_provenance_mut(entry), size);
                }
            }
            Step::Free(who, first, n) => {
                let freed = self.some(first, n);
                self.on(who, move || freed.into_iter().for_each(free));
            }
            Step::FreeBulk(who, first, n) => {
                let freed = self.some(first, n);
                self.on(who, move || {
                    let places: Vec<*mut c_void> =
                        freed.into_iter().map(std::ptr::with_exposed_provenance_mut).collect();
                    // SAFETY: live entries, each once.
                    unsafe { c::mempool_free_bulk(places.as_ptr(), places.len()) };
                });
            }
            Step::Grant(more) => self.bank.grant(more),
            Step::ResetPeak => of!(pool, p => c::mempool_reset_peak(p), c::r_mempool_reset_peak(p)),
            Step::Alloc(size, zeroed) => self.alloc(self.bytes(size), zeroed),
            Step::Bulk(size, many) => self.bulk(self.bytes(size), many),
            Step::BulkNowhere(size, n) => {
                let (before, size) = (self.sight(), self.bytes(size));
                clear_errno();
                let done = of!(pool,
                    p => c::mempool_alloc_bulk(p, null_mut(), n),
                    c::r_mempool_alloc_bulk(p, size, null_mut(), n));
                assert!(!done && errno() == libc::EINVAL);
                self.compare(before, None, [0, 0]);
            }
            Step::Realloc(entry, size, less) if !self.live.is_empty() => {
                if let Pool::Ranged(rmp) = pool {
                    let size = self.bytes(size).saturating_sub(less);
                    self.realloc(rmp, entry % self.live.len(), size);
                }
            }
            Step::Realloc(..) => {}
            Step::Stats(class, size) => self.bad_stats(class, size),
            Step::Create(number) => self.create(number),
            Step::Null(number) => self.null(number),
        }
    }

    fn take(&mut self, who: Who, class: usize, n: usize) {
        let (pool, size) = (self.pool, self.setup.classes[class].0);
        let taken: Vec<usize> =
            self.on(who, move || (0..n).map(|_| pool.alloc(size).expose_provenance()).collect());
        for entry in taken.into_iter().filter(|&entry| entry != 0) {
            self.adopt(std::ptr::with_exposed_provenance_mut(entry), size);
        }
    }

    /// Some of the live ones, which are live no more.
    fn some(&mut self, first: usize, n: usize) -> Vec<usize> {
        if self.live.is_empty() {
            return vec![];
        }
        let first = first % self.live.len();
        let end = (first + n).min(self.live.len());
        self.live.drain(first..end).collect()
    }

    fn alloc(&mut self, size: usize, zeroed: bool) {
        let before = self.sight();
        let class = self.fitting(size);
        let invalid = (Outcome::Refused(libc::EINVAL), [0, 0]);
        let (outcome, counts) = class.map_or(invalid, |c| self.foretell(&before.stats, c, 1));
        clear_errno();
        let entry = if zeroed { self.pool.calloc(size) } else { self.pool.alloc(size) };
        match outcome {
            Outcome::Served => {
                assert!(!entry.is_null(), "errno {}", errno());
                self.adopt(entry, size);
                self.compare_counts(&before, class, counts);
            }
            Outcome::Refused(code) => {
                assert!(entry.is_null() && errno() == code, "{entry:?}, errno {}", errno());
                self.compare(before, class, counts);
            }
        }
    }

    fn bulk(&mut self, size: usize, many: Many) {
        let before = self.sight();
        let class = self.fitting(size);
        let all: usize = before.stats.iter().map(|stats| stats.capacity).sum();
        let larger = if self.cascades() { before.stats.len() } else { class.unwrap_or(0) + 1 };
        let free = before.stats[class.unwrap_or(0)..larger].iter().map(Stats::free).sum::<usize>();
        let n = match many {
            Many::Beyond(more) if self.falls_back() => {
                free + self.heap_left().min(10).saturating_add(more)
            }
            Many::Beyond(more) => free + more,
            Many::Impossible(more) => all + more,
            Many::Some(n) => n,
        };
        let invalid = (Outcome::Refused(libc::EINVAL), [0, 0]);
        let (outcome, counts) = class.map_or(invalid, |c| self.foretell(&before.stats, c, n));
        let mut places = vec![std::ptr::dangling_mut(); n + 1];
        clear_errno();
        let done = self.pool.alloc_bulk(size, &mut places, n);
        assert_eq!(places.pop(), Some(std::ptr::dangling_mut()), "beyond the caller's array");
        match outcome {
            Outcome::Served => {
                assert!(done, "errno {}", errno());
                places.into_iter().for_each(|entry| self.adopt(entry.cast(), size));
                self.compare_counts(&before, class, counts);
            }
            Outcome::Refused(code) => {
                assert!(!done && errno() == code, "errno {}", errno());
                assert!(places.iter().all(|place| place.is_null()), "an entry of a refused call");
                self.compare(before, class, counts);
            }
        }
    }

    fn realloc(&mut self, rmp: *mut c::r_mempool, index: usize, size: usize) {
        let mut before = self.sight();
        let address = self.live[index];
        let entry = std::ptr::with_exposed_provenance_mut(address);
        let has = before.live[&address].len();
        let is = self.setup.classes.iter().position(|class| class.0 == has).expect("a class's");
        let class = self.fitting(size);
        let mut moves = false;
        let (outcome, counts) = match class {
            None => (Outcome::Refused(libc::EINVAL), [0, 0]),
            Some(wanted) if wanted == is => (Outcome::Served, [0, 0]),
            Some(wanted) if wanted > is => {
                let foretold = self.foretell(&before.stats, wanted, 1);
                moves = foretold.0 == Outcome::Served;
                foretold
            }
            // A shrink takes from no heap, and stays where no smaller one is free.
            Some(wanted) => {
                let heap = !bypass() || self.heap_left() > 0;
                let free = |class: usize| heap && before.stats[class].free() > 0;
                moves = (wanted..is).any(free);
                (Outcome::Served, [u64::from(!free(wanted)), 0])
            }
        };
        clear_errno();
        // SAFETY: the pool is live, and so is the entry.
        let new = unsafe { c::r_mempool_realloc_entry(rmp, entry, size) };
        match outcome {
            Outcome::Refused(code) => {
                assert!(new.is_null() && errno() == code, "errno {}", errno());
                self.compare(before, class, counts);
            }
            Outcome::Served if !moves => {
                assert_eq!(new, entry, "it stays");
                // What was its holder's stays; beyond that a hardened pool writes.
                let kept = self.asked.insert(address, size).map_or(0, |asked| asked.min(size));
                let now = self.pool.live().remove(&address).expect("it is out");
                let bytes = before.live.get_mut(&address).expect("it was out");
                bytes[kept..].copy_from_slice(&now[kept..]);
                self.compare(before, class, counts);
            }
            Outcome::Served => {
                assert!(!new.is_null() && new != entry, "it moves");
                self.live.swap_remove(index);
                self.adopt(new.cast(), size);
                self.compare_counts(&before, class, counts);
            }
        }
    }

    /// Of a call that was served: it counts as it should, and nothing else does.
    fn compare_counts(&self, before: &Sight, class: Option<usize>, [exhausted, failed]: [u64; 2]) {
        let counts = |stats: &Stats| [stats.exhausted, stats.failed];
        let mut expected: Vec<_> = before.stats.iter().map(counts).collect();
        if let Some(class) = class {
            expected[class][0] += exhausted;
            expected[class][1] += failed;
        }
        let now: Vec<_> = self.pool.all_stats().iter().map(counts).collect();
        assert_eq!(now, expected, "exhausted and failed of each class");
    }

    fn bad_stats(&self, class: usize, size: usize) {
        let known = size_of::<c::mempool_stats>();
        let before = self.sight();
        let classes = before.stats.len();
        // No such class, or no such size.
        let (class, size) = if size.is_multiple_of(4) && self.setup.policy.is_some() {
            ((class % 8).saturating_add(classes), known)
        } else {
            (class % classes, if size == known { known + 8 } else { size })
        };
        let mut room = [u64::from_ne_bytes([UNTOUCHED; 8]); 64];
        room[0] = size as u64;
        let untouched = room;
        clear_errno();
        assert!(!self.pool.get_stats(class, room.as_mut_ptr().cast()));
        assert_eq!(errno(), libc::EINVAL);
        assert_eq!(room, untouched);
        clear_errno();
        assert!(!self.pool.get_stats(0, null_mut()));
        assert_eq!(errno(), libc::EINVAL);
        self.compare(before, None, [0, 0]);
    }

    /// A create or a measurement that fails.
    fn create(&self, number: usize) {
        let before = self.sight();
        let mut place = Place::new();
        let cases = cases();
        let (code, case) = &cases[number % cases.len()];
        clear_errno();
        let made = case(&mut place);
        assert!(!made && errno() == *code, "case {}: errno {}", number % cases.len(), errno());
        assert!(place.untouched(), "case {}: something was left behind", number % cases.len());
        let all = written(|out| {
            // SAFETY: it is a stream.
            unsafe { c::mempool_dump_all_json(out) }
        });
        assert!(!all.contains("never made"));
        self.compare(before, None, [0, 0]);
    }

    /// Calls on no pool at all.
    fn null(&self, number: usize) {
        let before = self.sight();
        let mut places = [std::ptr::dangling_mut(); 3];
        let entry = self.live.first().copied().unwrap_or(0);
        let entry = std::ptr::with_exposed_provenance_mut(entry);
        clear_errno();
        // SAFETY: each of these takes NULL for a pool.
        let refused = unsafe {
            let array = places.as_mut_ptr();
            match number % 8 {
                0 => c::mempool_alloc_entry(null_mut()).is_null(),
                1 => c::mempool_calloc_entry(null_mut()).is_null(),
                2 => c::r_mempool_alloc_entry(null_mut(), 8).is_null(),
                3 => c::r_mempool_calloc_entry(null_mut(), 8).is_null(),
                4 => c::r_mempool_realloc_entry(null_mut(), entry, 8).is_null(),
                5 => !c::mempool_alloc_bulk(null_mut(), array, 3),
                6 => !c::r_mempool_alloc_bulk(null_mut(), 8, array, 3),
                _ => c::r_mempool_realloc_entry(null_mut(), null_mut(), 8).is_null(),
            }
        };
        assert!(refused && errno() == libc::EINVAL);
        self.compare(before, None, [0, 0]);
    }

    /// The other thread gets every entry that is free, and no call counts as exhausted.
    fn end(mut self) {
        let before = self.sight();
        self.bank.grant(usize::MAX);
        for class in (0..before.stats.len()).rev() {
            let n = self.pool.stats(class).free();
            let held = self.live.len();
            self.take(Who::Helper, class, n);
            assert_eq!(self.live.len() - held, n, "what is free can be had");
        }
        for (now, before) in self.pool.all_stats().iter().zip(&before.stats) {
            assert_eq!(now.used, now.capacity);
            assert_eq!(now.dynamic, before.dynamic);
            assert_eq!((now.exhausted, now.failed), (before.exhausted, before.failed));
        }
        self.pool.destroy();
        assert!(self.bank.blocks().is_empty(), "not given back");
    }
}

fn free(entry: usize) {
    let entry = std::ptr::with_exposed_provenance_mut(entry);
    // SAFETY: the entry is live.
    unsafe { c::mempool_free_entry(entry) };
}

// ---- Creates that fail ---------------------------------------------------------------------------

/// Memory for pools that are not made, and a backing.
struct Place {
    memory: Box<[u128; 1024]>,
    bank: Box<Bank>,
    backing: c::mempool_backing,
    classes: [c::r_mempool_class; 3],
}

impl Place {
    fn new() -> Self {
        let bank = Box::<Bank>::default();
        let backing = bank.backing();
        let class = |elem_size| c::r_mempool_class { elem_size, elem_count: 2 };
        Self {
            memory: Box::new([u128::from_ne_bytes([UNTOUCHED; 16]); 1024]),
            bank,
            backing,
            classes: [16, 64, 64].map(class),
        }
    }

    fn untouched(&self) -> bool {
        let word = u128::from_ne_bytes([UNTOUCHED; 16]);
        self.memory.iter().all(|&w| w == word) && self.bank.blocks().is_empty()
    }

    fn base(&mut self) -> *mut c_void {
        self.memory.as_mut_ptr().cast()
    }

    /// Whether these options make a pool, or say how large a buffer it takes.
    fn with(&mut self, options: c::mempool_options) -> bool {
        // SAFETY: the options are complete.
        unsafe { !c::mempool_create_with(&options).is_null() }
    }

    fn ranged(&mut self, options: c::r_mempool_options) -> bool {
        // SAFETY: the options are complete.
        unsafe { !c::r_mempool_create_with(&options).is_null() }
    }

    /// A ranged pool's options with the first classes of the list.
    fn list(&self, count: usize) -> c::r_mempool_options {
        c::r_mempool_options {
            classes: self.classes.as_ptr(),
            class_count: count,
            ..RANGED_OPTIONS
        }
    }
}

unsafe extern "C" fn give_badly(size: usize, align: usize, bank: *mut c_void) -> *mut c_void {
    // SAFETY: as the backing that it stands for.
    unsafe { give(size + 8, align, bank).wrapping_byte_add(8) }
}

unsafe extern "C" fn take_back_badly(memory: *mut c_void, size: usize, bank: *mut c_void) {
    // SAFETY: as above.
    unsafe { take_back(memory.wrapping_byte_sub(8), size + 8, bank) }
}

type Case = (i32, Box<dyn Fn(&mut Place) -> bool>);

fn cases() -> Vec<Case> {
    use libc::{EINVAL, ENOMEM};
    let mut cases: Vec<Case> = vec![];
    let mut case = |code, call: Box<dyn Fn(&mut Place) -> bool>| cases.push((code, call));
    // More than can be counted, than there are addresses, and than there is memory.
    for (code, count, size) in [
        (EINVAL, 0, 8),
        (EINVAL, 8, 0),
        (ENOMEM, 1 << 33, 8),
        (ENOMEM, usize::MAX, usize::MAX),
        (ENOMEM, 1 << 31, 1 << 40),
        (ENOMEM, 1 << 20, 1 << 38),
    ] {
        case(code, Box::new(move |_| !c::mempool_create(count, size, true).is_null()));
        case(
            code,
            Box::new(move |place| {
                place.with(c::mempool_options { elem_count: count, elem_size: size, ..OPTIONS })
            }),
        );
    }
    for (code, smallest, largest, count, policy) in [
        (EINVAL, 0, 64, 8, 0),
        (EINVAL, 64, 64, 8, 0),
        (EINVAL, 16, 64, 0, 0),
        (EINVAL, 16, 64, 2, 0),
        (EINVAL, 16, 64, 8, 3),
        (ENOMEM, 16, usize::MAX, 8, 0),
        (ENOMEM, 16, 64, 1 << 34, 0),
        (ENOMEM, 1 << 40, 1 << 41, 1 << 20, 0),
    ] {
        case(
            code,
            Box::new(move |_| !c::r_mempool_create(smallest, largest, count, policy).is_null()),
        );
        case(
            code,
            Box::new(move |place| {
                place.ranged(c::r_mempool_options {
                    smallest_size: smallest,
                    largest_size: largest,
                    smallest_count: count,
                    policy,
                    ..RANGED_OPTIONS
                })
            }),
        );
    }
    // SAFETY: NULL is an argument like any other here and below.
    case(EINVAL, Box::new(|_| unsafe { !c::mempool_create_with(null()).is_null() }));
    // SAFETY: as above.
    case(EINVAL, Box::new(|_| unsafe { !c::r_mempool_create_with(null()).is_null() }));
    // SAFETY: as above.
    case(EINVAL, Box::new(|_| unsafe { c::mempool_buffer_size(null()) != 0 }));
    // SAFETY: as above.
    case(EINVAL, Box::new(|_| unsafe { c::r_mempool_buffer_size(null()) != 0 }));
    for struct_size in [0, 8, 71, 73, usize::MAX] {
        let options = c::mempool_options { struct_size, ..OPTIONS };
        case(EINVAL, Box::new(move |place| place.with(options)));
        // SAFETY: the options are complete.
        case(EINVAL, Box::new(move |_| unsafe { c::mempool_buffer_size(&options) != 0 }));
        let options = c::r_mempool_options { struct_size, ..RANGED_OPTIONS };
        case(EINVAL, Box::new(move |place| place.ranged(options)));
    }
    for alignment in [3, 24, 8192, usize::MAX] {
        let options = c::mempool_options { alignment, ..OPTIONS };
        case(EINVAL, Box::new(move |place| place.with(options)));
        // SAFETY: the options are complete.
        case(EINVAL, Box::new(move |_| unsafe { c::mempool_buffer_size(&options) != 0 }));
        case(
            EINVAL,
            Box::new(move |place| {
                place.ranged(c::r_mempool_options { alignment, ..place.list(2) })
            }),
        );
    }
    for flags in [1 << 20, 1 << 63, u64::MAX] {
        case(EINVAL, Box::new(move |place| place.with(c::mempool_options { flags, ..OPTIONS })));
        case(
            EINVAL,
            Box::new(move |place| place.ranged(c::r_mempool_options { flags, ..place.list(2) })),
        );
    }
    case(
        EINVAL,
        Box::new(|place| {
            place.ranged(c::r_mempool_options { flags: c::MEMPOOL_FALL_BACK, ..place.list(2) })
        }),
    );
    case(
        EINVAL,
        Box::new(|place| place.ranged(c::r_mempool_options { reserved: 1, ..place.list(2) })),
    );
    case(
        EINVAL,
        Box::new(|place| place.ranged(c::r_mempool_options { policy: 3, ..place.list(2) })),
    );
    case(EINVAL, Box::new(|place| place.ranged(place.list(3))));
    case(EINVAL, Box::new(|place| place.ranged(place.list(0))));
    // SAFETY: the options are complete.
    case(EINVAL, Box::new(|place| unsafe { c::r_mempool_buffer_size(&place.list(3)) != 0 }));
    // A buffer that is too small, or begins at the wrong place.
    for (offset, bytes) in [(0, 0), (0, 100), (8, 16000), (1, 16000)] {
        case(
            EINVAL,
            Box::new(move |place| {
                let buffer = place.base().wrapping_byte_add(offset);
                place.with(c::mempool_options { buffer, buffer_size: bytes, ..OPTIONS })
            }),
        );
        case(
            EINVAL,
            Box::new(move |place| {
                let buffer = place.base().wrapping_byte_add(offset);
                let list = place.list(2);
                place.ranged(c::r_mempool_options { buffer, buffer_size: bytes, ..list })
            }),
        );
        case(
            EINVAL,
            Box::new(move |place| {
                let buffer = place.base().wrapping_byte_add(offset);
                // SAFETY: the buffer has that many bytes.
                unsafe {
                    !c::mempool_create_from_preallocated_buffer(buffer, bytes, 24, true, false)
                        .is_null()
                }
            }),
        );
        case(
            EINVAL,
            Box::new(move |place| {
                let buffer = place.base().wrapping_byte_add(offset);
                // SAFETY: as above.
                unsafe {
                    let made = c::r_mempool_create_from_preallocated_buffer(
                        buffer, bytes, 4, 6, 2, 0, false,
                    );
                    !made.is_null()
                }
            }),
        );
    }
    case(
        EINVAL,
        Box::new(|_| {
            // SAFETY: there is no buffer.
            unsafe {
                !c::mempool_create_from_preallocated_buffer(null_mut(), 16000, 8, true, false)
                    .is_null()
            }
        }),
    );
    case(
        EINVAL,
        Box::new(|place| {
            // SAFETY: the buffer has that many bytes.
            unsafe {
                !c::mempool_create_from_preallocated_buffer(place.base(), 16000, 0, true, false)
                    .is_null()
            }
        }),
    );
    // A backing that has nothing, that gives what can't be used, and that is none.
    case(
        ENOMEM,
        Box::new(|place| place.with(c::mempool_options { backing: &place.backing, ..OPTIONS })),
    );
    case(
        ENOMEM,
        Box::new(|place| {
            place.ranged(c::r_mempool_options { backing: &place.backing, ..place.list(2) })
        }),
    );
    case(
        EINVAL,
        Box::new(|place| {
            place.bank.grant(1);
            place.backing.alloc = Some(give_badly);
            place.backing.free = Some(take_back_badly);
            place.with(c::mempool_options { backing: &place.backing, ..OPTIONS })
        }),
    );
    case(
        EINVAL,
        Box::new(|place| {
            place.bank.grant(1);
            place.backing.free = None;
            place.with(c::mempool_options { backing: &place.backing, ..OPTIONS })
        }),
    );
    case(
        EINVAL,
        Box::new(|place| {
            place.bank.grant(1);
            place.backing.struct_size = 8;
            place.ranged(c::r_mempool_options { backing: &place.backing, ..place.list(2) })
        }),
    );
    case(
        EINVAL,
        Box::new(|place| {
            place.bank.grant(1);
            let flags = c::MEMPOOL_HUGE_PAGES;
            place.with(c::mempool_options { backing: &place.backing, flags, ..OPTIONS })
        }),
    );
    cases
}

// ---- The tests -----------------------------------------------------------------------------------

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn calls_that_fail_change_nothing(setup in setup(), steps in vec(step(), 1..40)) {
        let mut world = World::new(&setup);
        for step in steps {
            world.step(step);
        }
        world.end();
    }
}

#[test]
fn every_create_that_fails_changes_nothing() {
    let setup =
        Setup { classes: vec![(24, 200)], policy: None, flags: 0, in_buffer: false, backed: true };
    let mut world = World::new(&setup);
    world.step(Step::Take(Who::Main, 0, 50));
    world.step(Step::Take(Who::Helper, 0, 50));
    (0..cases().len()).for_each(|number| world.create(number));
    world.end();
}

proptest! {
    #![proptest_config(config(40))]

    /// Another thread takes and frees what is there, while calls for too many fail: it gets its entries.
    #[test]
    fn calls_that_fail_are_not_felt(
        setup in setup(),
        steps in vec(step(), 1..20),
        class in any::<usize>(),
        wanted in any::<usize>(),
        share in 1..=8_usize,
    ) {
        let single = c::MEMPOOL_SINGLE_THREAD;
        let mut world = World::new(&Setup { flags: setup.flags & !single, ..setup });
        for step in steps {
            world.step(step);
        }
        let classes = world.setup.classes.len();
        let (class, wanted) = (class % classes, wanted % classes);
        let before = world.sight();
        let held = (before.stats[class].free() * share).div_ceil(8);
        world.bank.grant(if bypass() { usize::MAX } else { 0 });
        let limited = !world.falls_back() || (world.setup.backed && !bypass());
        let too_many: usize = before.stats.iter().map(Stats::free).sum::<usize>() + 1;
        let (rounds, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (pool, size) = (world.pool, world.setup.classes[class].0);
        let (answer, answers) = channel();
        let (counter, end) = (rounds.clone(), over.clone());
        world.helper.begin(move || {
            let mut missed = 0;
            while !end.load(Relaxed) {
                let entries: Vec<_> = (0..held).map(|_| pool.alloc(size)).collect();
                let taken = entries.into_iter().filter(|entry| !entry.is_null());
                let taken: Vec<_> = taken.map(|entry| entry.expose_provenance()).collect();
                missed += held - taken.len();
                taken.into_iter().for_each(free);
                counter.fetch_add(1, Relaxed);
            }
            answer.send(missed).expect("it is waited for");
        });
        let wish = world.setup.classes[wanted].0;
        let mut places = vec![null_mut(); too_many];
        let mut failed = 0;
        while limited && (failed < 50 || rounds.load(Relaxed) < 50) {
            assert!(!pool.alloc_bulk(wish, &mut places, too_many));
            failed += 1;
        }
        over.store(true, Relaxed);
        assert_eq!(answers.recv().expect("the job does not panic"), 0, "NULLs in the other thread");
        let now = world.sight();
        for (i, (now, before)) in now.stats.iter().zip(&before.stats).enumerate() {
            let calls = if i == wanted { failed } else { 0 };
            assert_eq!(now.exhausted, before.exhausted + calls, "class {i}");
            assert_eq!(now.failed, before.failed + calls, "class {i}");
            assert_eq!((now.used, now.dynamic), (before.used, before.dynamic), "class {i}");
            let at_most = if i == class { before.used + held } else { before.used };
            let cached = now.others[2] as usize / size_of::<usize>();
            assert!(now.peak_used <= before.peak_used.max(at_most + cached), "class {i}");
        }
        assert_eq!(now.live, before.live);
        world.end();
    }
}

/// As many threads as entries, each of which wants one: there is one for each.
#[test]
fn what_is_free_can_be_had() {
    for (flags, bulk) in [(0, false), (0, true), (c::MEMPOOL_HARDENED, false)] {
        let classes = vec![(24, 3)];
        let setup = Setup { classes, policy: None, flags, in_buffer: false, backed: false };
        let world = World::new(&setup);
        let pool = world.pool;
        let threads = [0; 3].map(|_| {
            spawn(move || {
                for _ in 0..20_000 {
                    let mut places = [null_mut(); 1];
                    if bulk {
                        assert!(pool.alloc_bulk(24, &mut places, 1), "there is one for each");
                    } else {
                        places[0] = pool.alloc(24).cast();
                        assert!(!places[0].is_null(), "there is one for each");
                    }
                    free(places[0].expose_provenance());
                }
            })
        });
        for thread in threads {
            thread.join().expect("it got what it wanted");
        }
        let stats = pool.stats(0);
        assert_eq!((stats.used, stats.exhausted, stats.failed), (0, 0, 0));
        world.end();
    }
}

/// The same in pools that take every entry from the heap.
#[test]
fn with_every_entry_from_the_heap() {
    if bypass() {
        return;
    }
    let names = [
        "calls_that_fail_change_nothing",
        "calls_that_fail_are_not_felt",
        "every_create_that_fails_changes_nothing",
        "what_is_free_can_be_had",
    ];
    let this = std::env::current_exe().expect("a test has a path");
    let again = std::process::Command::new(this)
        .args(names)
        .arg("--exact")
        .env("CMEMPOOL_OPTIONS", "bypass")
        .output()
        .expect("it can be started");
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && text.contains("4 passed"), "{text}");
}
