/* Does a pool in the caller's buffer make no call for memory?
 *
 * The program defines the heap's and the kernel's memory functions itself, so that every call of
 * the library's is counted, whether it is linked shared or static; they go on to the real ones. */
#include "../check_linux.h"

#include <dlfcn.h>
#include <malloc.h>

/* ---- Counting the calls for memory ---- */

static atomic_ulong memory_calls;

#include "../static_buffer.h"

/* What `dlsym` itself asks for while the real functions are looked up. */
static char early_memory[16384] __attribute__((aligned(16)));
static size_t early_used;
static bool looking_up;

static void *early(size_t size)
{
    size_t at = early_used;
    early_used += round_up(size, 16);
    if (early_used > sizeof early_memory)
        abort();
    return early_memory + at;
}

static bool is_early(const void *pointer)
{
    return address(pointer) - (uintptr_t)early_memory < sizeof early_memory;
}

static void *look_up(const char *name)
{
    looking_up = true;
    void *found = dlsym(RTLD_NEXT, name);
    looking_up = false;
    if (found == NULL)
        abort();
    return found;
}

/* In one of these: what it calls in turn is the C library's own call. */
static _Thread_local bool inside;

/* Counts a call of `name`, and declares `real`, the function behind it. */
#define COUNTED(name)                                                         \
    static __typeof__(&name) real;                                            \
    memory_calls += !inside;                                                  \
    if (real == NULL && !looking_up)                                          \
        real = __extension__(__typeof__(&name))look_up(#name)

void *malloc(size_t size)
{
    COUNTED(malloc);
    return real == NULL ? early(size) : real(size);
}

void *calloc(size_t count, size_t size)
{
    COUNTED(calloc);
    return real == NULL ? early(count * size) : real(count, size);
}

void *realloc(void *old, size_t size)
{
    COUNTED(realloc);
    return real == NULL || is_early(old) ? early(size) : real(old, size);
}

void free(void *memory)
{
    COUNTED(free);
    if (real != NULL && !is_early(memory))
        real(memory);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    COUNTED(posix_memalign);
    bool before = inside;
    inside = true;
    int done_so = real(result, alignment, size);
    inside = before;
    return done_so;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    COUNTED(aligned_alloc);
    bool before = inside;
    inside = true;
    void *done_so = real(alignment, size);
    inside = before;
    return done_so;
}

void *memalign(size_t alignment, size_t size)
{
    COUNTED(memalign);
    bool before = inside;
    inside = true;
    void *done_so = real(alignment, size);
    inside = before;
    return done_so;
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    COUNTED(mmap);
    return real(at, size, protection, flags, file, offset);
}

#ifdef __GLIBC__
void *mmap64(void *at, size_t size, int protection, int flags, int file, off64_t offset)
{
    COUNTED(mmap64);
    return real(at, size, protection, flags, file, offset);
}
#endif

int munmap(void *at, size_t size)
{
    COUNTED(munmap);
    return real(at, size);
}

void *mremap(void *at, size_t old, size_t size, int flags, ...)
{
    COUNTED(mremap);
    return real(at, old, size, flags);
}

int madvise(void *at, size_t size, int advice)
{
    COUNTED(madvise);
    return real(at, size, advice);
}

int mprotect(void *at, size_t size, int protection)
{
    COUNTED(mprotect);
    return real(at, size, protection);
}

int brk(void *end)
{
    COUNTED(brk);
    return real(end);
}

void *sbrk(intptr_t more)
{
    COUNTED(sbrk);
    return real(more);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    COUNTED(pthread_create);
    return real(thread, attributes, start, argument);
}

/* The way around all of the above. */
long syscall(long number, ...)
{
    static __typeof__(&syscall) real;
    switch (number) {
#ifdef SYS_mmap
    case SYS_mmap:
#endif
#ifdef SYS_mmap2
    case SYS_mmap2:
#endif
    case SYS_munmap:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_mprotect:
    case SYS_brk:
        memory_calls++;
    }
    if (real == NULL)
        real = __extension__(__typeof__(&syscall))look_up("syscall");
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (size_t i = 0; i < LENGTH(a); i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The counters see what a pool without a buffer does, and a fallback in one that has a buffer. */
static void counters_count(void)
{
    row("counters");
    /* Valgrind puts its own heap in the place of this program's. */
    if (!under_valgrind()) {
        mempool_options small = ordinary(10, 8, NULL, 0);
        CHECK(live(&small) >= 3 * 2);
        static char buffer[8192] __attribute__((aligned(16)));
        mempool_options options = ordinary(3, 8, buffer, sizeof buffer);
        options.flags = MEMPOOL_FALL_BACK;
        CHECK(live(&options) == 0);
        mempool *mp = mempool_create_with(&options);
        for (size_t i = 0; i < 5; i++) {
            unsigned long before = memory_calls;
            CHECK(mempool_alloc_entry(mp) != NULL);
            CHECK(memory_calls - before == (i < 3 ? 0 : 1));
        }
        unsigned long before = memory_calls;
        mempool_destroy(mp);
        CHECK(memory_calls - before == 2);
        void *volatile sink = malloc(1);
        CHECK(memory_calls - before == 3);
        free(sink);
        CHECK(memory_calls - before == 4);
    }
    mempool_options large = ordinary(1000, 1000, NULL, 0);
    CHECK(live(&large) >= 3 * 2);
    r_mempool_options r_large = ranged(16, 1024, 1024, NULL, 0);
    CHECK(r_live(&r_large) >= 3 * 2);
}

/* ---- A program with many keys of thread-specific data ---- */

enum { KEYS = 40, THREADS = 200 };

/* More than there is room for in a thread: for others the C library calls the heap. */
static void make_keys(int count)
{
    pthread_key_t key;
    while (count-- > 0 && pthread_key_create(&key, NULL) == 0)
        continue;
}

/* Before main: the library, linked as it is, was loaded. */
__attribute__((constructor)) static void make_keys_early(void)
{
    make_keys(KEYS);
}

/* How many a program makes that was started anew, before the library makes any. */
#define KEYS_FIRST "CMEMPOOL_TEST_KEYS"

static void make_keys_first(void)
{
    const char *count = getenv(KEYS_FIRST);
    if (count != NULL)
        make_keys(atoi(count));
}

#ifdef __GLIBC__
/* Before all libraries. */
__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = make_keys_first;
#else
/* Before the first that anyone makes. */
int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    static __typeof__(&pthread_key_create) real;
    if (real == NULL) {
        real = __extension__(__typeof__(&pthread_key_create))look_up("pthread_key_create");
        make_keys_first();
    }
    return real(key, destructor);
}
#endif

static mempool *shared;

static void *use_in_thread(void *its_own)
{
    unsigned long before = memory_calls;
    mempool *const pools[] = {its_own, shared};
    for (size_t i = 0; i < LENGTH(pools); i++)
        for (int round = 0; round < 3; round++) {
            void *entry = mempool_alloc_entry(pools[i]);
            CHECK(entry != NULL);
            (mempool_free_entry)(entry);
        }
    CHECK(memory_calls == before);
    return NULL;
}

static size_t cached(const mempool *mp)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(mp, &stats));
    CHECK(stats.used == 0);
    return stats.cached;
}

/* New threads, more of them than can have caches at once, call nothing for memory, and each has a cache. */
static void threads_with_many_keys(void)
{
    static char memory[2][65536] __attribute__((aligned(64)));
    mempool_options options = ordinary(1000, 24, memory[0], sizeof memory[0]);
    shared = mempool_create_with(&options);
    CHECK(shared != NULL);
    options.buffer = memory[1];
    for (size_t i = 0; i < scaled(THREADS, 70); i++) {
        row("thread %zu of a program with many keys", i);
        mempool *its_own = mempool_create_with(&options);
        CHECK(its_own != NULL && cached(its_own) == 0);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, use_in_thread, its_own) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(cached(its_own) > 0);
        mempool_destroy(its_own);
    }
    /* One thread's cache, which each inherited. */
    size_t of_one = cached(shared);
    mempool *its_own = mempool_create_with(&options);
    use_in_thread(its_own);
    CHECK(of_one > 0 && cached(shared) <= 2 * of_one && cached(its_own) == of_one);
    mempool_destroy(its_own);
    mempool_destroy(shared);
}

static void start_with_keys(void *count)
{
    start_anew(KEYS_FIRST, count);
}

static void start_again(void)
{
    if (under_valgrind())
        return; /* it is what would be started again */
    static char counts[][8] = {"40", "100000"}; /* the latter leaves none to others */
    for (size_t i = 0; i < LENGTH(counts); i++) {
        row("%s keys made before the library was loaded", counts[i]);
        int status;
        const char *text = run_in_child(start_with_keys, counts[i], &status);
        if (text[0] != '\0')
            fprintf(stderr, "%s", text);
        CHECK(status == 0 && text[0] == '\0');
    }
}

int main(void)
{
    if (getenv(KEYS_FIRST) != NULL) {
        threads_with_many_keys();
        return 0;
    }
    threads_with_many_keys();
    start_again();
    fill_what_is_kept();
    counters_count();
    all_of_buffers();
    return done();
}
