/* Which class serves a size, what comes when it is empty, and what is no size at all? */
#include "../check.h"

enum { MOST_CLASSES = 16 };

/* The classes that a pool should have; the sizes end with a 0. */
struct shape {
    size_t sizes[MOST_CLASSES], counts[MOST_CLASSES];
};

static size_t class_count(const struct shape *shape)
{
    size_t count = 0;
    while (count < MOST_CLASSES && shape->sizes[count] != 0)
        count++;
    return count;
}

static size_t class_for(const struct shape *shape, size_t size)
{
    size_t class = 0;
    while (shape->sizes[class] < size)
        class++;
    return class;
}

static r_mempool *create_list(const struct shape *shape, r_memory_fallback_policy_t policy)
{
    r_mempool_class classes[MOST_CLASSES];
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.class_count = class_count(shape);
    for (size_t i = 0; i < options.class_count; i++)
        classes[i] = (r_mempool_class){shape->sizes[i], shape->counts[i]};
    options.classes = classes;
    options.policy = policy;
    r_mempool *rmp = r_mempool_create_with(&options);
    /* The list was copied. */
    memset(classes, 0xff, sizeof classes);
    CHECK(rmp != NULL);
    return rmp;
}

static void check_used(const r_mempool *rmp, const struct shape *shape, const size_t *used)
{
    for (size_t i = 0; shape->sizes[i] != 0; i++)
        CHECK(r_mempool_used_count(rmp, shape->sizes[i]) == used[i]);
}

/* Every size is served by the smallest class that has it, and counts are those of that class. */
static void every_size(r_mempool *rmp, const struct shape *shape)
{
    size_t used[MOST_CLASSES] = {0}, classes = class_count(shape);
    size_t largest = shape->sizes[classes - 1];
    for (size_t size = 1; size <= largest; size++) {
        size_t class = class_for(shape, size);
        CHECK(r_mempool_total_capacity(rmp, size) == shape->counts[class]);
        void *entry = r_mempool_alloc_entry(rmp, hide_size(size));
        CHECK(entry != NULL && aligned(entry, 16));
        memset(entry, 0xa5, size);
        used[class]++;
        check_used(rmp, shape, used);
        CHECK(r_mempool_used_count(rmp, size) == 1);
        r_mempool_free_entry(entry);
        CHECK(entry == NULL);
        used[class]--;
        check_used(rmp, shape, used);
    }
}

static void no_sizes(r_mempool *rmp, const struct shape *shape)
{
    const size_t largest = shape->sizes[class_count(shape) - 1];
    const size_t no_sizes[] = {0, largest + 1, 2 * largest, (size_t)UINT32_MAX + 1, SIZE_MAX / 2 + 1,
                               SIZE_MAX - 7, SIZE_MAX};
    size_t used[MOST_CLASSES] = {0};
    for (size_t i = 0; i < LENGTH(no_sizes); i++) {
        size_t size = hide_size(no_sizes[i]);
        CHECK_FAILS(r_mempool_alloc_entry(rmp, size), EINVAL);
        CHECK_FAILS(r_mempool_calloc_entry(rmp, size), EINVAL);
        CHECK_FAILS(r_mempool_realloc_entry(rmp, NULL, size), EINVAL);
        CHECK(r_mempool_total_capacity(rmp, size) == 0);
        CHECK(r_mempool_used_count(rmp, size) == 0);
        CHECK(r_mempool_dynamic_allocs_count(rmp, size) == 0);
    }
    check_used(rmp, shape, used);
}

/* Empties the pool by asking for each class's largest size, from the class `from` on: what the
 * class can't serve comes from the next larger ones in turn, then as the policy says. */
static void cascade(r_mempool *rmp, const struct shape *shape, size_t from,
                    r_memory_fallback_policy_t policy)
{
    const size_t classes = class_count(shape), size = hide_size(shape->sizes[from]);
    size_t used[MOST_CLASSES] = {0}, total = 0, taken = 0;
    for (size_t i = from; i < (policy == fallback_at_first_exhaustion ? from + 1 : classes); i++)
        total += shape->counts[i];
    void **entries = malloc((total + 3) * sizeof *entries);
    CHECK(entries != NULL);
    for (size_t class = from; taken < total; taken++) {
        while (used[class] == shape->counts[class])
            class++;
        used[class]++;
        entries[taken] = r_mempool_alloc_entry(rmp, size);
        CHECK(entries[taken] != NULL);
        /* The class's bytes are all there, whatever was asked for, if nothing looks after them. */
        memset(hide(entries[taken]), (int)taken, shape->sizes[class]);
        CHECK(r_mempool_dynamic_allocs_count(rmp, size) == 0);
        check_used(rmp, shape, used);
    }
    size_t own = taken;
    if (policy == fallback_disabled) {
        for (size_t i = from; i < classes; i++) {
            CHECK_FAILS(r_mempool_alloc_entry(rmp, hide_size(shape->sizes[i])), ENOMEM);
            CHECK_FAILS(r_mempool_calloc_entry(rmp, hide_size(shape->sizes[i])), ENOMEM);
        }
    } else {
        for (; taken < total + 3; taken++) {
            entries[taken] = r_mempool_alloc_entry(rmp, size);
            CHECK(entries[taken] != NULL && aligned(entries[taken], 16));
            memset(entries[taken], (int)taken, size);
            CHECK(r_mempool_dynamic_allocs_count(rmp, size) == taken + 1 - own);
        }
    }
    check_used(rmp, shape, used);
    for (size_t class = from, i = 0; i < taken; i++) {
        while (class < classes && used[class] == 0)
            class++;
        CHECK(all_bytes(entries[i], (unsigned char)i, i < own ? shape->sizes[class] : size));
        r_mempool_free_entry(entries[i]);
        if (i < own)
            used[class]--;
        check_used(rmp, shape, used);
    }
    CHECK(r_mempool_dynamic_allocs_count(rmp, size) == 0);
    free(entries);
}

static void lists(void)
{
    static const struct shape shapes[] = {
        {{24, 100, 1000}, {10, 5, 2}},
        {{1, 2, 3, 4, 5}, {3, 1, 4, 1, 5}},
        {{7, 4095, 4096, 4097}, {2, 3, 1, 2}},
        {{8, 16, 32}, {1, 2, 3}},  /* powers of two that start below 16, and counts that grow */
        {{16, 64, 256}, {4, 4, 4}}, /* powers of two that leave some out */
        {{48, 96, 192}, {4, 2, 2}}, /* each twice the one below, and no powers of two */
        {{32, 64, 100}, {2, 2, 2}},
        {{5}, {3}},
        {{64}, {3}},
    };
    for (size_t i = 0; i < LENGTH(shapes); i++)
        for (int p = fallback_disabled; p < __fallback_end_place_holder; p++) {
            r_memory_fallback_policy_t policy = (r_memory_fallback_policy_t)p;
            row("list %zu, policy %d", i, p);
            r_mempool *rmp = create_list(&shapes[i], policy);
            every_size(rmp, &shapes[i]);
            no_sizes(rmp, &shapes[i]);
            for (size_t from = 0; from < class_count(&shapes[i]); from++)
                cascade(rmp, &shapes[i], from, policy);
            r_mempool_destroy(rmp);
        }
}

static void powers(void)
{
    static const struct {
        size_t smallest, largest, count;
        struct shape shape;
    } table[] = {
        {16, 64, 8, {{16, 32, 64}, {8, 4, 2}}},
        {16, 64, 4, {{16, 32, 64}, {4, 2, 1}}},
        /* Sizes and counts that round up, and the smallest to at least 16. */
        {1, 64, 4, {{16, 32, 64}, {4, 2, 1}}},
        {15, 33, 3, {{16, 32, 64}, {4, 2, 1}}},
        {17, 33, 2, {{32, 64}, {2, 1}}},
        {2, 20, 2, {{16, 32}, {2, 1}}},
        {33, 129, 5, {{64, 128, 256}, {8, 4, 2}}},
        {100, 2000, 9, {{128, 256, 512, 1024, 2048}, {16, 8, 4, 2, 1}}},
        /* Those that README.md and docs/guide.md show. */
        {32, 256, 64, {{32, 64, 128, 256}, {64, 32, 16, 8}}},
        {16, 4096, 1024, {{16, 32, 64, 128, 256, 512, 1024, 2048, 4096}, {1024, 512, 256, 128, 64, 32, 16, 8, 4}}},
        {1000, 5000, 100, {{1024, 2048, 4096, 8192}, {128, 64, 32, 16}}},
    };
    for (size_t i = 0; i < LENGTH(table); i++)
        for (int p = fallback_disabled; p < __fallback_end_place_holder; p++) {
            r_memory_fallback_policy_t policy = (r_memory_fallback_policy_t)p;
            size_t smallest = table[i].smallest, largest = table[i].largest;
            row("%zu to %zu from %zu, policy %d", smallest, largest, table[i].count, p);
            r_mempool *rmp = r_mempool_create(smallest, largest, table[i].count, policy);
            CHECK(rmp != NULL);
            every_size(rmp, &table[i].shape);
            no_sizes(rmp, &table[i].shape);
            for (size_t from = 0; from < class_count(&table[i].shape); from++)
                cascade(rmp, &table[i].shape, from, policy);
            r_mempool_destroy(rmp);
        }
    /* The largest class would have no entry. */
    CHECK_FAILS(r_mempool_create(16, 256, 4, fallback_disabled), EINVAL);
}

/* The pool of 13 classes that a well-known document shows. */
static void thirteen_classes(void)
{
    static const struct shape shape = {
        {16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536},
        {131072, 65536, 32768, 16384, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32},
    };
    for (int p = fallback_disabled; p < __fallback_end_place_holder; p++) {
        r_memory_fallback_policy_t policy = (r_memory_fallback_policy_t)p;
        row("13 classes, policy %d", p);
        r_mempool *rmp = r_mempool_create(16, 65536, 131072, policy);
        CHECK(rmp != NULL);
        for (size_t i = 0; i < 13; i++) {
            size_t above = i == 0 ? 1 : shape.sizes[i - 1] + 1;
            CHECK(r_mempool_total_capacity(rmp, above) == shape.counts[i]);
            CHECK(r_mempool_total_capacity(rmp, shape.sizes[i]) == shape.counts[i]);
        }
        no_sizes(rmp, &shape);
        /* The high classes, one after the other: none of them is out of reach. */
        for (size_t from = 12; from >= scaled(7, 11); from--)
            cascade(rmp, &shape, from, policy);
        if (!under_valgrind())
            for (size_t size = 1; size <= 65536; size += size < 1100 ? 1 : 61) {
                size_t class = class_for(&shape, size);
                void *entry = r_mempool_alloc_entry(rmp, hide_size(size));
                CHECK(entry != NULL);
                CHECK(r_mempool_used_count(rmp, shape.sizes[class]) == 1);
                memset(entry, 0xa5, size);
                r_mempool_free_entry(entry);
            }
        r_mempool_destroy(rmp);
    }
}

/* All of a full 32 KiB class goes on to the 64 KiB class, and one entry that comes back below is
 * taken before any above. */
static void full_class(void)
{
    static const struct shape shape = {{16384, 32768, 65536}, {8, 4, 2}};
    size_t used[3] = {0, 0, 0};
    void *entries[6];
    row("a full 32 KiB class");
    r_mempool *rmp = r_mempool_create(16384, 65536, 8, fallback_disabled);
    CHECK(rmp != NULL);
    for (size_t i = 0; i < 6; i++) {
        entries[i] = r_mempool_alloc_entry(rmp, 20000);
        used[i < 4 ? 1 : 2]++;
        CHECK(entries[i] != NULL);
        check_used(rmp, &shape, used);
    }
    CHECK_FAILS(r_mempool_alloc_entry(rmp, 20000), ENOMEM);
    CHECK_FAILS(r_mempool_alloc_entry(rmp, 65536), ENOMEM);
    for (size_t i = 0; i < 6; i += 3) {
        r_mempool_free_entry(entries[i]);
        entries[i] = r_mempool_alloc_entry(rmp, 32768);
        CHECK(entries[i] != NULL);
        check_used(rmp, &shape, used);
    }
    /* The class below is as it was: nothing comes from below. */
    void *below = r_mempool_alloc_entry(rmp, 16384);
    used[0]++;
    CHECK(below != NULL);
    check_used(rmp, &shape, used);
    r_mempool_destroy(rmp);
}

int main(void)
{
    powers();
    lists();
    full_class();
    thirteen_classes();
    return done();
}
