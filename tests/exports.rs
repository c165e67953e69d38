//! Do the header, the shared and the static library offer exactly the functions in `symbols.txt`,
//! and are the installed libraries what a distribution and a small system accept?

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Scratch, demand, prefix, run, skip, symbols};

#[test]
fn the_list_is_sorted() {
    let symbols = symbols();
    assert!(!symbols.is_empty());
    assert!(symbols.is_sorted_by(|a, b| a < b), "sort tests/symbols.txt: {symbols:#?}");
}

#[test]
fn the_header_declares_the_list() {
    assert_eq!(declared(include_str!("../include/cmempool.h")), symbols());
}

/// The functions that a header declares, sorted, as often as it declares them.
fn declared(header: &str) -> Vec<String> {
    let mut names = Vec::new();
    for statement in outermost(&without_comments_and_directives(header)) {
        let mut words = statement.split_whitespace();
        if matches!(words.next(), None | Some("typedef" | "static"))
            || words.any(|w| w == "__thread")
        {
            continue;
        }
        if let Some((before, _)) = statement.split_once('(') {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let name = before.trim_end().rsplit(|c| !is_part(c)).next();
            names.push(name.expect("a split has a last part").to_string());
        }
    }
    names.sort();
    names
}

fn without_comments_and_directives(header: &str) -> String {
    let mut text = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        text += before;
        rest = comment.split_once("*/").expect("each comment ends").1;
    }
    text += rest;
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// The text outside of braces, cut at semicolons and braces. The braces of `extern "C"`, which are
/// another language's, don't count.
fn outermost(text: &str) -> Vec<String> {
    let text = text.replace("extern \"C\" {", "");
    let mut depth = 0_u32;
    let mut statements = vec![String::new()];
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match c {
            '{' | '}' | ';' if depth == 0 => statements.push(String::new()),
            _ if depth == 0 => statements.last_mut().expect("one at least").push(c),
            _ => {}
        }
    }
    statements
}

/// A file of the installed tree, or none, with a line that says so, where there is no tree.
fn installed(name: &str) -> Option<PathBuf> {
    let Some(prefix) = prefix() else {
        skip(format_args!("{name}: CMEMPOOL_PREFIX names no installed tree"));
        return None;
    };
    let file = prefix.join("lib").join(name);
    assert!(file.is_file(), "{} is missing", file.display());
    Some(file)
}

/// What one of the binutils prints about a file.
fn printed(tool: &str, arguments: &[&str], file: &Path) -> String {
    demand(&[tool]);
    run(Command::new(tool).args(arguments).arg(file)).expect_success().stdout
}

/// Names and kinds from what `nm` prints, sorted.
fn named(nm: &str) -> Vec<(&str, &str)> {
    let mut symbols: Vec<_> = nm
        .lines()
        .filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_address, kind, name] => Some((name, kind)),
            _ => None,
        })
        .collect();
    symbols.sort_unstable();
    symbols
}

/// The list, each symbol with the letter by which `nm` calls a global function, and the thread block, which
/// is data.
fn list() -> Vec<(&'static str, &'static str)> {
    let functions = symbols().into_iter().map(|symbol| (symbol, "T"));
    let mut list: Vec<_> = functions.chain([("cmempool_thread", "D")]).collect();
    list.sort_unstable();
    list
}

#[test]
fn the_shared_library_exports_the_list() {
    let Some(library) = installed("libcmempool.so") else { return };
    let symbols = printed("nm", &["-D", "--defined-only"], &library);
    // Each has its version, and a version is a symbol of its own.
    let exported = named(&symbols);
    let (versions, functions): (Vec<_>, Vec<_>) =
        exported.iter().partition(|(_, kind)| *kind == "A");
    let names: Vec<_> = functions
        .iter()
        .map(|(name, kind)| (name.split_once("@@").map_or("no version", |(name, _)| name), *kind))
        .collect();
    assert_eq!(names, list());
    // The Debian package says the same, name by name.
    let package = include_str!("../packaging/debian/libcmempool1.symbols");
    let packaged: BTreeSet<&str> = package
        .lines()
        .filter_map(|line| line.strip_prefix(' '))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let versions = versions.iter().map(|(name, _)| format!("{name}@{name}"));
    let exported: BTreeSet<String> =
        functions.iter().map(|(name, _)| name.replace("@@", "@")).chain(versions).collect();
    assert_eq!(exported.iter().map(String::as_str).collect::<BTreeSet<_>>(), packaged);
}

/// Two functions at one address have one name in backtraces and profiles.
#[test]
fn each_exported_function_has_its_own_address() {
    let Some(library) = installed("libcmempool.so") else { return };
    let symbols = printed("nm", &["-D", "--defined-only"], &library);
    let mut names = BTreeMap::new();
    for line in symbols.lines() {
        if let [address, "T", name] = line.split_whitespace().collect::<Vec<_>>()[..] {
            let other = names.insert(address, name);
            assert_eq!(other, None, "{name} has the same address");
        }
    }
    assert_eq!(names.len(), self::symbols().len());
}

#[test]
fn the_shared_library_is_linked_as_promised() {
    let Some(library) = installed("libcmempool.so") else { return };
    let dynamic = printed("readelf", &["-dW"], &library);
    let values_of = |tag: &str| -> Vec<&str> {
        let tag = format!("({tag})");
        dynamic.lines().filter_map(|line| Some(line.split_once(&tag)?.1.trim())).collect()
    };
    let in_brackets = |value: &str| -> String {
        let inner = value.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        inner.unwrap_or_else(|| panic!("no name in {value}")).0.to_string()
    };

    for needed in values_of("NEEDED").into_iter().map(in_brackets) {
        let is_expected = needed.starts_with("libc.so.") || needed.starts_with("ld-linux");
        assert!(is_expected, "needs {needed}\n{dynamic}");
    }
    let names: Vec<_> = values_of("SONAME").into_iter().map(in_brackets).collect();
    assert_eq!(names, ["libcmempool.so.1"]);

    let flags = [values_of("FLAGS"), values_of("FLAGS_1")].concat().join(" ");
    let has = |flag| flags.split_whitespace().any(|word| word == flag);
    assert!(has("BIND_NOW") || has("NOW"), "binds lazily\n{dynamic}");
    // Thread-exit and fork handlers must not be unloaded under those who call them.
    assert!(has("NODELETE"), "can be unloaded\n{dynamic}");
    assert!(!dynamic.contains("TEXTREL"), "relocates its code\n{dynamic}");
}

#[test]
fn the_shared_library_is_loaded_as_promised() {
    let Some(library) = installed("libcmempool.so") else { return };
    let segments = printed("readelf", &["-lW"], &library);
    let segment = |name: &str| {
        let found = segments.lines().map(str::trim).find(|line| line.starts_with(name));
        found.unwrap_or_else(|| panic!("no {name}\n{segments}"))
    };
    segment("GNU_RELRO");
    // Name, offset, two addresses, two sizes, flags (RWE for an executable stack), alignment.
    assert_eq!(segment("GNU_STACK").split_whitespace().nth(6), Some("RW"), "{segments}");
}

#[test]
fn the_shared_library_is_small() {
    let Some(library) = installed("libcmempool.so") else { return };
    let segments = printed("readelf", &["-lW"], &library);
    // Kind, offset, two addresses, bytes of the file. What lies between them is the linker's.
    let bytes: u64 = segments
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.first() == Some(&"LOAD"))
        .map(|words| u64::from_str_radix(words[4].trim_start_matches("0x"), 16).unwrap())
        .sum();
    assert!(0 < bytes && bytes < 160 * 1024, "{} has {bytes} bytes", library.display());
}

#[test]
fn the_static_library_defines_the_list() {
    let Some(library) = installed("libcmempool.a") else { return };
    let mut expected = list();
    if cfg!(target_os = "linux") {
        // Of all libraries with probes in a program, one.
        expected.push(("_.stapsdt.base", "R"));
    }
    expected.sort_unstable();
    assert_eq!(named(&printed("nm", &["-g", "--defined-only"], &library)), expected);
}

/// Programs that reach every room of the library, ends by misuse included.
const PROGRAMS: [(&str, &str); 2] = [
    (
        "ordinary",
        r#"
#include <cmempool.h>

int main(void)
{
    mempool *mp = mempool_create(2, sizeof(double), true);
    double *a = mempool_alloc_entry(mp), *b = mempool_calloc_entry(mp), *c = mempool_alloc_entry(mp);
    if (!a || !b || !c || *b != 0 || mempool_total_capacity(mp) != 2)
        return 1;
    if (mempool_used_count(mp) != 2 || mempool_dynamic_allocs_count(mp) != 1)
        return 2;
    mempool_free_entry(c);
    mempool_free_entry(a);
    if (a || mempool_used_count(mp) != 1 || mempool_dynamic_allocs_count(mp) != 0)
        return 3;
    mempool_destroy(mp);
    return mp ? 4 : 0;
}
"#,
    ),
    (
        "ranged",
        r#"
#include <cmempool.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

R_MEMPOOL_STATIC_BUFFER(memory, 16, 64, 4);

static void on_abort(int signal)
{
    (void)signal;
    _Exit(0);
}

int main(void)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    r_mempool *rmp;
    char *text;
    void *copy;

    options.smallest_size = 16;
    options.largest_size = 64;
    options.smallest_count = 4;
    options.buffer = memory;
    options.buffer_size = sizeof memory;
    if (r_mempool_buffer_size(&options) != sizeof memory)
        return 1;
    rmp = r_mempool_create_with(&options);
    text = r_mempool_alloc_entry(rmp, 5);
    if (!text)
        return 2;
    memcpy(text, "four", 5);
    text = r_mempool_realloc_entry(rmp, text, 60);
    if (!text || strcmp(text, "four") != 0 || r_mempool_used_count(rmp, 64) != 1)
        return 3;
    if (r_mempool_alloc_entry(rmp, 65) || errno != EINVAL)
        return 4;
    copy = text;
    r_mempool_free_entry(text);
    /* A double free ends in abort. */
    signal(SIGABRT, on_abort);
    (r_mempool_free_entry)(copy);
    return 5;
}
"#,
    ),
];

#[test]
fn the_static_library_needs_nothing_else() {
    let Some(library) = installed("libcmempool.a") else { return };
    let include = prefix().expect("the library lies there").join("include");
    demand(&["cc"]);
    for (name, text) in PROGRAMS {
        let scratch = Scratch::new();
        let source = scratch.file(&format!("{name}.c"), text);
        let program = scratch.path().join(name);
        run(Command::new("cc").arg(source).arg(&library).arg("-Wl,--fatal-warnings").args([
            "-I".as_ref(),
            include.as_os_str(),
            "-o".as_ref(),
            program.as_os_str(),
        ]))
        .expect_success();
        run(&mut Command::new(program)).expect_success();
    }
}
