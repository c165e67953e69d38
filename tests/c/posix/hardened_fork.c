/* Has a child of fork a hardened pool that is in order, whatever another thread was doing, and an order of its
 * own? */
#include "../check_posix.h"
#include "../check_threads.h"

enum { COUNT = 40 };

enum { LARGE = 4 << 20 };

struct busy {
    mempool *pool;
    r_mempool *ranged;
    char *entry;
    atomic_bool over;
};

/* Most of the time inside of a free or an alloc. */
static void *takes_and_gives_back(void *argument)
{
    struct busy *busy = argument;
    while (!atomic_load(&busy->over))
        (mempool_free_entry)(mempool_alloc_entry(busy->pool));
    return NULL;
}

static void *moves_the_end(void *argument)
{
    struct busy *busy = argument;
    uint64_t state = 1;
    while (!atomic_load(&busy->over))
        busy->entry = r_mempool_realloc_entry(busy->ranged, busy->entry, 2049 + random_below(&state, 2048));
    return NULL;
}

/* Forks while the thread works. What a child is asked to do, it can. */
static void forked_meanwhile(void *(*work)(void *), struct busy *busy, int forks, bool reset)
{
    struct thread thread;
    CHECK(thread_start(&thread, work, busy));
    for (int i = 0; i < forks; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            if (busy->pool && reset) {
                mempool_reset(busy->pool);
                for (size_t n = mempool_total_capacity(busy->pool); n > 0; n--)
                    CHECK(mempool_alloc_entry(busy->pool) != NULL);
            }
            if (busy->pool)
                (mempool_destroy)(busy->pool);
            else
                (r_mempool_destroy)(busy->ranged);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    atomic_store(&busy->over, true);
    CHECK(thread_join(&thread));
}

static void forked_in_the_middle_of_a_call(void)
{
    for (int reset = 0; reset < 2; reset++) {
        mempool_options options = MEMPOOL_OPTIONS_INIT;
        options.elem_count = 4;
        options.elem_size = LARGE;
        options.flags = MEMPOOL_HARDENED;
        struct busy busy = {.pool = mempool_create_with(&options)};
        CHECK(busy.pool != NULL);
        forked_meanwhile(takes_and_gives_back, &busy, (int)scaled(40, 10), reset);
        (mempool_destroy)(busy.pool);
    }
    for (int heap = 0; heap < 2; heap++) {
        static const r_mempool_class class = {4096, 1};
        r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
        options.classes = &class;
        options.class_count = 1;
        options.policy = fallback_at_first_exhaustion;
        options.flags = MEMPOOL_HARDENED;
        struct busy busy = {.ranged = r_mempool_create_with(&options)};
        CHECK(busy.ranged != NULL && (!heap || r_mempool_alloc_entry(busy.ranged, 4096) != NULL));
        forked_meanwhile(moves_the_end, &busy, (int)scaled(400, 50), false);
        (r_mempool_destroy)(busy.ranged);
    }
}

/* ---- The order ---- */

static void offsets_of_all(mempool *pool, size_t count, size_t *offsets)
{
    for (size_t i = 0; i < count; i++) {
        char *entry = mempool_alloc_entry(pool);
        CHECK(entry != NULL);
        offsets[i] = (size_t)address(entry);
    }
}

static mempool *make(uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = 48;
    options.flags = MEMPOOL_HARDENED | flags;
    mempool *pool = mempool_create_with(&options);
    CHECK(pool != NULL);
    return pool;
}

static void parent_and_child_differ(void)
{
    size_t *theirs = shared_memory(2 * sizeof(size_t[COUNT]));
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD};
    for (size_t f = 0; f < LENGTH(flags); f++) {
        mempool *pool = make(flags[f]);
        size_t own[COUNT];
        for (int child = 0; child < 2; child++) {
            int status;
            pid_t pid = fork();
            CHECK(pid >= 0);
            if (pid == 0) {
                offsets_of_all(pool, COUNT, theirs + child * COUNT);
                _exit(0);
            }
            CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        }
        offsets_of_all(pool, COUNT, own);
        CHECK(memcmp(own, theirs, sizeof own) != 0);
        CHECK(memcmp(own, theirs + COUNT, sizeof own) != 0);
        CHECK(memcmp(theirs, theirs + COUNT, sizeof own) != 0);
        (mempool_destroy)(pool);
    }
}

int main(void)
{
    if (!under_valgrind())
        forked_in_the_middle_of_a_call();
    parent_and_child_differ();
    return done();
}
