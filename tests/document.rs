//! Do the programs and snippets in the documents compile as they stand, and do the programs run?

mod common;

use std::process::Command;

use common::{Scratch, demand, headers, programs, root, run, skip};

#[test]
fn readme() {
    check_document("README.md");
}

#[test]
fn sizing() {
    check_document("docs/sizing.md");
}

fn check_document(name: &str) {
    let text = std::fs::read_to_string(root().join(name))
        .unwrap_or_else(|error| panic!("{name} must be there to be tested: {error}"));
    let blocks = blocks_of_c(&text);
    assert!(!blocks.is_empty(), "{name} shows no C");
    for block in blocks {
        if block.is_program() {
            block.check_program(&["-Werror"]);
        } else {
            block.check_snippet(name);
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

/// A block of C in a document.
#[derive(Debug, PartialEq)]
struct Block {
    line: usize,
    text: String,
}

/// The blocks between a fence that is marked as C, and nothing else, and the next fence.
fn blocks_of_c(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
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
        if language.trim() == "c" {
            blocks.push(Block { line: number + 1, text });
        }
    }
    blocks
}

#[test]
fn only_fences_marked_as_c_count() {
    let document = "a\n```c\nint x;\n```\n```sh\n```\n```\n```c\n```\n```cpp\nint z;\n```\n\
                    ```c\nint y;\n\n```\n";
    let block = |line, text: &str| Block { line, text: text.into() };
    assert_eq!(blocks_of_c(document), [block(2, "int x;\n"), block(13, "int y;\n\n")]);
}

impl Block {
    fn is_program(&self) -> bool {
        self.text.contains("int main")
    }

    /// Compiles and runs it, as it stands, with each library there is.
    fn check_program(&self, flags: &[&str]) {
        let scratch = Scratch::new();
        let source = scratch.file("program.c", &self.text);
        for mut program in programs(&source, flags, &scratch) {
            let outcome = run(&mut program).expect_success();
            if self.text.contains("Hello world!") {
                let times = outcome.stdout.matches("Hello world!").count();
                assert_eq!(times, 2, "the program in line {}\n{outcome}", self.line);
            }
        }
    }

    /// Compiles it as statements in a function. It may leave variables unused, but not call what is
    /// not there or mix up types.
    fn check_snippet(&self, document: &str) {
        demand(&["cc"]);
        let scratch = Scratch::new();
        let text = format!(
            "#include <cmempool.h>\n#include <stdio.h>\n#include <stdlib.h>\n\
             void snippet(void);\nvoid snippet(void)\n{{\n#line {} \"{document}\"\n{}}}\n",
            self.line + 1,
            self.text
        );
        run(Command::new("cc")
            .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"])
            .args(["-Wno-error=unused-variable", "-Wno-error=unused-but-set-variable"])
            .arg("-I")
            .arg(headers())
            .arg(scratch.file("snippet.c", &text)))
        .expect_success();
    }
}
