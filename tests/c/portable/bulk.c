/* Do many entries at once go out and come back like one after the other, and does a reset bring all? */
#include "../check_child.h"
#include "../check_memory.h"
#include "../check_threads.h"

enum { MOST = 3000 };

static void *entries[MOST], *others[MOST];
static uint64_t stamps[MOST];

static mempool *make(size_t count, size_t size, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = size;
    options.flags = flags;
    options.name = "bulk";
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static size_t used(const mempool *mp)
{
    return mempool_used_count(mp) + mempool_dynamic_allocs_count(mp);
}

static void hold(size_t size, void *const *array, size_t n, size_t start)
{
    for (size_t i = 0; i < n; i++)
        CHECK(all_bytes(array[i], (unsigned char)((start + i) % 251), size));
}

/* Each is there once, and can be written to. */
static void each_once(const mempool *mp, size_t size, void *const *array, size_t n, size_t start)
{
    for (size_t i = 0; i < n; i++) {
        CHECK(array[i] != NULL && aligned(array[i], 16) && mempool_owner(array[i]) == mp);
        memset(array[i], (int)((start + i) % 251), size);
    }
    hold(size, array, n, start);
}

static void every_size(size_t count, uint64_t flags)
{
    mempool *mp = make(count, 24, flags);
    for (size_t n = 0; n <= count; n += n / 8 + 1) {
        row("%zu of %zu, flags %u", n, count, (unsigned)flags);
        CHECK(mempool_alloc_bulk(mp, entries, n));
        CHECK(used(mp) == n);
        each_once(mp, 24, entries, n, 0);
        /* What is left and one more is too much, and changes nothing. */
        size_t left = count - n;
        memset(others, 0xAA, sizeof others);
        if ((flags & MEMPOOL_FALL_BACK) == 0) {
            CHECK_FAILS(mempool_alloc_bulk(mp, others, left + 1), ENOMEM);
            CHECK(used(mp) == n && all_bytes(others, 0, (left + 1) * sizeof others[0]));
            CHECK(all_bytes(&others[left + 1], 0xAA, sizeof others[0]));
        }
        CHECK(mempool_alloc_bulk(mp, others, left));
        CHECK(used(mp) == count && mempool_dynamic_allocs_count(mp) == 0);
        each_once(mp, 24, others, left, 77);
        hold(24, entries, n, 0);
        mempool_free_bulk(others, left);
        CHECK(used(mp) == n);
        for (size_t i = 0; i < n; i += 2)
            mempool_free_entry(entries[i]);
        CHECK(used(mp) == n / 2);
        mempool_free_bulk(entries, n); /* NULL in every second place */
        CHECK(used(mp) == 0);
    }
    mempool_destroy(mp);
}

/* Bulk and single calls mixed, with caches open: never near a shortage. */
static void mixed(uint64_t flags)
{
    row("mixed, flags %u", (unsigned)flags);
    mempool *mp = make(MOST, 24, flags);
    uint64_t seed = 5, stamp = 0;
    size_t held = 0;
    for (size_t step = 0; step < scaled(4000, 400); step++) {
        size_t n = random_below(&seed, 4) == 0 ? random_below(&seed, 300) : random_below(&seed, 20);
        if (random_below(&seed, 2) == 0 && held + n < MOST / 2) {
            if (random_below(&seed, 3) > 0)
                CHECK(mempool_alloc_bulk(mp, &entries[held], n));
            else
                for (size_t i = 0; i < n; i++)
                    CHECK((entries[held + i] = mempool_alloc_entry(mp)) != NULL);
            for (size_t i = held; i < held + n; i++) {
                stamps[i] = ++stamp;
                memcpy(entries[i], &stamp, sizeof stamp);
            }
            held += n;
        } else {
            n = n < held ? n : held;
            for (size_t i = held - n; i < held; i++)
                CHECK(memcmp(entries[i], &stamps[i], sizeof stamps[i]) == 0);
            held -= n;
            if (random_below(&seed, 3) > 0)
                mempool_free_bulk(&entries[held], n);
            else
                for (size_t i = held; i < held + n; i++)
                    (mempool_free_entry)(entries[i]);
        }
        CHECK(used(mp) == held);
    }
    mempool_destroy(mp);
}

static void zeroed(void)
{
    row("zero on free");
    mempool *mp = make(500, 40, MEMPOOL_ZERO_ON_FREE);
    CHECK(mempool_alloc_bulk(mp, entries, 500));
    each_once(mp, 40, entries, 500, 0);
    mempool_free_bulk(entries, 500);
    CHECK(mempool_alloc_bulk(mp, entries, 500));
    for (size_t i = 0; i < 500; i++)
        CHECK(all_bytes(entries[i], 0, 40));
    mempool_reset(mp);
    CHECK(mempool_alloc_bulk(mp, entries, 500));
    for (size_t i = 0; i < 500; i++)
        CHECK(all_bytes(entries[i], 0, 40));
    mempool_destroy(mp);
}

static void from_the_heap(void)
{
    row("fallback");
    mempool *mp = make(100, 40, MEMPOOL_FALL_BACK);
    CHECK(mempool_alloc_bulk(mp, entries, 70));
    CHECK(mempool_alloc_bulk(mp, others, 50));
    CHECK(mempool_used_count(mp) == 100 && mempool_dynamic_allocs_count(mp) == 20);
    each_once(mp, 40, others, 50, 0);
    mempool_free_bulk(others, 50);
    CHECK(used(mp) == 70);
    mempool_free_bulk(entries, 70);
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(mp, &stats));
    CHECK(stats.peak_used == 100 && stats.dynamic_peak == 20 && stats.exhausted == 1);
    CHECK(stats.failed == 0 && used(mp) == 0);
    mempool_destroy(mp);
}

static void ranged(void)
{
    row("ranged");
    r_mempool *rmp = r_mempool_create(16, 128, 64, fallback_disabled);
    CHECK(rmp != NULL);
    CHECK(r_mempool_alloc_bulk(rmp, 20, entries, 30));
    CHECK(r_mempool_used_count(rmp, 20) == 30);
    /* 2 of 32 bytes are left, 16 of 64, 8 of 128. */
    CHECK_FAILS(r_mempool_alloc_bulk(rmp, 20, others, 27), ENOMEM);
    CHECK(r_mempool_used_count(rmp, 20) == 30 && r_mempool_used_count(rmp, 128) == 0);
    CHECK(r_mempool_alloc_bulk(rmp, 20, others, 26));
    CHECK(r_mempool_used_count(rmp, 128) == 8 && mempool_usable_size(others[25]) == 128);
    /* Of several classes in turn. */
    for (size_t i = 0; i < 26; i += 2) {
        void *swapped = others[i];
        others[i] = entries[i];
        entries[i] = swapped;
    }
    mempool_free_bulk(others, 26);
    mempool_free_bulk(entries, 30);
    for (size_t size = 16; size <= 128; size *= 2)
        CHECK(r_mempool_used_count(rmp, size) == 0);
    CHECK_FAILS(r_mempool_alloc_bulk(rmp, 0, entries, 1), EINVAL);
    CHECK_FAILS(r_mempool_alloc_bulk(rmp, 129, entries, 1), EINVAL);
    CHECK_FAILS(r_mempool_alloc_bulk(rmp, 16, NULL, 1), EINVAL);
    CHECK_FAILS(r_mempool_alloc_bulk(NULL, 16, entries, 1), EINVAL);
    CHECK(r_mempool_alloc_bulk(NULL, 0, NULL, 0));
    CHECK(r_mempool_alloc_bulk(rmp, 100, entries, 8));
    r_mempool_reset(rmp);
    r_mempool_reset(NULL);
    CHECK(r_mempool_used_count(rmp, 100) == 0 && r_mempool_alloc_bulk(rmp, 100, entries, 8));
    r_mempool_destroy(rmp);
}

static void several_owners(void)
{
    row("several owners");
    mempool *a = make(100, 24, MEMPOOL_FALL_BACK), *b = make(100, 24, MEMPOOL_HARDENED);
    CHECK(mempool_alloc_bulk(a, entries, 120) && mempool_alloc_bulk(b, others, 100));
    for (size_t i = 0; i < 100; i += 3) {
        void *swapped = others[i];
        others[i] = entries[i];
        entries[i] = swapped;
    }
    mempool_free_bulk(entries, 120);
    mempool_free_bulk(others, 100);
    CHECK(used(a) == 0 && used(b) == 0);
    mempool_destroy(a);
    mempool_destroy(b);
}

static void arguments(void)
{
    row("arguments");
    mempool *mp = make(10, 24, 0);
    CHECK_FAILS(mempool_alloc_bulk(NULL, entries, 1), EINVAL);
    CHECK_FAILS(mempool_alloc_bulk(mp, NULL, 1), EINVAL);
    CHECK(mempool_alloc_bulk(mp, NULL, 0) && mempool_alloc_bulk(NULL, NULL, 0));
    mempool_free_bulk(NULL, 5);
    mempool_free_bulk(entries, 0);
    mempool_reset(NULL);
    CHECK(used(mp) == 0);
    mempool_destroy(mp);
}

/* ---- Misuse -------------------------------------------------------------------------------- */

static void free_entries(void *count)
{
    mempool_free_bulk(entries, *(size_t *)count);
}

static void misused(uint64_t flags)
{
    row("misuse, flags %u", (unsigned)flags);
    mempool *mp = make(200, 24, flags);
    size_t ten = 10, one = 1;
    CHECK(mempool_alloc_bulk(mp, entries, 10));
    void *kept = entries[7];
    entries[7] = entries[2];
    EXPECT_ABORT(free_entries, &ten, "double free", "\"bulk\"");
    entries[7] = (char *)kept + 16;
    EXPECT_ABORT(free_entries, &ten, "\"bulk\"");
    entries[7] = kept;
    mempool_free_bulk(entries, 10);
    EXPECT_ABORT(free_entries, &one, "double free", "\"bulk\"");
    mempool_destroy(mp);
}

/* ---- Reset --------------------------------------------------------------------------------- */

static void free_one(void *entry)
{
    (mempool_free_entry)(entry);
}

static void resets(size_t count, uint64_t flags)
{
    row("reset, %zu entries, flags %u", count, (unsigned)flags);
    mempool *mp = make(count, 24, flags);
    size_t dynamic = flags & MEMPOOL_FALL_BACK ? 10 : 0;
    for (size_t out = 0; out <= count + dynamic; out += out / 2 + 1) {
        CHECK(mempool_alloc_bulk(mp, entries, out));
        for (size_t i = 0; i < out; i += 5)
            (mempool_free_entry)(entries[i]);
        mempool_reset(mp);
        CHECK(used(mp) == 0);
        if (out > 1 && out <= count) {
            void *one = mempool_alloc_entry(mp);
            void *stale = one == entries[out - 1] ? entries[out - 2] : entries[out - 1];
            EXPECT_ABORT(free_one, stale, "double free", "\"bulk\"");
            mempool_free_entry(one);
        }
        /* All there is can be had, once. */
        CHECK(mempool_alloc_bulk(mp, entries, count));
        each_once(mp, 24, entries, count, 0);
        if (dynamic == 0)
            CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
        mempool_free_bulk(entries, count);
        CHECK(used(mp) == 0);
    }
    mempool_destroy(mp);
}

/* Threads with caches of their own, who use the pool before and after. */
enum { THREADS = 3 };

struct turn {
    mempool *mp;
    struct barrier *barrier;
};

static void *take_turns(void *argument)
{
    struct turn *turn = argument;
    void *held[300];
    for (int round = 0; round < 20; round++) {
        barrier_wait(turn->barrier);
        for (int again = 0; again < 3; again++) {
            CHECK(mempool_alloc_bulk(turn->mp, held, 300));
            for (size_t i = 0; i < 300; i++)
                memset(held[i], (int)i, 24);
            for (size_t i = 0; i < 300; i++)
                CHECK(all_bytes(held[i], (unsigned char)i, 24));
            if (again < 2)
                mempool_free_bulk(held, 300);
            if (again == 1 && round % 2 == 0)
                for (size_t i = 0; i < 300; i++)
                    CHECK((held[i] = mempool_alloc_entry(turn->mp)) != NULL);
            if (again == 1 && round % 2 == 0)
                for (size_t i = 0; i < 300; i++)
                    mempool_free_entry(held[i]);
        }
        barrier_wait(turn->barrier);
    }
    return NULL;
}

static void reset_between_threads(void)
{
    row("reset between threads");
    struct barrier barrier;
    CHECK(barrier_init(&barrier, THREADS + 1));
    struct turn turn = {make(1000, 24, 0), &barrier};
    struct thread threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        CHECK(thread_start(&threads[i], take_turns, &turn));
    for (int round = 0; round < 20; round++) {
        barrier_wait(&barrier);
        barrier_wait(&barrier);
        CHECK(used(turn.mp) == THREADS * 300);
        mempool_reset(turn.mp);
        CHECK(used(turn.mp) == 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        CHECK(thread_join(&threads[i]));
    CHECK(mempool_alloc_bulk(turn.mp, entries, 1000));
    mempool_destroy(turn.mp);
    barrier_destroy(&barrier);
}

/* What another thread has in its cache is there for a bulk call too. */
static void *fill_cache(void *argument)
{
    struct turn *turn = argument;
    void *held[200];
    for (size_t i = 0; i < 200; i++)
        CHECK((held[i] = mempool_alloc_entry(turn->mp)) != NULL);
    for (size_t i = 0; i < 200; i++)
        mempool_free_entry(held[i]);
    barrier_wait(turn->barrier);
    barrier_wait(turn->barrier);
    return NULL;
}

static void all_of_it(void)
{
    row("what is in another thread's cache");
    struct barrier barrier;
    CHECK(barrier_init(&barrier, 2));
    struct turn turn = {make(1000, 24, 0), &barrier};
    void *one = mempool_alloc_entry(turn.mp); /* the caller has a cache too */
    struct thread thread;
    CHECK(thread_start(&thread, fill_cache, &turn));
    barrier_wait(&barrier);
    CHECK(mempool_alloc_bulk(turn.mp, entries, 999));
    memset(one, 1, 24);
    each_once(turn.mp, 24, entries, 999, 0);
    CHECK(all_bytes(one, 1, 24));
    CHECK_FAILS(mempool_alloc_bulk(turn.mp, others, 1), ENOMEM);
    mempool_free_bulk(entries, 999);
    mempool_free_entry(one);
    CHECK(mempool_alloc_bulk(turn.mp, entries, 1000));
    each_once(turn.mp, 24, entries, 1000, 0);
    barrier_wait(&barrier);
    CHECK(thread_join(&thread));
    mempool_destroy(turn.mp);
    barrier_destroy(&barrier);
}

/* ---- Calls that fail ----------------------------------------------------------------------- */

/* Fails while two threads have entries in their caches, and these stay there. */
/* Not byte by byte: what lies between the members is nobody's. */
static bool same(const mempool_stats *a, const mempool_stats *b)
{
    return a->elem_size == b->elem_size && a->capacity == b->capacity && a->used == b->used &&
           a->peak_used == b->peak_used && a->cached == b->cached && a->dynamic_used == b->dynamic_used &&
           a->dynamic_peak == b->dynamic_peak && a->exhausted == b->exhausted && a->failed == b->failed &&
           a->bytes_reserved == b->bytes_reserved && a->bytes_per_entry == b->bytes_per_entry &&
           a->cache_bytes == b->cache_bytes && a->notes == b->notes;
}

static void fails_unseen(size_t n)
{
    row("%zu of 1000, of which 999 are free", n);
    struct barrier barrier;
    CHECK(barrier_init(&barrier, 2));
    struct turn turn = {make(1000, 24, 0), &barrier};
    void *one = mempool_alloc_entry(turn.mp);
    struct thread thread;
    CHECK(thread_start(&thread, fill_cache, &turn));
    barrier_wait(&barrier);
    mempool_stats before, after;
    before.struct_size = after.struct_size = sizeof before;
    CHECK(mempool_get_stats(turn.mp, &before) && before.cached > 20 && before.used == 1);
    for (int times = 1; times <= 100; times++) {
        CHECK_FAILS(mempool_alloc_bulk(turn.mp, others, n), ENOMEM);
        before.exhausted++;
        before.failed++;
        CHECK(mempool_get_stats(turn.mp, &after) && same(&before, &after));
    }
    barrier_wait(&barrier);
    CHECK(thread_join(&thread));
    CHECK(mempool_alloc_bulk(turn.mp, entries, 999));
    mempool_free_entry(one);
    mempool_destroy(turn.mp);
    barrier_destroy(&barrier);
}

static r_mempool *contested;
static atomic_bool enough;
static atomic_size_t singles;

static void *take_one_at_a_time(void *missed)
{
    while (!atomic_load(&enough)) {
        void *entry = r_mempool_alloc_entry(contested, 32);
        *(size_t *)missed += entry == NULL || mempool_usable_size(entry) != 32;
        mempool_free_entry(entry);
        atomic_fetch_add(&singles, 1);
    }
    return NULL;
}

static void *no_memory(size_t size, size_t alignment, void *first)
{
    bool gives = *(bool *)first;
    *(bool *)first = false;
    return gives ? heap_aligned(alignment, size) : NULL;
}

static void give_back(void *memory, size_t size, void *first)
{
    (void)size, (void)first;
    heap_aligned_free(memory);
}

/* Of 11 entries, too few for caches, two threads take one each, while a third wants more than there are of all sizes: they
 * get what they want, where they want it. */
static void fails_beside_others(r_memory_fallback_policy_t policy)
{
    row("singles beside calls that fail, policy %d", (int)policy);
    static const r_mempool_class classes[] = {{32, 11}, {64, 8}, {128, 4}};
    bool first = true;
    mempool_backing backing = MEMPOOL_BACKING_INIT;
    backing.alloc = no_memory;
    backing.free = give_back;
    backing.context = &first;
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.policy = policy;
    options.backing = &backing;
    contested = r_mempool_create_with(&options);
    CHECK(contested != NULL);
    void *one = r_mempool_alloc_entry(contested, 128);
    size_t missed[2] = {0, 0}, calls = 0, many = policy == fallback_at_first_exhaustion ? 12 : 24;
    struct thread threads[2];
    atomic_store(&enough, false);
    atomic_store(&singles, 0);
    for (size_t i = 0; i < 2; i++)
        CHECK(thread_start(&threads[i], take_one_at_a_time, &missed[i]));
    while (calls < scaled(20000, 500) || atomic_load(&singles) < scaled(20000, 500)) {
        CHECK_FAILS(r_mempool_alloc_bulk(contested, 32, others, many), ENOMEM);
        calls++;
    }
    atomic_store(&enough, true);
    for (size_t i = 0; i < 2; i++)
        CHECK(thread_join(&threads[i]));
    CHECK(missed[0] == 0 && missed[1] == 0);
    for (size_t i = 0; i < LENGTH(classes); i++) {
        mempool_stats stats = MEMPOOL_STATS_INIT;
        CHECK(r_mempool_get_stats(contested, i, &stats));
        CHECK(stats.exhausted == (i == 0 ? calls : 0) && stats.failed == stats.exhausted);
        CHECK(stats.peak_used <= (size_t)(i == 0 ? 2 : i == 2) && stats.dynamic_peak == 0);
        CHECK(stats.used == (i == 2));
    }
    mempool_free_entry(one);
    r_mempool_destroy(contested);
}

int main(void)
{
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_HARDENED, MEMPOOL_ZERO_ON_FREE,
                                     MEMPOOL_FALL_BACK};
    static const size_t counts[] = {1, 20, 100, 1000, 2500};
    for (size_t f = 0; f < LENGTH(flags); f++) {
        for (size_t c = 0; c < LENGTH(counts); c++)
            every_size(counts[c], flags[f]);
        for (size_t c = 0; c < 4; c++)
            resets(counts[c], flags[f]);
        misused(flags[f]);
        mixed(flags[f]);
    }
    zeroed();
    from_the_heap();
    ranged();
    several_owners();
    arguments();
    reset_between_threads();
    all_of_it();
    fails_unseen(1000);
    fails_unseen(1001);
    fails_unseen(MOST);
    fails_beside_others(fallback_disabled);
    fails_beside_others(fallback_at_first_exhaustion);
    fails_beside_others(fallback_at_last_exhaustion);
    return done();
}
