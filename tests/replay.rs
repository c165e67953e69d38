//! Does everything that the fuzzer once thought worth keeping still go well?
//!
//! `corpus/` has a directory for each target: what reaches every corner that the fuzzer knows, and
//! each string that once made it fail. The code that plays them is the fuzzer's.

#[path = "common/bytes.rs"]
mod bytes;
#[path = "common/model.rs"]
mod model;

use std::path::Path;

use bytes::TARGETS;

#[test]
fn the_corpus_goes_well() {
    for (name, target) in TARGETS {
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
