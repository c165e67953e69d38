//! How do the tests find tools, build and run programs, and read the list of exported functions?

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

/// The functions the library exports, sorted.
pub fn symbols() -> Vec<&'static str> {
    include_str!("../symbols.txt").lines().collect()
}

/// The directory of the package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The directory of the committed header.
pub fn include_dir() -> PathBuf {
    root().join("include")
}

/// The installed tree that `CMEMPOOL_PREFIX` names.
pub fn prefix() -> Option<PathBuf> {
    let prefix = root().join(std::env::var_os("CMEMPOOL_PREFIX").filter(|name| !name.is_empty())?);
    assert!(prefix.is_dir(), "CMEMPOOL_PREFIX: {} is no directory", prefix.display());
    Some(prefix)
}

/// Says what is not tested. Not by `println`, which the test harness keeps to itself; in one piece,
/// since other tests run at the same time.
pub fn skip(what: impl fmt::Display) {
    let line = format!("skipped: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
}

/// Whether a program can be started.
pub fn is_there(tool: &str) -> bool {
    let quiet = Command::new(tool).arg("--version").stdout(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Ends the test with a clear line where a tool is missing that it can't do without.
pub fn demand(tools: &[&str]) {
    for tool in tools {
        assert!(is_there(tool), "this test needs `{tool}`, and it is not on the PATH");
    }
}

/// What a program did.
pub struct Outcome {
    command: String,
    /// How it ended; `exit status: 0` if well.
    pub status: String,
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Ends the test, with all there is to know, if the program failed.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.success, "{self}");
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status, stdout, stderr, .. } = self;
        write!(f, "{command}\n{status}\n-- stdout\n{stdout}-- stderr\n{stderr}")
    }
}

/// Runs a program, and kills it after a minute.
pub fn run(command: &mut Command) -> Outcome {
    const LIMIT: Duration = Duration::from_secs(60);
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // Two readers, so that a program that writes much never waits for this one.
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stdout = std::thread::spawn(move || read_all(stdout));
    let stderr = std::thread::spawn(move || read_all(stderr));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
            panic!("{command:?}\nstill ran after {} s, and was killed", LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    Outcome {
        command: format!("{command:?}"),
        status: status.to_string(),
        success: status.success(),
        stdout: stdout.join().expect("the reader ends with the program"),
        stderr: stderr.join().expect("the reader ends with the program"),
    }
}

fn read_all(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    from.expect("it is piped").read_to_end(&mut bytes).expect("a pipe can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A directory of this test's own, removed when the test is done.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: the number only has to be this call's own.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}", env!("CARGO_CRATE_NAME"), std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the build directory is writable");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("the build directory is writable");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed does no harm in the build directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A language that programs are written in.
#[derive(Debug, PartialEq)]
pub struct Language {
    /// What its files' names end with, and its blocks in a document are marked with.
    pub mark: &'static str,
    pub compiler: &'static str,
    /// Those that build programs in other ways, too, where they are there.
    pub compilers: [&'static str; 2],
    pub standard: &'static str,
    pub header: &'static str,
}

pub const C: Language = Language {
    mark: "c",
    compiler: "cc",
    compilers: ["gcc", "clang"],
    standard: "-std=c11",
    header: "cmempool.h",
};
pub const CPP: Language = Language {
    mark: "cpp",
    compiler: "c++",
    compilers: ["g++", "clang++"],
    standard: "-std=c++17",
    header: "cmempool.hpp",
};

/// A way to build a program.
struct Build {
    compiler: &'static str,
    flags: Vec<&'static str>,
}

/// The ways beside the plain one: as distributions build, which stop a program that writes more than the
/// compiler knows an object to have, and with all that the header says used across files.
fn other_builds(language: &Language) -> Vec<&'static Build> {
    static THERE: OnceLock<Vec<Build>> = OnceLock::new();
    let there = THERE.get_or_init(|| {
        let compilers = [C, CPP].into_iter().flat_map(|language| language.compilers);
        compilers
            .filter(|compiler| is_there(compiler))
            .flat_map(|compiler| {
                let script = "source tests/variants.sh; fortified_flags \"$1\" \"$2\"; \
                              link_time_flags \"$1\" \"$2\"";
                let language = if compiler.ends_with("++") { "c++" } else { "c" };
                let mut bash = Command::new("bash");
                bash.current_dir(root()).args(["-euc", script, "bash", compiler, language]);
                let found = run(&mut bash).expect_success();
                found.stderr.lines().for_each(|line| skip(line.trim_start_matches("skipped: ")));
                let ways: &'static str = found.stdout.leak();
                ways.lines().map(move |way| Build { compiler, flags: way.split(',').collect() })
            })
            .collect()
    });
    there.iter().filter(|build| language.compilers.contains(&build.compiler)).collect()
}

/// Builds a program with each library there is and in each way, and says how to run it.
pub fn programs(
    language: &Language,
    source: &Path,
    flags: &[&str],
    scratch: &Scratch,
) -> Vec<Command> {
    demand(&[language.compiler]);
    let build = |(number, (compiler, ways, library)): (usize, (&str, &[&str], Library))| {
        let program = scratch.path().join(format!("program-{number}"));
        let mut cc = Command::new(compiler);
        cc.args([language.standard, "-Wall", "-Wextra"]).args(flags).args(ways).arg(source);
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
                    if !name.exists() {
                        std::os::unix::fs::symlink(&file, name).expect("no such file is there");
                    }
                }
                cc.arg("-L").arg(scratch.path()).arg("-lcmempool");
                program.env("LD_LIBRARY_PATH", scratch.path());
            }
        }
        run(&mut cc).expect_success();
        program
    };
    let plain = libraries().into_iter().map(|library| (language.compiler, &[] as &[&str], library));
    // Either library in turn.
    let other = other_builds(language).into_iter().enumerate().map(|(number, build)| {
        let mut libraries = libraries();
        let library = libraries.swap_remove(number % libraries.len());
        (build.compiler, &build.flags[..], library)
    });
    plain.chain(other).enumerate().map(build).collect()
}

enum Library {
    Shared(PathBuf),
    Static(PathBuf),
}

/// The directory of the installed header, or else of the committed one.
pub fn headers() -> PathBuf {
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
