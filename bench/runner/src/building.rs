//! How are the programs and the peers built?

use std::fs::{File, create_dir_all, read_to_string};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

const TABLE_BEGIN: &str = "<!-- table of make bench -->";
const TABLE_END: &str = "<!-- end of the table -->";

/// Where things lie.
pub struct Places {
    root: PathBuf,
    target: PathBuf,
    bench: PathBuf,
    built: PathBuf,
    pub results: PathBuf,
}

impl Places {
    pub fn new(root: &Path, target: &Path) -> Result<Places> {
        let root = root.canonicalize().with_context(|| format!("no {}", root.display()))?;
        let target = target
            .canonicalize()
            .with_context(|| format!("no {}: run `make build` first", target.display()))?;
        let bench = root.join("bench");
        let built = target.join("bench");
        create_dir_all(built.join("programs"))?;
        if !target.join("lib/libcmempool.so").exists() {
            bail!("no library in {}: run `make build` first", target.join("lib").display());
        }
        Ok(Places { results: bench.join("results"), root, target, bench, built })
    }

    /// The executable of a program in one of its builds.
    pub fn executable(&self, program: &str, build: &str) -> PathBuf {
        self.built.join("programs").join(format!("{program}-{build}"))
    }

    pub fn script(&self) -> PathBuf {
        self.bench.join("programs/lua.lua")
    }

    /// Puts a table where a document has its marks for one.
    pub fn write_table(&self, document: &str, table: &str) -> Result<()> {
        let path = self.root.join(document);
        let text = read_to_string(&path)?;
        let (before, rest) = text
            .split_once(TABLE_BEGIN)
            .with_context(|| format!("{document} has no mark for a table"))?;
        let (_, after) = rest
            .split_once(TABLE_END)
            .with_context(|| format!("{document} has no end of the table"))?;
        std::fs::write(&path, format!("{before}{TABLE_BEGIN}\n\n{table}\n{TABLE_END}{after}"))?;
        Ok(())
    }

    /// A path as the reader would type it.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// Whether a tool is there.
pub fn has(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command whose output goes into a log, and fails with the name of the log.
fn run(places: &Places, name: &str, command: &mut Command) -> Result<()> {
    let log = places.built.join(format!("{name}.log"));
    let file = File::create(&log)?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .map_err(|error| anyhow!("can't run {}: {error}", command.get_program().display()))?;
    if !status.success() {
        bail!("its build failed, see {}", places.shown(&log));
    }
    Ok(())
}

/// Builds the package in `bench/peers/<name>` and returns the library and the version of what it
/// bundles.
pub fn peer(places: &Places, name: &str, bundled_by: &str) -> Result<(PathBuf, String)> {
    let package = places.bench.join("peers").join(name);
    let library = places.built.join(format!("peers/release/libpeer_{name}.so"));
    if !library.exists() {
        println!("  building {name}");
    }
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(places.built.join("peers"));
    // Every one of them is as fast or faster this way.
    if has("clang") && has("clang++") {
        cargo.env("CC", "clang").env("CXX", "clang++");
    }
    run(places, &format!("peer-{name}"), &mut cargo)?;
    Ok((library, version_in_lock(&package.join("Cargo.lock"), bundled_by)?))
}

fn version_in_lock(lock: &Path, package: &str) -> Result<String> {
    let text = read_to_string(lock)?;
    let line = format!("name = \"{package}\"");
    let mut lines = text.lines().skip_while(|&l| l != line).skip(1);
    let version = lines.next().and_then(|l| l.strip_prefix("version = ")).unwrap_or_default();
    // One crate says the revision of its upstream too, which is longer than all else.
    let version = version.trim_matches('"');
    Ok(version.split_once("-0-g").map_or(version, |(version, _)| version).to_owned())
}

/// Which source of memory a program is built for: see `bench/programs/memory.h`.
fn switch(build: &str) -> &'static [&'static str] {
    match build {
        "pool" => &["-DMEMORY_POOL"],
        "called" => &["-DMEMORY_POOL", "-DCMEMPOOL_NO_INLINE"],
        "locked" => &["-DMEMORY_LOCKED"],
        "boost" => &["-DMEMORY_BOOST"],
        "pmr" => &["-DMEMORY_PMR"],
        _ => &[],
    }
}

/// Builds `bench/programs/<program>.c`, if there is anything new.
///
/// `extra` are other things to compile in or to tell the compiler.
pub fn program(places: &Places, program: &str, build: &str, extra: &[String]) -> Result<()> {
    let cplusplus = matches!(build, "boost" | "pmr");
    let mut compiler = Command::new(if cplusplus { "c++" } else { "cc" });
    if cplusplus {
        compiler.args(["-x", "c++", "-std=c++17"]);
    } else {
        compiler.arg("-std=c11");
    }
    compiler
        // No call may be thought away: compilers know what malloc and free do.
        .args(["-O2", "-Wall", "-Wextra", "-Wpedantic", "-fno-builtin", "-pthread"])
        .args(switch(build))
        .arg("-I")
        .arg(places.root.join("include"))
        .arg(places.bench.join("programs").join(format!("{program}.c")))
        .args(extra)
        .arg("-o")
        .arg(places.executable(program, build));
    if matches!(build, "pool" | "called") {
        let library = places.target.join("lib");
        compiler.arg("-L").arg(&library).arg("-lcmempool");
        compiler.arg(format!("-Wl,-rpath,{}", library.display()));
    }
    compiler.args(["-lm", "-Wl,-z,now"]);
    run(places, &format!("program-{program}-{build}"), &mut compiler)
}

/// Where cargo keeps the source of a package of `bench/sources`, and what it is.
pub fn source_of(places: &Places, package: &str) -> Result<(PathBuf, String)> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(places.bench.join("sources/Cargo.toml"))
        .output()
        .context("can't run cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| anyhow!("cargo can't get the source of {package}: no network?"))?;
    let found = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["name"] == package)
        .and_then(|p| Some((Path::new(p["manifest_path"].as_str()?).parent()?, &p["version"])));
    let (directory, version) =
        found.ok_or_else(|| anyhow!("{package} is not in bench/sources/Cargo.toml"))?;
    let version = version.as_str().unwrap_or_default();
    Ok((directory.to_owned(), format!("source of crate {package} {version}")))
}

/// Compiles a C file once, into an object file that programs link.
pub fn object(places: &Places, source: &Path, flags: &[&str]) -> Result<PathBuf> {
    let last = |path: &Path| path.file_name().unwrap_or_default().display().to_string();
    // With the package's name and version: another version's object is another file.
    let package = source.parent().and_then(Path::parent).map_or(String::new(), last);
    let name = format!("{package}-{}", last(source));
    let object = places.built.join("programs").join(format!("{name}.o"));
    let newer = |a: &Path, b: &Path| -> Option<bool> {
        Some(a.metadata().ok()?.modified().ok()? > b.metadata().ok()?.modified().ok()?)
    };
    if newer(&object, source) != Some(true) {
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-w", "-c"]).args(flags).arg(source).arg("-o").arg(&object);
        run(places, &format!("object-{name}"), &mut compiler)?;
    }
    Ok(object)
}
