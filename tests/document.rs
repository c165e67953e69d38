//! Do the programs and snippets in the documents compile as they stand, and do the programs run?

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use common::{Scratch, demand, include_dir, is_there, prefix, root, run, skip};

#[test]
fn readme() {
    let path = root().join("README.md");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("README.md must be there to be tested: {error}"));
    let blocks = blocks_of_c(&text);
    assert!(!blocks.is_empty(), "README.md shows no C");
    for block in blocks {
        let compiler = block.language.compiler;
        if compiler != C.compiler && !is_there(compiler) {
            skip(format_args!("README.md, line {}: {compiler} is not installed", block.line));
        } else if block.is_program() {
            block.check_program(&["-Werror"]);
        } else {
            block.check_snippet();
        }
    }
}

#[test]
fn original_document() {
    let path = root().join("../shared/reference/original-readme.md");
    let Ok(text) = std::fs::read_to_string(&path) else {
        skip("the original's document: not there");
        return;
    };
    let programs: Vec<_> = blocks_of_c(&text).into_iter().filter(Block::is_program).collect();
    assert_eq!(programs.len(), 2, "it has two programs");
    for program in programs {
        // One of them has a variable that it doesn't use.
        program.check_program(&["-Werror", "-Wno-error=unused-variable"]);
    }
}

/// How a fence is marked, and what compiles it.
#[derive(Debug, PartialEq)]
struct Language {
    mark: &'static str,
    compiler: &'static str,
    standard: &'static str,
}

const C: Language = Language { mark: "c", compiler: "cc", standard: "-std=c11" };
const CPP: Language = Language { mark: "cpp", compiler: "c++", standard: "-std=c++17" };

/// A block of C or C++ in a document.
#[derive(Debug, PartialEq)]
struct Block {
    line: usize,
    text: String,
    language: &'static Language,
}

/// The blocks between a fence that is marked as C or C++, and nothing else, and the next fence.
fn blocks_of_c(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(mark) = line.trim_start().strip_prefix("```") else { continue };
        let mut text = String::new();
        loop {
            let (_, line) = lines
                .next()
                .unwrap_or_else(|| panic!("the fence in line {} is never closed", number + 1));
            if line.trim() == "```" {
                break;
            }
            text += line;
            text.push('\n');
        }
        if let Some(language) = [&C, &CPP].into_iter().find(|known| known.mark == mark.trim()) {
            blocks.push(Block { line: number + 1, text, language });
        }
    }
    blocks
}

#[test]
fn only_fences_marked_as_c_count() {
    let document = "a\n```c\nint x;\n```\n```sh\n```\n```\n```c\n```\n```cpp\nint z;\n```\n```cxx\n```\n\
                    ```c\nint y;\n\n```\n";
    let block = |line, text: &str, language| Block { line, text: text.into(), language };
    assert_eq!(
        blocks_of_c(document),
        [block(2, "int x;\n", &C), block(10, "int z;\n", &CPP), block(15, "int y;\n\n", &C)]
    );
}

impl Block {
    fn is_program(&self) -> bool {
        self.text.contains("int main")
    }

    /// Compiles and runs it, as it stands, with each library there is.
    fn check_program(&self, flags: &[&str]) {
        let Language { mark, compiler, standard } = self.language;
        demand(&[compiler]);
        for library in libraries() {
            let scratch = Scratch::new();
            let source = scratch.file(&format!("program.{mark}"), &self.text);
            let program = scratch.path().join("program");
            let mut cc = Command::new(compiler);
            cc.args([standard, "-Wall", "-Wextra"]).args(flags).arg(source);
            cc.arg("-I").arg(headers()).arg("-o").arg(&program);
            let mut program = Command::new(&program);
            match library {
                Library::Static(archive) => {
                    cc.arg(archive);
                }
                Library::Shared(file) => {
                    // Under the name that programs look for at run time.
                    let names = ["libcmempool.so", "libcmempool.so.1"];
                    for name in names.map(|name| scratch.path().join(name)) {
                        std::os::unix::fs::symlink(&file, name).expect("the directory is new");
                    }
                    cc.arg("-L").arg(scratch.path()).arg("-lcmempool");
                    program.env("LD_LIBRARY_PATH", scratch.path());
                }
            }
            run(&mut cc).expect_success();
            let outcome = run(&mut program).expect_success();
            if self.text.contains("Hello world!") {
                let times = outcome.stdout.matches("Hello world!").count();
                assert_eq!(times, 2, "the program in line {}\n{outcome}", self.line);
            }
        }
    }

    /// Compiles it as statements in a function. It may leave variables unused, but not call what is
    /// not there or mix up types.
    fn check_snippet(&self) {
        let Language { mark, compiler, standard } = self.language;
        demand(&[compiler]);
        let scratch = Scratch::new();
        let header = if *self.language == CPP { "cmempool.hpp" } else { "cmempool.h" };
        let text = format!(
            "#include <{header}>\n#include <stdio.h>\n#include <stdlib.h>\n\
             void snippet(void);\nvoid snippet(void)\n{{\n#line {} \"README.md\"\n{}}}\n",
            self.line + 1,
            self.text
        );
        run(Command::new(compiler)
            .args([standard, "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
            .args(["-Wno-error=unused-variable", "-Wno-error=unused-but-set-variable"])
            .arg("-I")
            .arg(headers())
            .arg(scratch.file(&format!("snippet.{mark}"), &text)))
        .expect_success();
    }
}

enum Library {
    Shared(PathBuf),
    Static(PathBuf),
}

fn headers() -> PathBuf {
    prefix().map_or_else(include_dir, |prefix| prefix.join("include"))
}

/// The installed libraries, or else the shared one that was built with this test.
fn libraries() -> Vec<Library> {
    let there = |path: PathBuf| {
        assert!(path.is_file(), "{} is missing", path.display());
        path.canonicalize().expect("a path to a file")
    };
    if let Some(prefix) = prefix() {
        let file = |name: &str| there(prefix.join("lib").join(name));
        return vec![
            Library::Shared(file("libcmempool.so")),
            Library::Static(file("libcmempool.a")),
        ];
    }
    static SAID: Once = Once::new();
    SAID.call_once(|| skip("the static library: CMEMPOOL_PREFIX names no installed tree"));
    let this = std::env::current_exe().expect("a test has a path");
    let beside = this.parent().unwrap_or(Path::new("")).join("libcmempool.so");
    vec![Library::Shared(there(beside))]
}
