//! Which pools and calls does a string of bytes stand for?
//!
//! What the fuzzer makes up and what `replay.rs` plays again. Every string means something, and a
//! string means the same for ever: whoever changes how one is read makes the corpus anew (see
//! `fuzz/README.md`). Bytes that are missing are 0.

use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};

use cmempool as c;

use super::model::{Call, Class, Ledger, Memory, Run, Setup, Shape, Size, clear_errno, errno};

/// A target: what to do with a string of bytes. It panics if the library is wrong.
pub type Target = fn(&[u8]);

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn number<const N: usize>(&mut self) -> usize {
        (0..N).fold(0, |number, _| (number << 8) | usize::from(self.next()))
    }

    /// Below a limit of up to 2^16.
    fn below(&mut self, limit: usize) -> usize {
        if limit <= 256 { self.number::<1>() % limit } else { self.number::<2>() % limit }
    }

    fn between(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to - from + 1)
    }
}

// ---- Calls on pools that make sense --------------------------------------------------------------

/// Most pools at a time, and entries out of one.
const POOLS: usize = 4;
const LIVE: usize = 1000;
/// Most that a run does, in calls, where entries of a bulk call count as half a one: a run is to be
/// short, and the fuzzer to make many.
const CALLS: usize = 200;
/// Most times that another thread takes over.
const ERRANDS: usize = 6;
/// Most threads that end in a run.
const ENDINGS: usize = 2;
/// Most bytes of slots in a pool whose memory is touched at create.
const MOST_TOUCHED: usize = 1 << 15;

/// Pools side by side, and which one is called.
struct World {
    runs: Vec<Run>,
    current: usize,
    calls_left: usize,
    errands_left: usize,
    endings_left: usize,
}

/// Calls on up to four pools of all kinds, on this thread, on one that lives on and on others that come
/// and go, compared with the model's answers. Calls never overlap.
pub fn calls(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let mut world = World {
        runs: vec![],
        current: 0,
        calls_left: CALLS,
        errands_left: ERRANDS,
        endings_left: ENDINGS,
    };
    world.make(&mut bytes);
    while !bytes.is_over() && world.calls_left > 0 {
        if bytes.below(16) == 15 && world.errands_left > 0 {
            world.errands_left -= 1;
            world.errand(&mut bytes);
        } else {
            world.step(&mut bytes);
        }
    }
    world.runs.into_iter().for_each(Run::end);
}

impl World {
    /// Makes a pool, which is called from now on.
    fn make(&mut self, bytes: &mut Bytes<'_>) {
        let (setup, left) = setup(bytes);
        let mut run = Run::new(&setup);
        if let Some(left) = left {
            run.call(&Call::Drain(left));
        }
        self.runs.push(run);
        self.current = self.runs.len() - 1;
    }

    /// Some steps elsewhere: what a thread that ended left in its caches must not be lost, nor what a
    /// thread holds that comes back later.
    fn errand(&mut self, bytes: &mut Bytes<'_>) {
        let (steps, ends) = (bytes.between(1, 8), bytes.below(4) == 0 && self.endings_left > 0);
        self.endings_left -= usize::from(ends);
        let mut errand = || (0..steps).for_each(|_| self.step(bytes));
        if ends {
            elsewhere::on_a_new_thread(&mut errand)
        } else {
            elsewhere::on_the_other(&mut errand)
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        self.pay(1);
        let calls_left = self.calls_left;
        let run = &mut self.runs[self.current];
        let live = run.live();
        let room = LIVE.saturating_sub(live).min(calls_left);
        let which = |bytes: &mut Bytes<'_>| bytes.below(live.max(1));
        match bytes.below(16) {
            0..=2 => run.quick_call(&Call::Alloc(size(bytes))),
            3 => run.quick_call(&Call::Calloc(size(bytes))),
            4..=5 => run.quick_call(&Call::Free(which(bytes), bytes.below(3))),
            6..=7 => run.quick_call(&Call::Realloc(which(bytes), size(bytes))),
            8 => match bytes.below(16) {
                0 => run.quick_call(&Call::Nothing),
                1..=2 => run.call(&Call::Reset),
                3..=4 => run.call(&Call::ResetPeak),
                5 => run.call(&Call::Visit(bytes.below(5))),
                6..=8 if run.slots() <= room => {
                    run.call(&Call::Drain(bytes.below(3)));
                    self.pay(live / 2);
                }
                _ => run.quick_call(&Call::ReallocNull(size(bytes))),
            },
            9 => {
                let size = size(bytes);
                // About as many as there are, or few.
                let n = match bytes.below(4) {
                    0 => (run.free_for(size) + bytes.below(3)).saturating_sub(1),
                    1 => bytes.below(256),
                    _ => bytes.below(20),
                };
                let n = n.min(room);
                run.call(&Call::AllocBulk(size, n));
                self.pay(n / 2);
            }
            10 => {
                let n = bytes.below(256).min(live);
                run.call(&Call::FreeBulk(which(bytes), n));
                self.pay(n / 2);
            }
            // Many, one at a time: caches fill, and classes run short.
            11 => {
                let (size, count) = (size(bytes), bytes.below(256).min(room));
                (0..count).for_each(|_| run.quick_call(&Call::Alloc(size)));
                run.compare();
                self.pay(count);
            }
            12 => {
                let (count, oldest_first) = (bytes.below(256), bytes.below(2) == 0);
                let count = count.min(live).min(calls_left);
                for _ in 0..count {
                    let which = if oldest_first { 0 } else { run.live() - 1 };
                    run.quick_call(&Call::Free(which, 0));
                }
                run.compare();
                self.pay(count);
            }
            13 if self.runs.len() < POOLS => {
                self.pay(20);
                self.make(bytes);
            }
            13 => {
                self.runs.swap_remove(self.current).end();
                self.current = 0;
            }
            _ => self.current = bytes.below(self.runs.len()),
        }
        // Not where another pool has one.
        if let Some((at, usable)) = self.runs[self.current].latest() {
            let others = self.runs.iter().enumerate().filter(|(i, _)| *i != self.current);
            for (_, other) in others {
                assert!(other.is_free(at, usable), "an entry at another pool's that is out");
            }
        }
    }

    fn pay(&mut self, calls: usize) {
        self.calls_left = self.calls_left.saturating_sub(calls);
    }
}

fn size(bytes: &mut Bytes<'_>) -> Size {
    match bytes.below(16) {
        0 => Size::Zero,
        1 => Size::TooLarge([1, 2, 64, usize::MAX][bytes.below(4)]),
        2..=9 => Size::Class(bytes.below(256), bytes.below(3)),
        _ => Size::Share(bytes.number::<2>() as u16),
    }
}

/// A pool, and how many entries of each class are left when the calls begin, if it is not full.
fn setup(bytes: &mut Bytes<'_>) -> (Setup, Option<usize>) {
    // Pools of a hundred entries and more have caches; those that one thread has, of 22.
    let count = |bytes: &mut Bytes<'_>, most: usize| match bytes.below(8) {
        0..=2 => bytes.between(1, 16),
        3..=4 => bytes.between(17, 64),
        5..=6 => bytes.between(65, 250),
        _ => bytes.between(1, most),
    };
    let shape = match bytes.below(8) {
        0..=3 => {
            let most = if bytes.below(4) == 3 { 200 } else { 48 };
            Shape::Ordinary { count: count(bytes, 2000), size: bytes.between(1, most) }
        }
        4..=5 => {
            let (smallest, more) = (bytes.between(1, 100), bytes.between(1, 5));
            let class = smallest.next_power_of_two().max(16);
            let largest = class << more;
            let many = if bytes.below(4) == 3 { 400 } else { 24 };
            Shape::Powers {
                smallest,
                // Whatever rounds up to it.
                largest: largest - bytes.below(largest / 2),
                count: bytes.between((1 << more) / 2 + 1, 1 << more) + bytes.below(many),
                policy: bytes.below(3) as u32,
            }
        }
        _ => {
            let mut size = 0;
            let mut class = |bytes: &mut Bytes<'_>| {
                size += bytes.between(1, 100);
                (size, count(bytes, 300))
            };
            let classes = (0..bytes.between(1, 6)).map(|_| class(bytes)).collect();
            Shape::List { classes, policy: bytes.below(3) as u32 }
        }
    };
    let choices = bytes.number::<2>();
    // Each with a chance of one in two, four or eight.
    let is_drawn = |mask: usize| choices & mask == mask;
    let alignment = match bytes.below(16) {
        bits @ 0..=8 => 1 << bits,
        9 if !matches!(shape, Shape::Powers { .. }) => 4096,
        _ => 0,
    };
    let classes = shape.classes().expect("only pools that make sense");
    let slot = |class: &Class| (class.elem_size + 8).next_multiple_of(alignment.max(16));
    let size: usize = classes.iter().map(|class| class.capacity * slot(class)).sum();
    let slots: usize = classes.iter().map(|class| class.capacity).sum();
    let may_touch = size <= MOST_TOUCHED;
    let flags = [
        (c::MEMPOOL_FALL_BACK, is_drawn(1) && shape.policy().is_none()),
        (c::MEMPOOL_SINGLE_THREAD, is_drawn(6)),
        (c::MEMPOOL_ZERO_ON_FREE, is_drawn(24)),
        (c::MEMPOOL_REPORT_LEAKS, is_drawn(32)),
        (c::MEMPOOL_HARDENED, is_drawn(64 + 128) && may_touch),
        (c::MEMPOOL_NO_PREFAULT, !(is_drawn(256 + 512 + 1024) && may_touch)),
    ];
    let flags = flags.iter().filter(|(_, drawn)| *drawn).fold(0, |flags, (flag, _)| flags | flag);
    let backed = is_drawn(2048 + 4096) && may_touch;
    let left = (is_drawn(8192 + 16384) && slots <= 300).then_some(choices >> 15);
    let memory = match bytes.below(8) {
        0..=3 => Memory::Own,
        4 if may_touch => Memory::OwnPlain,
        5..=7 if may_touch => Memory::Buffer { start: bytes.below(16), extra: bytes.below(200) },
        _ => Memory::Own,
    };
    (Setup { shape, alignment, flags, memory, backed }, left)
}

/// How are calls made on other threads?
mod elsewhere {
    use std::any::Any;
    use std::ffi::c_void;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::ptr::{null, null_mut};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, OnceLock};

    use cmempool as c;

    type Panic = Option<Box<dyn Any + Send>>;

    /// Work for another thread, and how it ended.
    struct Errand<'a> {
        work: &'a mut dyn FnMut(),
        panic: Panic,
    }

    impl Errand<'_> {
        fn run(&mut self) {
            self.panic = catch_unwind(AssertUnwindSafe(&mut *self.work)).err();
        }

        fn end(self) {
            if let Some(panic) = self.panic {
                resume_unwind(panic);
            }
        }
    }

    /// Runs it on a thread that ends then.
    pub fn on_a_new_thread(work: &mut dyn FnMut()) {
        let mut errand = Errand { work, panic: None };
        let place: *mut Errand<'_> = &mut errand;
        // SAFETY: the errand is there, and left alone here, until the thread has ended.
        unsafe { run_and_join(start, place.cast()) };
        errand.end();
    }

    extern "C" fn start(errand: *mut c_void) -> *mut c_void {
        // SAFETY: it is an errand, which whoever made it leaves to this thread.
        unsafe { (*errand.cast::<Errand<'_>>()).run() };
        null_mut()
    }

    type Start = extern "C" fn(*mut c_void) -> *mut c_void;
    type Create = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        Start,
        *mut c_void,
    ) -> i32;
    type Join = unsafe extern "C" fn(libc::pthread_t, *mut *mut c_void) -> i32;

    /// Where a sanitizer's tests run: ThreadSanitizer must know of each thread. The fuzzer's crate is never told.
    #[allow(unexpected_cfgs)]
    const BY_NAME: bool = cfg!(instrumented);

    /// By the C library itself. AddressSanitizer stands in for these two functions: it takes 0.2 ms for a
    /// thread, never gives back what it knows of one, and ends after four millions.
    ///
    /// # Safety
    /// `start` can be called with `argument` on another thread.
    unsafe fn run_and_join(start: Start, argument: *mut c_void) {
        static FUNCTIONS: OnceLock<(Create, Join)> = OnceLock::new();
        let &(create, join) = FUNCTIONS.get_or_init(|| {
            // SAFETY: the names are strings, and the functions of these types.
            unsafe {
                if BY_NAME {
                    return (libc::pthread_create, libc::pthread_join);
                }
                let find = |name: &std::ffi::CStr| {
                    let function = libc::dlsym(libc::RTLD_NEXT, name.as_ptr());
                    assert!(!function.is_null(), "{name:?}");
                    function
                };
                let (create, join) = (find(c"pthread_create"), find(c"pthread_join"));
                (
                    std::mem::transmute::<*mut c_void, Create>(create),
                    std::mem::transmute::<*mut c_void, Join>(join),
                )
            }
        });
        // SAFETY: by this function's contract; the thread is joined once.
        unsafe {
            let mut thread = 0;
            assert_eq!(create(&mut thread, null(), start, argument), 0, "no thread");
            assert_eq!(join(thread, null_mut()), 0);
        }
    }

    /// Runs it on the thread that is there for this from the first time to the end of the process.
    pub fn on_the_other(work: &mut dyn FnMut()) {
        static OTHER: OnceLock<Mutex<Other>> = OnceLock::new();
        let mut errand = Errand { work, panic: None };
        let place: *mut Errand<'_> = &mut errand;
        let other = OTHER.get_or_init(|| Mutex::new(start_other()));
        {
            let other = other.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            other.0.send(Box::new(Order(place.cast()))).expect("it waits");
            other.1.recv().expect("it answers");
        }
        errand.end();
    }

    struct Order(*mut c_void);

    /// Where orders go, and where they come back from.
    type Other = (Sender<Box<Order>>, Receiver<Box<Order>>);

    // SAFETY: whoever sends an errand waits until it comes back.
    unsafe impl Send for Order {}

    /// The lowest indices of threads, which small pools have caches for, go to the first that use a pool:
    /// to the caller, then to a thread that ends, and so to those that end later, then to the other.
    fn start_other() -> Other {
        claim_index();
        let mut ends = None;
        on_a_new_thread(&mut || {
            claim_index();
            let ((to, orders), (answer, from)) = (channel::<Box<Order>>(), channel());
            let (ready, is_ready) = channel();
            std::thread::spawn(move || {
                claim_index();
                ready.send(()).expect("who started this waits for it");
                for order in orders {
                    start(order.0);
                    if answer.send(order).is_err() {
                        break;
                    }
                }
            });
            is_ready.recv().expect("the other thread starts");
            ends = Some((to, from));
        });
        ends.expect("it was called")
    }

    /// Has the calling thread get its index.
    fn claim_index() {
        let pool = c::mempool_create(1000, 16, false);
        // SAFETY: the pool is live, the entry NULL or live.
        unsafe {
            c::mempool_free_entry(c::mempool_alloc_entry(pool));
            c::mempool_destroy(pool);
        }
    }
}

// ---- Arguments of create -------------------------------------------------------------------------

/// What is more than this is not made, only computed.
const MOST_BYTES: u128 = 1 << 22;

/// What a create function should say.
struct Expected {
    /// Some argument breaks a rule.
    invalid: bool,
    /// Some number is more than can be had.
    too_large: bool,
    bytes: u128,
    classes: Vec<(u128, u128)>,
}

impl Expected {
    fn new(classes: Vec<(u128, u128)>, ranged: bool, alignment: usize) -> Self {
        let valid_alignment = alignment == 0 || alignment.is_power_of_two() && alignment <= 4096;
        let ascending = classes.is_sorted_by(|below, above| below.0 < above.0);
        let none =
            classes.is_empty() || classes.iter().any(|&(size, count)| size == 0 || count == 0);
        let align = alignment.clamp(16, 4096) as u128;
        let beside = [c::CMEMPOOL_PER_REGION, c::CMEMPOOL_PER_RANGED * usize::from(ranged)];
        let mut bytes = beside.iter().sum::<usize>() as u128;
        for &(size, count) in &classes {
            let slot = (size + 8).div_ceil(align) * align + c::CMEMPOOL_PER_SLOT as u128;
            let of_class = slot.saturating_mul(count).saturating_add(align - 16);
            bytes = bytes.saturating_add(of_class).saturating_add(c::CMEMPOOL_PER_CLASS as u128);
        }
        let too_large = bytes > isize::MAX as u128
            || classes.iter().any(|&(_, count)| count > u128::from(u32::MAX));
        Self { invalid: !valid_alignment || !ascending || none, too_large, bytes, classes }
    }

    fn powers(smallest: usize, largest: usize, count: usize, alignment: usize) -> Self {
        let [smallest, largest, count] = [smallest, largest, count].map(|n| n as u128);
        if [smallest, largest, count].contains(&0) {
            return Self::new(vec![], true, alignment);
        }
        let [first, last, count] = [smallest, largest, count].map(u128::next_power_of_two);
        let first = first.max(16);
        let double = |&(size, count): &(u128, u128)| (size < last).then_some((size * 2, count / 2));
        let classes = std::iter::successors(Some((first, count)), double).collect();
        let mut expected = Self::new(classes, true, alignment);
        expected.invalid |= last <= first;
        expected.too_large |= [first, last, count].iter().any(|&n| n > usize::MAX as u128);
        expected
    }

    fn verify_refusal(&self) {
        let code = errno();
        let expected =
            self.invalid && code == libc::EINVAL || self.too_large && code == libc::ENOMEM;
        assert!(expected, "errno {code}, invalid: {}, too large: {}", self.invalid, self.too_large);
    }

    fn verify_buffer_size(&self, bytes: usize) {
        if self.invalid || self.too_large {
            assert_eq!(bytes, 0);
            self.verify_refusal();
        } else {
            assert_eq!(bytes as u128, self.bytes);
        }
    }

    /// Whether the call can be made at all: what is neither refused nor small would be had or not,
    /// by the system's leave.
    fn is_certain(&self) -> bool {
        self.invalid || self.too_large || self.bytes <= MOST_BYTES
    }

    /// Compares what create gave, which is NULL or has `capacity` and `alloc`; gives back what was
    /// taken.
    fn verify_pool(
        &self,
        exists: bool,
        align: usize,
        capacity: impl Fn(usize) -> usize,
        alloc: impl Fn(usize) -> *mut c_void,
    ) {
        if self.invalid || self.too_large {
            assert!(!exists, "made, in spite of its arguments");
            return self.verify_refusal();
        }
        assert!(exists, "errno {} for good arguments", errno());
        for &(size, count) in &self.classes {
            let size = size as usize;
            assert_eq!(capacity(size) as u128, count);
            let entry = alloc(size);
            assert!(!entry.is_null() && (entry as usize).is_multiple_of(align));
            // SAFETY: the entry is new and has that many bytes.
            unsafe {
                entry.cast::<u8>().write_bytes(0xA5, size);
                c::mempool_free_entry(entry);
            }
        }
    }
}

/// Numbers as people pass them, and as bugs do.
fn any_number(bytes: &mut Bytes<'_>) -> usize {
    match bytes.below(8) {
        0..=3 => bytes.number::<1>() % 64,
        4 => bytes.number::<2>(),
        5 => (1_usize << bytes.below(64)).wrapping_add(bytes.below(3)).wrapping_sub(1),
        6 => usize::MAX - bytes.number::<1>(),
        _ => bytes.number::<8>(),
    }
}

/// Mostly a number's good value, sometimes any.
fn mostly(bytes: &mut Bytes<'_>, good: usize) -> usize {
    if bytes.below(8) == 7 { any_number(bytes) } else { good }
}

/// The options' fields that all pools have.
struct Common {
    struct_size: usize,
    alignment: usize,
    name: Option<CString>,
    flags: u64,
    room: Vec<u128>,
    offset: usize,
    buffer_size: usize,
    ledger: Option<Ledger>,
}

impl Common {
    fn new(bytes: &mut Bytes<'_>, struct_size: usize) -> Self {
        let name = vec![b'n'; bytes.below(100)];
        let struct_size = mostly(bytes, struct_size);
        let alignment = match bytes.below(4) {
            0 => any_number(bytes),
            1 => 1 << bytes.below(14),
            _ => 0,
        };
        let (flags, backed) = match bytes.below(4) {
            0 => (any_number(bytes) as u64, false),
            _ => {
                let choices = bytes.number::<1>() as u64;
                // Recorded or not, a pool does the same.
                let recorded =
                    if choices.is_multiple_of(3) { c::MEMPOOL_RECORD_HOLDERS } else { 0 };
                ((choices % 128) | recorded, choices >= 128)
            }
        };
        Self {
            struct_size,
            alignment,
            name: (!name.is_empty()).then(|| CString::new(name).expect("it has no NUL")),
            // How much may be locked is the system's to say.
            flags: flags & !c::MEMPOOL_LOCKED,
            room: vec![],
            offset: 0,
            buffer_size: 0,
            ledger: backed.then(Ledger::new),
        }
    }

    /// A buffer of about the size that is needed, or none; perhaps not aligned, perhaps a size only.
    fn choose_buffer(&mut self, bytes: &mut Bytes<'_>, needed: u128) {
        let choice = bytes.below(4);
        if choice == 0 {
            self.buffer_size = bytes.number::<1>();
        } else if choice == 1 && needed <= MOST_BYTES {
            self.offset = if bytes.below(4) == 0 { bytes.below(16) } else { 0 };
            self.buffer_size = (needed as usize + bytes.below(64)).saturating_sub(bytes.below(8));
            self.room = vec![0; (self.buffer_size + self.offset).div_ceil(16) + 1];
        }
    }

    fn buffer(&mut self) -> *mut c_void {
        if self.room.is_empty() {
            return null_mut();
        }
        self.room.as_mut_ptr().wrapping_byte_add(self.offset).cast()
    }

    fn is_invalid(&self, needed: u128, known_flags: u64) -> bool {
        let no_buffer = self.room.is_empty();
        let is_given = !no_buffer || self.ledger.is_some();
        self.flags & !known_flags != 0
            || is_given && self.flags & c::MEMPOOL_HUGE_PAGES != 0
            || no_buffer && self.buffer_size != 0
            || !no_buffer && (self.offset != 0 || (self.buffer_size as u128) < needed)
    }

    /// Whether the size of the struct is the one of today, or that before it had a backing.
    fn is_known(&mut self, size: usize) -> bool {
        let is_older = self.struct_size == size - size_of::<*const c::mempool_backing>();
        if is_older {
            self.ledger = None;
        }
        is_older || self.struct_size == size
    }

    fn backing(&self) -> Option<c::mempool_backing> {
        self.ledger.as_ref().map(Ledger::backing)
    }

    fn verify_ledger(&self) {
        assert_eq!(self.ledger.as_ref().map_or(0, Ledger::given), 0, "not given back");
    }

    fn name(&self) -> *const std::ffi::c_char {
        self.name.as_ref().map_or(null(), |name| name.as_ptr())
    }
}

/// A create function with any arguments at all, and the function that tells a buffer's size.
pub fn create(bytes: &[u8]) {
    let bytes = &mut Bytes(bytes);
    match bytes.below(4) {
        0 => create_ordinary(bytes),
        1 => create_ordinary_with(bytes),
        2 => create_ranged(bytes),
        _ => create_ranged_with(bytes),
    }
}

fn one_class(size: usize, count: usize) -> Vec<(u128, u128)> {
    vec![(size as u128, count as u128)]
}

fn verify_ordinary(expected: &Expected, mp: *mut c::mempool, alignment: usize) {
    // SAFETY: the pool is live until the destroy below.
    let capacity = |_| unsafe { c::mempool_total_capacity(mp) };
    // SAFETY: as above.
    let alloc = |_| unsafe { c::mempool_alloc_entry(mp) };
    expected.verify_pool(!mp.is_null(), alignment.max(16), capacity, alloc);
    // SAFETY: as above; nobody uses it any more.
    unsafe { c::mempool_destroy(mp) };
}

fn verify_ranged(expected: &Expected, rmp: *mut c::r_mempool, alignment: usize) {
    // SAFETY: the pool is live until the destroy below.
    let capacity = |size| unsafe { c::r_mempool_total_capacity(rmp, size) };
    // SAFETY: as above.
    let alloc = |size| unsafe { c::r_mempool_alloc_entry(rmp, size) };
    expected.verify_pool(!rmp.is_null(), alignment.max(16), capacity, alloc);
    // SAFETY: as above; nobody uses it any more.
    unsafe { c::r_mempool_destroy(rmp) };
}

fn create_ordinary(bytes: &mut Bytes<'_>) {
    let (count, size) = (any_number(bytes), any_number(bytes));
    let expected = Expected::new(one_class(size, count), false, 0);
    if expected.is_certain() {
        clear_errno();
        verify_ordinary(&expected, c::mempool_create(count, size, bytes.below(2) == 0), 0);
    }
}

fn create_ordinary_with(bytes: &mut Bytes<'_>) {
    let (elem_count, elem_size) = (any_number(bytes), any_number(bytes));
    let mut common = Common::new(bytes, size_of::<c::mempool_options>());
    let mut expected = Expected::new(one_class(elem_size, elem_count), false, common.alignment);
    expected.invalid |= !common.is_known(size_of::<c::mempool_options>());
    common.choose_buffer(bytes, expected.bytes);
    let backing = common.backing();
    let options = c::mempool_options {
        struct_size: common.struct_size,
        elem_count,
        elem_size,
        alignment: common.alignment,
        name: common.name(),
        buffer: common.buffer(),
        buffer_size: common.buffer_size,
        flags: common.flags,
        backing: backing.as_ref().map_or(null(), |backing| &raw const *backing),
    };
    clear_errno();
    // SAFETY: the options are complete, whatever their values.
    expected.verify_buffer_size(unsafe { c::mempool_buffer_size(&options) });
    expected.invalid |= common.is_invalid(expected.bytes, 383);
    if expected.is_certain() {
        clear_errno();
        // SAFETY: as above, and the buffer is there as it says.
        let mp = unsafe { c::mempool_create_with(&options) };
        verify_ordinary(&expected, mp, common.alignment);
        common.verify_ledger();
    }
}

fn create_ranged(bytes: &mut Bytes<'_>) {
    let [smallest, largest, count] = [(); 3].map(|()| any_number(bytes));
    let policy = mostly(bytes, 1) as u32;
    let mut expected = Expected::powers(smallest, largest, count, 0);
    expected.invalid |= policy > 2;
    if expected.is_certain() {
        clear_errno();
        let rmp = c::r_mempool_create(smallest, largest, count, policy);
        verify_ranged(&expected, rmp, 0);
    }
}

fn create_ranged_with(bytes: &mut Bytes<'_>) {
    let is_list = bytes.below(2) == 0;
    let mut size = 0_usize;
    let mut class = |bytes: &mut Bytes<'_>| {
        size = if bytes.below(8) == 7 {
            any_number(bytes)
        } else {
            size.wrapping_add(bytes.between(1, 64))
        };
        c::r_mempool_class { elem_size: size, elem_count: any_number(bytes) }
    };
    let length = if bytes.below(8) == 7 { bytes.below(260) } else { bytes.between(1, 8) };
    let list: Vec<_> = (0..if is_list { length } else { 0 }).map(|_| class(bytes)).collect();
    let number = |bytes: &mut Bytes<'_>| if is_list { mostly(bytes, 0) } else { any_number(bytes) };
    let [smallest, largest, count] = [(); 3].map(|()| number(bytes));
    let mut common = Common::new(bytes, size_of::<c::r_mempool_options>());
    let classes = list.iter().map(|class| (class.elem_size as u128, class.elem_count as u128));
    let mut expected = if is_list {
        let mut expected = Expected::new(classes.collect(), true, common.alignment);
        expected.invalid |= (smallest, largest, count) != (0, 0, 0) || list.len() > 256;
        expected
    } else {
        Expected::powers(smallest, largest, count, common.alignment)
    };
    // More than a list can have, or a count without a list.
    let class_count = if bytes.below(16) == 15 { 257 + bytes.number::<1>() } else { list.len() };
    expected.invalid |= class_count != list.len();
    expected.invalid |= !common.is_known(size_of::<c::r_mempool_options>());
    common.choose_buffer(bytes, expected.bytes);
    let backing = common.backing();
    let options = c::r_mempool_options {
        struct_size: common.struct_size,
        smallest_size: smallest,
        largest_size: largest,
        smallest_count: count,
        classes: if is_list { list.as_ptr() } else { null() },
        class_count,
        alignment: common.alignment,
        name: common.name(),
        buffer: common.buffer(),
        buffer_size: common.buffer_size,
        flags: common.flags,
        policy: mostly(bytes, 2) as u32,
        reserved: mostly(bytes, 0) as u32,
        backing: backing.as_ref().map_or(null(), |backing| &raw const *backing),
    };
    clear_errno();
    // SAFETY: the options are complete, whatever their values, and the list as long as they say; or
    // longer than any may be, and nobody looks at it.
    expected.verify_buffer_size(unsafe { c::r_mempool_buffer_size(&options) });
    expected.invalid |= common.is_invalid(expected.bytes, 382);
    expected.invalid |= options.policy > 2 || options.reserved != 0;
    if expected.is_certain() {
        clear_errno();
        // SAFETY: as above, and the buffer is there as it says.
        let rmp = unsafe { c::r_mempool_create_with(&options) };
        verify_ranged(&expected, rmp, common.alignment);
        common.verify_ledger();
    }
}
