/* Is a pool whose every entry comes from the heap a pool like any other? */
#include "../check_child.h"
#include "../check_heap.h"
#include "../check_threads.h"

enum { COUNT = 50, THREADS = 4 };

static void *entries[2 * COUNT];

/* Each entry is a block of the heap's: it knows its size. */
static void comes_from_the_heap(void)
{
    mempool *mp = mempool_create(COUNT, 100, false);
    for (size_t i = 0; i < COUNT; i++) {
        size_t before = heap_use();
        entries[i] = mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL && address(entries[i]) % 16 == 0);
        CHECK(!heap_tells() || heap_use() >= before + 100);
        CHECK(mempool_used_count(mp) == i + 1 && mempool_dynamic_allocs_count(mp) == 0);
        memset(entries[i], (int)i, 100);
    }
    CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK(mempool_total_capacity(mp) == COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(all_bytes(entries[i], (unsigned char)i, 100));
        mempool_free_entry(entries[i]);
        CHECK(mempool_used_count(mp) == COUNT - 1 - i);
    }
    CHECK(mempool_alloc_entry(mp) != NULL); /* goes with the pool */
    mempool_destroy(mp);
}

static void falls_back(void)
{
    mempool *mp = mempool_create(COUNT, 100, true);
    for (size_t i = 0; i < 2 * COUNT; i++)
        CHECK((entries[i] = mempool_alloc_entry(mp)) != NULL);
    CHECK(mempool_used_count(mp) == COUNT && mempool_dynamic_allocs_count(mp) == COUNT);
    for (size_t i = 0; i < 2 * COUNT; i++)
        mempool_free_entry(entries[i]);
    CHECK(mempool_used_count(mp) == 0 && mempool_dynamic_allocs_count(mp) == 0);
    mempool_destroy(mp);
}

static void ranged(void)
{
    r_mempool *rmp = r_mempool_create(16, 64, 8, fallback_disabled);
    char *entry = r_mempool_alloc_entry(rmp, 20);
    CHECK(entry != NULL && r_mempool_used_count(rmp, 20) == 1);
    memset(entry, 7, 20);
    entry = r_mempool_realloc_entry(rmp, entry, 60);
    CHECK(entry != NULL && all_bytes(entry, 7, 20));
    CHECK(r_mempool_used_count(rmp, 20) == 0 && r_mempool_used_count(rmp, 60) == 1);
    r_mempool_free_entry(entry);
    /* 8 of 16 bytes, 4 of 32 and 2 of 64: a request goes on to the larger classes. */
    for (size_t i = 0; i < 14; i++)
        CHECK((entries[i] = r_mempool_alloc_entry(rmp, 16)) != NULL);
    CHECK_FAILS(r_mempool_alloc_entry(rmp, 16), ENOMEM);
    for (size_t i = 0; i < 14; i++)
        r_mempool_free_entry(entries[i]);
    CHECK(r_mempool_used_count(rmp, 16) == 0 && r_mempool_used_count(rmp, 64) == 0);
    r_mempool_destroy(rmp);
}

static atomic_int at_work;

static void *fill(void *pool)
{
    void *mine[COUNT];
    for (int round = 0; round < (int)scaled(300, 5); round++) {
        size_t taken = 0;
        while (taken < COUNT && (mine[taken] = mempool_alloc_entry(pool)) != NULL)
            taken++;
        /* More than the pool has, if only for a moment, would count as from beyond it. */
        CHECK(mempool_dynamic_allocs_count(pool) == 0);
        for (size_t i = 0; i < taken; i++)
            mempool_free_entry(mine[i]);
    }
    atomic_fetch_sub(&at_work, 1);
    return NULL;
}

/* However many threads come at once, no more are out than the pool has. */
static void never_more(void)
{
    mempool *mp = mempool_create(COUNT, 16, false);
    struct thread threads[THREADS];
    atomic_store(&at_work, THREADS);
    for (int i = 0; i < THREADS; i++)
        CHECK(thread_start(&threads[i], fill, mp));
    while (atomic_load(&at_work) > 0)
        CHECK(mempool_dynamic_allocs_count(mp) == 0 && mempool_used_count(mp) <= COUNT);
    for (int i = 0; i < THREADS; i++)
        CHECK(thread_join(&threads[i]));
    CHECK(mempool_used_count(mp) == 0);
    mempool_destroy(mp);
}

/* An alloc looks at the entry that went out last, and says that it is an alloc. */
static void alloc_beside_a_damaged_one(void *mp)
{
    char *entry = mempool_alloc_entry(mp);
    CHECK(entry != NULL);
    memset(entry - 16, 'A', 8);
    mempool_alloc_entry(mp);
}

static void names_the_call(void)
{
    mempool *mp = mempool_create(COUNT, 16, false);
    EXPECT_ABORT(alloc_beside_a_damaged_one, mp, "cmempool: alloc of 0x",
                 ", whose header was overwritten");
    mempool_destroy(mp);
}

int main(void)
{
    set_environment("CMEMPOOL_OPTIONS", "bypass");
    comes_from_the_heap();
    falls_back();
    ranged();
    never_more();
    names_the_call();
    return done();
}
