//! How does the library stay loaded on Linux?
//!
//! It is marked never to be unloaded, since threads and fork have functions of it to call, and threads
//! hold mutexes of it, which only they could give back. The shared library is linked so. Whoever links the
//! static library into a plugin need not know: the whole plugin stays loaded, and `dlclose` succeeds
//! without effect.

use core::ffi::{c_char, c_int, c_void};
use core::mem::{self, MaybeUninit};
use core::ptr::{self, NonNull};

use libc::{Dl_info, RTLD_DEFAULT, RTLD_LAZY, RTLD_NODELETE, RTLD_NOLOAD};

use super::weak::weak;

/// What `dladdr1` tells of a module: the public part of `struct link_map`.
#[repr(C)]
struct Module {
    offset: usize,
    name: NonNull<c_char>, // "" for the program itself
    dynamic: *const Tag,   // up to a tag that is 0
}

/// `ElfW(Dyn)`: two words.
#[repr(C)]
struct Tag {
    tag: usize,
    value: usize,
}

const RTLD_DL_LINKMAP: c_int = 2;
const DT_NULL: usize = 0;
const DT_FLAGS_1: usize = 0x6FFF_FFFB;
const DF_1_NODELETE: usize = 8;

type DlAddr1 = unsafe extern "C" fn(*const c_void, *mut Dl_info, *mut *mut c_void, c_int) -> c_int;
type DlSym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
type DlOpen = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;

// Not there in a static program, which unloads nothing, and the first not in musl, which never does.
// `dlopen` itself is looked up by `dlsym`: its mere name has the linker of a static program warn.
weak!(dladdr1, cmempool_dladdr1, "dladdr1", DlAddr1);
weak!(dlsym, cmempool_dlsym, "dlsym", DlSym);

/// Marks the module that holds this library as one that is never unloaded.
#[inline(never)]
pub fn stay_loaded() {
    let (Some(dladdr1), Some(dlsym)) = (dladdr1(), dlsym()) else { return };
    let (mut info, mut module) = (MaybeUninit::uninit(), ptr::null_mut());
    let inside = stay_loaded as *const c_void;
    // SAFETY: both results have their places, and what is told of a module that is loaded stays there. The
    // functions are of the types that POSIX and glibc say.
    unsafe {
        if dladdr1(inside, info.as_mut_ptr(), &mut module, RTLD_DL_LINKMAP) == 0 {
            return;
        }
        let Some(module) = module.cast::<Module>().as_ref() else { return };
        if module.name.read() == 0 || is_marked(module.dynamic) {
            return;
        }
        let dlopen = dlsym(RTLD_DEFAULT, c"dlopen".as_ptr());
        if dlopen.is_null() {
            return;
        }
        let dlopen = mem::transmute::<*mut c_void, DlOpen>(dlopen);
        // It finds the module by its name among those that are loaded, opens no file, and marks it. If
        // there is no memory for that, all is well until the module is closed.
        dlopen(module.name.as_ptr(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    }
}

/// Whether the module was linked so that it is never unloaded.
///
/// # Safety
/// NULL or the tags of a module that is loaded.
unsafe fn is_marked(mut tags: *const Tag) -> bool {
    // SAFETY: by this function's contract; the last tag is DT_NULL.
    while let Some(&Tag { tag, value }) = unsafe { tags.as_ref() }
        && tag != DT_NULL
    {
        if tag == DT_FLAGS_1 {
            return value & DF_1_NODELETE != 0;
        }
        tags = tags.wrapping_add(1);
    }
    false
}
