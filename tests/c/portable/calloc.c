/* Are entries that are asked to be zero really zero, when others used the memory before? */
#include "../check.h"

static const size_t sizes[] = {1, 7, 8, 10, 16, 24, 64, 1000, 4096, 100000};

enum { COUNT = 9 };

/* Fills the pool and what comes after it from the heap with dirt, and frees all. */
static void soil(mempool *mp, size_t size, size_t count)
{
    void *entries[COUNT * 2];
    for (size_t i = 0; i < count; i++) {
        entries[i] = mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL);
        memset(entries[i], 0xa5, size);
    }
    for (size_t i = 0; i < count; i++)
        mempool_free_entry(entries[i]);
}

static void ordinary(size_t size, bool fall_back)
{
    void *entries[COUNT * 2];
    const size_t count = fall_back ? COUNT * 2 : COUNT;
    mempool *mp = mempool_create(COUNT, size, fall_back);
    CHECK(mp != NULL);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++) {
            entries[i] = mempool_calloc_entry(mp);
            CHECK(entries[i] != NULL);
            CHECK(all_bytes(entries[i], 0, size));
        }
        CHECK(mempool_used_count(mp) == COUNT);
        CHECK(mempool_dynamic_allocs_count(mp) == count - COUNT);
        for (size_t i = 0; i < count; i++)
            mempool_free_entry(entries[i]);
        soil(mp, size, count);
    }
    mempool_destroy(mp);
}

/* `size` bytes of what the class has are zero, also when a larger class or the heap serves. */
static void ranged(r_memory_fallback_policy_t policy)
{
    enum { MOST = 40 };
    r_mempool *rmp = r_mempool_create(16, 64, 8, policy);
    CHECK(rmp != NULL);
    void *entries[MOST];
    size_t asked[] = {1, 15, 16, 17, 32, 33, 64};
    size_t most = policy == fallback_disabled ? 8 + 4 + 2 : MOST;
    for (int round = 0; round < 3; round++) {
        size_t count = 0, size = 0;
        for (size_t i = 0; i < MOST && count < most; i++) {
            size = hide_size(asked[i % LENGTH(asked)]);
            void *entry = r_mempool_calloc_entry(rmp, size);
            if (entry == NULL)
                continue;
            CHECK(all_bytes(entry, 0, size));
            memset(entry, 0xa5, size);
            entries[count++] = entry;
        }
        CHECK(count > 7);
        while (count > 0) {
            count--;
            r_mempool_free_entry(entries[count]);
        }
        /* Dirt to the last byte of every entry of every class. */
        static const size_t classes[] = {16, 32, 64}, counts[] = {8, 4, 2};
        for (size_t i = 0; i < LENGTH(classes); i++)
            for (size_t n = 0; n < counts[i]; n++) {
                void *entry = entries[count++] = r_mempool_alloc_entry(rmp, hide_size(classes[i]));
                CHECK(entry != NULL);
                memset(entry, 0xa5, classes[i]);
            }
        while (count > 0) {
            count--;
            r_mempool_free_entry(entries[count]);
        }
    }
    r_mempool_destroy(rmp);
}

/* What was freed is zero to the last byte, when a plain alloc hands it out again. */
static void zero_on_free(size_t size, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = size;
    options.flags = MEMPOOL_ZERO_ON_FREE | flags;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    soil(mp, size, COUNT);
    void *entries[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        entries[i] = mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL && all_bytes(entries[i], 0, size));
    }
    for (size_t i = 0; i < COUNT; i++)
        mempool_free_entry(entries[i]);
    mempool_destroy(mp);
}

static void ranged_zero_on_free(size_t size)
{
    r_mempool_class classes[] = {{size, COUNT}, {2 * size, COUNT}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.flags = MEMPOOL_ZERO_ON_FREE;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    void *entries[2 * COUNT];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 2 * COUNT; i++) {
            entries[i] = r_mempool_alloc_entry(rmp, hide_size(size));
            size_t has = i < COUNT ? size : 2 * size;
            CHECK(entries[i] != NULL && (round == 0 || all_bytes(entries[i], 0, has)));
            memset(hide(entries[i]), 0xa5, has);
        }
        for (size_t i = 0; i < 2 * COUNT; i++)
            r_mempool_free_entry(entries[i]);
    }
    /* An entry that realloc left behind was freed too. */
    char *entry = r_mempool_alloc_entry(rmp, hide_size(size));
    CHECK(entry != NULL);
    uintptr_t left = address(entry);
    memset(entry, 0xa5, size);
    entry = r_mempool_realloc_entry(rmp, entry, hide_size(2 * size));
    CHECK(entry != NULL && all_bytes(entry, 0xa5, size));
    bool found = false;
    for (size_t i = 0; i < COUNT; i++) {
        entries[i] = r_mempool_alloc_entry(rmp, hide_size(size));
        CHECK(entries[i] != NULL && all_bytes(entries[i], 0, size));
        found = found || address(entries[i]) == left;
    }
    CHECK(found);
    r_mempool_destroy(rmp);
}

int main(void)
{
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        row("size %zu", sizes[i]);
        ordinary(sizes[i], false);
        ordinary(sizes[i], true);
        zero_on_free(sizes[i], 0);
        zero_on_free(sizes[i], MEMPOOL_SINGLE_THREAD);
        ranged_zero_on_free(sizes[i]);
    }
    for (int policy = fallback_disabled; policy < __fallback_end_place_holder; policy++) {
        row("ranged, policy %d", policy);
        ranged((r_memory_fallback_policy_t)policy);
    }
    return done();
}
