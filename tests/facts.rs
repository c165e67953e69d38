//! Are the numbers that docs/ quotes those of the source, and does a call take as many instructions
//! as it says there?

mod common;

use std::collections::BTreeSet;
use std::process::Command;

use common::{Scratch, is_there, prefix, root, run, skip, symbols};

/// A constant of the source, and where a document quotes it, `{}` being its value.
const QUOTES: [(&str, &str, &str, &str); 39] = [
    ("src/caches/magazine.rs", "LARGEST_ROOM", "docs/design.md", "up to {} entries each"),
    ("src/caches/magazine.rs", "LARGEST_ROOM", "docs/threads.svg", "valid, at most {}<"),
    ("src/caches/magazine.rs", "MOST_CACHED", "docs/guide.md", "A cache holds up to {} entries"),
    (
        "src/caches/magazine.rs",
        "MOST_MOVED_BY_ONE",
        "docs/design.md",
        "With {} entries at most in such",
    ),
    ("src/pool/plan.rs", "ENTRIES_PER_CACHE", "docs/design.md", "one for each {} slots"),
    (
        "src/pool/plan.rs",
        "ENTRIES_PER_CACHE",
        "docs/guide.md",
        "a cache for each {} of its entries",
    ),
    ("src/pool/plan.rs", "ENTRIES_PER_CACHE", "include/cmempool.h", "One for each {} entries"),
    (
        "src/pool/opening.rs",
        "VISITS_WITH_SMALLEST",
        "docs/design.md",
        "253 after {} visits to the depot",
    ),
    ("src/pool/opening.rs", "VISITS_WITH_SMALL", "docs/design.md", "of 61, after {};"),
    ("src/pool/opening.rs", "VISITS_WITH_MIDDLE", "docs/design.md", "1021 after {} visits."),
    ("src/caches/magazine.rs", "ALL_OF", "docs/design.md", "for each of {} lines"),
    ("src/pool/opening.rs", "VISITS_FOR_THE_ONLY", "docs/design.md", "that came {} times in a row"),
    ("src/pool/making.rs", "THREADS_AT_FIRST", "docs/design.md", "beyond the first {} are left"),
    (
        "src/memory/layout.rs",
        "SLOT_RESERVE",
        "docs/design.md",
        "beside the slots takes {} bytes for each",
    ),
    ("src/memory/layout.rs", "SLOT_RESERVE", "docs/memory.svg", "and {} bytes a slot"),
    ("src/pool/guarding.rs", "GUARD_GAP", "docs/design.md", "{} bytes past each entry"),
    (
        "src/slots/depot/random.rs",
        "LARGEST_EVEN_DRAW",
        "docs/design.md",
        "pools of up to {} slots evenly",
    ),
    (
        "src/slots/depot/random.rs",
        "LARGEST_EVEN_DRAW",
        "SECURITY.md",
        "pools of up to {} entries each",
    ),
    (
        "src/slots/depot/mod.rs",
        "LARGEST_RING",
        "docs/design.md",
        "every fourth slot and {} at most",
    ),
    ("src/slots/depot/mod.rs", "LARGEST_RING", "docs/memory.svg", "every fourth slot, {} at most"),
    ("src/caches/magazine.rs", "MOST_MOVED", "docs/design.md", "{} entries moved at most"),
    ("src/pool/refill.rs", "FRESH_AT_A_TIME", "docs/design.md", "{} at a time, so that slots"),
    ("src/slots/inlined.rs", "CACHES_AT", "include/cmempool.h", "#define CMEMPOOL_CACHES_1 {} "),
    ("src/slots/inlined.rs", "SIZES_AT", "include/cmempool.h", "#define CMEMPOOL_SIZES_1 {} "),
    ("src/slots/inlined.rs", "PLACES", "include/cmempool.h", "uintptr_t likely[{}];"),
    ("src/memory/layout.rs", "CLASS_RESERVE", "docs/design.md", "and {} bytes for each class"),
    ("src/slots/inlined.rs", "PLACES", "docs/design.md", "A table of {} places"),
    (
        "src/pool/quarantine.rs",
        "LARGEST_QUARANTINE",
        "docs/design.md",
        "a quarter of the pool and up to {},",
    ),
    (
        "src/pool/quarantine.rs",
        "LARGEST_QUARANTINE",
        "SECURITY.md",
        "a quarter of the pool, up to {})",
    ),
    ("src/pool/opening.rs", "VISITS_AFTER_SHORTAGE", "docs/design.md", "{} visits to the depot"),
    ("src/pool/opening.rs", "PLENTY", "docs/design.md", "more than a {}th of the slots"),
    ("src/pool/opening.rs", "SMALLEST_TARGET", "docs/design.md", "below a target of {} they"),
    ("src/memory/layout.rs", "OWNER_ALIGN", "docs/design.md", "a multiple of {} below 2^48"),
    ("src/memory/layout.rs", "OWNER_ALIGN", "docs/memory.svg", "at {} · k"),
    ("src/caches/thread_index.rs", "CACHE_DISTANCE", "docs/memory.svg", "{} B each"),
    ("src/caches/life.rs", "MAX_THREADS", "docs/design.md", "has an index, of {},"),
    ("src/caches/life.rs", "MAX_THREADS", "docs/guide.md", "and at most {}: so many threads"),
    ("src/caches/thread_index.rs", "LOWEST", "docs/design.md", "looks at the {} lowest"),
    ("src/caches/thread_index.rs", "LOOKS", "docs/design.md", "and at {} others, in turn"),
];

fn file(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text on one line, so that a quote may go over the end of one.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn constants() {
    for (source, name, document, quote) in QUOTES {
        let text = file(source);
        let start = format!("const {name}: ");
        let value = text
            .lines()
            .find_map(|line| line.trim_start_matches("pub ").strip_prefix(&start))
            .and_then(|rest| rest.split_once(" = ")?.1.strip_suffix(';'))
            .unwrap_or_else(|| panic!("{source} has no constant {name}"));
        let quote = quote.replace("{}", value);
        assert!(
            flowing(&file(document)).contains(&quote),
            "{name} of {source} is {value}; {document} does not say \"{quote}\""
        );
    }
}

/// `N instructions for an alloc and M for a free`, counted in an installed library.
#[test]
fn instructions() {
    if !cfg!(target_arch = "x86_64") {
        return skip("instructions of a call: they are those of x86-64");
    }
    let Some(prefix) = prefix() else {
        return skip("instructions of a call: CMEMPOOL_PREFIX names no installed tree");
    };
    if !is_there("valgrind") {
        return skip("instructions of a call: valgrind is not installed");
    }
    let text = flowing(&file("docs/design.md"));
    let quote = text
        .split_once(" instructions for an alloc and ")
        .and_then(|(before, after)| Some((before.rsplit(' ').next()?, after.split(' ').next()?)));
    let (alloc, free) = quote.expect("docs/design.md says what the calls take");

    const CALLS: usize = 200_000;
    let scratch = Scratch::new();
    let source = scratch.file(
        "loop.c",
        &format!(
            "#include <cmempool.h>\n\
             int main(void)\n\
             {{\n\
             mempool *mp = mempool_create(100000, 64, false);\n\
             for (int i = 0; i < {CALLS}; i++)\n\
             (mempool_free_entry)((mempool_alloc_entry)(mp));\n\
             mempool_destroy(mp);\n\
             }}\n"
        ),
    );
    let program = scratch.path().join("loop");
    run(Command::new("cc")
        .args(["-std=c11", "-O2"])
        .arg(source)
        .arg("-I")
        .arg(prefix.join("include"))
        .arg(prefix.join("lib/libcmempool.so"))
        .arg("-o")
        .arg(&program))
    .expect_success();
    for (function, said) in [("mempool_alloc_entry", alloc), ("mempool_free_entry", free)] {
        let outcome = run(Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--toggle-collect={function}"))
            .arg(&program)
            .env("CMEMPOOL_OPTIONS", "unwatched")
            .env("LD_LIBRARY_PATH", prefix.join("lib")))
        .expect_success();
        let counted: usize = outcome
            .stderr
            .lines()
            .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
            .expect("callgrind says what it counted");
        // The first call fills the cache.
        assert_eq!((counted / CALLS).to_string(), said, "instructions of {function}");
    }
}

/// The longest path of each call: `| \`function\` .. | N |` in docs/design.md.
#[test]
fn longest_paths() {
    if !cfg!(target_arch = "x86_64") {
        return skip("longest paths: they are those of x86-64");
    }
    let Some(prefix) = prefix() else {
        return skip("longest paths: CMEMPOOL_PREFIX names no installed tree");
    };
    let scratch = Scratch::new();
    let program = scratch.path().join("longest");
    run(Command::new("cc")
        .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .arg(root().join("tests/longest/longest.c"))
        .arg("-I")
        .arg(prefix.join("include"))
        .arg(prefix.join("lib/libcmempool.so"))
        // What looks a function up at its first call is not the library's.
        .args(["-pthread", "-Wl,-z,now", "-o"])
        .arg(&program))
    .expect_success();
    let outcome = run(Command::new(&program).env("LD_LIBRARY_PATH", prefix.join("lib")));
    let (text, mut found) = (file("docs/design.md"), 0);
    for line in outcome.expect_success().stdout.lines() {
        let (function, counted) = line.split_once(' ').expect("a name and a number");
        let counted: usize = counted.parse().expect("a number");
        let start = format!("| `{function}`");
        let said = text
            .lines()
            .find_map(|line| line.strip_prefix(&start)?.split('|').nth(1)?.trim().parse().ok());
        let said: usize = said.unwrap_or_else(|| panic!("docs/design.md has no row {function}"));
        assert!(
            counted <= said && said * 3 / 4 <= counted,
            "docs/design.md says that {function} takes {said} instructions at most; it took {counted}"
        );
        found += 1;
    }
    assert_eq!(found, text.lines().filter(|line| line.starts_with("| `")).count());
}

/// The table of `make bench` in a document, and what follows it.
fn table_of_bench(text: &str) -> (&str, &str) {
    text.split_once("<!-- table of make bench -->")
        .and_then(|(_, rest)| rest.split_once("<!-- end of the table -->"))
        .expect("there is the table")
}

/// docs/speed.md says what stands in the way of each row that is above its aim, and of no other:
/// `- **title; title.** ...`
#[test]
fn rows_above_their_aims_have_a_sentence() {
    let text = file("docs/speed.md");
    let (table, rest) = table_of_bench(&text);
    let above: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [_, title, _, _, _, value, aim, _] = cells[..] else { return None };
            let (value, aim): (f64, f64) = (value.parse().ok()?, aim.parse().ok()?);
            (value > aim).then_some(title)
        })
        .collect();
    let (list, _) = rest.split_once("\n`mempool_alloc_bulk`").expect("what follows the list");
    let list = flowing(list);
    let said: BTreeSet<&str> = list
        .split("- **")
        .skip(1)
        .filter_map(|item| item.split_once(".**"))
        .flat_map(|(titles, _)| titles.split("; "))
        .collect();
    assert_eq!(said, above, "what docs/speed.md explains, and what is above its aim");
}

/// The rows that the README shows are those of docs/speed.md, of the same run; those above their aims are among them.
#[test]
fn the_readme_shows_rows_of_the_whole_table() {
    let (readme, speed) = (file("README.md"), file("docs/speed.md"));
    let (shown, whole) = (table_of_bench(&readme).0, table_of_bench(&speed).0);
    for line in shown.lines() {
        assert!(whole.lines().any(|other| other == line), "docs/speed.md lacks this line: {line}");
    }
    let rows = shown.lines().filter(|line| line.ends_with(" |")).skip(1);
    let ratios: Vec<f64> =
        rows.filter_map(|line| line.split(" | ").nth(4)?.trim().parse().ok()).collect();
    let slow = ratios.iter().filter(|ratio| **ratio > 1.0).count();
    assert!(ratios.len() >= 8 && 2 * slow >= ratios.len(), "fast and slow rows: {ratios:?}");
}

/// The guide names every function that a program may call, and no other.
#[test]
fn the_guide_lists_all_functions() {
    let text = file("docs/guide.md");
    let (_, rest) = text.split_once("## All functions").expect("there is the section");
    let table = rest.split("\n## ").next().expect("it ends somewhere");
    let listed: BTreeSet<&str> = table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| !name.contains(|c: char| c.is_ascii_uppercase()))
        .collect();
    let exported = symbols().into_iter().filter(|name| !name.starts_with('_')).collect();
    assert_eq!(listed, exported, "what the guide lists, and what the library exports");
}

/// The platforms that the documents list are those that `make ports` does, and what is built only is said to be.
#[test]
fn platforms() {
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('\'').to_string())
    };
    let mut expected = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("tests/ports/platforms")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let label = value(&text, "label").expect("a platform has a name");
        expected.insert((label, value(&text, "built_only").is_some()));
    }
    for document in ["README.md", "docs/platforms.md"] {
        let text = file(document);
        let table = text.split("| platform | how").nth(1).expect("there is the table");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
        let rows: BTreeSet<_> = rows
            .map(|row| {
                let cells: Vec<_> = row.split(" | ").collect();
                let name = cells[0].trim_start_matches("| ").to_string();
                (name, cells[1].starts_with("built only"))
            })
            .collect();
        assert_eq!(rows, expected, "{document}");
    }
}
