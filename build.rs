//! Generates the C header into the build directory and names the shared library.

use std::path::PathBuf;
use std::{env, fs};

/// The files whose public items are the C face, in the order in which a reader wants them.
const FACE: [&str; 5] = [
    "src/capi/ordinary.rs",
    "src/capi/ranged.rs",
    "src/capi/options.rs",
    "src/report.rs",
    "src/capi/misuse.rs",
];

fn main() {
    println!("cargo::rerun-if-changed=cbindgen.toml");
    println!("cargo::rerun-if-changed=src/capi");
    println!("cargo::rerun-if-changed=src/report.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let header = header();
    fs::write(out.join("cmempool.h"), &header).expect("the build directory is writable");
    // Outside the build directory only when asked, by `make header`.
    println!("cargo::rerun-if-env-changed=CMEMPOOL_WRITE_HEADER");
    if env::var_os("CMEMPOOL_WRITE_HEADER").is_some() {
        fs::write("include/cmempool.h", &header).expect("include/ is writable");
    }

    let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the version");
    for argument in [
        format!("-soname,libcmempool.so.{major}"),
        // Thread-exit and fork handlers must not be unloaded under those who call them.
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
    without_rust_sections(&String::from_utf8(text).expect("the header is UTF-8"))
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
