//! Against whom?

use std::fs::read_dir;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::building::{self, Places};
use crate::rows::{Against, Row};

/// cmempool's name in the results, with its fast paths inlined as programs get them.
pub const OURS: &str = "cmempool";
/// The same where each alloc and free is a call.
pub const CALLED: &str = "called";

/// Somebody who takes part.
pub struct Member {
    pub name: &'static str,
    /// Its version, and where it comes from.
    pub what: String,
    /// Which build of a program it needs.
    pub build: &'static str,
    pub preload: Option<PathBuf>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Malloc,
    SingleThreadPool,
    LockedPool,
    Pages,
}

/// Somebody or something that does not, and why.
pub struct Absent {
    pub name: &'static str,
    pub why: String,
}

/// A real program that takes part.
pub struct Program {
    pub name: &'static str,
    /// Its version, and where it comes from.
    pub what: String,
}

pub struct Field {
    pub members: Vec<Member>,
    pub programs: Vec<Program>,
    pub absent: Vec<Absent>,
}

/// Allocators whose source a crate bundles, and that crate.
const BUNDLED: [(&str, &str); 4] = [
    ("jemalloc", "tikv-jemalloc-sys"),
    ("mimalloc", "libmimalloc-sys"),
    ("rpmalloc", "rpmalloc-sys"),
    ("snmalloc", "snmalloc-sys"),
];

/// Allocators that distributions package: the name of the library, and that of Debian's package.
/// Those that are bundled too are taken from there if they can be, since that is newer.
const PACKAGED: [(&str, &str, &str); 3] = [
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
];

impl Field {
    /// Builds and finds all there is.
    pub fn gather(places: &Places) -> Result<Field> {
        let mut field = Field { members: Vec::new(), programs: Vec::new(), absent: Vec::new() };
        field.add(OURS, "this library, shared".to_owned(), "pool", None, Kind::Ours);
        let what = "the same with CMEMPOOL_NO_INLINE";
        field.add(CALLED, what.to_owned(), "called", None, Kind::Ours);
        for program in ["workloads", "threads", "create", "latency", "footprint"] {
            for build in ["pool", "called", "malloc"] {
                building::program(places, program, build, &[])
                    .map_err(|why| anyhow!("bench/programs/{program}.c: {why}"))?;
            }
        }
        building::program(places, "threads", "locked", &[])?;
        field.mallocs(places)?;
        field.others(places);
        field.real_programs(places);
        Ok(field)
    }

    fn add(
        &mut self,
        name: &'static str,
        what: String,
        build: &'static str,
        preload: Option<PathBuf>,
        kind: Kind,
    ) {
        self.members.push(Member { name, what, build, preload, kind });
    }

    fn leave_out(&mut self, name: &'static str, why: impl ToString) {
        self.absent.push(Absent { name, why: why.to_string() });
    }

    fn mallocs(&mut self, places: &Places) -> Result<()> {
        self.add("glibc", glibc_version(), "malloc", None, Kind::Malloc);
        for (name, bundled_by) in BUNDLED {
            let built = building::peer(places, name, bundled_by).and_then(|(library, version)| {
                check_preload(places, &library)?;
                Ok((library, format!("crate {bundled_by} {version}")))
            });
            match built {
                Ok((library, what)) => self.add(name, what, "malloc", Some(library), Kind::Malloc),
                Err(why) => self.leave_out(name, why),
            }
        }
        for (name, file, package) in PACKAGED {
            if self.members.iter().any(|member| member.name == name) {
                continue;
            }
            match packaged(file)
                .and_then(|library| check_preload(places, &library).map(|()| library))
            {
                Ok(library) => {
                    let what = format!("package {package} {}", package_version(package));
                    self.absent.retain(|absent| absent.name != name);
                    self.add(name, what, "malloc", Some(library), Kind::Malloc);
                }
                Err(why) => self.leave_out(name, format!("{why} (package {package})")),
            }
        }
        Ok(())
    }

    fn others(&mut self, places: &Places) {
        let pools = [
            (
                "boost::pool",
                "boost",
                "header-only, inlined into the program (package libboost-dev)",
            ),
            ("std::pmr", "pmr", "unsynchronized_pool_resource of the C++ library"),
        ];
        for (name, build, what) in pools {
            match building::program(places, "workloads", build, &[]) {
                Ok(()) => self.add(name, what.to_owned(), build, None, Kind::SingleThreadPool),
                Err(why) => self.leave_out(name, format!("{why} ({what})")),
            }
        }
        let what = "a list of free entries behind one pthread mutex";
        self.add("locked", what.to_owned(), "locked", None, Kind::LockedPool);
        let what = "the same bytes as 4 KiB pages: mmap, a touch of each, munmap";
        self.add("pages", what.to_owned(), "malloc", None, Kind::Pages);
    }

    fn real_programs(&mut self, places: &Places) {
        for (name, build) in [("sqlite", sqlite as fn(&Places) -> Result<String>), ("lua", lua)] {
            match build(places) {
                Ok(what) => self.programs.push(Program { name, what }),
                Err(why) => self.leave_out(name, why),
            }
        }
    }

    pub fn has_program(&self, program: &str) -> bool {
        !self.absent.iter().any(|absent| absent.name == program)
    }

    /// Who takes part in a row, cmempool first.
    pub fn members_of(&self, row: &Row) -> Vec<&Member> {
        let wanted = |kind: Kind| match row.against {
            Against::Mallocs => matches!(kind, Kind::Malloc),
            Against::MallocsAndSingleThreadPools => {
                matches!(kind, Kind::Malloc | Kind::SingleThreadPool)
            }
            Against::LockedPool => kind == Kind::LockedPool,
            Against::Pages => kind == Kind::Pages,
        };
        self.members.iter().filter(|m| m.kind == Kind::Ours || wanted(m.kind)).collect()
    }

    /// cmempool and every malloc.
    pub fn mallocs_and_ours(&self) -> Vec<&Member> {
        self.members.iter().filter(|m| matches!(m.kind, Kind::Ours | Kind::Malloc)).collect()
    }
}

/// SQLite's one file of source, compiled once for all: without its own locks and statistics, as its
/// documentation recommends for speed.
fn sqlite(places: &Places) -> Result<String> {
    let (package, what) = building::source_of(places, "libsqlite3-sys")?;
    let source = package.join("sqlite3");
    let flags = [
        "-DSQLITE_THREADSAFE=0",
        "-DSQLITE_DEFAULT_MEMSTATUS=0",
        "-DHAVE_MALLOC_USABLE_SIZE=1",
        "-DHAVE_MALLOC_H=1",
    ];
    let object = building::object(places, &source.join("sqlite3.c"), &flags)?;
    let extra = ["-I".to_owned(), source.display().to_string(), object.display().to_string()];
    for build in ["pool", "called", "malloc"] {
        building::program(places, "sqlite", build, &extra)?;
    }
    Ok(what)
}

/// Lua's library, compiled once for all.
fn lua(places: &Places) -> Result<String> {
    let (package, what) = building::source_of(places, "lua-src")?;
    let source = subdirectory(&package, "lua-5.4")?;
    let mut extra = vec!["-I".to_owned(), source.display().to_string()];
    for entry in read_dir(&source)? {
        let file = entry?.path();
        let is_c = file.extension().is_some_and(|e| e == "c");
        // The two programs among the library's files.
        if is_c && !matches!(file.file_stem().and_then(|s| s.to_str()), Some("lua" | "luac")) {
            extra.push(
                building::object(places, &file, &["-std=gnu99", "-Dluai_makeseed(L)=20240229u"])?
                    .display()
                    .to_string(),
            );
        }
    }
    for build in ["pool", "called", "malloc"] {
        building::program(places, "lua", build, &extra)?;
    }
    Ok(what)
}

fn subdirectory(of: &Path, prefix: &str) -> Result<PathBuf> {
    for entry in read_dir(of)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(entry.path());
        }
    }
    bail!("no {prefix} in {}", of.display())
}

/// A library that can't be preloaded is ignored by the loader, which says so.
fn check_preload(places: &Places, library: &Path) -> Result<()> {
    let output = Command::new(places.executable("workloads", "malloc"))
        .args(["loop", "1"])
        .env("LD_PRELOAD", library)
        .output()?;
    if !output.status.success() || !output.stderr.is_empty() {
        bail!("a program that preloads it does not run");
    }
    Ok(())
}

fn packaged(file: &str) -> Result<PathBuf> {
    let output = Command::new("ldconfig")
        .arg("-p")
        .output()
        .or_else(|_| Command::new("/sbin/ldconfig").arg("-p").output())
        .context("can't run ldconfig")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find(|line| line.trim_start().starts_with(file))
        .and_then(|line| line.split_once("=> "))
        .map(|(_, path)| PathBuf::from(path))
        .ok_or_else(|| anyhow!("not installed"))
}

fn package_version(package: &str) -> String {
    Command::new("dpkg-query")
        .args(["-W", "-f=${Version}", package])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

fn glibc_version() -> String {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let version = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    version.unwrap_or_else(|_| "the C library".to_owned())
}
