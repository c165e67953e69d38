//! Can a plugin that links the static library be closed while threads that used its pools go on?
//!
//! What the library registers with a thread (the destructor of its data, a held mutex) and with fork can't be
//! undone from outside of that thread. So the module that holds the library stays loaded, however it is
//! closed.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Scratch, demand, headers, prefix, run, skip};

const PLUGIN: &str = r#"
#include <cmempool.h>

static mempool *mp;

/* Takes entries from a pool that the first call makes, and keeps the last. Returns how many are out. */
size_t use_pool(void)
{
    if (mp == NULL && (mp = mempool_create(1000, 40, false)) == NULL)
        return 0;
    for (int i = 0; i < 100; i++) {
        void *entry = mempool_alloc_entry(mp);
        if (entry == NULL)
            return 0;
        mempool_free_entry(entry);
    }
    return mempool_alloc_entry(mp) != NULL ? mempool_used_count(mp) : 0;
}
"#;

/// A module between the program and the one that holds the library.
const OUTER: &str = r"
#include <stddef.h>

size_t use_pool(void);

size_t use_inner(void)
{
    return use_pool();
}
";

/// Its arguments are plugins: a path and the name of a function in each.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: failed: %s\n", __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

enum { THREADS = 3 };

struct plugin {
    void *handle;
    size_t (*use)(void);
};

static pthread_barrier_t barrier;

static struct plugin open_plugin(const char *path, const char *function)
{
    struct plugin plugin = {dlopen(path, RTLD_NOW | RTLD_LOCAL), NULL};
    if (plugin.handle == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(plugin.handle != NULL);
    void *found = dlsym(plugin.handle, function);
    CHECK(found != NULL);
    memcpy(&plugin.use, &found, sizeof found);
    return plugin;
}

static void *use_around_a_close(void *plugin)
{
    CHECK(((struct plugin *)plugin)->use() > 0);
    pthread_barrier_wait(&barrier); /* used */
    pthread_barrier_wait(&barrier); /* closed */
    return NULL;
}

static void fork_once(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    for (int i = 1; i + 1 < argc; i += 2) {
        size_t out = 0;
        for (int round = 0; round < 3; round++) {
            struct plugin plugin = open_plugin(argv[i], argv[i + 1]);
            CHECK(plugin.use() == ++out); /* the pool is the one of the round before */
            pthread_t threads[THREADS];
            for (size_t j = 0; j < THREADS; j++)
                CHECK(pthread_create(&threads[j], NULL, use_around_a_close, &plugin) == 0);
            pthread_barrier_wait(&barrier);
            out += THREADS;
            CHECK(dlclose(plugin.handle) == 0);
            pthread_barrier_wait(&barrier);
            for (size_t j = 0; j < THREADS; j++)
                CHECK(pthread_join(threads[j], NULL) == 0);
            fork_once();
        }
    }
    return 0;
}
"#;

/// The installed archive, or none, with a line that says so, where there is no tree.
fn archive() -> Option<PathBuf> {
    let Some(prefix) = prefix() else {
        skip("a plugin with the static library: CMEMPOOL_PREFIX names no installed tree");
        return None;
    };
    let archive = prefix.join("lib/libcmempool.a");
    Some(archive.canonicalize().expect("the archive is installed"))
}

fn cc(scratch: &Scratch) -> Command {
    demand(&["cc"]);
    let mut cc = Command::new("cc");
    cc.current_dir(scratch.path()).args(["-Wall", "-Wextra", "-Wl,--fatal-warnings", "-I"]);
    cc.arg(headers());
    cc
}

/// Builds a plugin with the archive in it.
fn plugin(scratch: &Scratch, name: &str, archive: &Path, flags: &[&str]) {
    scratch.file("plugin.c", PLUGIN);
    let mut cc = cc(scratch);
    cc.args(["-shared", "-fPIC", "plugin.c", "-o", name]).arg(archive);
    run(cc.args(flags)).expect_success();
}

/// Has a program open, use and close plugins: a path and a function of each.
fn expect_closed_well(scratch: &Scratch, plugins: &[&str]) {
    scratch.file("program.c", PROGRAM);
    let mut cc = cc(scratch);
    run(cc.args(["program.c", "-o", "program", "-pthread", "-ldl"])).expect_success();
    let mut program = Command::new(scratch.path().join("program"));
    run(program.current_dir(scratch.path()).args(plugins)).expect_success();
}

#[test]
fn threads_outlive_the_close_of_a_plugin() {
    let Some(archive) = archive() else { return };
    let scratch = Scratch::new();
    plugin(&scratch, "plugin.so", &archive, &[]);
    let absolute = scratch.path().join("plugin.so");
    for path in ["./plugin.so", absolute.to_str().expect("the build directory has a plain name")] {
        expect_closed_well(&scratch, &[path, "use_pool"]);
    }
}

/// Each has a library of its own in it, and shows nothing of that.
#[test]
fn threads_outlive_the_close_of_two_plugins_that_hide_the_library() {
    let Some(archive) = archive() else { return };
    let scratch = Scratch::new();
    scratch.file("hidden.map", "{ global: use_pool; local: *; };\n");
    for name in ["one.so", "two.so"] {
        plugin(&scratch, name, &archive, &["-Wl,--version-script=hidden.map"]);
    }
    expect_closed_well(&scratch, &["./one.so", "use_pool", "./two.so", "use_pool"]);
}

#[test]
fn threads_outlive_the_close_of_a_plugin_that_needs_the_one_with_the_library() {
    let Some(archive) = archive() else { return };
    let scratch = Scratch::new();
    plugin(&scratch, "libinner.so", &archive, &[]);
    scratch.file("outer.c", OUTER);
    let mut cc = cc(&scratch);
    cc.args([
        "-shared",
        "-fPIC",
        "outer.c",
        "-o",
        "outer.so",
        "-L.",
        "-linner",
        "-Wl,-rpath,$ORIGIN",
    ]);
    run(&mut cc).expect_success();
    expect_closed_well(&scratch, &["./outer.so", "use_inner"]);
}

/// A program that opens no plugin has the same library, and none of its linking changes.
#[test]
fn programs_link_without_a_warning() {
    let Some(archive) = archive() else { return };
    let scratch = Scratch::new();
    scratch.file("plugin.c", PLUGIN);
    scratch.file(
        "main.c",
        "#include <stddef.h>\nsize_t use_pool(void);\nint main(void) { return use_pool() != 1; }\n",
    );
    for kind in ["-static", "-static-pie", "-pie", "-no-pie"] {
        let mut cc = cc(&scratch);
        cc.args([kind, "-fPIE", "main.c", "plugin.c", "-o", "main"]).arg(&archive);
        run(&mut cc).expect_success();
        run(&mut Command::new(scratch.path().join("main"))).expect_success();
    }
}
