//! Do the programs and snippets in the documents compile as they stand, and do the programs run?

mod common;

use std::process::Command;

use common::{
    C, CPP, Language, Outcome, Scratch, demand, headers, is_there, programs, root, run, skip,
};

#[test]
fn readme() {
    check_document("README.md");
}

#[test]
fn sizing() {
    check_document("docs/sizing.md");
}

#[test]
fn guide() {
    check_document("docs/guide.md");
}

/// Runs each program, with the output that the document shows for it, if it does. Statements that
/// are no program go into the last program that has a place for them; before there is one, they only
/// have to compile.
fn check_document(name: &'static str) {
    let path = root().join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{name} must be there to be tested: {error}"));
    let blocks = blocks_of_c(&text);
    assert!(!blocks.is_empty(), "{name} shows no C");
    let mut frame: Option<&Block> = None;
    for block in &blocks {
        let compiler = block.language.compiler;
        if compiler != C.compiler && !is_there(compiler) {
            skip(format_args!("{name}, line {}: {compiler} is not installed", block.line));
        } else if block.text.contains("#include <cmempool/") {
            // With another library, which tests/adapters.sh knows to link.
        } else if block.is_program() {
            block.check_program(&["-Werror"]);
            if block.text.contains(PLACE) {
                frame = Some(block);
            }
        } else if let Some(frame) = frame.filter(|frame| frame.language == block.language) {
            block.inside(frame, name).check_program(&["-Werror"]);
        } else {
            block.check_snippet(name);
        }
    }
}

/// The examples do the same in whichever way they are built.
#[test]
fn examples() {
    let directory = root().join("c-examples");
    let files = std::fs::read_dir(&directory).expect("the examples are there");
    // Those of a folder have a way of their own to be built.
    let files =
        files.map(|file| file.expect("it can be read").path()).filter(|path| path.is_file());
    let mut sources: Vec<_> = files.collect();
    sources.sort();
    assert!(sources.len() >= 4, "there are examples");
    for source in sources {
        let mark = source.extension().expect("an example is of a language");
        let language = [&C, &CPP].into_iter().find(|known| mark == known.mark);
        let language = language.expect("an example is in C or C++");
        if !is_there(language.compiler) {
            skip(format_args!("{}: no {}", source.display(), language.compiler));
            continue;
        }
        let scratch = Scratch::new();
        let flags = ["-Wpedantic", "-Werror", "-pthread", "-O2"];
        let outputs =
            programs(language, &source, &flags, &scratch).into_iter().map(|mut program| {
                let outcome = run(program.current_dir(scratch.path())).expect_success();
                without_addresses(&format!("{}{}", outcome.stdout, outcome.stderr))
            });
        let outputs: Vec<_> = outputs.collect();
        assert!(!outputs[0].is_empty(), "{} prints nothing", source.display());
        for output in &outputs {
            assert_eq!(output, &outputs[0], "{}, built in two ways", source.display());
        }
    }
}

/// What a program says where the statements that follow it in the document go.
const PLACE: &str = "/* here */";

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

/// Links within the documents lead to files and to headings that are there.
#[test]
fn links() {
    for name in [
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        "adapters/README.md",
        "bench/README.md",
        "docs/abi.md",
        "docs/design.md",
        "docs/guide.md",
        "docs/platforms.md",
        "docs/sizing.md",
        "docs/speed.md",
        "packaging/README.md",
    ] {
        let path = root().join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        for link in links_of(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                path.parent().expect("a file is in a directory").join(file)
            };
            assert!(file.exists(), "{name}: {link} leads to no file");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&file).expect("a document can be read");
                let anchors: Vec<_> = text.lines().filter_map(anchor_of).collect();
                assert!(anchors.iter().any(|a| a == heading), "{name}: {link} leads to no heading");
            }
        }
    }
}

/// The targets in `[text](target)` that are no addresses of the net.
fn links_of(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_string()).filter(|t| !t.contains("://")).collect()
}

/// What a heading is linked by: its words in small letters, with `-` in between.
fn anchor_of(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

#[test]
fn anchors_are_those_that_readers_see() {
    assert_eq!(anchor_of("## C++ and other libraries").as_deref(), Some("c-and-other-libraries"));
    assert_eq!(anchor_of("none"), None);
    assert_eq!(links_of("[a](b.md#c) ![d](e.svg) [f](https://g) x(y)"), ["b.md#c", "e.svg"]);
}

/// A block of C or C++ in a document, and what the document says that it prints.
#[derive(Clone, Debug, PartialEq)]
struct Block {
    line: usize,
    text: String,
    language: &'static Language,
    session: Option<Session>,
}

/// A program's run as a document shows it: a command line, and the output. Any address stands for
/// any other.
#[derive(Clone, Debug, PartialEq)]
struct Session {
    environment: Vec<(String, String)>,
    output: String,
}

/// What is between a fence and the next, and what the first one says of it.
struct Fenced {
    line: usize,
    language: String,
    text: String,
    /// Nothing but empty lines lies between it and the one before.
    follows: bool,
}

fn fenced(document: &str) -> Vec<Fenced> {
    let mut all = Vec::new();
    let mut follows = false;
    let mut lines = document.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            follows &= line.trim().is_empty();
            continue;
        };
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
        all.push(Fenced { line: number + 1, language: language.trim().into(), text, follows });
        follows = true;
    }
    all
}

/// The blocks between a fence that is marked as C or C++, and nothing else, and the next fence. A session
/// that follows at once is of that program.
fn blocks_of_c(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut after_c = false;
    for Fenced { line, language, text, follows } in fenced(document) {
        let follows_c = after_c && follows && language == "text";
        match Session::shown_in(&text) {
            Some(session) if follows_c => {
                blocks.last_mut().expect("there is one").session = Some(session);
            }
            Some(_) => panic!("line {line}: a session without the program that ran"),
            None => assert!(!follows_c, "line {line}: no session of the program before it"),
        }
        let known = [&C, &CPP].into_iter().find(|known| known.mark == language);
        after_c = known.is_some();
        if let Some(language) = known {
            blocks.push(Block { line, text, language, session: None });
        }
    }
    blocks
}

impl Session {
    /// `$ NAME=value ./program`, and the output. Other commands are not of a program shown here.
    fn shown_in(text: &str) -> Option<Self> {
        let (command, output) = text.strip_prefix("$ ")?.split_once('\n')?;
        let mut words: Vec<_> = command.split(' ').collect();
        words.pop_if(|word| word.starts_with("./"))?;
        let environment = words.iter().map(|word| {
            let (name, value) =
                word.split_once('=').expect("what precedes a program is NAME=value");
            (name.into(), value.into())
        });
        Some(Self { environment: environment.collect(), output: output.into() })
    }

    /// Whether the output ends with a misuse, after which there is nothing but an abort.
    fn aborts(&self) -> bool {
        let goes_on = ["cmempool: leak of ", "cmempool: CMEMPOOL_OPTIONS "];
        self.output.lines().last().is_some_and(|line| {
            line.starts_with("cmempool: ") && !goes_on.iter().any(|start| line.starts_with(start))
        })
    }
}

/// The text with `0x…` in place of each address.
fn without_addresses(text: &str) -> String {
    let mut pieces = text.split("0x");
    let mut result = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        result += "0x…";
        result += piece.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    result
}

#[test]
fn only_fences_marked_as_c_count() {
    let document = "a\n```c\nint x;\n```\n```sh\n```\n```\n```c\n```\n```cpp\nint z;\n```\n```cxx\n```\n\
                    ```c\nint y;\n\n```\n";
    let block = |line, text: &str, language| {
        let text = text.into();
        Block { line, text, language, session: None }
    };
    assert_eq!(
        blocks_of_c(document),
        [block(2, "int x;\n", &C), block(10, "int z;\n", &CPP), block(15, "int y;\n\n", &C)]
    );
}

#[test]
fn a_session_is_of_the_program_before_it() {
    let document = "```c\nint x;\n```\n\n```text\n$ A=b ./x\n0x12 of 3\n```\n```text\nno\n```\n";
    let blocks = blocks_of_c(document);
    let session =
        Session { environment: vec![("A".into(), "b".into())], output: "0x12 of 3\n".into() };
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].session, Some(session.clone()));
    assert!(!session.aborts());
    assert_eq!(without_addresses(&session.output), "0x… of 3\n");
    assert_eq!(without_addresses("at 0x7fabc012, 0x0 (pool"), "at 0x…, 0x… (pool");
    let ending = |output: &str| Session { output: output.into(), ..session.clone() }.aborts();
    assert!(ending("cmempool: double free of 0x10\n"));
    assert!(!ending("cmempool: leak of 1 entry: 0x10\n"));
    assert!(!ending("cmempool: double free of 0x10\nand so on\n"));
}

impl Block {
    fn is_program(&self) -> bool {
        self.text.contains("int main")
    }

    /// Compiles and runs it, as it stands, with each library there is.
    fn check_program(&self, flags: &[&str]) {
        let scratch = Scratch::new();
        let source = scratch.file(&format!("program.{}", self.language.mark), &self.text);
        for mut program in
            programs(self.language, &source, &[flags, &["-pthread"]].concat(), &scratch)
        {
            // Whatever a program leaves behind goes with the directory.
            program.current_dir(scratch.path());
            let outcome = self.run(&mut program);
            if self.text.contains("Hello world!") {
                let times = outcome.stdout.matches("Hello world!").count();
                assert_eq!(times, 2, "the program in line {}\n{outcome}", self.line);
            }
        }
    }

    /// Runs it, and compares with what the document shows.
    fn run(&self, program: &mut Command) -> Outcome {
        let Some(session) = &self.session else { return run(program).expect_success() };
        let variables = session.environment.iter();
        program.envs(variables.map(|(name, value)| (name, value)));
        let outcome = run(program);
        let ended_so = if session.aborts() {
            outcome.status.starts_with("signal: 6")
        } else {
            outcome.success
        };
        assert!(ended_so, "the program in line {}\n{outcome}", self.line);
        // It was started by its whole path.
        let path = program.get_program().to_string_lossy().into_owned();
        let printed = format!("{}{}", outcome.stdout, outcome.stderr).replace(&path, "./prog");
        assert_eq!(
            without_addresses(&printed),
            without_addresses(&session.output),
            "left, what the program in line {} prints; right, what the document shows",
            self.line
        );
        outcome
    }

    /// The program that it makes of another one, at the indentation that it has there.
    fn inside(&self, frame: &Self, name: &str) -> Self {
        let mut lines = frame.text.lines().enumerate();
        let (before, place) =
            lines.find(|(_, line)| line.contains(PLACE)).expect("the frame has a place");
        let indent = &place[..place.len() - place.trim_start().len()];
        let own: String = self.text.lines().map(|line| format!("{indent}{line}\n")).collect();
        let (own_line, next_line) = (self.line + 1, frame.line + before + 2);
        let whole = format!("#line {own_line} \"{name}\"\n{own}#line {next_line} \"{name}\"");
        Self { text: frame.text.replace(place, &whole), ..self.clone() }
    }

    /// Compiles it as statements in a function. It may leave variables unused, but not call what is
    /// not there or mix up types.
    fn check_snippet(&self, name: &str) {
        let Language { mark, compiler, standard, header, .. } = self.language;
        demand(&[compiler]);
        let scratch = Scratch::new();
        let text = format!(
            "#include <{header}>\n#include <stdio.h>\n#include <stdlib.h>\n\
             void snippet(void);\nvoid snippet(void)\n{{\n#line {} \"{name}\"\n{}}}\n",
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
