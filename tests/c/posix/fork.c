/* Can a child of fork use every pool of its parent's, whatever other threads were doing? */
#ifdef __linux__
#include "../check_linux.h"
#else
#include "../check_posix.h"

/* There is no such call that could be refused. */
static bool refuse_membarrier(void)
{
    return false;
}
#endif

#include <pthread.h>
#include <sched.h>
#include <time.h>

enum {
    WORKERS = 3,
    MOST = 400,
    ENTRIES = 1000,
    PASSING = 4,                      /* dynamic entries of the thread that notes none */
    UNDER_WAY = WORKERS + PASSING + 1 /* calls of the others, and what they do not note */
};

/* What is asked of a pool. */
enum kind { ORDINARY, SMALL, RANGED, DYNAMIC, IN_BUFFER, KINDS };

static const char *const names[KINDS] = {"ordinary", "small", "ranged", "dynamic", "in a buffer"};

struct pool {
    mempool *mp;
    r_mempool *rmp;
    size_t capacity; /* without dynamic entries */
};

static struct pool pools[KINDS];
static _Alignas(16) unsigned char buffer[MEMPOOL_BUFFER_SIZE(ENTRIES, sizeof(size_t))];

/* A thread notes an entry after it took it and clears the note before it gives it back. At any moment
 * the pool's count is that of the notes, and at most one more for each thread. A note is one word,
 * since a child may see another page of memory at another moment. */
struct worker {
    pthread_t thread;
    size_t number;
    uint64_t seed;
    struct {
        _Atomic(atomic_size_t *) held[MOST];
    } of[KINDS];
    size_t counts[KINDS]; /* for the thread itself */
};

static struct worker workers[WORKERS + 1]; /* the last is the forking thread */
static atomic_bool over;

static void make_pools(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = ENTRIES;
    options.elem_size = sizeof(size_t);
    options.buffer = buffer;
    options.buffer_size = sizeof buffer;
    pools[ORDINARY].mp = mempool_create(ENTRIES, sizeof(size_t), false);
    pools[SMALL].mp = mempool_create(20, sizeof(size_t), false);
    pools[RANGED].rmp = r_mempool_create(16, 64, ENTRIES, fallback_disabled);
    pools[DYNAMIC].mp = mempool_create(1, sizeof(size_t), true);
    pools[IN_BUFFER].mp = mempool_create_with(&options);
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct pool *pool = &pools[kind];
        CHECK(pool->mp != NULL || pool->rmp != NULL);
        if (pool->mp != NULL)
            pool->capacity = mempool_total_capacity(pool->mp);
        for (size_t size = 16; pool->rmp != NULL && size <= 64; size *= 2)
            pool->capacity += r_mempool_total_capacity(pool->rmp, size);
    }
}

static void *take(size_t kind)
{
    return pools[kind].mp != NULL ? mempool_alloc_entry(pools[kind].mp)
                                  : r_mempool_alloc_entry(pools[kind].rmp, sizeof(size_t));
}

static void give(size_t kind, void *entry)
{
    if (pools[kind].mp != NULL)
        mempool_free_entry(entry);
    else
        r_mempool_free_entry(entry);
}

static size_t used(size_t kind)
{
    size_t sum = 0;
    if (pools[kind].mp != NULL)
        return mempool_used_count(pools[kind].mp);
    for (size_t size = 16; size <= 64; size *= 2)
        sum += r_mempool_used_count(pools[kind].rmp, size);
    return sum;
}

static size_t noted(size_t kind)
{
    size_t sum = 0;
    for (size_t i = 0; i < LENGTH(workers); i++)
        for (size_t j = 0; j < MOST; j++)
            sum += atomic_load(&workers[i].of[kind].held[j]) != NULL;
    return sum;
}

static bool take_one(struct worker *self, size_t kind)
{
    size_t count = self->counts[kind];
    atomic_size_t *entry = count < MOST ? take(kind) : NULL;
    if (entry == NULL)
        return false;
    CHECK(atomic_exchange(entry, self->number) == 0);
    atomic_store(&self->of[kind].held[count], entry);
    self->counts[kind]++;
    return true;
}

static void give_one(struct worker *self, size_t kind)
{
    size_t last = --self->counts[kind];
    atomic_size_t *entry = atomic_exchange(&self->of[kind].held[last], NULL);
    CHECK(atomic_exchange(entry, 0) == self->number);
    give(kind, entry);
}

/* New memory has no marks: the first to take an entry clears it. Dynamic entries come from the heap,
 * and are marked by who takes them. */
static void clear_marks(size_t kind)
{
    static void *all[2 * ENTRIES];
    size_t count = 0;
    while (count < pools[kind].capacity && (all[count] = take(kind)) != NULL)
        atomic_store((atomic_size_t *)all[count++], 0);
    CHECK(count == pools[kind].capacity);
    while (count > 0)
        give(kind, all[--count]);
}

static void *work(void *argument)
{
    struct worker *self = argument;
    while (!atomic_load(&over)) {
        size_t kind = random_below(&self->seed, KINDS);
        size_t most = random_below(&self->seed, MOST), calls = random_below(&self->seed, 1000);
        for (size_t i = 0; i < calls && !atomic_load(&over); i++)
            if (kind == DYNAMIC || random_below(&self->seed, 8) == 0) {
                /* Few, since each may be one of the heap's. */
                void *entry = take(DYNAMIC);
                CHECK(entry != NULL);
                give(DYNAMIC, entry);
                kind = random_below(&self->seed, KINDS);
            } else if (self->counts[kind] < most) {
                take_one(self, kind);
            } else if (self->counts[kind] > 0) {
                give_one(self, kind);
            }
        mempool *own = random_below(&self->seed, 4) == 0 ? mempool_create(200, 8, false) : NULL;
        mempool_destroy(own);
    }
    return NULL;
}

/* Threads, pools and dynamic entries that come and go: indices, the list of pools and the pool's list of
 * dynamic entries change while the main thread forks. */
static void *short_life(void *argument)
{
    give(ORDINARY, take(ORDINARY));
    return argument;
}

static void *come_and_go(void *argument)
{
    for (size_t round = 0; !atomic_load(&over); round++) {
        pthread_t thread;
        if (round % 8 == 0) {
            CHECK(pthread_create(&thread, NULL, short_life, NULL) == 0);
            CHECK(pthread_join(thread, NULL) == 0);
        }
        mempool *own[2] = {mempool_create(2, 8, false), mempool_create(2, 8, false)};
        CHECK(own[0] != NULL && own[1] != NULL);
        mempool_destroy(own[round % 2]);
        void *entries[PASSING];
        for (size_t i = 0; i < 50 * PASSING; i++) {
            if (i >= PASSING)
                give(DYNAMIC, entries[i % PASSING]);
            entries[i % PASSING] = take(DYNAMIC);
            CHECK(entries[i % PASSING] != NULL);
        }
        for (size_t i = 0; i < PASSING; i++)
            give(DYNAMIC, entries[i]);
        mempool_destroy(own[1 - round % 2]);
    }
    return argument;
}

/* ---- The child ---- */

/* Says what is wrong in the child, where nobody reads a count of checks. */
#define REQUIRE(condition)                                                                        \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: in the child: %s [%s]\n", __FILE__, __LINE__, #condition,     \
                    check_row);                                                                   \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

/* Takes all there is of a pool: no entry twice, none that is noted, and as many as must be there. */
static void take_all(size_t kind)
{
    static atomic_size_t *all[2 * ENTRIES];
    size_t count = 0, capacity = pools[kind].capacity, before = used(kind), known = noted(kind);
    row("%s pool of %zu, %zu out, %zu noted", names[kind], capacity, before, known);
    REQUIRE(before >= known && before <= known + UNDER_WAY);
    while (count < capacity - before && (all[count] = take(kind)) != NULL) {
        atomic_size_t *entry = all[count++];
        REQUIRE(atomic_exchange(entry, 1000) != 1000);
    }
    REQUIRE(count == capacity - before && used(kind) == capacity);
    for (size_t i = 0; i < LENGTH(workers); i++)
        for (size_t j = 0; j < MOST; j++) {
            atomic_size_t *entry = atomic_load(&workers[i].of[kind].held[j]);
            REQUIRE(entry == NULL || atomic_load(entry) == i + 1);
        }
    if (kind == DYNAMIC) {
        void *more[10];
        size_t from_heap = mempool_dynamic_allocs_count(pools[kind].mp);
        REQUIRE(from_heap <= UNDER_WAY);
        for (size_t i = 0; i < LENGTH(more); i++)
            REQUIRE((more[i] = take(kind)) != NULL);
        REQUIRE(mempool_dynamic_allocs_count(pools[kind].mp) == from_heap + LENGTH(more));
        for (size_t i = 0; i < LENGTH(more); i++)
            give(kind, more[i]);
        REQUIRE(mempool_dynamic_allocs_count(pools[kind].mp) == from_heap);
    } else {
        REQUIRE(take(kind) == NULL);
    }
    while (count > 0) {
        atomic_store(all[--count], 0);
        give(kind, all[count]);
    }
    REQUIRE(used(kind) == before);
}

static void *use_all(void *argument)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        void *entries[12];
        for (size_t round = 0; round < 20; round++) {
            size_t count = 0;
            while (count < LENGTH(entries) && (entries[count] = take(kind)) != NULL)
                count++;
            while (count > 0)
                give(kind, entries[--count]);
        }
    }
    return argument;
}

static void use_everything(void)
{
    alarm((unsigned)scaled(10, 60));
    for (size_t kind = 0; kind < KINDS; kind++)
        take_all(kind);

    /* What any thread took before can be given back. */
    for (size_t kind = 0; kind < KINDS; kind++) {
        size_t before = used(kind), known = noted(kind);
        for (size_t i = 0; i < LENGTH(workers); i++)
            for (size_t j = 0; j < MOST; j++) {
                atomic_size_t *entry = atomic_exchange(&workers[i].of[kind].held[j], NULL);
                if (entry != NULL)
                    atomic_store(entry, 0);
                give(kind, entry);
            }
        row("%s pool, all given back", names[kind]);
        REQUIRE(before - used(kind) == known);
        take_all(kind);
    }

    /* New threads, of which some get the indices of those that are gone. */
    pthread_t threads[WORKERS];
    for (size_t i = 0; children_start_threads() && i < LENGTH(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, use_all, NULL) == 0);
    for (size_t i = 0; children_start_threads() && i < LENGTH(threads); i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    for (size_t kind = 0; kind < KINDS; kind++)
        take_all(kind);
    mempool *own = mempool_create(100, 8, false);
    REQUIRE(own != NULL && mempool_alloc_entry(own) != NULL);
    mempool_destroy(own);
}

/* The end of a child in which all went well: at an exit valgrind would take for leaks what the threads
 * that are gone left behind, and change the status. */
static _Noreturn void end_well(void)
{
    for (;;)
        raise(SIGKILL);
}

static bool ended_well(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void in_child(bool deeper)
{
    use_everything();
    if (deeper) {
        pid_t grandchild = fork();
        REQUIRE(grandchild >= 0);
        if (grandchild == 0) {
            use_everything();
            end_well();
        }
        int status;
        REQUIRE(waitpid(grandchild, &status, 0) == grandchild && ended_well(status));
    }
    for (size_t kind = 0; kind < KINDS; kind++) {
        mempool_destroy(pools[kind].mp);
        r_mempool_destroy(pools[kind].rmp);
    }
    end_well();
}

static void fork_and_wait(bool deeper)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        in_child(deeper);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(ended_well(status));
}

static void forks_while_others_work(void)
{
    struct worker *self = &workers[WORKERS];
    pthread_t passing;
    make_pools();
    for (size_t kind = 0; kind < KINDS; kind++)
        clear_marks(kind);
    for (size_t i = 0; i < LENGTH(workers); i++) {
        workers[i].number = i + 1;
        workers[i].seed = i;
    }
    for (size_t i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    CHECK(pthread_create(&passing, NULL, come_and_go, NULL) == 0);
    for (size_t i = 0; i < scaled(300, 4); i++) {
        for (size_t j = 0; j < 20; j++) {
            size_t kind = random_below(&self->seed, DYNAMIC);
            if (self->counts[kind] < 5)
                take_one(self, kind);
            else
                give_one(self, kind);
        }
        fork_and_wait(i % 8 == 0);
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < WORKERS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    CHECK(pthread_join(passing, NULL) == 0);
    for (size_t kind = 0; kind < KINDS; kind++) {
        row("%s pool, in the parent", names[kind]);
        CHECK(used(kind) == noted(kind));
        for (size_t i = 0; i < LENGTH(workers); i++)
            while (workers[i].counts[kind] > 0)
                give_one(&workers[i], kind);
        CHECK(used(kind) == 0);
        clear_marks(kind);
        mempool_destroy(pools[kind].mp);
        r_mempool_destroy(pools[kind].rmp);
    }
}

/* ---- Hardened pools look at all their entries when they end ---- */

enum { LARGE = 1 << 16, LARGE_COUNT = 20 };

static r_mempool *hardened;
static atomic_bool enough;

static void *take_resize_and_give(void *unused)
{
    (void)unused;
    while (!atomic_load(&enough)) {
        void *entry = r_mempool_alloc_entry(hardened, 100);
        CHECK(entry != NULL);
        entry = r_mempool_realloc_entry(hardened, entry, LARGE);
        entry = r_mempool_realloc_entry(hardened, entry, LARGE / 2);
        r_mempool_free_entry(entry);
    }
    return NULL;
}

static void reset_and_destroy(void)
{
    r_mempool_reset(hardened);
    for (size_t i = 0; i < LARGE_COUNT; i++)
        REQUIRE(r_mempool_alloc_entry(hardened, LARGE) != NULL);
    REQUIRE(r_mempool_alloc_entry(hardened, LARGE) == NULL);
    REQUIRE(r_mempool_used_count(hardened, LARGE) == LARGE_COUNT);
    r_mempool_destroy(hardened);
}

/* They take nothing of what a thread was doing that is gone for damage, and a reset has all entries back. */
static void hardened_pools_end_in_a_child(void)
{
    r_mempool_class classes[] = {{LARGE, LARGE_COUNT}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.flags = MEMPOOL_HARDENED;
    hardened = r_mempool_create_with(&options);
    CHECK(hardened != NULL);
    pthread_t threads[2];
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, take_resize_and_give, NULL) == 0);
    for (size_t i = 0; i < scaled(200, 4); i++) {
        row("hardened pool, child %zu", i);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            if (i % 2 == 0)
                reset_and_destroy();
            else
                r_mempool_destroy(hardened);
            end_well();
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && ended_well(status));
    }
    atomic_store(&enough, true);
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    r_mempool_destroy(hardened);
}

/* ---- Without membarrier ---- */

static atomic_bool in_use, unused;

static void *keep_a_cache(void *argument)
{
    give(ORDINARY, take(ORDINARY));
    atomic_store(&in_use, true);
    while (!atomic_load(&unused))
        usleep(100);
    return argument;
}

/* Refused when there are pools, and others' caches can't be closed: what is in them is lost to the
 * child, which can use what is left. */
static void refused_late(void)
{
    void *held[10], *more[100];
    pthread_t thread, another;
    make_pools();
    for (size_t i = 0; i < LENGTH(held); i++)
        held[i] = take(ORDINARY);
    CHECK(pthread_create(&thread, NULL, keep_a_cache, NULL) == 0);
    while (!atomic_load(&in_use))
        usleep(100);
    CHECK(refuse_membarrier());
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        size_t before = used(ORDINARY);
        row("refused late, %zu out", before);
        REQUIRE(before >= LENGTH(held) && before <= ENTRIES / 2);
        for (size_t i = 0; i < LENGTH(more); i++)
            REQUIRE((more[i] = take(ORDINARY)) != NULL);
        REQUIRE(used(ORDINARY) == before + LENGTH(more));
        for (size_t i = 0; i < LENGTH(more); i++)
            give(ORDINARY, more[i]);
        for (size_t i = 0; i < LENGTH(held); i++)
            give(ORDINARY, held[i]);
        REQUIRE(used(ORDINARY) == before - LENGTH(held));
        REQUIRE(pthread_create(&another, NULL, use_all, NULL) == 0);
        REQUIRE(pthread_join(another, NULL) == 0);
        REQUIRE(used(ORDINARY) == before - LENGTH(held));
        end_well();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && ended_well(status));
    CHECK(used(ORDINARY) == LENGTH(held));
    atomic_store(&unused, true);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* Refused before the first pool is made, so that none counts on it. */
static void refused_early(void)
{
    CHECK(refuse_membarrier());
    forks_while_others_work();
}

/* In a process of its own, since a filter stays. */
static void without_membarrier(void (*run)(void))
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        run();
        end_well();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && ended_well(status));
}

static bool can_refuse(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(refuse_membarrier() ? 0 : 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status) == 0;
}

int main(void)
{
    tell_of_childrens_threads();
    if (can_refuse()) {
        without_membarrier(refused_early);
        without_membarrier(refused_late);
    } else {
        puts("no filter can be installed here: forks with membarrier alone");
    }
    forks_while_others_work();
    if (!under_valgrind()) /* which lets the forking thread wait for long */
        hardened_pools_end_in_a_child();
    return done();
}
