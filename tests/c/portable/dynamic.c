/* Do pools that are empty take from the heap as they were told, count it, and give it back? */
#include "../check_heap.h"

enum { COUNT = 4, MORE = 12 };

/* Takes `COUNT + MORE`, which overlap nowhere; the first `COUNT` are the pool's own. */
static void take(mempool *mp, void **entries, size_t size)
{
    for (size_t i = 0; i < COUNT + MORE; i++) {
        entries[i] = mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL);
        CHECK(aligned(entries[i], 16));
        memset(entries[i], (int)i + 1, size);
        CHECK(mempool_used_count(mp) == (i < COUNT ? i + 1 : COUNT));
        CHECK(mempool_dynamic_allocs_count(mp) == (i < COUNT ? 0 : i + 1 - COUNT));
        CHECK(mempool_total_capacity(mp) == COUNT);
    }
    CHECK(smallest_distance(entries, COUNT + MORE) >= size + 8);
    for (size_t i = 0; i < COUNT + MORE; i++)
        CHECK(all_bytes(entries[i], (unsigned char)(i + 1), size));
}

static void ordinary(size_t size, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = size;
    options.flags = MEMPOOL_FALL_BACK | flags;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    void *entries[COUNT + MORE];
    size_t order[COUNT + MORE];
    uint64_t seed = 3;
    for (size_t i = 0; i < COUNT + MORE; i++)
        order[i] = i;
    for (int round = 0; round < 6; round++) {
        take(mp, entries, size);
        size_t used = COUNT, dynamic = MORE;
        if (round > 0)
            shuffle(order, COUNT + MORE, &seed);
        for (size_t i = 0; i < COUNT + MORE; i++) {
            *(order[i] < COUNT ? &used : &dynamic) -= 1;
            CHECK(all_bytes(entries[order[i]], (unsigned char)(order[i] + 1), size));
            mempool_free_entry(entries[order[i]]);
            CHECK(entries[order[i]] == NULL);
            CHECK(mempool_used_count(mp) == used);
            CHECK(mempool_dynamic_allocs_count(mp) == dynamic);
        }
    }

    /* The pool's own come first again as soon as one is free. */
    take(mp, entries, size);
    mempool_free_entry(entries[0]);
    entries[0] = mempool_alloc_entry(mp);
    CHECK(mempool_used_count(mp) == COUNT && mempool_dynamic_allocs_count(mp) == MORE);
    mempool_destroy(mp);
}

/* Each free gives the heap its entry back, and destroy what nobody freed. `size` is large enough to
 * stand out from what the C library keeps back. */
static void nothing_stays(size_t size)
{
    mempool *mp = mempool_create(COUNT, size, true);
    r_mempool *rmp = r_mempool_create(size / 2, size, 2, fallback_at_first_exhaustion);
    CHECK(mp != NULL && rmp != NULL);
    void *entries[COUNT + MORE];
    size_t empty = heap_use();
    take(mp, entries, size);
    CHECK(!heap_tells() || heap_use() >= empty + MORE * size);
    for (size_t i = COUNT; i < COUNT + MORE; i++)
        mempool_free_entry(entries[i]);
    CHECK(!heap_tells() || heap_use() < empty + size);
    for (size_t i = COUNT; i < COUNT + MORE; i++) {
        entries[i] = mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL && r_mempool_alloc_entry(rmp, size) != NULL);
    }
    CHECK(!heap_tells() || heap_use() >= empty + (2 * MORE - 1) * size);
    /* One from the middle, the first and the last of them leave early. */
    mempool_free_entry(entries[COUNT + MORE / 2]);
    mempool_free_entry(entries[COUNT]);
    mempool_free_entry(entries[COUNT + MORE - 1]);
    CHECK(mempool_dynamic_allocs_count(mp) == MORE - 3);
    CHECK(r_mempool_dynamic_allocs_count(rmp, size) == MORE - 1);
    mempool_destroy(mp);
    r_mempool_destroy(rmp);
    CHECK(!heap_tells() || heap_use() < empty + size);
}

/* The smallest size that is a class's, and the largest. */
static size_t asked(size_t size, size_t i)
{
    return i % 2 ? size : size / 2 + 1;
}

static void ranged_at_first(void)
{
    r_mempool *rmp = r_mempool_create(16, 64, 4, fallback_at_first_exhaustion);
    CHECK(rmp != NULL);
    static const size_t classes[] = {16, 32, 64}, counts[] = {4, 2, 1};
    void *entries[3][8];
    for (size_t c = 0; c < 3; c++) {
        size_t size = hide_size(classes[c]);
        for (size_t i = 0; i < 8; i++) {
            entries[c][i] = r_mempool_alloc_entry(rmp, asked(size, i));
            CHECK(entries[c][i] != NULL && aligned(entries[c][i], 16));
            memset(entries[c][i], (int)(c * 8 + i), asked(size, i));
            CHECK(r_mempool_used_count(rmp, size) == (i < counts[c] ? i + 1 : counts[c]));
            CHECK(r_mempool_dynamic_allocs_count(rmp, size) ==
                  (i < counts[c] ? 0 : i + 1 - counts[c]));
            /* Larger classes are not touched, and their counts are their own. */
            for (size_t above = c + 1; above < 3; above++) {
                CHECK(r_mempool_used_count(rmp, classes[above]) == 0);
                CHECK(r_mempool_dynamic_allocs_count(rmp, classes[above]) == 0);
            }
        }
    }
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 8; i-- > 0;) {
            CHECK(all_bytes(entries[c][i], (unsigned char)(c * 8 + i), asked(classes[c], i)));
            r_mempool_free_entry(entries[c][i]);
            CHECK(r_mempool_dynamic_allocs_count(rmp, classes[c]) ==
                  (i > counts[c] ? i - counts[c] : 0));
        }
    r_mempool_destroy(rmp);
}

static void ranged_at_last(void)
{
    enum { OWN = 4 + 2 + 1 };
    r_mempool *rmp = r_mempool_create(16, 64, 4, fallback_at_last_exhaustion);
    CHECK(rmp != NULL);
    void *entries[OWN + MORE];
    for (size_t i = 0; i < OWN + MORE; i++) {
        /* First the pool is emptied from below; then any size comes from the heap. */
        size_t size = hide_size(i < OWN ? 1 : 1 + (i * 13) % 64);
        entries[i] = r_mempool_alloc_entry(rmp, size);
        CHECK(entries[i] != NULL && aligned(entries[i], 16));
        memset(entries[i], (int)i, size);
        for (size_t asked = 1; asked <= 64; asked++)
            CHECK(r_mempool_dynamic_allocs_count(rmp, asked) == (i < OWN ? 0 : i + 1 - OWN));
        CHECK(r_mempool_dynamic_allocs_count(rmp, 0) == 0);
        CHECK(r_mempool_dynamic_allocs_count(rmp, 65) == 0);
        CHECK(r_mempool_used_count(rmp, 16) == (i < 4 ? i + 1 : 4));
        CHECK(r_mempool_used_count(rmp, 32) == (i < 4 ? 0 : i < 6 ? i - 3 : 2));
        CHECK(r_mempool_used_count(rmp, 64) == (i < 6 ? 0 : 1));
    }
    /* A class that has one again serves before the heap does, the others through the cascade. */
    r_mempool_free_entry(entries[6]);
    CHECK(r_mempool_used_count(rmp, 64) == 0);
    entries[6] = r_mempool_alloc_entry(rmp, hide_size(10));
    CHECK(r_mempool_used_count(rmp, 64) == 1);
    CHECK(r_mempool_dynamic_allocs_count(rmp, 16) == MORE);
    for (size_t i = 0; i < OWN + MORE; i++) {
        r_mempool_free_entry(entries[i]);
        CHECK(r_mempool_dynamic_allocs_count(rmp, 33) == (i < OWN ? MORE : OWN + MORE - 1 - i));
    }
    r_mempool_destroy(rmp);
}

/* `fallback_disabled` never takes from the heap. */
static void ranged_disabled(void)
{
    r_mempool *rmp = r_mempool_create(16, 64, 4, fallback_disabled);
    CHECK(rmp != NULL);
    for (size_t i = 0; i < 4 + 2 + 1; i++)
        CHECK(r_mempool_alloc_entry(rmp, 1) != NULL);
    for (size_t size = 1; size <= 64; size++) {
        CHECK_FAILS(r_mempool_alloc_entry(rmp, hide_size(size)), ENOMEM);
        CHECK_FAILS(r_mempool_calloc_entry(rmp, hide_size(size)), ENOMEM);
        CHECK(r_mempool_dynamic_allocs_count(rmp, size) == 0);
    }
    r_mempool_destroy(rmp);
}

int main(void)
{
    static const size_t sizes[] = {1, 8, 10, 64, 1000, 65536, 300000};
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        row("size %zu", sizes[i]);
        ordinary(sizes[i], 0);
        ordinary(sizes[i], MEMPOOL_SINGLE_THREAD);
        ordinary(sizes[i], MEMPOOL_ZERO_ON_FREE);
    }
    for (size_t size = 1 << 16; size <= 1 << 20; size *= 4) {
        row("nothing stays, size %zu", size);
        nothing_stays(size);
    }
    row("ranged");
    ranged_at_first();
    ranged_at_last();
    ranged_disabled();
    return done();
}
