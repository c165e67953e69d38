//! Who hears of misuse.

use core::ffi::c_void;

use crate::report::handler::set_handler;
pub use crate::report::handler::{mempool_misuse, mempool_misuse_handler, mempool_misuse_kind};

/// # Hear of misuse
///
/// Sets the function that is called when the library finds a misuse. Without one, a line is written to
/// stderr.
///
/// When the handler returns, the process aborts, except after `MEMPOOL_MISUSE_LEAK`, after which destroy
/// goes on. That can't be changed: a pool that is known to be damaged may hand out the same memory
/// twice. A handler is there to log in the program's own way, to stop for a debugger, or to end the
/// process in another way, by `_exit`.
///
/// The handler runs in the thread that made the call, inside of that call, with no lock of the library's
/// held and with cancellation off. It may be called by several threads at once. It must return or end the
/// process: no `longjmp`, no C++ exception, no `pthread_exit`. It may call the library's functions, to
/// count that pool's entries for one, but not destroy that pool, nor fork and use pools in the child. A
/// pool that was found to have the same memory free twice hands out none of it any more: NULL with
/// ENOMEM, or from the heap. A misuse that the handler commits itself is not given to it again: its line
/// goes to stderr, and the process aborts.
///
/// ```c
/// static void on_misuse(const mempool_misuse *report, void *context)
/// {
///     FILE *log = context;
///     fprintf(log, "%s\n", report->text);
///     if (report->kind == MEMPOOL_MISUSE_LEAK)
///         return;
///     fflush(log);
///     _exit(70);
/// }
/// ...
/// mempool_set_misuse_handler(on_misuse, stderr);
/// ```
///
/// A handler may be called wherever the heap is damaged too: where that matters, it keeps to what a
/// signal handler may do, as `write(2, report->text, strlen(report->text))`.
///
/// @param handler  called with a report, which is there until it returns, and the context; NULL
///                 restores the default
/// @param context  handed to the handler; the library does not look at it
///
/// Handler and context change together: a misuse in another thread meanwhile goes to the old handler
/// with the old context, or to the new one with the new. The old one may still run when this returns.
///
/// Threads: safe. Cost: O(1). Errors: none. Holds for all pools of the process, made before or after.
///
/// # Safety
/// `handler` can be called with `context` from any thread, until another was set and no thread is
/// inside of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mempool_set_misuse_handler(
    handler: mempool_misuse_handler,
    context: *mut c_void,
) {
    set_handler(handler, context);
}
