//! What does Windows give?

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicU32;

use super::error::Error;
use super::key_windows::keep_last_error;
use super::outcome::Written;

pub use super::keyed::thread_block;
pub use super::no_owner_lock::OwnerLock;
pub use libc::FILE as File;

type Handle = *mut c_void;
type Destructor = unsafe extern "system" fn(*mut c_void);

#[repr(C)]
struct SystemInfo {
    processor: u32,
    page_size: u32,
    more: [usize; 8],
}

unsafe extern "system" {
    fn GetSystemInfo(info: *mut SystemInfo);
    fn VirtualAlloc(address: *mut c_void, size: usize, kind: u32, access: u32) -> *mut c_void;
    fn VirtualFree(address: *mut c_void, size: usize, kind: u32) -> c_int;
    fn VirtualProtect(address: *mut c_void, size: usize, access: u32, before: *mut u32) -> c_int;
    fn VirtualLock(address: *mut c_void, size: usize) -> c_int;
    fn VirtualUnlock(address: *mut c_void, size: usize) -> c_int;
    fn WaitOnAddress(word: *const c_void, value: *const c_void, size: usize, limit: u32) -> c_int;
    fn WakeByAddressSingle(word: *const c_void);
    fn FlushProcessWriteBuffers();
    fn GetCurrentThreadId() -> u32;
    fn FlsAlloc(ends: Option<Destructor>) -> u32;
    fn FlsSetValue(index: u32, value: *mut c_void) -> c_int;
    fn FlsFree(index: u32) -> c_int;
    fn QueryPerformanceCounter(count: *mut u64) -> c_int;
    fn GetStdHandle(which: u32) -> Handle;
    fn WriteFile(
        file: Handle,
        bytes: *const c_void,
        count: u32,
        written: *mut u32,
        overlapped: *mut c_void,
    ) -> c_int;
    fn GetModuleHandleA(name: *const c_char) -> Handle;
    fn GetProcAddress(module: Handle, name: *const c_char) -> *mut c_void;
    fn GetModuleHandleExA(how: u32, inside: *const c_char, module: *mut Handle) -> c_int;
    #[link_name = "SystemFunction036"]
    fn RtlGenRandom(place: *mut c_void, count: u32) -> u8;
}

unsafe extern "C" {
    fn _errno() -> *mut c_int;
    fn _aligned_malloc(size: usize, align: usize) -> *mut c_void;
    fn _aligned_free(memory: *mut c_void);
}

const MEM_COMMIT_AND_RESERVE: u32 = 0x3000;
const MEM_RELEASE: u32 = 0x8000;
const PAGE_NOACCESS: u32 = 1;
const PAGE_READWRITE: u32 = 4;
const NONE: u32 = u32::MAX;
const STD_ERROR_HANDLE: u32 = -12i32 as u32;
const PIN_BY_ADDRESS: u32 = 1 | 4;

/// All have room: their values are in memory of the system's own.
pub fn end_key_has_room(_key: usize) -> bool {
    true
}

/// A child of fork has none.
pub const FORK_KEEPS_LOCKS: bool = false;

/// Bytes of a large page. They take a right that few programs have: none are used.
pub const HUGE_PAGE: usize = 2 << 20;

/// Bytes of a page.
pub fn page_size() -> usize {
    let mut info = SystemInfo { processor: 0, page_size: 0, more: [0; 8] };
    // SAFETY: `info` is a place for the result, and larger.
    unsafe { GetSystemInfo(&mut info) };
    info.page_size as usize
}

/// `len` bytes of zeros, whole pages.
pub fn map(len: usize) -> Option<NonNull<u8>> {
    // SAFETY: memory at an address of the system's choice touches nothing of ours.
    let base =
        unsafe { VirtualAlloc(ptr::null_mut(), len, MEM_COMMIT_AND_RESERVE, PAGE_READWRITE) };
    NonNull::new(base.cast())
}

/// As [`map`].
pub fn map_for_huge_pages(len: usize) -> Option<NonNull<u8>> {
    map(len)
}

/// None are kept ready.
pub fn map_huge_pages(_len: usize) -> Option<NonNull<u8>> {
    None
}

/// Gives a mapping back.
///
/// # Safety
/// It is one, whole, and nobody uses it any more.
pub unsafe fn unmap(base: NonNull<u8>, _len: usize) {
    // SAFETY: by this function's contract.
    unsafe { VirtualFree(base.as_ptr().cast(), 0, MEM_RELEASE) };
}

/// Makes pages of a mapping ones that nobody may touch.
///
/// # Safety
/// They are the caller's, and unused.
pub unsafe fn forbid(base: NonNull<u8>, len: usize) -> bool {
    let mut before = 0;
    // SAFETY: by this function's contract.
    unsafe { VirtualProtect(base.as_ptr().cast(), len, PAGE_NOACCESS, &mut before) != 0 }
}

/// What was mapped is there: the system promised it. Somebody has to touch it all the same.
pub fn populate(_base: NonNull<u8>, _len: usize) -> Result<bool, Error> {
    Ok(false)
}

/// Locks the memory. A program may lock only little without asking for more.
pub fn lock_pages(base: NonNull<u8>, len: usize) -> Result<(), Error> {
    // SAFETY: locking changes no content; what is no memory of the process's is refused.
    let locked = unsafe { VirtualLock(base.as_ptr().cast(), len) != 0 };
    if locked { Ok(()) } else { Err(Error::NotPermitted) }
}

/// Unlocks it. If that fails, there is nothing to do.
pub fn unlock_pages(base: NonNull<u8>, len: usize) {
    // SAFETY: as in `lock_pages`.
    unsafe { VirtualUnlock(base.as_ptr().cast(), len) };
}

/// A block of the program's heap; `align` is a power of two of at least 16.
pub fn heap_take(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    // SAFETY: any size and such an alignment can be asked for.
    NonNull::new(unsafe { _aligned_malloc(bytes, align) }.cast())
}

/// Gives a block of so many bytes to the heap.
///
/// # Safety
/// It is from [`heap_take`], and nobody uses it any more.
pub unsafe fn heap_give(memory: NonNull<u8>, _bytes: usize) {
    // SAFETY: by this function's contract.
    unsafe { _aligned_free(memory.as_ptr().cast()) };
}

/// As [`heap_give`], of one that nobody has used.
///
/// # Safety
/// It is from [`heap_take`].
pub unsafe fn heap_return(memory: NonNull<u8>) {
    // SAFETY: by this function's contract.
    unsafe { heap_give(memory, 0) }
}

/// Stores an error in the calling thread's `errno`.
pub fn set_errno(error: Error) {
    let code = match error {
        Error::Invalid => libc::EINVAL,
        Error::NoMemory => libc::ENOMEM,
        Error::NotPermitted => libc::EPERM,
        Error::NotNow => libc::EAGAIN,
    };
    // SAFETY: it is the calling thread's own.
    unsafe { *_errno() = code };
}

/// Sleeps while the word has this value, or wakes up for no reason.
pub fn sleep_while(word: &AtomicU32, value: u32) {
    let place = word.as_ptr().cast_const().cast();
    // SAFETY: both are live for the call; the system reads them.
    keep_last_error(|| unsafe {
        WaitOnAddress(place, (&raw const value).cast(), size_of::<u32>(), NONE);
    });
}

/// Wakes one of those that sleep.
pub fn wake_one(word: &AtomicU32) {
    // SAFETY: no more than compared with where others wait.
    unsafe { WakeByAddressSingle(word.as_ptr().cast_const().cast()) };
}

/// Whether [`barrier_everywhere`] can be relied on. Not in Wine, where it may do nothing and does not say so.
pub fn begin_barriers() -> bool {
    // SAFETY: both names are strings; the module is in every process.
    unsafe {
        let system = GetModuleHandleA(c"ntdll.dll".as_ptr());
        GetProcAddress(system, c"wine_get_version".as_ptr()).is_null()
    }
}

/// Runs a full barrier on every core that runs a thread of this process.
pub fn barrier_everywhere() -> bool {
    // SAFETY: it can be called anywhere.
    unsafe { FlushProcessWriteBuffers() };
    true
}

/// The calling thread's number: no other thread's, and not 0.
pub fn thread_number() -> usize {
    // SAFETY: a plain query.
    unsafe { GetCurrentThreadId() as usize }
}

/// Makes `ends` run when a thread ends that has a value, from [`tell_when_ends`].
///
/// None if there is no such key left.
pub fn make_end_key(ends: unsafe extern "C" fn(*mut c_void)) -> Option<usize> {
    // SAFETY: on 64-bit Windows both are called in the same way; the function stays loaded.
    let key = unsafe {
        let ends = core::mem::transmute::<unsafe extern "C" fn(*mut c_void), Destructor>(ends);
        FlsAlloc(Some(ends))
    };
    (key != NONE).then_some(key as usize)
}

/// Takes it back, before any thread has a value.
pub fn drop_end_key(key: usize) {
    // SAFETY: the key exists, and no thread has a value for it.
    unsafe { FlsFree(key as u32) };
}

/// Makes the key's function run with this value, which is not 0, when the calling thread ends.
pub fn tell_when_ends(key: usize, value: usize) -> bool {
    // SAFETY: the key exists.
    unsafe { FlsSetValue(key as u32, ptr::without_provenance_mut(value)) != 0 }
}

/// There is no fork.
pub fn at_fork(
    _before: unsafe extern "C" fn(),
    _parent: unsafe extern "C" fn(),
    _child: unsafe extern "C" fn(),
) -> bool {
    true
}

/// There is no cancellation.
pub fn without_cancellation<R>(inside: impl FnOnce() -> R) -> R {
    inside()
}

/// A random word.
pub fn random() -> Option<u64> {
    let mut word = 0u64;
    // SAFETY: the length is that of the word.
    let done = unsafe { RtlGenRandom((&raw mut word).cast(), size_of::<u64>() as u32) };
    (done != 0).then_some(word)
}

/// The system gives no others.
pub fn random_at_start() -> [u64; 2] {
    let place = 0u64;
    [&raw const place as u64, 0]
}

/// A count of the system's that grows.
pub fn moment() -> u64 {
    let mut count = 0;
    // SAFETY: `count` is a place for the result.
    unsafe { QueryPerformanceCounter(&mut count) };
    count
}

/// A variable of the environment.
///
/// As with every reader of the environment, no other thread may change it meanwhile.
pub fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: the name is a string, and so is the result.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))
    }
}

/// Writes to stderr.
pub fn write_stderr(bytes: &[u8]) -> Written {
    let mut count = 0;
    // SAFETY: the bytes are there, and `count` is a place for the result.
    let done = keep_last_error(|| unsafe {
        let (start, len) = (bytes.as_ptr().cast(), bytes.len() as u32);
        WriteFile(GetStdHandle(STD_ERROR_HANDLE), start, len, &mut count, ptr::null_mut())
    });
    if done != 0 && count > 0 { Written::Part(count as usize) } else { Written::Not }
}

/// Ends the process.
pub fn abort() -> ! {
    // SAFETY: it can be called anywhere.
    unsafe { libc::abort() }
}

/// Writes to a stream of the caller's. `ferror` reports failures.
///
/// # Safety
/// The stream is open.
pub unsafe fn write_file(file: NonNull<File>, bytes: &[u8]) {
    // SAFETY: by this function's contract.
    unsafe { libc::fwrite(bytes.as_ptr().cast(), 1, bytes.len(), file.as_ptr()) };
}

/// Has a function run when the library is loaded.
macro_rules! at_load {
    ($function:path) => {
        #[used]
        #[unsafe(link_section = ".CRT$XCU")]
        static AT_LOAD: extern "C" fn() = $function;
    };
}
pub(crate) use at_load;

/// Has the module that holds this library stay loaded: threads have functions of it to call.
#[inline(never)]
pub fn stay_loaded() {
    let mut module = ptr::null_mut();
    let inside: *const c_char = (stay_loaded as *const c_void).cast();
    // SAFETY: an address in the module, and a place for the result.
    unsafe { GetModuleHandleExA(PIN_BY_ADDRESS, inside, &mut module) };
}
