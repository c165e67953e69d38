//! Whose atomics are used?
//!
//! The thread protocol uses the machine's, or those of loom, which tries every order. A processor without
//! 64-bit atomics has only one thread, and plain numbers will do.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU16, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU16, fence};

#[cfg(not(target_has_atomic = "ptr"))]
compile_error!("cmempool needs a processor with compare-and-swap");

#[cfg(target_has_atomic = "64")]
pub use core::sync::atomic::AtomicU64;

#[cfg(not(target_has_atomic = "64"))]
pub use self::of_one_thread::AtomicU64;

#[cfg(not(target_has_atomic = "64"))]
mod of_one_thread {
    use core::cell::UnsafeCell;
    use core::sync::atomic::Ordering;

    #[cfg(not(feature = "bare"))]
    compile_error!(
        "threads need atomics of 64 bits, and the processor has none: see the feature `bare`"
    );

    /// A number of 64 bits, with the functions of an atomic one.
    #[repr(transparent)]
    pub struct AtomicU64(UnsafeCell<u64>);

    // SAFETY: there is one thread.
    unsafe impl Sync for AtomicU64 {}

    impl AtomicU64 {
        /// As the atomic one's, and so are all below.
        pub const fn new(value: u64) -> Self {
            Self(UnsafeCell::new(value))
        }

        /// # Safety
        /// The place is aligned, and there as long as the reference.
        pub unsafe fn from_ptr<'a>(place: *mut u64) -> &'a Self {
            // SAFETY: by this function's contract; the layout is the same.
            unsafe { &*place.cast() }
        }

        pub fn as_ptr(&self) -> *mut u64 {
            self.0.get()
        }

        #[inline(always)]
        pub fn load(&self, _order: Ordering) -> u64 {
            // SAFETY: nobody writes it meanwhile, as in all below.
            unsafe { *self.0.get() }
        }

        #[inline(always)]
        pub fn store(&self, value: u64, _order: Ordering) {
            self.change(|_| value);
        }

        pub fn fetch_add(&self, more: u64, _order: Ordering) -> u64 {
            self.change(|value| value.wrapping_add(more))
        }

        pub fn fetch_or(&self, bits: u64, _order: Ordering) -> u64 {
            self.change(|value| value | bits)
        }

        pub fn fetch_and(&self, bits: u64, _order: Ordering) -> u64 {
            self.change(|value| value & bits)
        }

        pub fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            _success: Ordering,
            _failure: Ordering,
        ) -> Result<u64, u64> {
            let before = self.change(|value| if value == current { new } else { value });
            if before == current { Ok(before) } else { Err(before) }
        }

        pub fn compare_exchange_weak(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            self.compare_exchange(current, new, success, failure)
        }

        fn change(&self, to: impl FnOnce(u64) -> u64) -> u64 {
            // SAFETY: as above.
            unsafe {
                let before = *self.0.get();
                *self.0.get() = to(before);
                before
            }
        }
    }
}
