//! Can programs that were compiled against the recorded header be run with the library of this one?
//!
//! The library's own debug information describes Rust's types, and what C programs rely on is the
//! header. So the header is compiled into a face: a variable for each function, of a pointer to it,
//! and one for each numeric constant, of an enum that has its value. `abidw` records the face in
//! `tests/abi/cmempool.abi`; `make abi` does so anew; `abidiff` tells what differs from it.

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Scratch, demand, is_there, root, run, skip, symbols};

const HEADER: &str = include_str!("../include/cmempool.h");

fn recorded() -> PathBuf {
    root().join("tests/abi/cmempool.abi")
}

/// Constants of the header that compiled programs contain, but for the version.
fn constants(header: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for line in header.lines() {
        if let ["#define", name, value] = line.split_whitespace().collect::<Vec<_>>()[..]
            && value.starts_with(|c: char| c.is_ascii_digit())
            && !name.starts_with("CMEMPOOL_VERSION_")
            && !name.contains('(')
        {
            names.push(name);
        }
    }
    names
}

fn face(header: &str, functions: &[&str]) -> String {
    let mut text = String::from("#include \"cmempool.h\"\n");
    let mut line = |arguments| writeln!(text, "{arguments}").expect("a string takes a line");
    for name in functions {
        // Some are macros, too.
        line(format!("#undef {name}\n__typeof__({name}) *abi_{name};"));
    }
    // What inlined code reads of the library.
    for part in ["process", "thread", "pool", "cache"] {
        line(format!("struct cmempool_{part}_1 abi_{part}_1;"));
    }
    for name in constants(header) {
        line(format!("enum abi_{name} {{ abi_value_of_{name} = {name} }} abi_{name};"));
    }
    text
}

/// The face as a shared library with debug information.
fn compile(scratch: &Scratch, header: &str, functions: &[&str]) -> PathBuf {
    demand(&["cc"]);
    scratch.file("cmempool.h", header);
    scratch.file("face.c", &face(header, functions));
    let mut cc = Command::new("cc");
    run(cc
        .current_dir(scratch.path())
        .args(["-g", "-O1", "-shared", "-fPIC", "face.c", "-o", "face.so"]))
    .expect_success();
    scratch.path().join("face.so")
}

fn has_abigail() -> bool {
    let there = is_there("abidw") && is_there("abidiff") && cfg!(target_arch = "x86_64");
    if !there {
        skip("the ABI: it needs abidw and abidiff (Debian: abigail-tools) on x86-64");
    }
    there
}

fn record(library: &Path, file: &Path) {
    let mut abidw = Command::new("abidw");
    abidw.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file"]);
    run(abidw.arg(file).arg(library)).expect_success();
}

/// What is different between a record and a face: nothing, additions, or more than that.
#[derive(Debug)]
enum Verdict {
    Same,
    Added(String),
    Changed(String),
}

fn compare(record: &Path, library: &Path) -> Verdict {
    let abidiff = |more: &[&str]| {
        let mut command = Command::new("abidiff");
        command.args(["--leaf-changes-only", "--no-show-locs"]).args(more);
        let outcome = run(command.arg(record).arg(library));
        // Bits of its status: 1 and 2 are errors of its own, 4 a difference, 8 an incompatible one.
        let failed = outcome.stdout.is_empty() && !outcome.success;
        assert!(!failed && outcome.stderr.is_empty(), "{outcome}");
        (!outcome.success).then_some(outcome.stdout)
    };
    match (abidiff(&["--no-added-syms"]), abidiff(&[])) {
        (Some(_), Some(all)) => Verdict::Changed(all),
        (None, Some(all)) => Verdict::Added(all),
        (_, None) => Verdict::Same,
    }
}

#[test]
fn programs_compiled_before_still_run() {
    if !has_abigail() {
        return;
    }
    let scratch = Scratch::new();
    let library = compile(&scratch, HEADER, &symbols());
    if std::env::var_os("CMEMPOOL_WRITE_ABI").is_some() {
        record(&library, &recorded());
    }
    match compare(&recorded(), &library) {
        Verdict::Same => {}
        Verdict::Added(what) => panic!(
            "the ABI has additions, which old programs don't mind: record them with `make abi`\n{what}"
        ),
        Verdict::Changed(what) => panic!(
            "the ABI changed under programs that are compiled: undo it, or, if they can't notice or \
             the major version changes too, record it with `make abi`\n{what}"
        ),
    }
}

/// Each breaks something else: what it is, the text in the header, and what takes its place.
const CHANGES: [(&str, &str, &str); 14] = [
    (
        "a parameter's type",
        "mempool_create(size_t elem_count,",
        "mempool_create(uint32_t elem_count,",
    ),
    ("a pointer's target", "capacity(const struct mempool *mp)", "capacity(struct r_mempool *mp)"),
    (
        "one parameter more",
        "*mempool_calloc_entry(struct mempool *mp)",
        "*mempool_calloc_entry(struct mempool *mp, int n)",
    ),
    ("a result's type", "size_t mempool_used_count(", "uint32_t mempool_used_count("),
    ("a result where there was none", "void mempool_free_entry(", "int mempool_free_entry("),
    (
        "a field more",
        "    const struct mempool_backing *backing;\n} mempool_options;",
        "    const struct mempool_backing *backing;\n    int more;\n} mempool_options;",
    ),
    (
        "a field's type",
        "    uint32_t reserved;\n    /**\n     * As for",
        "    int32_t reserved;\n    /**\n     * As for",
    ),
    ("a smaller field", "    size_t class_count;", "    uint32_t class_count;"),
    (
        "a field less",
        "    size_t elem_size;\n    /**\n     * How many entries, 1 to 4294967295.\n     */\n    size_t elem_count;\n} r_mempool_class;",
        "    size_t elem_size;\n} r_mempool_class;",
    ),
    ("an enum's values", "    fallback_disabled = 0,", "    fallback_disabled = 1,"),
    ("a flag's value", "#define MEMPOOL_FALL_BACK 1", "#define MEMPOOL_FALL_BACK 16"),
    ("a buffer's size", "#define CMEMPOOL_PER_SLOT 8", "#define CMEMPOOL_PER_SLOT 16"),
    (
        "the order of what inlined code reads",
        "    uintptr_t first;\n    uintptr_t end;\n",
        "    uintptr_t end;\n    uintptr_t first;\n",
    ),
    ("where a pool's caches lie", "#define CMEMPOOL_CACHES_1 320", "#define CMEMPOOL_CACHES_1 384"),
];

#[test]
fn each_change_is_found() {
    if !has_abigail() {
        return;
    }
    let scratch = Scratch::new();
    let file = scratch.path().join("record.abi");
    record(&compile(&scratch, HEADER, &symbols()), &file);
    let compare_with = |header: &str, functions: &[&str]| {
        let changed = Scratch::new();
        compare(&file, &compile(&changed, header, functions))
    };
    assert!(matches!(compare_with(HEADER, &symbols()), Verdict::Same));
    for (what, from, to) in CHANGES {
        assert_eq!(HEADER.matches(from).count(), 1, "{what}: the header has no single `{from}`");
        let verdict = compare_with(&HEADER.replace(from, to), &symbols());
        assert!(matches!(verdict, Verdict::Changed(_)), "{what}: {verdict:?}");
    }

    // A function that went, its declaration with it or not.
    let verdict = compare_with(HEADER, &symbols()[1..]);
    assert!(matches!(verdict, Verdict::Changed(_)), "a function less: {verdict:?}");

    let more = HEADER.replace(
        "size_t mempool_used_count(",
        "void mempool_more(int);\n#define MEMPOOL_MORE 1\nsize_t mempool_used_count(",
    );
    let verdict = compare_with(&more, &[&symbols()[..], &["mempool_more"]].concat());
    assert!(matches!(verdict, Verdict::Added(_)), "a function and a flag more: {verdict:?}");
}
