//! Generates the C header and the man pages into the build directory and names the shared library.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "man/generate.rs"]
mod man;

/// The files whose public items are the C face, in the order in which a reader wants them.
const FACE: &[&str] = &[
    "src/capi/ordinary.rs",
    "src/capi/ranged.rs",
    "src/memory/backing.rs",
    "src/capi/flags.rs",
    "src/capi/options.rs",
    "src/capi/bulk.rs",
    "src/pool/stats.rs",
    "src/capi/inspect.rs",
    "src/capi/walk.rs",
    "src/capi/dumps.rs",
    "src/report/handler.rs",
    "src/capi/misuse.rs",
    "src/capi/newer.rs",
];

fn main() {
    println!("cargo::rerun-if-changed=cbindgen.toml");
    println!("cargo::rerun-if-changed=src/capi");
    println!("cargo::rerun-if-changed=man/generate.rs");
    println!("cargo::rerun-if-changed=man/reading.rs");
    println!("cargo::rerun-if-changed=CHANGELOG.md");
    println!("cargo::rerun-if-changed=src/memory/backing.rs");
    println!("cargo::rerun-if-changed=src/report/handler.rs");
    println!("cargo::rerun-if-changed=src/pool/stats.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let header = header();
    fs::write(out.join("cmempool.h"), &header).expect("the build directory is writable");
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets the version");
    let changes = fs::read_to_string("CHANGELOG.md").expect("the changelog is readable");
    let pages = man::pages(&header, &version, released(&changes, &version));
    write_pages(&out.join("man"), &pages);
    // Outside the build directory only when asked, by `make header`.
    println!("cargo::rerun-if-env-changed=CMEMPOOL_WRITE_HEADER");
    if env::var_os("CMEMPOOL_WRITE_HEADER").is_some() {
        fs::write("include/cmempool.h", &header).expect("include/ is writable");
        write_pages(Path::new("man"), &pages);
    }

    // Built with a sanitizer, the library is watched itself: see `src/os/watcher.rs`.
    println!("cargo::rustc-check-cfg=cfg(instrumented)");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if flags.contains("sanitizer=") {
        println!("cargo::rustc-cfg=instrumented");
    }

    // What Linux and FreeBSD have in common: thread-local words, weak names and sections of ELF.
    println!("cargo::rustc-check-cfg=cfg(elf)");
    let system = env::var("CARGO_CFG_TARGET_OS").expect("cargo says for which system");
    let bare = env::var_os("CARGO_FEATURE_BARE").is_some();
    if ["linux", "freebsd"].contains(&system.as_str()) && !bare {
        println!("cargo::rustc-cfg=elf");
    }

    // A library of another layout than the header's, for tests: see `src/slots/inlined.rs`.
    println!("cargo::rustc-check-cfg=cfg(cmempool_other_layout)");

    // Of a shared library that cargo links itself; `make` links its own, by `cmempool.map`.
    if system == "linux" {
        shared_library_by_cargo(&out);
    }
}

fn shared_library_by_cargo(out: &Path) {
    // Rust exports functions and its own data; the thread block is neither. Not all linkers take a second
    // script: LLVM's does, which cargo uses on x86-64.
    let exported = out.join("exported.map");
    fs::write(&exported, "{ global: cmempool_thread; };\n")
        .expect("the build directory is writable");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--version-script={}", exported.display());
    let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the version");
    for argument in [
        format!("-soname,libcmempool.so.{major}"),
        // Functions that threads and fork have yet to call must not be unloaded.
        "-z,nodelete".into(),
        "-z,relro,-z,now,-z,noexecstack".into(),
    ] {
        println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
    }
}

fn header() -> String {
    let mut config = cbindgen::Config::from_file("cbindgen.toml").expect("cbindgen.toml is valid");
    for part in ["MAJOR", "MINOR", "PATCH"] {
        let value = env::var(format!("CARGO_PKG_VERSION_{part}")).expect("cargo sets the version");
        config.after_includes =
            config.after_includes.map(|text| text.replace(&format!("@{part}@"), &value));
    }
    let builder =
        FACE.iter().fold(cbindgen::Builder::new().with_config(config), |b, file| b.with_src(file));
    let mut text = Vec::new();
    builder.generate().expect("the C face can be said in C").write(&mut text);
    let text = String::from_utf8(text).expect("the header is UTF-8");
    let text = with_headings(&without_rust_sections(&text));
    // One condition for a row of functions.
    text.replace("#endif\n\n#if !defined(CMEMPOOL_BARE)\n", "\n")
}

/// Drops the `# Safety` sections: they say in Rust's words what the rest of a comment says in C's.
fn without_rust_sections(header: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in header.lines() {
        if line.trim() == "* # Safety" {
            inside = true;
            lines.pop();
        } else if line.trim() == "*/" {
            inside = false;
            if lines.last().is_some_and(|last| last.trim() == "*") {
                lines.pop();
            }
        }
        if !inside {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

/// Lifts the title that a comment starts with out of it, as a heading; once for a row of the same.
fn with_headings(header: &str) -> String {
    let mut text = String::new();
    let mut current = String::new();
    let mut lines = header.lines().peekable();
    while let Some(line) = lines.next() {
        let title = lines.peek().and_then(|next| next.strip_prefix(" * # "));
        if let (true, Some(title)) = (line.trim() == "/**", title) {
            if title != current {
                text += &format!("{:-<96} */\n\n", format!("/* ---- {title} "));
                current = title.into();
            }
            lines.next();
            let empty = lines.next();
            assert_eq!(empty, Some(" *"), "a title is a paragraph: {title}");
        }
        text += line;
        text.push('\n');
    }
    text
}

/// The day of a version's release, from the changelog; nothing before it.
fn released<'a>(changes: &'a str, version: &str) -> &'a str {
    let heading = format!("## [{version}] - ");
    let day = changes.lines().find_map(|line| line.strip_prefix(&heading)).unwrap_or_default();
    if day.starts_with(|c: char| c.is_ascii_digit()) { day } else { "" }
}

/// Writes the pages, their other names as links, and removes what is no longer made.
fn write_pages(directory: &Path, pages: &[man::Page]) {
    fs::create_dir_all(directory).expect("the directory is writable");
    for file in fs::read_dir(directory).expect("the directory is readable") {
        let path = file.expect("the directory is readable").path();
        if path.extension().is_some_and(|extension| extension == "3") {
            fs::remove_file(path).expect("the directory is writable");
        }
    }
    let file = |name: &str| format!("{name}.3");
    for man::Page { name, text, others } in pages {
        fs::write(directory.join(file(name)), text).expect("the directory is writable");
        for other in others {
            symlink(file(name), directory.join(file(other))).expect("each name has one page");
        }
    }
}
