//! Is the committed header the generated one, does it compile wherever it may be included, and do
//! compilers learn from it what it promises?

mod common;

use std::path::Path;
use std::process::Command;

use common::{Outcome, Scratch, include_dir, is_there, run, skip, symbols};

#[test]
fn is_the_one_that_the_source_makes() {
    let committed = include_str!("../include/cmempool.h");
    let generated = include_str!(concat!(env!("OUT_DIR"), "/cmempool.h"));
    if committed != generated {
        let same = committed.lines().zip(generated.lines()).take_while(|(a, b)| a == b).count();
        panic!("include/cmempool.h is stale from line {} on; run `make header`", same + 1);
    }
}

/// A language, who compiles it, and its standards, each by its names, of which one will do.
struct Language {
    extension: &'static str,
    compilers: &'static [&'static str],
    standards: &'static [&'static [&'static str]],
    usual: &'static str,
}

const C: Language = Language {
    extension: "c",
    compilers: &["gcc", "clang"],
    standards: &[&["c99"], &["c11"], &["c17"], &["c23", "c2x"]],
    usual: "-std=c11",
};

const CPP: Language = Language {
    extension: "cpp",
    compilers: &["g++", "clang++"],
    standards: &[&["c++11"], &["c++14"], &["c++17"], &["c++20"]],
    usual: "-std=c++11",
};

impl Language {
    fn compilers(&self) -> Vec<&'static str> {
        let (there, missing): (Vec<_>, Vec<_>) =
            self.compilers.iter().copied().partition(|compiler| is_there(compiler));
        for compiler in missing {
            skip(format_args!("{compiler}: not installed"));
        }
        there
    }

    /// Compilers and standards that they know.
    fn dialects(&self) -> Vec<(&'static str, &'static str)> {
        let scratch = Scratch::new();
        let file = scratch.file(&format!("nothing.{}", self.extension), "int nothing;\n");
        let mut dialects = Vec::new();
        for compiler in self.compilers() {
            for &names in self.standards {
                let knows = |name: &&&str| check(compiler, name, &[], &file).success;
                match names.iter().find(knows) {
                    Some(name) => dialects.push((compiler, *name)),
                    None => skip(format_args!("{compiler}: does not know {}", names.join(", "))),
                }
            }
        }
        dialects
    }
}

fn check(compiler: &str, standard: &str, flags: &[&str], file: &Path) -> Outcome {
    run(Command::new(compiler)
        .arg(format!("-std={standard}"))
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
        .args(flags)
        .arg("-I")
        .arg(include_dir())
        .arg(file))
}

/// The header's macros and types in each place where they may stand, in C and in C++; nothing but
/// the header is included before.
const USES: &str = r#"
#if CMEMPOOL_VERSION_MAJOR * 10000 + CMEMPOOL_VERSION_MINOR * 100 + CMEMPOOL_VERSION_PATCH < 10000
#error "no version"
#endif

struct session {
    double balance;
    char name[11];
};

MEMPOOL_STATIC_BUFFER(memory, 100, sizeof(struct session));
R_MEMPOOL_STATIC_BUFFER(ranged_memory, 16, 65536, 1 << 12);

static const mempool_options defaults = MEMPOOL_OPTIONS_INIT;
static const r_mempool_options ranged_defaults = R_MEMPOOL_OPTIONS_INIT;

/* Constant expressions, with the numbers that the comments give: 16 bytes of slot and 8 beside it
 * for an int; 24 and 8, 40 and 8, 72 and 8 for three classes of 4, 2 and 1 entries. */
char pool_of_ints[MEMPOOL_BUFFER_SIZE(100, sizeof(int)) == 1024 + 100 * (16 + 8) ? 1 : -1];
char three_classes[R_MEMPOOL_BUFFER_SIZE(16, 64, 4) ==
                           1024 + 3 * 576 + 4 * (32 + 8) + 2 * (48 + 8) + (80 + 8)
                       ? 1
                       : -1];
/* The same buffers as programs for the original's newer release declare them. */
DECLARE_STATIC_MEMPOOL_BUFFER(newer_memory, 100, sizeof(int));
DECLARE_STATIC_RMEMPOOL_BUFFER(newer_ranged_memory, 4, 6, 2);
char newer_pool_of_ints[sizeof newer_memory == MEMPOOL_BUFFER_SIZE(100, sizeof(int)) ? 1 : -1];
char newer_three_classes[sizeof newer_ranged_memory == R_MEMPOOL_BUFFER_SIZE(16, 64, 4) ? 1 : -1];
char one_class[R_MEMPOOL_CLASS_SIZE(3, 24) == 576 + 3 * (32 + 8) ? 1 : -1];
char per_slot[CMEMPOOL_PER_REGION + CMEMPOOL_PER_CLASS + 3 * (32 + CMEMPOOL_PER_SLOT) ==
                      MEMPOOL_BUFFER_SIZE(3, 24)
                  ? 1
                  : -1];

/* As the comment on it shows, with what each language needs. */
static void on_misuse(const mempool_misuse *report, void *context)
{
    const char **last = (const char **)context;
    if (report->struct_size < sizeof *report || report->kind == MEMPOOL_MISUSE_LEAK)
        return;
    switch ((mempool_misuse_kind)report->kind) {
    case MEMPOOL_MISUSE_DOUBLE_FREE:
    case MEMPOOL_MISUSE_FOREIGN_POINTER:
    case MEMPOOL_MISUSE_INTERIOR_POINTER:
    case MEMPOOL_MISUSE_HEADER_OVERWRITTEN:
    case MEMPOOL_MISUSE_NEVER_HANDED_OUT:
    case MEMPOOL_MISUSE_WRONG_POOL:
    case MEMPOOL_MISUSE_NOT_A_POOL:
    case MEMPOOL_MISUSE_POOL_DESTROYED:
    case MEMPOOL_MISUSE_WRITE_AFTER_FREE:
    case MEMPOOL_MISUSE_USE_AFTER_FREE:
    case MEMPOOL_MISUSE_OVERFLOW:
    case MEMPOOL_MISUSE_LEAK:
        break;
    }
    *last = report->pool == NULL ? report->text : report->pool_name;
    if (report->pointer == NULL || report->entry_size + report->reserved == 0)
        *last = NULL;
}

void handle(const char **last);
void handle(const char **last)
{
    const mempool_misuse_handler handler = on_misuse;
    mempool_set_misuse_handler(handler, last);
    mempool_set_misuse_handler(NULL, NULL);
}

static void *give(size_t size, size_t alignment, void *context)
{
    char **rest = (char **)context;
    char *memory = *rest;
    if (alignment > 16)
        return NULL;
    *rest += size;
    return memory;
}

static void take_back(void *block, size_t size, void *context)
{
    if (size == 0)
        *(void **)context = block;
}

static const mempool_backing no_backing = MEMPOOL_BACKING_INIT;

/* Both forms, told by the number of arguments; redeclared and by their addresses, the functions. */
struct mempool *mempool_create(size_t elem_count, size_t elem_size, bool fall_back);
mempool *(*const create)(size_t, size_t, bool) = &mempool_create;
r_mempool *(*const r_create)(size_t, size_t, size_t, r_memory_fallback_policy_t) = r_mempool_create;

void newer(mempool **pools, r_mempool **ranged_pools);
void newer(mempool **pools, r_mempool **ranged_pools)
{
#define COUNT_AND_SIZE 100, sizeof(struct { int a, b; })
    pools[0] = mempool_create(100, sizeof(int), false);
    pools[1] = mempool_create(100, sizeof(int), false, true);
    pools[2] = (mempool_create)(100, sizeof(int), false);
    pools[3] = create == mempool_create ? create(1, 1, true) : NULL;
    pools[4] = mempool_create(mempool_total_capacity(pools[0]), 8,
                              mempool_create(9, 9, true) != NULL,
                              mempool_create(9, 9, true, true) != NULL);
    pools[5] = mempool_create_from_preallocated_buffer(newer_memory, sizeof newer_memory, 4, false,
                                                       true);
    ranged_pools[0] = r_mempool_create(16, 64, 4, fallback_disabled);
    ranged_pools[1] = r_mempool_create(4, 6, 2, fallback_disabled, true);
    ranged_pools[2] = (r_mempool_create)(16, 64, 4, fallback_disabled);
    ranged_pools[3] = r_create(16, 64, 4, fallback_at_last_exhaustion);
    ranged_pools[4] = r_mempool_create_from_preallocated_buffer(
        newer_ranged_memory, sizeof newer_ranged_memory, 4, 6, 2, fallback_disabled, false);
#ifdef __cplusplus
    pools[6] = ::mempool_create(1, 1, true);
    pools[7] = ::mempool_create(1, 1, true, false);
#else
    pools[6] = mempool_create(COUNT_AND_SIZE, true);
    pools[7] = mempool_create(COUNT_AND_SIZE, true, false);
#endif
}

mempool *ordinary(int again);
mempool *ordinary(int again)
{
    char *rest = NULL;
    mempool_backing backing = MEMPOOL_BACKING_INIT;
    MEMPOOL_STATIC_BUFFER(inner, 3, sizeof(long));
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    struct session *session, *sessions[2], **next = sessions;
    const struct session *constant;
    void *anything;
    mempool *pool;

    if (again)
        options = defaults;
    options.struct_size = sizeof options;
    options.elem_count = 3;
    options.elem_size = sizeof(long);
    options.alignment = 64;
    options.name = "sessions";
    options.buffer = inner;
    options.buffer_size = sizeof inner;
    options.flags = MEMPOOL_FALL_BACK | MEMPOOL_SINGLE_THREAD | MEMPOOL_NO_PREFAULT |
                    MEMPOOL_ZERO_ON_FREE | MEMPOOL_REPORT_LEAKS | MEMPOOL_HARDENED |
                    MEMPOOL_HUGE_PAGES | MEMPOOL_LOCKED | MEMPOOL_RECORD_HOLDERS;
    backing.alloc = give;
    backing.free = take_back;
    backing.context = &rest;
    options.backing = again ? &backing : &no_backing;
    if (mempool_buffer_size(&options) > sizeof memory)
        options.buffer = memory;
    pool = mempool_create_with(&options);
    mempool_destroy(pool);

    pool = mempool_create(100, sizeof(struct session), true);
    session = (struct session *)mempool_alloc_entry(pool);
    sessions[0] = (struct session *)mempool_calloc_entry(pool);
    sessions[1] = NULL;
    constant = session;
    anything = mempool_alloc_entry(pool);
    if (again)
        mempool_free_entry(anything);
    else
        (mempool_free_entry)(anything);
    mempool_free_entry(*next++);
    again ? mempool_free_entry(constant) : (mempool_free_entry)(session);
    if (mempool_total_capacity(pool) + mempool_used_count(pool) +
            mempool_dynamic_allocs_count(pool) > 3)
        mempool_destroy(pool), again = 0;
    return pool;
}

r_mempool *ranged(r_memory_fallback_policy_t policy);
r_mempool *ranged(r_memory_fallback_policy_t policy)
{
    R_MEMPOOL_STATIC_BUFFER(inner, 1, 20, 3);
    const r_mempool_class classes[2] = {{24, 10}, {1000, 3}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    struct {
        int *number;
        r_mempool *pool;
    } holder, *to_holder = &holder;

    options = ranged_defaults;
    options.smallest_size = 1;
    options.largest_size = 20;
    options.smallest_count = 3;
    options.buffer = inner;
    options.buffer_size = sizeof inner;
    options.policy = fallback_at_first_exhaustion;
    holder.pool = r_mempool_create_with(&options);
    r_mempool_destroy(to_holder->pool);
    options.classes = classes;
    options.class_count = sizeof classes / sizeof *classes;
    options.reserved = 0;
    if (r_mempool_buffer_size(&options) < sizeof ranged_memory)
        options.buffer = ranged_memory;

    switch (policy) {
    case fallback_disabled:
    case fallback_at_first_exhaustion:
    case fallback_at_last_exhaustion:
        break;
    case __fallback_end_place_holder:
        return NULL;
    }
    holder.pool = r_mempool_create(16, 65536, 131072, policy);
    holder.number = (int *)r_mempool_alloc_entry(holder.pool, sizeof(int));
    holder.number = (int *)r_mempool_realloc_entry(holder.pool, holder.number, 99);
    r_mempool_free_entry(holder.number);
    holder.number = (int *)r_mempool_calloc_entry(holder.pool, sizeof(int));
    mempool_free_entry(to_holder->number);
    return r_mempool_total_capacity(holder.pool, 1) + r_mempool_used_count(holder.pool, 1) +
                       r_mempool_dynamic_allocs_count(holder.pool, 1) > 3
               ? holder.pool
               : NULL;
}
"#;

/// What takes the address of every function.
fn addresses() -> String {
    let mut text = String::from("typedef void (*any)(void);\nany addresses[] = {\n");
    for symbol in symbols() {
        text += &format!("    (any){symbol},\n");
    }
    text + "};\n"
}

/// Has the header compiled in each dialect of a language; true if there was one.
fn compiles_in(language: &Language) -> bool {
    const INCLUDE: &str = "#include <cmempool.h>\n";
    let scratch = Scratch::new();
    let units = [
        ("alone", INCLUDE.to_string()),
        ("used", format!("{INCLUDE}{USES}{}", addresses())),
        ("twice", format!("{INCLUDE}{INCLUDE}{USES}{INCLUDE}")),
    ]
    .map(|(name, text)| scratch.file(&format!("{name}.{}", language.extension), &text));
    let dialects = language.dialects();
    for &(compiler, standard) in &dialects {
        for unit in &units {
            check(compiler, standard, &[], unit).expect_success();
            check(compiler, standard, &["-DCMEMPOOL_NO_ATTRIBUTES"], unit).expect_success();
        }
    }
    !dialects.is_empty()
}

#[test]
fn compiles_as_c() {
    assert!(compiles_in(&C), "this test needs a C compiler, gcc or clang");
}

#[test]
fn compiles_as_cpp() {
    if !compiles_in(&CPP) {
        skip("the header as C++: no compiler");
    }
}

/// Compiles statements inside a function, with optimisation, to assembly, which comes on stdout.
fn statements(language: &Language, compiler: &str, flags: &[&str], text: &str) -> Outcome {
    let scratch = Scratch::new();
    let unit = format!(
        "#include <cmempool.h>\n\
         void wrong(void), keep(void *);\n\
         void statements(mempool *mp, r_mempool *rmp, mempool_options *options,\n\
                         r_mempool_options *ranged_options, void *entry, int number);\n\
         void statements(mempool *mp, r_mempool *rmp, mempool_options *options,\n\
                         r_mempool_options *ranged_options, void *entry, int number)\n\
         {{\n\
             (void)mp, (void)rmp, (void)options, (void)ranged_options;\n\
             (void)entry, (void)number;\n\
             {text}\n\
         }}\n"
    );
    let file = scratch.file(&format!("statements.{}", language.extension), &unit);
    run(Command::new(compiler)
        .args([language.usual, "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(["-O2", "-S", "-o", "-"])
        .args(flags)
        .arg("-I")
        .arg(include_dir())
        .arg(file))
}

const NO_ATTRIBUTES: &[&str] = &["-DCMEMPOOL_NO_ATTRIBUTES"];

#[test]
fn warns_when_what_only_the_result_can_give_back_is_dropped() {
    for compiler in C.compilers() {
        for call in [
            "mempool_create(1, 1, false)",
            "mempool_create(1, 1, false, true)",
            "mempool_create_from_preallocated_buffer(entry, 9, 1, false, true)",
            "mempool_create_with(options)",
            "r_mempool_create(16, 64, 8, fallback_disabled)",
            "r_mempool_create(4, 6, 3, fallback_disabled, true)",
            "r_mempool_create_from_preallocated_buffer(entry, 9, 4, 6, 3, fallback_disabled, true)",
            "r_mempool_create_with(ranged_options)",
            "r_mempool_realloc_entry(rmp, entry, 1)",
        ] {
            let dropped = format!("{call};");
            let warned = statements(&C, compiler, &[], &dropped);
            assert!(!warned.success && warned.stderr.contains("unused-result"), "{warned}");
            statements(&C, compiler, NO_ATTRIBUTES, &dropped).expect_success();
            statements(&C, compiler, &[], &format!("keep({call});")).expect_success();
        }
        // An entry whose pointer is dropped still goes with its pool.
        statements(&C, compiler, &[], "mempool_alloc_entry(mp), r_mempool_calloc_entry(rmp, 1);")
            .expect_success();
    }
}

#[test]
fn what_is_no_pointer_cannot_be_freed() {
    for language in [C, CPP] {
        for compiler in language.compilers() {
            for (name, pointer) in [
                ("mempool_free_entry", "int"),
                ("r_mempool_free_entry", "int"),
                ("mempool_destroy", "mempool"),
                ("r_mempool_destroy", "r_mempool"),
            ] {
                let right = format!("{pointer} *p = NULL; {name}(p);");
                statements(&language, compiler, &[], &right).expect_success();
                for other in ["number", "*(long *)entry", "*(double *)entry", "*options"] {
                    let wrong = format!("{name}({other});");
                    let refused = statements(&language, compiler, &[], &wrong);
                    assert!(!refused.success, "{compiler} compiled {wrong}");
                    assert!(refused.stderr.contains("error"), "{refused}");
                }
            }
        }
    }
}

#[test]
fn free_and_destroy_clear_the_variable_and_evaluate_it_once() {
    for language in [C, CPP] {
        for compiler in language.compilers() {
            for (name, pointer) in [
                ("mempool_free_entry", "char"),
                ("r_mempool_free_entry", "char"),
                ("mempool_destroy", "mempool"),
                ("r_mempool_destroy", "r_mempool"),
            ] {
                // The optimiser removes the calls of `wrong` where it sees that they never happen.
                let after = |call: &str, check: &str| {
                    let text = format!(
                        "{pointer} *all[2] = {{({pointer} *)entry, ({pointer} *)entry}};\n\
                         int i = 0;\n{call};\nif ({check}) wrong();\nkeep(all[1]);"
                    );
                    statements(&language, compiler, &[], &text).expect_success().stdout
                };
                let by_function = after(&format!("({name})(all[i++])"), "all[0]");
                assert!(by_function.contains("wrong"), "{compiler}: ({name}) is no function");
                let cleared = after(&format!("{name}(all[i++])"), "all[0]");
                assert!(!cleared.contains("wrong"), "{compiler}: {name} leaves the variable");
                let once = after(&format!("{name}(all[i++])"), "i != 1");
                assert!(!once.contains("wrong"), "{compiler}: {name} evaluates more than once");
            }
        }
    }
}

#[test]
fn compilers_know_size_and_alignment_of_a_new_entry() {
    let wrong = |compiler: &str, flags: &[&str], text: &str| {
        statements(&C, compiler, flags, text).expect_success().stdout.contains("wrong")
    };
    for compiler in C.compilers() {
        for call in [
            "(r_mempool_alloc_entry)(rmp, 24)",
            "r_mempool_calloc_entry(rmp, 24)",
            "r_mempool_realloc_entry(rmp, entry, 24)",
        ] {
            let text = format!(
                "void *p = {call};\n if (__builtin_object_size(p, 0) != 24) wrong();\n keep(p);"
            );
            assert!(!wrong(compiler, &[], &text), "{compiler} learns no size from {call}");
            assert!(wrong(compiler, NO_ATTRIBUTES, &text), "{compiler} always says 24");
        }
        for call in [
            "mempool_alloc_entry(mp)",
            "mempool_calloc_entry(mp)",
            "r_mempool_alloc_entry(rmp, 24)",
            "r_mempool_calloc_entry(rmp, 24)",
        ] {
            let text = format!("void *p = {call};\n if ((uintptr_t)p % 16) wrong();\n keep(p);");
            assert!(!wrong(compiler, &[], &text), "{compiler} learns no alignment from {call}");
            assert!(wrong(compiler, NO_ATTRIBUTES, &text), "{compiler} always says aligned");
        }
    }
}
