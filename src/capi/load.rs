//! What is done when the library is loaded?
//!
//! Here and not at create, since some of it calls the heap, which create does not for a pool in a caller's
//! buffer.

use crate::caches::thread_index;
use crate::collection::forking;
use crate::os;

// Handlers of fork for `before` run in the reverse order of their registration, the others in its order.
// Registered at load, ours run next to the fork itself, and those of the program may use pools.
os::at_load!(at_load);

extern "C" fn at_load() {
    os::stay_loaded();
    // Without memory for it: the first create tries again, and says so.
    let _ = forking::prepare();
    thread_index::prepare();
    #[cfg(not(feature = "bare"))]
    crate::dump::debugger::keep();
}
