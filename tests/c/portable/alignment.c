/* Is every entry aligned as asked, in slots and from the heap, and how much does that take? */
#include "../check.h"

enum { COUNT = 9, DYNAMIC = 5 };

static const size_t sizes[] = {1, 4, 8, 9, 24, 56, 57, 120, 1000, 4096};

static void ordinary(size_t alignment, size_t size, uint64_t flags)
{
    const size_t raised = alignment < 16 ? 16 : alignment;
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = size;
    options.alignment = alignment;
    options.flags = MEMPOOL_FALL_BACK | flags;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    void *entries[COUNT + DYNAMIC];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT + DYNAMIC; i++) {
            entries[i] = round ? mempool_calloc_entry(mp) : mempool_alloc_entry(mp);
            CHECK(entries[i] != NULL && aligned(entries[i], raised));
            memset(entries[i], (int)i, size);
        }
        CHECK(mempool_dynamic_allocs_count(mp) == DYNAMIC);
        CHECK(smallest_distance(entries, COUNT) == slot_size(size, raised));
        CHECK(smallest_distance(entries, COUNT + DYNAMIC) >= size);
        for (size_t i = 0; i < COUNT + DYNAMIC; i++) {
            CHECK(all_bytes(entries[i], (unsigned char)i, size));
            mempool_free_entry(entries[i]);
        }
    }
    mempool_destroy(mp);
}

static void ranged(size_t alignment, r_memory_fallback_policy_t policy)
{
    const size_t raised = alignment < 16 ? 16 : alignment;
    const r_mempool_class classes[] = {{10, 3}, {24, 3}, {100, 3}, {5000, 3}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.alignment = alignment;
    options.policy = policy;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    void *entries[LENGTH(classes)][3 + DYNAMIC];
    size_t served = 0;
    for (size_t c = 0; c < LENGTH(classes); c++)
        for (size_t i = 0; i < 3 + DYNAMIC; i++) {
            void *entry = r_mempool_alloc_entry(rmp, hide_size(classes[c].elem_size));
            entries[c][i] = entry;
            CHECK(entry != NULL || policy == fallback_disabled);
            CHECK(aligned(entry, raised));
            served += entry != NULL;
        }
    CHECK(served == LENGTH(classes) * (policy == fallback_disabled ? 3 : 3 + DYNAMIC));
    if (policy == fallback_at_first_exhaustion) {
        for (size_t c = 0; c < LENGTH(classes); c++) {
            CHECK(r_mempool_dynamic_allocs_count(rmp, classes[c].elem_size) == DYNAMIC);
            CHECK(smallest_distance(entries[c], 3) == slot_size(classes[c].elem_size, raised));
            /* Realloc keeps the alignment, from the heap into the pool and within it. */
            for (size_t i = 0; i < 3 + DYNAMIC; i++)
                r_mempool_free_entry(entries[c][i]);
        }
        void *entry = r_mempool_alloc_entry(rmp, 1);
        for (size_t c = 0; c < LENGTH(classes); c++) {
            entry = r_mempool_realloc_entry(rmp, entry, classes[c].elem_size);
            CHECK(entry != NULL && aligned(entry, raised));
        }
    }
    r_mempool_destroy(rmp);
}

/* An `int` takes 16 bytes of slots, not 32. */
static void small_slots(void)
{
    void *entries[1000];
    row("int slots");
    mempool *mp = mempool_create(LENGTH(entries), sizeof(int), false);
    CHECK(mp != NULL);
    uintptr_t lowest = UINTPTR_MAX, highest = 0;
    for (size_t i = 0; i < LENGTH(entries); i++) {
        entries[i] = mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL);
        lowest = address(entries[i]) < lowest ? address(entries[i]) : lowest;
        highest = address(entries[i]) > highest ? address(entries[i]) : highest;
    }
    CHECK(smallest_distance(entries, LENGTH(entries)) == 16);
    CHECK(highest - lowest == (LENGTH(entries) - 1) * 16);
    mempool_destroy(mp);
}

int main(void)
{
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        for (size_t i = 0; i < LENGTH(sizes); i++) {
            row("alignment %zu, size %zu", alignment, sizes[i]);
            ordinary(alignment, sizes[i], 0);
            ordinary(alignment, sizes[i], MEMPOOL_SINGLE_THREAD | MEMPOOL_NO_PREFAULT);
        }
        for (int policy = fallback_disabled; policy < __fallback_end_place_holder; policy++) {
            row("alignment %zu, ranged, policy %d", alignment, policy);
            ranged(alignment, (r_memory_fallback_policy_t)policy);
        }
    }
    row("default alignment");
    ordinary(0, 40, 0);
    small_slots();
    return done();
}
