/* Does a pool take its memory from the caller's functions, and from them alone, and give all of it back
 * as it was given?
 *
 * The functions of backing.h write each block down. Where a program can have the heap's function in the
 * place of the C library's, its calls are counted as well: a pool with a backing makes none. */
#include "../check_child.h"
#include "../backing.h"

enum { COUNT = 20, SIZE = 40, BEYOND = 7 };

/* Whether a pool's block is as large as a buffer would have to be. A hardened pool's may be larger, and one
 * that a sanitizer watches. */
static bool is_of_size(const void *pool, size_t needed, uint64_t flags)
{
#ifdef __SANITIZE_ADDRESS__
    flags = MEMPOOL_HARDENED;
#endif
    size_t size = block_of(pool)->size;
    return (flags & MEMPOOL_HARDENED) != 0 ? size >= needed : size == needed;
}

/* ---- The heap ---- */

static atomic_ulong heap_calls;

#ifndef _WIN32
int posix_memalign(void **result, size_t alignment, size_t size)
{
    heap_calls++;
    *result = heap_aligned(alignment, size);
    return *result != NULL ? 0 : ENOMEM;
}
#endif

/* ---- Pools ---- */

static r_mempool_options ranged_options(r_memory_fallback_policy_t policy)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 64;
    options.smallest_count = 8;
    options.policy = policy;
    options.backing = &backing;
    return options;
}

/* A pool of each sort: its own entries, those beyond, some freed and some left to destroy. */
static void every_sort(void)
{
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_NO_PREFAULT,
                                     MEMPOOL_ZERO_ON_FREE, MEMPOOL_HARDENED,
                                     MEMPOOL_HARDENED | MEMPOOL_ZERO_ON_FREE};
    static const struct {
        size_t count, size, alignment;
    } shapes[] = {{1, 1, 16}, {COUNT, SIZE, 16}, {COUNT, SIZE, 64}, {5, 100, 4096}, {1000, 24, 16},
                  {300, 9000, 16}};
    for (size_t s = 0; s < LENGTH(shapes); s++)
        for (size_t f = 0; f < LENGTH(flags); f++) {
            size_t count = shapes[s].count, size = shapes[s].size;
            row("%zu of %zu, alignment %zu, flags %#x", count, size, shapes[s].alignment,
                (unsigned)flags[f]);
            reset();
            unsigned long heap = heap_calls;
            mempool_options options = options_for(count, size, flags[f] | MEMPOOL_FALL_BACK);
            options.alignment = shapes[s].alignment;
            mempool *mp = mempool_create_with(&options);
            CHECK(mp != NULL && source.given == 1 && source.largest_alignment == 16);
            CHECK(block_of(mp) != NULL);
            CHECK(is_of_size(mp, mempool_buffer_size(&options), flags[f]));
            for (int round = 0; round < 2; round++) {
                take(mp, 0, count, size, shapes[s].alignment);
                CHECK(out() == 1);
                take(mp, count, count + BEYOND, size, shapes[s].alignment);
                CHECK(out() == 1 + BEYOND);
                CHECK(mempool_dynamic_allocs_count(mp) == BEYOND);
                for (size_t i = 0; i < count + BEYOND; i++) {
                    const struct block *block = block_of(entries[i]);
                    CHECK(block != NULL && (block == block_of(mp)) == (i < count));
                    CHECK(address(entries[i]) + size <= address(block->memory) + block->size);
                    /* A dynamic entry's block ends where it does, a hardened pool's 16 bytes later. */
                    size_t gap = flags[f] & MEMPOOL_HARDENED ? 16 : 0;
                    CHECK(i < count || address(entries[i]) + size + gap ==
                                           address(block->memory) + block->size);
                }
                CHECK(source.largest_alignment == shapes[s].alignment);
                size_t kept = round == 0 ? 0 : 3;
                give_entries(0, count + BEYOND - kept, size);
                CHECK(out() == 1 + kept && mempool_dynamic_allocs_count(mp) == kept);
                if (kept == 0)
                    CHECK(mempool_used_count(mp) == 0);
            }
            mempool_destroy(mp);
            CHECK(out() == 0 && heap_calls == heap);
        }
}

static void ranged(void)
{
    static const r_memory_fallback_policy_t policies[] = {
        fallback_disabled, fallback_at_first_exhaustion, fallback_at_last_exhaustion};
    for (size_t p = 0; p < LENGTH(policies); p++) {
        row("ranged, policy %d", (int)policies[p]);
        reset();
        unsigned long heap = heap_calls;
        r_mempool_options options = ranged_options(policies[p]);
        r_mempool *rmp = r_mempool_create_with(&options);
        CHECK(rmp != NULL && source.given == 1 && block_of(rmp) != NULL);
        CHECK(is_of_size(rmp, r_mempool_buffer_size(&options), 0));
        /* 8 of 16 bytes, 4 of 32, 2 of 64. */
        size_t own = policies[p] == fallback_at_first_exhaustion ? 8 : 14;
        for (size_t i = 0; i < own; i++)
            CHECK((entries[i] = r_mempool_alloc_entry(rmp, 16)) != NULL);
        CHECK(out() == 1);
        if (policies[p] == fallback_disabled) {
            CHECK_FAILS(r_mempool_alloc_entry(rmp, 16), ENOMEM);
        } else {
            char *entry = r_mempool_alloc_entry(rmp, 10);
            CHECK(entry != NULL && out() == 2);
            memset(entry, 'x', 10);
            /* Another one of the backing's, or a slot; the old one goes back. */
            entry = r_mempool_realloc_entry(rmp, entry, 50);
            CHECK(entry != NULL && all_bytes(entry, 'x', 10));
            CHECK(out() == (policies[p] == fallback_at_first_exhaustion ? 1u : 2u));
            CHECK(source.taken_back == 1);
            CHECK(r_mempool_alloc_entry(rmp, 16) != NULL); /* left to destroy */
        }
        r_mempool_destroy(rmp);
        CHECK(out() == 0 && heap_calls == heap);
    }
}

/* A reset gives back what is not the pool's own. */
static void reset_pools(void)
{
    row("reset");
    reset();
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_FALL_BACK);
    mempool *mp = mempool_create_with(&options);
    for (int round = 0; round < 2; round++) {
        take(mp, 0, COUNT + BEYOND, SIZE, 16);
        CHECK(out() == 1 + BEYOND);
        mempool_reset(mp);
        CHECK(out() == 1 && mempool_dynamic_allocs_count(mp) == 0);
    }
    mempool_destroy(mp);
    r_mempool_options r_options = ranged_options(fallback_at_first_exhaustion);
    r_mempool *rmp = r_mempool_create_with(&r_options);
    for (size_t i = 0; i < 8 + BEYOND; i++)
        CHECK(r_mempool_alloc_entry(rmp, 16) != NULL);
    CHECK(out() == 1 + BEYOND);
    r_mempool_reset(rmp);
    CHECK(out() == 1);
    r_mempool_destroy(rmp);
    CHECK(out() == 0);
}

/* The buffer has the pool, and the backing those beyond it. */
static void with_a_buffer(void)
{
    static char buffer[65536] __attribute__((aligned(64)));
    row("buffer and backing");
    reset();
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_FALL_BACK);
    options.buffer = buffer;
    options.buffer_size = sizeof buffer;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL && source.given == 0);
    CHECK(address(mp) - address(buffer) < sizeof buffer);
    take(mp, 0, COUNT + BEYOND, SIZE, 16);
    CHECK(out() == BEYOND);
    give_entries(0, COUNT + BEYOND - 2, SIZE);
    CHECK(out() == 2);
    mempool_destroy(mp);
    CHECK(out() == 0);
}

/* What the backing has no memory for is not there, and nothing stays behind. */
static void has_none(void)
{
    row("no memory for a pool");
    reset();
    source.fails_at = 1;
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_FALL_BACK);
    CHECK_FAILS(mempool_create_with(&options), ENOMEM);
    CHECK(source.given == 0 && source.refused == 1);
    r_mempool_options r_options = ranged_options(fallback_at_first_exhaustion);
    source.fails_at = 2;
    CHECK_FAILS(r_mempool_create_with(&r_options), ENOMEM);
    CHECK(source.given == 0 && source.refused == 2);

    row("no memory for an entry");
    for (size_t nth = 2; nth < 2 + BEYOND; nth++) {
        reset();
        source.fails_at = nth;
        mempool *mp = mempool_create_with(&options);
        CHECK(mp != NULL);
        take(mp, 0, COUNT + nth - 2, SIZE, 16);
        CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
        CHECK(source.refused == 1 && mempool_dynamic_allocs_count(mp) == nth - 2);
        take(mp, COUNT + nth - 2, COUNT + BEYOND, SIZE, 16);
        give_entries(0, COUNT + BEYOND, SIZE);
        mempool_destroy(mp);
        CHECK(out() == 0);
    }
    row("no memory for one of many");
    reset();
    source.fails_at = 4;
    mempool *mp = mempool_create_with(&options);
    CHECK_FAILS(mempool_alloc_bulk(mp, entries, COUNT + BEYOND), ENOMEM);
    CHECK(source.refused == 1 && out() == 1 && mempool_used_count(mp) == 0);
    CHECK(mempool_alloc_bulk(mp, entries, COUNT + BEYOND) && out() == 1 + BEYOND);
    mempool_destroy(mp);
    CHECK(out() == 0);

    row("no memory for an entry of a ranged pool");
    reset();
    source.fails_at = 2;
    r_mempool *rmp = r_mempool_create_with(&r_options);
    for (size_t i = 0; i < 8; i++)
        CHECK(r_mempool_alloc_entry(rmp, 16) != NULL);
    CHECK_FAILS(r_mempool_alloc_entry(rmp, 16), ENOMEM);
    CHECK(r_mempool_alloc_entry(rmp, 16) != NULL);
    r_mempool_destroy(rmp);
    CHECK(out() == 0);
}

/* What is at another address than it must be goes back at once. */
static void misplaced(void)
{
    row("badly aligned memory for a pool");
    reset();
    source.misplaces_at = 1;
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_FALL_BACK);
    CHECK_FAILS(mempool_create_with(&options), EINVAL);
    CHECK(source.given == 1 && source.taken_back == 1);

    row("badly aligned memory for an entry");
    source.misplaces_at = 3;
    mempool *mp = mempool_create_with(&options);
    take(mp, 0, COUNT, SIZE, 16);
    CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK(out() == 1 && mempool_dynamic_allocs_count(mp) == 0);
    take(mp, COUNT, COUNT + 1, SIZE, 16);
    mempool_destroy(mp);
    CHECK(out() == 0);
}

/* ---- What the functions may do ---- */

static void may_do_much(void)
{
    row("the functions use another pool");
    functions_that_do(use_another_pool, SIZE);
}

/* A pool out of another pool's entries. */
static void *entry_of_other(size_t size, size_t alignment, void *context)
{
    CHECK(context == other && size <= 4096 && alignment == 16);
    return mempool_alloc_entry(other);
}

static void entry_to_other(void *memory, size_t size, void *context)
{
    CHECK(context == other && size <= 4096);
    mempool_free_entry(memory);
}

static void pools_in_a_pool(void)
{
    row("pools in a pool");
    other = mempool_create(3, 4096, false);
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = SIZE;
    options.flags = MEMPOOL_FALL_BACK;
    mempool_backing from_other = MEMPOOL_BACKING_INIT;
    from_other.alloc = entry_of_other;
    from_other.free = entry_to_other;
    from_other.context = other;
    options.backing = &from_other;
    mempool *first = mempool_create_with(&options), *second = mempool_create_with(&options);
    CHECK(first != NULL && second != NULL && mempool_used_count(other) == 2);
    memset(&from_other, 0, sizeof from_other); /* it was copied */
    take(first, 0, COUNT + 1, SIZE, 16);
    CHECK(mempool_used_count(other) == 3);
    CHECK_FAILS(mempool_alloc_entry(first), ENOMEM);
    mempool_destroy(first);
    CHECK(mempool_used_count(other) == 1);
    mempool_destroy(second);
    CHECK(mempool_used_count(other) == 0);
    mempool_destroy(other);
}

static void *come_and_go(void *pool)
{
    void *mine[BEYOND];
    for (size_t round = 0; round < scaled(300, 5); round++) {
        for (size_t i = 0; i < BEYOND; i++) {
            mine[i] = mempool_alloc_entry(pool);
            CHECK(mine[i] != NULL);
            memset(mine[i], (int)i, SIZE);
        }
        for (size_t i = 0; i < BEYOND; i++) {
            CHECK(all_bytes(mine[i], (unsigned char)i, SIZE));
            mempool_free_entry(mine[i]);
        }
    }
    return NULL;
}

static void many_threads(void)
{
    row("many threads");
    reset();
    mempool_options options = options_for(10, SIZE, MEMPOOL_FALL_BACK);
    mempool *mp = mempool_create_with(&options);
    take(mp, 0, 9, SIZE, 16); /* one is left */
    struct thread threads[4];
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(thread_start(&threads[i], come_and_go, mp));
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(thread_join(&threads[i]));
    CHECK(out() == 1 && source.given > BEYOND);
    mempool_destroy(mp);
    CHECK(out() == 0);
}

/* ---- Words in the environment, leaks, and what is left ---- */

static void bypassed(void *unused)
{
    (void)unused;
    set_environment("CMEMPOOL_OPTIONS", "bypass");
    reset();
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_FALL_BACK);
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL && out() == 1);
    for (size_t i = 0; i < COUNT + BEYOND; i++) {
        take(mp, i, i + 1, SIZE, 16);
        CHECK(out() == i + 2 && block_of(entries[i]) != block_of(mp));
    }
    CHECK(mempool_used_count(mp) == COUNT && mempool_dynamic_allocs_count(mp) == BEYOND);
    give_entries(0, COUNT, SIZE);
    CHECK(out() == 1 + BEYOND);
    mempool_destroy(mp);
    CHECK(out() == 0);
}

static void free_twice(void *pool)
{
    (void)pool;
    void *entry = entries[0];
    (mempool_free_entry)(entry);
    (mempool_free_entry)(entry);
}

/* Left in memory that another pool gets: the entry's word must not pass for one of that pool's. */
static unsigned char *kept;
static size_t kept_size;

static void *give_kept(size_t size, size_t alignment, void *context)
{
    (void)context;
    CHECK(alignment == 16 && size <= kept_size);
    return kept;
}

static void keep(void *memory, size_t size, void *context)
{
    (void)context;
    CHECK(memory == kept && size <= kept_size);
}

static void free_late(void *entry)
{
    (mempool_free_entry)(entry);
}

static void a_word_is_not_left_behind(void)
{
    row("an entry that outlives its pool");
    kept_size = 1 << 16;
    kept = heap_aligned(4096, kept_size);
    CHECK(kept != NULL);
    mempool_options options = options_for(COUNT, SIZE, 0);
    const mempool_backing keeping = {sizeof keeping, give_kept, keep, NULL};
    options.backing = &keeping;
    for (int round = 0; round < 2; round++) {
        mempool *mp = mempool_create_with(&options);
        CHECK(mp != NULL);
        take(mp, 0, COUNT, SIZE, 16);
        void *entry = entries[COUNT / 2];
        mempool_destroy(mp);
        /* The memory is somebody else's: nothing is said of a pool that was there. */
        EXPECT_ABORT(free_late, entry, "which is not an entry of any pool");
        if (round == 1)
            continue;
        mp = mempool_create_with(&options);
        EXPECT_ABORT(free_late, entry, "never handed out");
        mempool_destroy(mp);
    }
    heap_aligned_free(kept);
}

static void leak(void *unused)
{
    (void)unused;
    reset();
    mempool_options options = options_for(2, SIZE, MEMPOOL_FALL_BACK | MEMPOOL_REPORT_LEAKS);
    mempool *mp = mempool_create_with(&options);
    take(mp, 0, 3, SIZE, 16);
    mempool_destroy(mp);
    CHECK(out() == 0);
}

static void all_the_rest(void)
{
    int status;
    reset();
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_FALL_BACK);
    mempool *mp = mempool_create_with(&options);
    row("double free");
    take(mp, 0, 1, SIZE, 16);
    EXPECT_ABORT(free_twice, mp, "double free of");
    mempool_destroy(mp);

    row("leaks");
    const char *text = run_in_child(leak, NULL, &status);
    CHECK(status == 0 && strstr(text, "leak of 3 entries") != NULL);
}

/* ---- Structs ---- */

/* What a program says that was compiled before there were backings. */
static void shorter_structs(void)
{
    row("shorter structs");
    reset();
    unsigned char storage[sizeof(r_mempool_options)] __attribute__((aligned(16)));
    mempool_options options = options_for(COUNT, SIZE, 0);
    options.struct_size = offsetof(mempool_options, backing);
    CHECK(!WIDE || options.struct_size == 64);
    memset(storage, 0xA5, sizeof storage); /* after its end is something else */
    memcpy(storage, &options, options.struct_size);
    mempool *mp = mempool_create_with(hide(storage));
    CHECK(mp != NULL && mempool_total_capacity(mp) == COUNT && source.given == 0);
    CHECK(mempool_buffer_size(hide(storage)) == MEMPOOL_BUFFER_SIZE(COUNT, SIZE));
    mempool_destroy(mp);

    r_mempool_options r_options = ranged_options(fallback_at_last_exhaustion);
    r_options.struct_size = offsetof(r_mempool_options, backing);
    CHECK(!WIDE || r_options.struct_size == 96);
    memset(storage, 0xA5, sizeof storage);
    memcpy(storage, &r_options, r_options.struct_size);
    r_mempool *rmp = r_mempool_create_with(hide(storage));
    CHECK(rmp != NULL && r_mempool_total_capacity(rmp, 16) == 8 && source.given == 0);
    CHECK(r_mempool_buffer_size(hide(storage)) == R_MEMPOOL_BUFFER_SIZE(16, 64, 8));
    r_mempool_destroy(rmp);
    static const r_mempool_class list[] = {{24, 6}, {100, 3}};
    r_options = (r_mempool_options){.struct_size = offsetof(r_mempool_options, backing), .classes = list, .class_count = 2};
    rmp = r_mempool_create_with(&r_options);
    CHECK(rmp != NULL && r_mempool_total_capacity(rmp, 100) == 3);
    r_mempool_destroy(rmp);
}

static void refused(void)
{
    row("what no backing is");
    reset();
    mempool_options options = options_for(COUNT, SIZE, 0);
    r_mempool_options r_options = ranged_options(fallback_disabled);
    mempool_backing bad[] = {backing, backing, backing, backing, backing, MEMPOOL_BACKING_INIT};
    bad[0].alloc = NULL;
    bad[1].free = NULL;
    bad[2].struct_size = 0;
    bad[3].struct_size = sizeof backing - 8;
    bad[4].struct_size = sizeof backing + 8;
    static char buffer[65536] __attribute__((aligned(64)));
    for (size_t i = 0; i < LENGTH(bad); i++) {
        row("backing number %zu", i);
        options.backing = r_options.backing = &bad[i];
        CHECK_FAILS(mempool_create_with(&options), EINVAL);
        CHECK_FAILS(r_mempool_create_with(&r_options), EINVAL);
        options.buffer = buffer;
        options.buffer_size = sizeof buffer;
        CHECK_FAILS(mempool_create_with(&options), EINVAL);
        options.buffer = NULL;
        options.buffer_size = 0;
        /* The size of a buffer has nothing to do with it. */
        CHECK(mempool_buffer_size(&options) == MEMPOOL_BUFFER_SIZE(COUNT, SIZE));
    }
    options.backing = hide((const char *)&backing + 1);
    CHECK_FAILS(mempool_create_with(&options), EINVAL);
    options = options_for(COUNT, SIZE, MEMPOOL_HUGE_PAGES);
    CHECK_FAILS(mempool_create_with(&options), EINVAL);
    CHECK(source.calls == 0);
}

int main(void)
{
    /* What the environment says is read when the first pool is made. */
    int status;
    const char *text = run_in_child(bypassed, NULL, &status);
    fputs(text, stderr);
    CHECK(status == 0 && text[0] == '\0');
    every_sort();
    ranged();
    reset_pools();
    with_a_buffer();
    has_none();
    misplaced();
    may_do_much();
    pools_in_a_pool();
    many_threads();
    a_word_is_not_left_behind();
    all_the_rest();
    shorter_structs();
    refused();
    return done();
}
