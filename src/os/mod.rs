//! What do the machine and the system give?
//!
//! The only room with `libc`, assembly and questions about system and processor; how wide an address is may be
//! asked anywhere. All other rooms call the functions below; each system has its own file of them.
//!
//! # What a new system has to provide
//!
//! One file beside this one, and a line for it in `system.rs`; `posix.rs` has what POSIX systems share. Where
//! a system has no such thing, the answer in the last column keeps all promises that do not speak of it.
//!
//! | function | what it does | where there is none |
//! | --- | --- | --- |
//! | `page_size`, `HUGE_PAGE` | bytes of a page, and of a large one | any power of two |
//! | `map`, `unmap` | whole pages of zeros, and back | `None` |
//! | `map_for_huge_pages` | the same, where the system may use large pages | `map` |
//! | `map_huge_pages` | of large pages that it keeps ready | `None` |
//! | `forbid` | makes pages ones that nobody may touch | `false` |
//! | `populate` | provides pages before they are touched | `Ok(false)` |
//! | `lock_pages`, `unlock_pages` | has pages stay in memory | `Err(NotPermitted)` |
//! | `heap_take`, `heap_give`, `heap_return` | blocks of the program's heap | `None` |
//! | `set_errno` | stores an error in the calling thread's `errno` | nothing |
//! | `sleep_while`, `wake_one` | a thread waits for a word to change | returns at once |
//! | `begin_barriers`, `barrier_everywhere` | a full barrier on each core that runs a thread of the process | `false` |
//! | `thread_number` | tells threads apart; never 0; the same in a child of fork | 1 |
//! | `make_end_key`, `drop_end_key`, `tell_when_ends`, `end_key_has_room` | a function runs when a thread ends | `None`, `false` |
//! | `OwnerLock`, `FORK_KEEPS_LOCKS` | a lock that says whether its owner is dead | `no_owner_lock.rs` |
//! | `thread_block` | two words of the calling thread | `keyed.rs`, by `make_slot`, `choose_slot`, `drop_slot`, `slot_value`, `set_slot_value` |
//! | `at_fork` | functions run around a fork | `true` |
//! | `without_cancellation` | runs a function in which its thread is not cancelled | runs it |
//! | `random` | a word that nobody can foresee | `None` |
//! | `random_at_start`, `moment` | what differs between processes, and from one call to the next | an address; 0 |
//! | `variable` | of the environment, unless the program has more rights than its user | `None` |
//! | `write_stderr` | writes bytes, and is no point of cancellation | `Written::Not` |
//! | `abort` | ends the process | stops |
//! | `File`, `write_file` | a C stream | `Infallible` |
//! | `find`, in `code.rs` | what function is at an address | nobody asks |
//! | `at_load`, `stay_loaded` | runs a function when the library is loaded; keeps it loaded | does nothing |
//!
//! A new processor needs a file in `cpu/` with its way to the thread block.

#[cfg(feature = "bare")]
mod bare;
#[cfg(all(any(target_os = "freebsd", target_os = "macos"), not(feature = "bare")))]
mod bsd;
pub mod code;
pub mod cpu;
#[cfg(elf)]
mod elf;
pub mod error;
pub mod fence;
#[cfg(all(target_os = "freebsd", not(feature = "bare")))]
mod freebsd;
#[cfg(all(target_os = "linux", not(feature = "bare")))]
mod kept;
#[cfg(all(target_os = "macos", not(feature = "bare")))]
mod key_macos;
#[cfg(all(windows, not(feature = "bare")))]
mod key_windows;
#[cfg(all(any(target_os = "macos", windows), not(feature = "bare")))]
mod keyed;
#[cfg(all(target_os = "linux", not(feature = "bare")))]
mod linux;
pub mod lock;
#[cfg(all(target_os = "macos", not(feature = "bare")))]
mod macos;
#[cfg(any(feature = "bare", target_os = "macos", windows))]
mod no_owner_lock;
mod outcome;
#[cfg(elf)]
mod owner_lock;
#[cfg(all(unix, not(feature = "bare")))]
mod posix;
pub mod probe;
#[cfg(all(target_os = "linux", not(feature = "bare")))]
mod stay_glibc;
pub mod sync;
mod system;
pub mod watcher;
#[cfg(elf)]
mod weak;
#[cfg(all(windows, not(feature = "bare")))]
mod windows;

#[cfg(feature = "bare")]
pub(crate) use self::bare::at_load;
#[cfg(elf)]
pub(crate) use self::elf::at_load;
#[cfg(all(target_os = "macos", not(feature = "bare")))]
pub(crate) use self::macos::at_load;
pub use self::outcome::{Taken, Written};
pub use self::system::*;
#[cfg(all(windows, not(feature = "bare")))]
pub(crate) use self::windows::at_load;
