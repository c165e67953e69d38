//! Which function is at an address?

use core::ffi::CStr;

#[cfg(all(unix, not(feature = "bare")))]
use core::ffi::{c_char, c_int, c_void};

#[cfg(elf)]
use super::weak::weak;

/// What the loader knows of code. The texts stay while the module does.
pub struct Code<'a> {
    /// The executable or library, as it was loaded.
    pub module: &'a CStr,
    /// Where in it.
    pub at: usize,
    /// The function, if it is one that the loader knows: exported.
    pub function: Option<&'a CStr>,
    /// Where in that.
    pub offset: usize,
}

/// Has `tell` know what the loader says of the code before an address, at which a call returns. None where it knows
/// nothing of it, or nobody asks.
#[cfg(all(unix, not(feature = "bare")))]
pub fn before(address: usize, tell: &mut dyn FnMut(Option<Code<'_>>)) {
    let mut found = libc::Dl_info {
        dli_fname: core::ptr::null(),
        dli_fbase: core::ptr::null_mut(),
        dli_sname: core::ptr::null(),
        dli_saddr: core::ptr::null_mut(),
    };
    // A call may be the last instruction of its function.
    let place = core::ptr::without_provenance(address.wrapping_sub(1));
    let known = address != 0
        // SAFETY: `found` is a place for the result; the address is looked up only.
        && find().is_some_and(|find| unsafe { find(place, &mut found) } != 0)
        && !found.dli_fname.is_null();
    if !known {
        return tell(None);
    }
    // SAFETY: the loader's texts, of a module that has code which just ran.
    let text = |text: *const c_char| unsafe { CStr::from_ptr(text) };
    tell(Some(Code {
        module: text(found.dli_fname),
        at: address.wrapping_sub(found.dli_fbase as usize),
        function: (!found.dli_sname.is_null()).then(|| text(found.dli_sname)),
        offset: address.wrapping_sub(found.dli_saddr as usize),
    }));
}

/// As above: the loader is not asked.
#[cfg(not(all(unix, not(feature = "bare"))))]
pub fn before(_address: usize, tell: &mut dyn FnMut(Option<Code<'_>>)) {
    tell(None);
}

#[cfg(all(unix, not(feature = "bare")))]
type Find = unsafe extern "C" fn(*const c_void, *mut libc::Dl_info) -> c_int;

// Some C libraries have it in a library of its own, and static programs may have none.
#[cfg(elf)]
weak!(find, cmempool_dladdr, "dladdr", Find);

#[cfg(all(target_os = "macos", not(feature = "bare")))]
fn find() -> Option<Find> {
    Some(libc::dladdr)
}
