//! Who hears of misuse.

use core::ffi::c_void;

use crate::report::handler::set_handler;
pub use crate::report::handler::{mempool_misuse, mempool_misuse_handler, mempool_misuse_kind};

/// # Report misuse
///
/// Sets the function that the library calls when it finds a misuse. Without one, it writes a line to stderr.
///
/// When the handler returns, the process aborts; only after `MEMPOOL_MISUSE_LEAK` destroy goes on. You can't
/// change that: a damaged pool may hand out the same memory twice. Use a handler to log in the program's own
/// way, to stop for a debugger, or to end the process by `_exit`.
///
/// The handler runs in the thread that made the call, inside that call, with no lock of the library held and
/// with cancellation off. Several threads may call it at once. It must return or end the process: no `longjmp`,
/// no C++ exception, no `pthread_exit`. It may call the library's functions, for example to count the pool's
/// entries, but must not destroy that pool, nor fork and use pools in the child. A pool in which the same
/// memory was found free twice hands out no more of its own: NULL with ENOMEM, or entries from the heap. If the
/// handler itself commits a misuse, its line goes to stderr, and the process aborts.
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
/// The heap may be damaged when a handler runs. If that matters, do only what a signal handler may do, such as
/// `write(2, report->text, strlen(report->text))`.
///
/// @param handler  called with a report, which is valid until it returns, and the context; NULL restores the
///                 default
/// @param context  passed to the handler; the library does not look at it
///
/// Handler and context change together: a misuse in another thread meanwhile calls the old handler with the old
/// context, or the new one with the new. The old handler may still run when this returns.
///
/// Threads: safe. Cost: O(1). Errors: none. The handler is for all pools of the process, created before or
/// after.
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
