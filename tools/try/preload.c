/* How does the malloc of a program that knows nothing of pools become a ranged pool's?
 *
 * This is a library to be preloaded, with the static cmempool inside and hidden. Sizes up to the largest
 * class go to the pool, larger ones to the heap, by the adapter's malloc. Apart from these two there are
 * blocks from the heap for which no entry will do: those that are aligned to more than 16, and those that
 * are taken while the pool is being made, by whichever thread.
 *
 * The heap is always libc's own, by the names that nothing replaces. So is that of the library inside, whose
 * calls the linker leads here (`--wrap`): nothing comes back to this malloc. */
#define _GNU_SOURCE
#include "apart.h"
#include "pools.h"
#include "record.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define malloc __libc_malloc
#define calloc __libc_calloc
#define realloc __libc_realloc
#define free __libc_free
#include <cmempool/adapter.h>
#undef malloc
#undef calloc
#undef realloc
#undef free

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define EXPORT __attribute__((visibility("default")))

enum state { NOT_YET, STARTING, ON_POOL, ON_HEAP };

static enum state state;
static cmempool_adapter pool;
/* How deep the thread is in calls that may hold a lock of the pool's: a signal's handler may end the process there. */
static __thread volatile sig_atomic_t inside;
/* Sizes are counted. */
static bool measuring;
/* The program's call, while a count of it looks at its block. */
static __thread const char *called;

int __real_madvise(void *memory, size_t size, int advice);

/* ---- What the library inside calls ---------------------------------------------------------- */

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void __wrap_free(void *memory)
{
    __libc_free(memory);
}

/* The pool that measures is sparse: a huge page for each entry that is used would be all of the memory. */
int __wrap_madvise(void *memory, size_t size, int advice)
{
    if (advice == MADV_HUGEPAGE && measuring)
        return 0;
    return __real_madvise(memory, size, advice);
}

/* ---- Misuse --------------------------------------------------------------------------------- */

/* The line says what the program called, and not what is called for a count. The library aborts after it. */
static void report_misuse(const mempool_misuse *misuse, void *context)
{
    static const char own[] = "cmempool: mempool_usable_size of ";
    const char *text = misuse->text;
    char line[512];
    (void)context;
    if (called && strncmp(text, own, strlen(own)) == 0 &&
        snprintf(line, sizeof line, "cmempool: %s of %s", called, text + strlen(own)) < (int)sizeof line)
        text = line;
    const struct iovec parts[] = {{(void *)(uintptr_t)text, strlen(text)}, {(char[]){'\n'}, 1}};
    if (writev(STDERR_FILENO, parts, 2) < 0)
        return; /* there is nowhere else to say it */
}

/* ---- Beginning and end ---------------------------------------------------------------------- */

static void note_classes(void)
{
    if (record_of)
        pools_note(pool.pool, &record_of->figures);
}

static void in_child(void)
{
    record_in_child();
    pools_in_child(pool.pool);
    note_classes();
}

/* Makes the pool. The library may take from malloc meanwhile, which serves it apart. */
static __attribute__((cold, noinline)) void start(void)
{
    enum state expected = NOT_YET;
    if (!environ || !__atomic_compare_exchange_n(&state, &expected, STARTING, false, __ATOMIC_ACQUIRE,
                                                 __ATOMIC_RELAXED))
        return;
    const int error = errno;
    const char *folder = secure_getenv("CMEMPOOL_TRY");
    struct pool_plan plan;
    pools_plan(&plan, folder);
    measuring = plan.measures && folder;
    r_mempool *made = pools_make(&plan);
    const bool ready = made && cmempool_adapter_init(&pool, made);
    if (ready && folder) {
        record_begin(folder, measuring);
        note_classes();
        pthread_atfork(NULL, NULL, in_child);
    }
    measuring = measuring && record_of;
    if (measuring)
        mempool_set_misuse_handler(report_misuse, NULL);
    __atomic_store_n(&state, ready ? ON_POOL : ON_HEAP, __ATOMIC_RELEASE);
    errno = error;
}

static __attribute__((constructor)) void begin(void)
{
    start();
}

/* Malloc may still be called after this: the counts go on. */
static __attribute__((destructor)) void end(void)
{
    if (inside || !record_of || record_of->figures.pid != getpid())
        return;
    note_classes();
    record_note();
    record_of->figures.ending = ENDED;
}

EXPORT _Noreturn void _exit(int status)
{
    end();
    for (;;)
        syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _Exit(int status)
{
    _exit(status);
}

/* ---- Blocks --------------------------------------------------------------------------------- */

static inline bool on_pool(void)
{
    if (LIKELY(__atomic_load_n(&state, __ATOMIC_ACQUIRE) == ON_POOL))
        return true;
    if (__atomic_load_n(&state, __ATOMIC_RELAXED) == NOT_YET)
        start();
    return __atomic_load_n(&state, __ATOMIC_ACQUIRE) == ON_POOL;
}

static enum sort sort_of(size_t alignment)
{
    return alignment > APART_PLAIN ? ALIGNED : EARLY;
}

static void *take_apart(size_t size, size_t alignment, bool zero)
{
    void *memory = apart_take(size, alignment, zero);
    if (memory)
        record_heap_taken(sort_of(alignment), size);
    return memory;
}

static void give_apart(void *memory)
{
    record_heap_given(sort_of(apart_alignment(memory)), apart_size(memory));
    apart_give(memory);
}

/* What a block counts as: a grain, or GRAINS for one that is larger than the largest class. */
static unsigned grain_of_block(const void *memory, size_t *size)
{
    *size = cmempool_adapter_usable_size(&pool, memory);
    return *size > pool.largest || cmempool_adapter_is_larger(&pool, memory) ? GRAINS : grain_of(*size);
}

static unsigned grain_of_request(size_t size)
{
    return size > pool.largest ? GRAINS : grain_of(size);
}

static void count_taken(unsigned grain, size_t size)
{
    if (grain == GRAINS)
        record_heap_taken(LARGER, size);
    else
        record_taken(grain, size);
}

static void count_given(unsigned grain, size_t size)
{
    if (grain == GRAINS)
        record_heap_given(LARGER, size);
    else
        record_given(grain);
}

static __attribute__((noinline)) void *take_measured(size_t size, bool zero)
{
    size += size == 0;
    const unsigned grain = grain_of_request(size);
    if (grain != GRAINS)
        record_taken(grain, size);
    void *memory = zero ? cmempool_adapter_calloc(&pool, 1, size) : cmempool_adapter_malloc(&pool, size);
    if (grain == GRAINS && memory)
        count_taken(grain, size);
    else if (grain != GRAINS && !memory)
        record_refused(grain);
    return memory;
}

static __attribute__((noinline)) void give_measured(void *memory)
{
    size_t size;
    called = "free";
    const unsigned grain = grain_of_block(memory, &size);
    called = NULL;
    cmempool_adapter_free(&pool, memory);
    count_given(grain, size);
}

static __attribute__((noinline)) void *resize_measured(void *memory, size_t size)
{
    size_t had;
    called = "realloc";
    const unsigned before = grain_of_block(memory, &had), wanted = grain_of_request(size);
    called = NULL;
    void *moved;
    if (wanted == before) {
        moved = cmempool_adapter_realloc(&pool, memory, size);
        if (wanted == GRAINS && moved) {
            count_taken(wanted, size);
            count_given(before, had);
        } else if (wanted != GRAINS && moved) {
            RECORD_MOST(&record_of->figures.grains[wanted].largest, (uint32_t)size);
        }
        return moved;
    }
    /* A block counts as what its size says: one that shrinks must not stay in a larger entry. */
    moved = take_measured(size, false);
    if (!moved)
        return NULL;
    memcpy(moved, memory, had < size ? had : size);
    give_measured(memory);
    return moved;
}

/* How a run on given classes went: calls alone, since a count of what is out would cost each free. */
static inline void note_larger(size_t size)
{
    if (size > pool.largest)
        record_call(LARGER);
}

static void *take(size_t size, bool zero)
{
    if (measuring)
        return take_measured(size, zero);
    note_larger(size);
    return zero ? cmempool_adapter_calloc(&pool, 1, size) : cmempool_adapter_malloc(&pool, size);
}

static void *resize(void *memory, size_t size)
{
    if (measuring)
        return resize_measured(memory, size);
    note_larger(size);
    return cmempool_adapter_realloc(&pool, memory, size);
}

/* ---- What takes malloc's place -------------------------------------------------------------- */

EXPORT void *malloc(size_t size)
{
    if (!on_pool())
        return take_apart(size, APART_PLAIN, false);
    inside++;
    void *memory = take(size, false);
    inside--;
    return memory;
}

EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX; /* more than there is */
    if (!on_pool())
        return take_apart(bytes, APART_PLAIN, true);
    inside++;
    void *memory = take(bytes, true);
    inside--;
    return memory;
}

EXPORT void free(void *memory)
{
    if (!memory)
        return;
    if (apart_is(memory)) {
        give_apart(memory);
        return;
    }
    inside++;
    if (measuring)
        give_measured(memory);
    else
        cmempool_adapter_free(&pool, memory);
    inside--;
}

/* One that was apart becomes one of the pool's. */
static __attribute__((noinline)) void *resize_apart(void *memory, size_t size)
{
    const size_t had = apart_size(memory);
    void *moved = malloc(size);
    if (!moved)
        return NULL;
    memcpy(moved, memory, had < size ? had : size);
    give_apart(memory);
    return moved;
}

/* A size of 0 gives the block back, as the GNU C library has it. */
EXPORT void *realloc(void *memory, size_t size)
{
    if (!memory)
        return malloc(size);
    if (size == 0) {
        free(memory);
        return NULL;
    }
    if (apart_is(memory))
        return resize_apart(memory, size);
    inside++;
    void *moved = resize(memory, size);
    inside--;
    return moved;
}

EXPORT void *reallocarray(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(memory, bytes);
}

/* Any alignment: what is no power of two is rounded up to one, as the GNU C library does. */
EXPORT void *memalign(size_t alignment, size_t size)
{
    if (alignment > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return NULL;
    }
    size_t power = APART_PLAIN;
    while (power < alignment)
        power *= 2;
    if (power == APART_PLAIN)
        return malloc(size);
    on_pool();
    return take_apart(size, power, false);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

EXPORT int posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    const int error = errno;
    void *taken = memalign(alignment, size);
    errno = error;
    if (!taken)
        return ENOMEM;
    *memory = taken;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

EXPORT void *pvalloc(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size > SIZE_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    return memalign(page, (size + page - 1) / page * page);
}

/* The caller may use all of these bytes, so the entry is resized in place to its whole slot. */
EXPORT size_t malloc_usable_size(void *memory)
{
    if (!memory)
        return 0;
    if (apart_is(memory))
        return apart_size(memory);
    inside++;
    const size_t size = cmempool_adapter_usable_size(&pool, memory);
    void *same = cmempool_adapter_is_larger(&pool, memory)
                     ? memory
                     : r_mempool_realloc_entry(pool.pool, memory, size);
    inside--;
    return same == memory ? size : 0;
}

/* Of programs from before 2018. */
EXPORT void cfree(void *memory);
EXPORT void cfree(void *memory)
{
    free(memory);
}
