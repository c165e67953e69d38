/* Does the adapter do what malloc and its like do, on either side of the largest class and across
 * it? */
#include "../c/check_child.h"

/* What the adapter gives back to the heap passes by here, and what it makes of entries. */
static void note_free(void *memory);
static void *note_realloc(r_mempool *pool, void *entry, size_t size);
#define free note_free
#define r_mempool_realloc_entry note_realloc
#include <cmempool/adapter.h>
#undef free
#undef r_mempool_realloc_entry

#include <pthread.h>

/* A block that is no longer live does not say that it is. */
static void note_free(void *memory)
{
    uintptr_t mark;
    memcpy(&mark, &((cmempool_adapter_header *)hide(memory))->mark, sizeof mark);
    CHECK(mark == 0);
    free(memory);
}

/* The size that this thread last asked for. */
static _Thread_local size_t asked;

static void *note_realloc(r_mempool *pool, void *entry, size_t size)
{
    asked = size;
    return r_mempool_realloc_entry(pool, entry, size);
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* Pools whose classes are few and small, so that they are exhausted often. */
static const r_mempool_class odd_classes[] = {{24, 7}, {40, 3}, {100, 5}, {1000, 4}};
static const r_mempool_class only_class[] = {{64, 20}};

enum { PLANS = 3 };

static r_mempool *make_pool(size_t plan, r_memory_fallback_policy_t policy)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.policy = policy;
    switch (plan) {
    case 0:
        options.smallest_size = 16;
        options.largest_size = 1024;
        options.smallest_count = 128;
        break;
    case 1:
        options.classes = odd_classes;
        options.class_count = LENGTH(odd_classes);
        options.flags = MEMPOOL_ZERO_ON_FREE;
        break;
    default:
        options.classes = only_class;
        options.class_count = LENGTH(only_class);
        options.alignment = 64;
    }
    r_mempool *pool = r_mempool_create_with(&options);
    CHECK(pool != NULL);
    return pool;
}

/* Entries that are out, those from the heap included. */
static size_t entries_out(const r_mempool *pool)
{
    size_t out = 0;
    mempool_stats stats = MEMPOOL_STATS_INIT;
    for (size_t i = 0; r_mempool_get_stats(pool, i, &stats); i++)
        out += stats.used + stats.dynamic_used;
    return out;
}

/* ---- A model: what each block must hold, in plain bytes
 * ----------------------------------------- */

enum { BLOCKS = 64 };

struct block {
    unsigned char *memory;
    unsigned char *expected; /* `size` bytes */
    size_t size;
};

struct model {
    cmempool_adapter *adapter;
    uint64_t state; /* of the generator */
    struct block blocks[BLOCKS];
    bool may_refuse; /* the pool, when it is exhausted */
};

/* Sizes near the bounds of classes and of the pool, and now and then any. */
static size_t some_size(struct model *model)
{
    size_t largest = model->adapter->largest;
    switch (random_below(&model->state, 8)) {
    case 0:
        return largest - 2 + random_below(&model->state, 5);
    case 1:
        return largest * 2 - 2 + random_below(&model->state, 5);
    case 2:
        return random_below(&model->state, 6 * largest);
    case 3:
        return ((size_t)16 << random_below(&model->state, 8)) - 1 + random_below(&model->state, 3);
    case 4:
        return odd_classes[random_below(&model->state, LENGTH(odd_classes))].elem_size - 1 +
               random_below(&model->state, 3);
    case 5:
        return random_below(&model->state, 3);
    default:
        return random_below(&model->state, largest + 1);
    }
}

static void verify(const struct block *block)
{
    CHECK(block->size == 0 || memcmp(block->memory, block->expected, block->size) == 0);
}

/* Takes note of a block's new place and size, asks for all of it, and fills it. */
static void note(struct model *model, struct block *block, void *memory, size_t size)
{
    size_t usable = cmempool_adapter_usable_size(model->adapter, memory);
    CHECK(aligned(memory, _Alignof(max_align_t)));
    CHECK(usable >= size);
    CHECK(size <= model->adapter->largest || usable == size);
    if (size > model->adapter->largest)
        CHECK(!r_mempool_owns(model->adapter->pool, memory));
    else if (r_mempool_owns(model->adapter->pool, memory)) {
        uintptr_t old = address(memory);
        memory = cmempool_adapter_realloc(model->adapter, memory, usable);
        CHECK(address(memory) == old);
    }
    block->memory = memory;
    block->size = size;
    block->expected = realloc(block->expected, usable);
    CHECK(block->expected != NULL);
    for (size_t i = 0; i < usable; i++)
        block->expected[i] = (unsigned char)random_below(&model->state, 256);
    memcpy(memory, block->expected, usable);
}

/* Nothing came of a call for `size` bytes: the pool may say so, as it is exhausted; the heap
 * never. */
static void expect_refusal(const struct model *model, size_t size)
{
    CHECK(model->may_refuse && size <= model->adapter->largest && errno == ENOMEM);
}

static void let_go(struct model *model, struct block *block)
{
    verify(block);
    cmempool_adapter_free(model->adapter, block->memory);
    free(block->expected);
    *block = (struct block){0};
}

static void take(struct model *model, struct block *block)
{
    size_t size = some_size(model);
    void *memory;
    errno = 0;
    if (random_below(&model->state, 3) == 0) {
        size_t count = 1 + random_below(&model->state, 4);
        size /= count;
        memory = cmempool_adapter_calloc(model->adapter, count, size);
        size *= count;
        CHECK(!memory || all_bytes(memory, 0, size));
    } else if (random_below(&model->state, 2) == 0) {
        memory = cmempool_adapter_realloc(model->adapter, NULL, size);
    } else {
        memory = cmempool_adapter_malloc(model->adapter, size);
    }
    if (!memory)
        expect_refusal(model, size);
    else
        note(model, block, memory, size);
}

static void resize(struct model *model, struct block *block)
{
    size_t size = some_size(model);
    verify(block);
    errno = 0;
    unsigned char *memory = cmempool_adapter_realloc(model->adapter, block->memory, size);
    if (!memory) {
        CHECK(size > block->size); /* to shrink is never refused */
        expect_refusal(model, size);
        verify(block);
        return;
    }
    struct block moved = *block;
    moved.memory = memory;
    moved.size = size < block->size ? size : block->size;
    verify(&moved);
    note(model, block, memory, size);
}

static void step(struct model *model)
{
    struct block *block = &model->blocks[random_below(&model->state, BLOCKS)];
    if (!block->memory)
        take(model, block);
    else if (random_below(&model->state, 3) > 0)
        resize(model, block);
    else
        let_go(model, block);
}

static void compare_counts(const struct model *model)
{
    size_t in_pool = 0, larger = 0;
    for (const struct block *block = model->blocks; block < model->blocks + BLOCKS; block++)
        if (block->memory && r_mempool_owns(model->adapter->pool, block->memory))
            in_pool++;
        else if (block->memory)
            larger++;
    CHECK(entries_out(model->adapter->pool) == in_pool);
    CHECK(cmempool_adapter_larger_count(model->adapter) == larger);
}

static void end(struct model *model)
{
    for (struct block *block = model->blocks; block < model->blocks + BLOCKS; block++)
        if (block->memory)
            let_go(model, block);
}

static const r_memory_fallback_policy_t policies[] = {
    fallback_disabled, fallback_at_first_exhaustion, fallback_at_last_exhaustion};

static void like_plain_bytes(void)
{
    for (size_t plan = 0; plan < PLANS; plan++)
        for (size_t i = 0; i < LENGTH(policies); i++) {
            row("plan %zu, policy %d", plan, (int)policies[i]);
            r_mempool *pool = make_pool(plan, policies[i]);
            cmempool_adapter adapter;
            CHECK(cmempool_adapter_init(&adapter, pool));
            struct model model = {.adapter = &adapter, .state = plan * 10 + i};
            model.may_refuse = policies[i] == fallback_disabled;
            for (size_t round = 0; round < scaled(20000, 1000); round++) {
                step(&model);
                if (round % 50 == 0)
                    compare_counts(&model);
            }
            end(&model);
            compare_counts(&model);
            CHECK(entries_out(pool) == 0);
            r_mempool_destroy(pool);
        }
}

/* ---- Threads
 * ------------------------------------------------------------------------------------ */

static void *many_steps(void *argument)
{
    struct model *model = argument;
    for (size_t round = 0; round < scaled(20000, 500); round++)
        step(model);
    return NULL;
}

static void *an_end(void *argument)
{
    end(argument);
    return NULL;
}

static void *many_larger_ones(void *adapter)
{
    for (size_t i = scaled(50000, 500); i > 0; i--)
        cmempool_adapter_free(adapter, cmempool_adapter_malloc(adapter, 1025));
    return NULL;
}

/* All at once on one adapter, and each thread's blocks are freed by another. */
static void from_many_threads(void)
{
    enum { THREADS = 4 };
    static struct model models[THREADS];
    r_mempool *pool = make_pool(0, fallback_at_last_exhaustion);
    cmempool_adapter adapter;
    CHECK(cmempool_adapter_init(&adapter, pool));
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        models[i] = (struct model){.adapter = &adapter, .state = i};
        CHECK(pthread_create(&threads[i], NULL, many_steps, &models[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, an_end, &models[(i + 1) % THREADS]) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, many_larger_ones, &adapter) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(entries_out(pool) == 0 && cmempool_adapter_larger_count(&adapter) == 0);
    r_mempool_destroy(pool);
}

/* ---- One thing at a time
 * ------------------------------------------------------------------------ */

static void fill(void *memory, size_t size)
{
    unsigned char *bytes = hide(memory);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 256 + 5);
}

static bool holds(const void *memory, size_t size)
{
    const unsigned char *bytes = hide(memory);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(i * 31 + i / 256 + 5))
            return false;
    return true;
}

/* From and to every size around the largest class, and far from it. */
static void across_the_boundary(void)
{
    static const size_t sizes[] = {1, 16, 100, 512, 1023, 1024, 1025, 1040, 2048, 5000, 300000};
    r_mempool *pool = make_pool(0, fallback_disabled);
    cmempool_adapter adapter;
    CHECK(cmempool_adapter_init(&adapter, pool));
    CHECK(adapter.largest == 1024);
    for (size_t from = 0; from < LENGTH(sizes); from++)
        for (size_t to = 0; to < LENGTH(sizes); to++) {
            size_t had = sizes[from], wants = hide_size(sizes[to]);
            row("from %zu to %zu", had, wants);
            void *memory = cmempool_adapter_malloc(&adapter, had);
            CHECK(memory != NULL);
            CHECK(r_mempool_owns(pool, memory) == (had <= 1024));
            CHECK(cmempool_adapter_larger_count(&adapter) == (had > 1024));
            fill(memory, had);
            size_t usable = cmempool_adapter_usable_size(&adapter, memory);
            memory = cmempool_adapter_realloc(&adapter, memory, wants);
            /* What is copied to the heap was asked for. */
            CHECK(had > 1024 || wants <= 1024 || asked == usable);
            CHECK(memory != NULL && aligned(memory, 16));
            CHECK(r_mempool_owns(pool, memory) == (wants <= 1024));
            CHECK(cmempool_adapter_larger_count(&adapter) == (wants > 1024));
            CHECK(holds(memory, had < wants ? had : wants));
            cmempool_adapter_free(&adapter, memory);
            CHECK(entries_out(pool) == 0 && cmempool_adapter_larger_count(&adapter) == 0);
        }
    r_mempool_destroy(pool);
}

/* A large block that shrinks while its pool has no entry stays, and is known for what it is. */
static void shrinks_in_an_exhausted_pool(void)
{
    r_mempool *pool = make_pool(2, fallback_disabled);
    cmempool_adapter adapter;
    CHECK(cmempool_adapter_init(&adapter, pool));
    void *large = cmempool_adapter_malloc(&adapter, 5000);
    CHECK(large != NULL);
    fill(large, 5000);
    void *entries[32];
    size_t count = 0;
    while ((entries[count] = cmempool_adapter_malloc(&adapter, 64)) != NULL)
        CHECK(++count < LENGTH(entries));
    CHECK(errno == ENOMEM);
    for (size_t size = 64; size > 0; size -= 8) {
        large = cmempool_adapter_realloc(&adapter, large, size);
        CHECK(large != NULL && !r_mempool_owns(pool, large) && holds(large, size));
        CHECK(cmempool_adapter_usable_size(&adapter, large) == size);
    }
    /* It may grow there, too, and moves when there is an entry again. */
    large = cmempool_adapter_realloc(&adapter, large, 32);
    CHECK(large != NULL && !r_mempool_owns(pool, large) && holds(large, 8));
    fill(large, 32);
    cmempool_adapter_free(&adapter, entries[--count]);
    large = cmempool_adapter_realloc(&adapter, large, 64);
    CHECK(large != NULL && r_mempool_owns(pool, large) && holds(large, 32));
    CHECK(cmempool_adapter_larger_count(&adapter) == 0);
    cmempool_adapter_free(&adapter, large);
    while (count > 0)
        cmempool_adapter_free(&adapter, entries[--count]);
    CHECK(entries_out(pool) == 0);
    r_mempool_destroy(pool);
}

static void sizes_that_can_not_be_had(void)
{
    r_mempool *pool = make_pool(0, fallback_at_last_exhaustion);
    cmempool_adapter adapter;
    CHECK(cmempool_adapter_init(&adapter, pool));
    static const size_t products[][2] = {
        {SIZE_MAX, SIZE_MAX},     {SIZE_MAX, 2},           {2, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},    {SIZE_MAX / 16 + 1, 16}, {(size_t)1 << 32, (size_t)1 << 32},
        {SIZE_MAX / 64 + 2, 64},  {SIZE_MAX, 1},           {SIZE_MAX / 3, 3},
        {(size_t)1 << 63, 3},     {SIZE_MAX / 17, 17},
    };
    for (size_t i = 0; i < LENGTH(products); i++) {
        row("%zu times %zu", products[i][0], products[i][1]);
        CHECK_FAILS(cmempool_adapter_calloc(&adapter, hide_size(products[i][0]),
                                            hide_size(products[i][1])),
                    ENOMEM);
    }
    void *small = cmempool_adapter_malloc(&adapter, 100);
    void *large = cmempool_adapter_malloc(&adapter, 10000);
    fill(small, 100);
    fill(large, 10000);
    for (size_t below = 0; below < 40; below++) {
        size_t size = hide_size(SIZE_MAX - below);
        row("%zu", size);
        CHECK_FAILS(cmempool_adapter_malloc(&adapter, size), ENOMEM);
        CHECK_FAILS(cmempool_adapter_realloc(&adapter, NULL, size), ENOMEM);
        CHECK_FAILS(cmempool_adapter_realloc(&adapter, small, size), ENOMEM);
        CHECK_FAILS(cmempool_adapter_realloc(&adapter, large, size), ENOMEM);
    }
    CHECK(holds(small, 100) && holds(large, 10000));
    CHECK(cmempool_adapter_usable_size(&adapter, large) == 10000);
    cmempool_adapter_free(&adapter, small);
    cmempool_adapter_free(&adapter, large);
    CHECK(entries_out(pool) == 0 && cmempool_adapter_larger_count(&adapter) == 0);
    r_mempool_destroy(pool);
}

static void nothing_asked_for(void)
{
    r_mempool *pool = make_pool(0, fallback_disabled);
    cmempool_adapter adapter;
    CHECK_FAILS(cmempool_adapter_init(&adapter, NULL), EINVAL);
    CHECK(cmempool_adapter_init(&adapter, pool));
    cmempool_adapter_free(&adapter, NULL);
    CHECK(cmempool_adapter_usable_size(&adapter, NULL) == 0);
    void *large = cmempool_adapter_malloc(&adapter, 5000);
    void *blocks[] = {cmempool_adapter_malloc(&adapter, 0), cmempool_adapter_calloc(&adapter, 0, 9),
                      cmempool_adapter_calloc(&adapter, 9, 0),
                      cmempool_adapter_realloc(&adapter, NULL, 0),
                      cmempool_adapter_realloc(&adapter, large, 0)};
    for (size_t i = 0; i < LENGTH(blocks); i++) {
        CHECK(blocks[i] != NULL && r_mempool_owns(pool, blocks[i]));
        cmempool_adapter_free(&adapter, blocks[i]);
    }
    CHECK(entries_out(pool) == 0);
    r_mempool_destroy(pool);
}

/* ---- Misuse
 * ------------------------------------------------------------------------------------- */

static cmempool_adapter misused;

static void free_a_foreign_pointer(void *unused)
{
    (void)unused;
    static char foreign[64];
    cmempool_adapter_free(&misused, hide(foreign + 32));
}

static void free_a_large_block_twice(void *unused)
{
    (void)unused;
    void *large = hide(cmempool_adapter_malloc(&misused, 2000));
    void *again = hide(large);
    cmempool_adapter_free(&misused, large);
    cmempool_adapter_free(&misused, again);
}

static void free_an_entry_twice(void *unused)
{
    (void)unused;
    void *entry = hide(cmempool_adapter_malloc(&misused, 100));
    void *again = hide(entry);
    cmempool_adapter_free(&misused, entry);
    cmempool_adapter_free(&misused, again);
}

static void free_where_it_is_not_from(void *unused)
{
    (void)unused;
    cmempool_adapter other;
    CHECK(cmempool_adapter_init(&other, misused.pool));
    cmempool_adapter_free(&other, cmempool_adapter_malloc(&misused, 2000));
}

static void misuse_is_told_by_the_pool(void)
{
    if (SANITIZED || under_valgrind())
        return; /* which tell of it first */
    r_mempool *pool = make_pool(0, fallback_at_last_exhaustion);
    CHECK(cmempool_adapter_init(&misused, pool));
    EXPECT_ABORT(free_a_foreign_pointer, NULL, "not an entry");
    EXPECT_ABORT(free_a_large_block_twice, NULL, "not an entry");
    EXPECT_ABORT(free_where_it_is_not_from, NULL, "not an entry");
    EXPECT_ABORT(free_an_entry_twice, NULL, "double free");
    r_mempool_destroy(pool);
}

int main(void)
{
    across_the_boundary();
    shrinks_in_an_exhausted_pool();
    sizes_that_can_not_be_had();
    nothing_asked_for();
    like_plain_bytes();
    from_many_threads();
    misuse_is_told_by_the_pool();
    return done();
}
