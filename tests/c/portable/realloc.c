/* Does realloc keep what an entry holds, wherever the entry goes, and the counts right? */
#include "../check.h"

static void fill(void *entry, size_t size)
{
    unsigned char *bytes = hide(entry);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 256 + 5);
}

static bool holds(const void *entry, size_t size)
{
    const unsigned char *bytes = hide(entry);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(i * 31 + i / 256 + 5))
            return false;
    return true;
}

static void *take(r_mempool *rmp, size_t size)
{
    void *entry = r_mempool_alloc_entry(rmp, hide_size(size));
    CHECK(entry != NULL);
    return entry;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t total_used(const r_mempool *rmp, const size_t *sizes, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += r_mempool_used_count(rmp, sizes[i]);
    return used;
}

/* From every class to every class, and over every size of small ones. */
static void both_ways(void)
{
    static const size_t sizes[] = {16, 32, 64, 128, 256, 512, 1024};
    r_mempool *rmp = r_mempool_create(16, 1024, 128, fallback_disabled);
    CHECK(rmp != NULL);
    for (size_t from = 0; from < LENGTH(sizes); from++)
        for (size_t to = 0; to < LENGTH(sizes); to++)
            for (int below = 0; below < 2; below++) {
                size_t had = sizes[from], wants = hide_size(sizes[to] - (below ? 3 : 0));
                row("from %zu to %zu", had, wants);
                void *entry = take(rmp, had);
                fill(entry, had);
                uintptr_t old = address(entry);
                void *moved = r_mempool_realloc_entry(rmp, entry, wants);
                CHECK(moved != NULL && aligned(moved, 16));
                CHECK((address(moved) == old) == (from == to));
                CHECK(holds(moved, smaller(had, wants)));
                CHECK(r_mempool_used_count(rmp, wants) == 1);
                CHECK(total_used(rmp, sizes, LENGTH(sizes)) == 1);
                /* All of the new class can be had. */
                moved = r_mempool_realloc_entry(rmp, moved, hide_size(sizes[to]));
                fill(moved, sizes[to]);
                CHECK(holds(moved, sizes[to]));
                r_mempool_free_entry(moved);
                CHECK(total_used(rmp, sizes, LENGTH(sizes)) == 0);
            }
    /* Within one class the entry stays as it is, with all of its bytes. */
    for (size_t size = 33; size <= 64; size++) {
        void *entry = take(rmp, size);
        fill(entry, size);
        for (size_t to = 33; to <= 64; to++) {
            row("within a class, from %zu to %zu", size, to);
            CHECK(address(r_mempool_realloc_entry(rmp, entry, hide_size(to))) == address(entry));
            CHECK(holds(entry, 33));
        }
        fill(entry, 64);
        CHECK(holds(entry, 64) && r_mempool_used_count(rmp, 64) == 1);
        r_mempool_free_entry(entry);
    }
    row("NULL");
    void *entry = r_mempool_realloc_entry(rmp, NULL, 100);
    CHECK(entry != NULL && r_mempool_used_count(rmp, 100) == 1);
    fill(entry, 100);
    CHECK(holds(entry, 100));
    r_mempool_free_entry(entry);
    CHECK(r_mempool_used_count(rmp, 100) == 0);
    CHECK_FAILS(r_mempool_realloc_entry(NULL, NULL, 16), EINVAL);
    r_mempool_destroy(rmp);
}

/* An entry that grows and shrinks at random keeps what it holds at every step. */
static void walk(void)
{
    static const size_t sizes[] = {10, 24, 100, 555, 1000, 5000};
    static const r_mempool_class classes[] = {{10, 4}, {24, 4}, {100, 4}, {555, 4}, {1000, 4},
                                              {5000, 4}};
    for (int policy = fallback_disabled; policy < __fallback_end_place_holder; policy++) {
        r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
        options.classes = classes;
        options.class_count = LENGTH(classes);
        options.policy = (r_memory_fallback_policy_t)policy;
        r_mempool *rmp = r_mempool_create_with(&options);
        CHECK(rmp != NULL);
        void *entries[20] = {NULL};
        size_t has[20] = {0}, count = 0;
        uint64_t seed = 11;
        for (size_t step = 0; step < scaled(20000, 1000); step++) {
            size_t i = random_below(&seed, LENGTH(entries));
            size_t wants = 1 + random_below(&seed, random_below(&seed, 2) ? 30 : 5000);
            row("walk, policy %d, step %zu", policy, step);
            if (entries[i] != NULL && random_below(&seed, 4) == 0) {
                CHECK(holds(entries[i], has[i]));
                r_mempool_free_entry(entries[i]);
                count--;
            } else {
                void *entry = r_mempool_realloc_entry(rmp, entries[i], wants);
                if (entry == NULL) {
                    CHECK(policy == fallback_disabled);
                    CHECK(entries[i] == NULL || holds(entries[i], has[i]));
                    continue;
                }
                CHECK(entries[i] == NULL || holds(entry, smaller(has[i], wants)));
                count += entries[i] == NULL;
                fill(entry, wants);
                entries[i] = entry;
                has[i] = wants;
            }
            size_t dynamic = 0;
            for (size_t c = 0; c < LENGTH(sizes); c++) {
                size_t of_class = r_mempool_dynamic_allocs_count(rmp, sizes[c]);
                dynamic = policy == fallback_at_last_exhaustion ? of_class : dynamic + of_class;
            }
            CHECK(total_used(rmp, sizes, LENGTH(sizes)) + dynamic == count);
        }
        r_mempool_destroy(rmp);
    }
}

/* After NULL the old entry is as it was, and still out. */
static void failures(void)
{
    static const struct {
        size_t size;
        int error;
    } table[] = {{0, EINVAL}, {65, EINVAL}, {1000, EINVAL}, {SIZE_MAX, EINVAL}, {64, ENOMEM}};
    r_mempool *rmp = r_mempool_create(16, 64, 4, fallback_disabled);
    CHECK(rmp != NULL);
    void *entry = take(rmp, 32), *largest = take(rmp, 64);
    fill(entry, 32);
    for (size_t i = 0; i < LENGTH(table); i++) {
        row("failure: %zu", table[i].size);
        CHECK_FAILS(r_mempool_realloc_entry(rmp, entry, hide_size(table[i].size)), table[i].error);
        CHECK(holds(entry, 32));
        CHECK(r_mempool_used_count(rmp, 32) == 1 && r_mempool_used_count(rmp, 64) == 1);
    }
    CHECK_FAILS(r_mempool_realloc_entry(NULL, entry, 16), EINVAL);
    CHECK(r_mempool_used_count(rmp, 32) == 1);
    CHECK_FAILS(r_mempool_realloc_entry(rmp, NULL, 64), ENOMEM);

    /* Larger classes in turn, when the class that fits is empty. */
    void *small = take(rmp, 16), *other = take(rmp, 32);
    fill(small, 16);
    r_mempool_free_entry(largest);
    small = r_mempool_realloc_entry(rmp, small, 32);
    CHECK(small != NULL && holds(small, 16));
    CHECK(r_mempool_used_count(rmp, 16) == 0);
    CHECK(r_mempool_used_count(rmp, 32) == 2 && r_mempool_used_count(rmp, 64) == 1);
    r_mempool_free_entry(small);
    r_mempool_free_entry(other);
    r_mempool_free_entry(entry);
    CHECK(r_mempool_used_count(rmp, 32) == 0 && r_mempool_used_count(rmp, 64) == 0);
    r_mempool_destroy(rmp);
}

/* An entry that should shrink stays while no smaller class has one, and takes the next best. */
static void shrink_without_room(r_memory_fallback_policy_t policy)
{
    row("shrink without room, policy %d", (int)policy);
    r_mempool *rmp = r_mempool_create(16, 64, 4, policy);
    CHECK(rmp != NULL);
    void *entry = take(rmp, 64), *lowest[4], *middle[2];
    for (size_t i = 0; i < 4; i++)
        lowest[i] = take(rmp, 16);
    for (size_t i = 0; i < 2; i++)
        middle[i] = take(rmp, 32);
    fill(entry, 64);
    uintptr_t old = address(entry);
    CHECK(address(r_mempool_realloc_entry(rmp, entry, 10)) == old);
    CHECK(holds(entry, 64));
    CHECK(r_mempool_used_count(rmp, 64) == 1);
    CHECK(r_mempool_dynamic_allocs_count(rmp, 16) == 0);
    /* The class that fits is still empty, the one between has one. */
    r_mempool_free_entry(middle[0]);
    entry = r_mempool_realloc_entry(rmp, entry, 10);
    CHECK(entry != NULL && address(entry) != old && holds(entry, 10));
    CHECK(r_mempool_used_count(rmp, 32) == 2 && r_mempool_used_count(rmp, 64) == 0);
    r_mempool_free_entry(lowest[3]);
    entry = r_mempool_realloc_entry(rmp, entry, 10);
    CHECK(entry != NULL && holds(entry, 10));
    CHECK(r_mempool_used_count(rmp, 16) == 4 && r_mempool_used_count(rmp, 32) == 1);
    r_mempool_destroy(rmp);
}

/* An entry from the heap moves into the pool and back with what it holds. */
static void dynamic(void)
{
    row("dynamic");
    r_mempool *rmp = r_mempool_create(16, 64, 4, fallback_at_first_exhaustion);
    CHECK(rmp != NULL);
    void *largest = take(rmp, 64), *entry = take(rmp, 64);
    CHECK(r_mempool_dynamic_allocs_count(rmp, 64) == 1);
    fill(entry, 64);

    /* Within its class: the same entry, whether or not the class has one of its own again. */
    for (size_t size = 33; size <= 64; size++)
        CHECK(address(r_mempool_realloc_entry(rmp, entry, hide_size(size))) == address(entry));
    CHECK(holds(entry, 64) && r_mempool_dynamic_allocs_count(rmp, 64) == 1);

    /* Failure keeps it. */
    CHECK_FAILS(r_mempool_realloc_entry(rmp, entry, 0), EINVAL);
    CHECK_FAILS(r_mempool_realloc_entry(rmp, entry, hide_size(65)), EINVAL);
    CHECK(holds(entry, 64) && r_mempool_dynamic_allocs_count(rmp, 64) == 1);

    /* From the heap into the pool, smaller. */
    entry = r_mempool_realloc_entry(rmp, entry, 20);
    CHECK(entry != NULL && holds(entry, 20));
    CHECK(r_mempool_dynamic_allocs_count(rmp, 64) == 0 && r_mempool_used_count(rmp, 32) == 1);

    /* From the pool to the heap, larger. */
    fill(entry, 32);
    entry = r_mempool_realloc_entry(rmp, entry, 64);
    CHECK(entry != NULL && holds(entry, 32));
    CHECK(r_mempool_dynamic_allocs_count(rmp, 64) == 1 && r_mempool_used_count(rmp, 32) == 0);

    /* From the heap to the heap: the smaller classes are full too, so it stays. */
    void *lower[6];
    for (size_t i = 0; i < 6; i++)
        lower[i] = take(rmp, i < 4 ? 16 : 32);
    fill(entry, 64);
    CHECK(address(r_mempool_realloc_entry(rmp, entry, 5)) == address(entry));
    CHECK(holds(entry, 64) && r_mempool_dynamic_allocs_count(rmp, 64) == 1);
    CHECK(r_mempool_dynamic_allocs_count(rmp, 16) == 0);

    /* From the heap, larger, into the pool; then, when that is full, to the heap once more. */
    void *small = take(rmp, 16), *small_too = take(rmp, 16);
    CHECK(r_mempool_dynamic_allocs_count(rmp, 16) == 2);
    fill(small, 16);
    fill(small_too, 16);
    r_mempool_free_entry(largest);
    small = r_mempool_realloc_entry(rmp, small, 50);
    CHECK(small != NULL && holds(small, 16));
    CHECK(r_mempool_dynamic_allocs_count(rmp, 16) == 1 && r_mempool_used_count(rmp, 64) == 1);
    small_too = r_mempool_realloc_entry(rmp, small_too, 50);
    CHECK(small_too != NULL && holds(small_too, 16));
    CHECK(r_mempool_dynamic_allocs_count(rmp, 16) == 0);
    CHECK(r_mempool_dynamic_allocs_count(rmp, 64) == 2);
    fill(small_too, 50);
    CHECK(holds(small_too, 50));

    r_mempool_free_entry(small_too);
    r_mempool_free_entry(small);
    r_mempool_free_entry(entry);
    for (size_t i = 0; i < 6; i++)
        r_mempool_free_entry(lower[i]);
    for (size_t size = 16; size <= 64; size *= 2) {
        CHECK(r_mempool_used_count(rmp, size) == 0);
        CHECK(r_mempool_dynamic_allocs_count(rmp, size) == 0);
    }
    r_mempool_destroy(rmp);
}

int main(void)
{
    both_ways();
    walk();
    failures();
    for (int policy = fallback_disabled; policy < __fallback_end_place_holder; policy++)
        shrink_without_room((r_memory_fallback_policy_t)policy);
    dynamic();
    return done();
}
