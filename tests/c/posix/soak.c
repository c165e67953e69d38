/* Does everything hold together for hours, when programs do all things at once?
 *
 * A few pools of random kinds, and threads that come and go: each takes entries of random sizes
 * from any of them, frees what others took, reallocs, empties a pool to the last entry, and now and
 * then a pool goes and another one takes its place. Every entry is written to its last byte; counts
 * are compared whenever everybody stands still. Now and then the process forks, while threads work or
 * while they stand still, and the child uses every pool. Two seconds, in each of the ways in which run.sh
 * builds it; CMEMPOOL_SOAK_SECONDS in the environment makes it that long, and has it say what it
 * did. */
#include "../check_posix.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

enum { POOLS = 6, WORKERS = 4, PLACES = 512, MOST_HELD = 256, CLASSES = 6, STEPS = 4000 };

/* What was done and found, children included. */
static struct {
    atomic_ullong operations, dynamic_entries, pools, threads, forks;
    atomic_ulong violations;
} *counts;

static __attribute__((format(printf, 1, 2))) void violation(const char *format, ...)
{
    if (atomic_fetch_add(&counts->violations, 1) >= 10)
        return;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "violation: %s\n", text);
}

static double now(void)
{
    struct timespec time;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- Pools ---- */

struct pool {
    mempool *mp;
    r_mempool *rmp;
    r_mempool_class classes[CLASSES];
    size_t class_count, alignment, capacity;
    uint64_t flags;
    r_memory_fallback_policy_t policy;
    void *buffer; /* or NULL */
    /* Pools stay while somebody has one of their entries: only who stands alone replaces them. */
    atomic_size_t out;
};

static struct pool pools[POOLS];

static size_t largest(const struct pool *pool)
{
    return pool->classes[pool->class_count - 1].elem_size;
}

static bool falls_back(const struct pool *pool)
{
    return pool->mp != NULL ? (pool->flags & MEMPOOL_FALL_BACK) != 0
                            : pool->policy != fallback_disabled;
}

static void make(struct pool *pool, uint64_t *seed)
{
    static const size_t alignments[] = {0, 0, 0, 16, 64, 256};
    memset(pool, 0, sizeof *pool);
    bool ranged = random_below(seed, 3) > 0;
    pool->alignment = alignments[random_below(seed, LENGTH(alignments))];
    pool->class_count = ranged ? 1 + random_below(seed, CLASSES) : 1;
    pool->flags = random_below(seed, 4) == 0 ? MEMPOOL_ZERO_ON_FREE : 0;
    pool->flags |= random_below(seed, 2) == 0 ? MEMPOOL_NO_PREFAULT : 0;
    size_t size = 0;
    for (size_t i = 0; i < pool->class_count; i++) {
        size += 1 + random_below(seed, (size_t)16 << i);
        /* Without caches, with, and with more than caches hold. */
        size_t most = (size_t)8 << (2 * random_below(seed, 5));
        pool->classes[i] = (r_mempool_class){size, 1 + random_below(seed, most)};
        pool->capacity += pool->classes[i].elem_count;
    }
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    r_mempool_options ranged_options = R_MEMPOOL_OPTIONS_INIT;
    if (!ranged && random_below(seed, 2) == 0)
        pool->flags |= MEMPOOL_FALL_BACK;
    pool->policy = (r_memory_fallback_policy_t)random_below(seed, __fallback_end_place_holder);
    options.elem_size = pool->classes[0].elem_size;
    options.elem_count = pool->classes[0].elem_count;
    options.alignment = ranged_options.alignment = pool->alignment;
    options.flags = ranged_options.flags = pool->flags;
    options.name = ranged_options.name = "soak";
    ranged_options.classes = pool->classes;
    ranged_options.class_count = pool->class_count;
    ranged_options.policy = pool->policy;
    if (random_below(seed, 3) == 0) {
        size_t bytes = ranged ? r_mempool_buffer_size(&ranged_options) : mempool_buffer_size(&options);
        options.buffer_size = ranged_options.buffer_size = bytes;
        pool->buffer = aligned_alloc(16, (bytes + 15) / 16 * 16); /* malloc may align to 8 */
        CHECK(pool->buffer != NULL);
        options.buffer = ranged_options.buffer = pool->buffer;
    }
    if (ranged)
        pool->rmp = r_mempool_create_with(&ranged_options);
    else
        pool->mp = mempool_create_with(&options);
    CHECK(pool->mp != NULL || pool->rmp != NULL);
    atomic_fetch_add(&counts->pools, 1);
}

static void destroy(struct pool *pool)
{
    mempool_destroy(pool->mp);
    r_mempool_destroy(pool->rmp);
    free(pool->buffer);
}

static size_t used(const struct pool *pool)
{
    if (pool->mp != NULL)
        return mempool_used_count(pool->mp);
    size_t sum = 0;
    for (size_t i = 0; i < pool->class_count; i++) {
        size_t count = r_mempool_used_count(pool->rmp, pool->classes[i].elem_size);
        if (count > pool->classes[i].elem_count)
            violation("%zu of %zu entries of a class are out", count, pool->classes[i].elem_count);
        sum += count;
    }
    return sum;
}

static size_t dynamic(const struct pool *pool)
{
    if (pool->mp != NULL)
        return mempool_dynamic_allocs_count(pool->mp);
    size_t sum = 0;
    for (size_t i = 0; i < pool->class_count; i++) {
        size_t count = r_mempool_dynamic_allocs_count(pool->rmp, pool->classes[i].elem_size);
        /* Of all classes, under this policy. */
        if (pool->policy == fallback_at_last_exhaustion)
            return count;
        sum += count;
    }
    return sum;
}

/* ---- Entries ---- */

/* What is out: where, how many bytes are written, and with what. */
struct held {
    unsigned char *at;
    size_t size;
    struct pool *pool;
    unsigned char mark;
};

static void write_all(struct held *held, unsigned char mark)
{
    held->mark = mark;
    memset(held->at, mark, held->size);
}

static void verify(const struct held *held, const unsigned char *at, size_t size)
{
    if (!all_bytes(at, held->mark, size) || (size > 0 && at[0] != held->mark))
        violation("an entry of %zu bytes was written by somebody else", held->size);
}

/* Takes an entry of a random size. False if there is none. */
static bool take(struct held *held, struct pool *pool, uint64_t *seed)
{
    bool zeroed = random_below(seed, 4) == 0;
    size_t size = pool->mp != NULL ? largest(pool) : 1 + random_below(seed, largest(pool));
    void *at;
    errno = 0;
    if (pool->mp != NULL)
        at = zeroed ? mempool_calloc_entry(pool->mp) : mempool_alloc_entry(pool->mp);
    else
        at = zeroed ? r_mempool_calloc_entry(pool->rmp, size) : r_mempool_alloc_entry(pool->rmp, size);
    atomic_fetch_add_explicit(&counts->operations, 1, memory_order_relaxed);
    if (at == NULL) {
        if (errno != ENOMEM)
            violation("no entry, and errno is %d", errno);
        if (falls_back(pool))
            violation("no entry, although the heap has memory");
        return false;
    }
    *held = (struct held){.at = at, .size = size, .pool = pool};
    if (!aligned(at, pool->alignment < 16 ? 16 : pool->alignment))
        violation("an entry at %p", at);
    if (zeroed && !all_bytes(at, 0, size))
        violation("a calloc of %zu bytes is not zero", size);
    atomic_fetch_add(&pool->out, 1);
    write_all(held, (unsigned char)(1 + random_below(seed, 255)));
    return true;
}

static void give(struct held *held)
{
    verify(held, held->at, held->size);
    struct pool *pool = held->pool;
    if (pool->mp != NULL)
        mempool_free_entry(held->at);
    else
        r_mempool_free_entry(held->at);
    atomic_fetch_sub(&pool->out, 1);
    atomic_fetch_add_explicit(&counts->operations, 1, memory_order_relaxed);
}

static void resize(struct held *held, uint64_t *seed)
{
    if (held->pool->rmp == NULL)
        return;
    size_t size = 1 + random_below(seed, largest(held->pool));
    void *at = r_mempool_realloc_entry(held->pool->rmp, held->at, size);
    atomic_fetch_add_explicit(&counts->operations, 1, memory_order_relaxed);
    if (at == NULL) {
        if (size <= held->size)
            violation("a realloc from %zu to %zu bytes fails", held->size, size);
        verify(held, held->at, held->size);
        return;
    }
    held->at = at;
    verify(held, at, size < held->size ? size : held->size);
    held->size = size;
    write_all(held, held->mark);
}

/* ---- Threads ---- */

/* On the way from one thread to another. */
static struct {
    pthread_mutex_t lock;
    struct held held[PLACES];
} places = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Puts an entry, or none, in a place and takes what was there. */
static void exchange(struct held *held, size_t place)
{
    pthread_mutex_lock(&places.lock);
    struct held before = places.held[place];
    places.held[place] = *held;
    pthread_mutex_unlock(&places.lock);
    *held = before;
}

struct worker {
    pthread_t thread;
    uint64_t seed;
    size_t count;
    struct held held[MOST_HELD];
};

static void take_one(struct worker *self, struct pool *pool)
{
    if (self->count < MOST_HELD && take(&self->held[self->count], pool, &self->seed)) {
        self->count++;
    } else if (self->count > 0) {
        give(&self->held[--self->count]);
    }
}

static void *work(void *argument)
{
    struct worker *self = argument;
    size_t steps = random_below(&self->seed, scaled(STEPS, 100));
    for (size_t i = 0; i < steps; i++) {
        struct pool *pool = &pools[random_below(&self->seed, POOLS)];
        size_t which = self->count > 0 ? random_below(&self->seed, self->count) : 0;
        switch (random_below(&self->seed, 8)) {
        case 0:
        case 1:
        case 2:
            take_one(self, pool);
            break;
        case 3:
        case 4:
            if (self->count > 0) {
                struct held held = self->held[which];
                self->held[which] = self->held[--self->count];
                give(&held);
            }
            break;
        case 5:
            if (self->count > 0)
                resize(&self->held[which], &self->seed);
            break;
        case 6: { /* what another thread took */
            struct held held = {.at = NULL};
            if (self->count > 0)
                held = self->held[--self->count];
            exchange(&held, random_below(&self->seed, PLACES));
            if (held.at != NULL)
                give(&held);
            break;
        }
        default:
            if (random_below(&self->seed, 16) == 0)
                for (size_t j = 0; j < MOST_HELD; j++) /* down to the last entry */
                    take_one(self, pool);
            else if (used(pool) > pool->capacity)
                violation("more than %zu entries are out", pool->capacity);
            break;
        }
    }
    /* Half of them leave what they hold to others. */
    bool leaves = random_below(&self->seed, 2) == 0;
    while (self->count > 0) {
        struct held held = self->held[--self->count];
        if (leaves)
            exchange(&held, random_below(&self->seed, PLACES));
        if (held.at != NULL)
            give(&held);
    }
    return NULL;
}

/* ---- While all stand still ---- */

static void compare_counts(void)
{
    for (size_t i = 0; i < POOLS; i++) {
        size_t out = atomic_load(&pools[i].out), counted = used(&pools[i]) + dynamic(&pools[i]);
        atomic_fetch_add(&counts->dynamic_entries, dynamic(&pools[i]));
        if (out != counted)
            violation("%zu entries are out, the counts say %zu", out, counted);
        if (dynamic(&pools[i]) > 0 && !falls_back(&pools[i]))
            violation("entries from the heap, which the pool may not use");
    }
}

/* Takes all that is left, which is exactly what is not out, one by one or many at a time, and gives it
 * back in the same way. */
static void take_the_rest(struct pool *pool, uint64_t *seed)
{
    size_t left = pool->capacity - used(pool), count = 0, before = dynamic(pool), many = 1;
    struct held *rest = malloc((pool->capacity + 1) * sizeof *rest);
    void **at = malloc((pool->capacity + 1) * sizeof *at);
    CHECK(rest != NULL && at != NULL);
    if (random_below(seed, 2) == 0)
        many = 1 + random_below(seed, 100);
    if (pool->mp != NULL || pool->policy != fallback_at_first_exhaustion) {
        /* The smallest size: every class may serve it. */
        while (count < left) {
            if (many > left - count)
                many = left - count;
            bool got = many == 1 ? (at[count] = pool->mp != NULL
                                                    ? mempool_alloc_entry(pool->mp)
                                                    : r_mempool_alloc_entry(pool->rmp, 1)) != NULL
                       : pool->mp != NULL ? mempool_alloc_bulk(pool->mp, at + count, many)
                                          : r_mempool_alloc_bulk(pool->rmp, 1, at + count, many);
            if (!got)
                break;
            for (size_t end = count + many; count < end; count++) {
                rest[count] = (struct held){.at = at[count], .size = 1, .pool = pool};
                write_all(&rest[count], (unsigned char)(1 + random_below(seed, 255)));
            }
            atomic_fetch_add(&pool->out, many);
        }
        if (count != left || used(pool) != pool->capacity || dynamic(pool) != before)
            violation("%zu entries should be left, and %zu can be taken", left, count);
    }
    if (many > 1) {
        for (size_t i = 0; i < count; i++)
            verify(&rest[i], rest[i].at, rest[i].size);
        mempool_free_bulk(at, count);
        atomic_fetch_sub(&pool->out, count);
    }
    for (; many == 1 && count > 0; count--)
        give(&rest[count - 1]);
    free(rest);
    free(at);
}

static void empty_places(const struct pool *pool)
{
    for (size_t i = 0; i < PLACES; i++)
        if (places.held[i].at != NULL && (pool == NULL || places.held[i].pool == pool)) {
            give(&places.held[i]);
            places.held[i].at = NULL;
        }
}

static void replace(struct pool *pool, uint64_t *seed)
{
    /* Some entries may go with their pool. */
    if (random_below(seed, 2) == 0)
        empty_places(pool);
    else
        for (size_t i = 0; i < PLACES; i++)
            if (places.held[i].pool == pool)
                places.held[i].at = NULL;
    destroy(pool);
    make(pool, seed);
}

/* ---- Forks ---- */

static void start(struct worker *worker)
{
    worker->count = 0;
    CHECK(pthread_create(&worker->thread, NULL, work, worker) == 0);
    atomic_fetch_add(&counts->threads, 1);
}

/* How many more entries a pool counts as out than were noted. */
static long surplus(const struct pool *pool)
{
    return (long)(used(pool) + dynamic(pool)) - (long)atomic_load(&pool->out);
}

/* Uses every pool, and ends well. Of each of the threads that are gone a call may have been under way:
 * one entry is out then and not noted, or noted and not out. */
static _Noreturn void child(uint64_t *seed, size_t gone)
{
    static struct worker workers[WORKERS];
    long before[POOLS];
    alarm(60);
    for (size_t i = 0; i < POOLS; i++) {
        before[i] = surplus(&pools[i]);
        if (labs(before[i]) > (long)gone)
            violation("a child of a fork among %zu threads counts %ld too many", gone, before[i]);
        take_the_rest(&pools[i], seed);
    }
    if (children_start_threads() && random_below(seed, 2) == 0) {
        for (size_t i = 0; i < WORKERS; i++) {
            workers[i].seed = *seed + 1000 * i;
            start(&workers[i]);
        }
        for (size_t i = 0; i < WORKERS; i++)
            CHECK(pthread_join(workers[i].thread, NULL) == 0);
    }
    empty_places(NULL);
    for (size_t i = 0; i < POOLS; i++) {
        if (surplus(&pools[i]) != before[i])
            violation("in a child, %ld entries too many became %ld", before[i], surplus(&pools[i]));
        take_the_rest(&pools[i], seed);
        destroy(&pools[i]);
    }
    /* An exit would have valgrind look for what the threads that are gone left behind. */
    for (;;)
        raise(SIGKILL);
}

static void fork_and_wait(uint64_t *seed, size_t threads)
{
    int status;
    /* What lies in a place can be told from what is on its way there. */
    pthread_mutex_lock(&places.lock);
    pid_t pid = fork();
    pthread_mutex_unlock(&places.lock);
    CHECK(pid >= 0);
    if (pid == 0)
        child(seed, threads);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        violation("a child ended with status %#x", (unsigned)status);
    atomic_fetch_add(&counts->forks, 1);
}

/* Threads that come and go; all of them have ended when this returns. */
static void run_threads(uint64_t *seed)
{
    static struct worker workers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].seed = *seed + 1000 * i;
        start(&workers[i]);
    }
    for (size_t round = random_below(seed, scaled(16, 1)); round > 0; round--) {
        if (random_below(seed, 4) == 0)
            fork_and_wait(seed, WORKERS);
        struct worker *worker = &workers[random_below(seed, WORKERS)];
        CHECK(pthread_join(worker->thread, NULL) == 0);
        start(worker);
    }
    for (size_t i = 0; i < WORKERS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
}

int main(void)
{
    tell_of_childrens_threads();
    const char *asked = getenv("CMEMPOOL_SOAK_SECONDS");
    double end = now() + (asked != NULL ? atof(asked) : under_valgrind() ? 0 : 2);
    uint64_t seed = 1;
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(counts != MAP_FAILED);
    for (size_t i = 0; i < POOLS; i++)
        make(&pools[i], &seed);
    do {
        run_threads(&seed);
        compare_counts();
        take_the_rest(&pools[random_below(&seed, POOLS)], &seed);
        compare_counts();
        if (random_below(&seed, scaled(4, 1)) == 0)
            fork_and_wait(&seed, 0);
        replace(&pools[random_below(&seed, POOLS)], &seed);
        CHECK(atomic_load(&counts->violations) == 0);
    } while (now() < end);
    empty_places(NULL);
    compare_counts();
    for (size_t i = 0; i < POOLS; i++) {
        if (used(&pools[i]) != 0 || dynamic(&pools[i]) != 0)
            violation("entries are out that nobody has");
        destroy(&pools[i]);
    }
    if (asked != NULL)
        printf("%llu operations, %llu pools, %llu threads, %llu forks, %llu dynamic entries seen, "
               "%lu violations\n",
               atomic_load(&counts->operations), atomic_load(&counts->pools),
               atomic_load(&counts->threads), atomic_load(&counts->forks),
               atomic_load(&counts->dynamic_entries), atomic_load(&counts->violations));
    CHECK(atomic_load(&counts->violations) == 0);
    return done();
}
