//! Does everything that the fuzzer once thought worth keeping still go well?
//!
//! `corpus/` has a directory for each way to read strings: what reaches every corner that the fuzzer knows, and
//! each string that once made it fail. The code that plays them is the fuzzer's.
//!
//! What the environment asks for holds for a whole process: each test plays in a process of its own.

#[path = "common/bytes.rs"]
mod bytes;
#[path = "common/model.rs"]
mod model;
#[path = "common/watch.rs"]
mod watch;

use std::path::Path;
use std::process::Command;

use bytes::{Target, calls, create};
use model::Mode;

/// Says to a process what it plays.
const PART: &str = "CMEMPOOL_REPLAY";

#[test]
fn the_corpus_goes_well() {
    play("the_corpus_goes_well", "unwatched", Mode::Plain, &[("calls", calls), ("create", create)]);
}

#[test]
fn it_goes_well_with_every_entry_from_the_heap() {
    let name = "it_goes_well_with_every_entry_from_the_heap";
    play(name, "bypass", Mode::Bypassed, &[("calls", calls)]);
}

/// The functions of `watch.rs` have the names of AddressSanitizer's, so that somebody seems to watch.
#[test]
#[cfg_attr(instrumented, ignore = "a sanitizer watches in its place")]
fn exactly_what_is_out_is_open_to_who_watches() {
    let target = |bytes: &[u8]| {
        calls(bytes);
        assert_eq!(watch::closed_ranges(), 0, "closed, though no pool is there");
    };
    let name = "exactly_what_is_out_is_open_to_who_watches";
    play(name, "", watch::mode(), &[("calls", target)]);
}

/// Plays directories of the corpus in a process of the mode.
fn play(test: &str, options: &str, mode: Mode, parts: &[(&str, Target)]) {
    if std::env::var_os(PART).is_none() {
        let this = std::env::current_exe().expect("a test has a path");
        let mut command = Command::new(this);
        command.args([test, "--exact", "--nocapture"]);
        let status = command.env(PART, "1").env("CMEMPOOL_OPTIONS", options).status();
        return assert!(status.expect("it starts").success(), "see above");
    }
    model::set_mode(mode);
    for (name, target) in parts {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
        let entries =
            directory.read_dir().unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        let mut files: Vec<_> =
            entries.map(|entry| entry.expect("it can be listed").path()).collect();
        files.sort();
        assert!(files.len() >= 20, "{}: {} files", directory.display(), files.len());
        for file in files {
            let bytes = std::fs::read(&file).expect("it can be read");
            if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
                eprintln!("it was {}", file.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
}
