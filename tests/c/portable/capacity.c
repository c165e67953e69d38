/* Can exactly N entries be taken from a pool of N, whatever their size and whoever frees first? */
#include "../check.h"

enum order { AS_TAKEN, REVERSE, SHUFFLED, EVENS_THEN_ODDS, ORDERS };

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 167 + 13);
}

static void fill_order(size_t *order, size_t count, enum order how)
{
    uint64_t seed = 42;
    for (size_t i = 0; i < count; i++) {
        size_t half = (count + 1) / 2;
        order[i] = how == REVERSE           ? count - 1 - i
                   : how != EVENS_THEN_ODDS ? i
                   : i < half               ? 2 * i
                                            : 2 * (i - half) + 1;
    }
    if (how == SHUFFLED)
        shuffle(order, count, &seed);
}

/* Takes all, which must be exactly `count`, and fills each to its last byte. */
static void take_all(mempool *mp, void **entries, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        entries[i] = mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL);
        CHECK(aligned(entries[i], 16));
        CHECK(mempool_used_count(mp) == i + 1);
        memset(entries[i], pattern(i), size);
    }
    for (int again = 0; again < 2; again++)
        CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK_FAILS(mempool_calloc_entry(mp), ENOMEM);
    CHECK(mempool_used_count(mp) == count);
    CHECK(mempool_total_capacity(mp) == count);
    CHECK(mempool_dynamic_allocs_count(mp) == 0);
    CHECK(smallest_distance(entries, count) >= size + 8);
}

/* A pool of `count`: all are taken, freed in every order, and taken again. */
static void every_order(mempool *mp, void **entries, size_t *order, size_t count, size_t size)
{
    for (enum order how = AS_TAKEN; how < ORDERS; how++) {
        take_all(mp, entries, count, size);
        fill_order(order, count, how);
        for (size_t i = 0; i < count; i++) {
            void *entry = entries[order[i]];
            CHECK(all_bytes(entry, pattern(order[i]), size));
            mempool_free_entry(entry);
            CHECK(entry == NULL);
            CHECK(mempool_used_count(mp) == count - 1 - i);
        }
    }
}

/* Takes and frees at random, with what must be the case kept beside. */
static void churn(mempool *mp, void **entries, size_t count, size_t size)
{
    uint64_t seed = 7;
    size_t held = 0, steps = count < 1000 ? 20 * count + 50 : count;
    for (size_t step = 0; step < steps; step++) {
        if (random_below(&seed, 8) < 5) {
            void *entry = mempool_alloc_entry(mp);
            CHECK((entry == NULL) == (held == count));
            if (entry != NULL) {
                memset(entry, pattern(address(entry) / 16), size);
                entries[held++] = entry;
            }
        } else if (held > 0) {
            size_t i = random_below(&seed, held);
            CHECK(all_bytes(entries[i], pattern(address(entries[i]) / 16), size));
            mempool_free_entry(entries[i]);
            entries[i] = entries[--held];
        }
        CHECK(mempool_used_count(mp) == held);
    }
    while (held > 0) {
        held--;
        CHECK(all_bytes(entries[held], pattern(address(entries[held]) / 16), size));
        mempool_free_entry(entries[held]);
    }
    CHECK(mempool_used_count(mp) == 0);
}

/* Writing to freed entries damages nothing but them. */
static void write_after_free(mempool *mp, void **entries, size_t count, size_t size)
{
    take_all(mp, entries, count, size);
    for (size_t i = 0; i < count; i++) {
        void *freed = entries[i];
        mempool_free_entry(freed);
    }
    for (size_t i = 0; i < count; i++)
        memset(hide(entries[i]), 0xff, size);
    take_all(mp, entries, count, size);
    for (size_t i = 0; i < count; i++) {
        CHECK(all_bytes(entries[i], pattern(i), size));
        mempool_free_entry(entries[i]);
    }
}

int main(void)
{
    static const size_t sizes[] = {1, 4, 8, 10, 16, 24, 64, 1000, 4096, 100000};
    static const size_t counts[] = {1, 2, 7, 16, 1000, 65536};
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD};
    const size_t most_bytes = scaled((size_t)128 << 20, (size_t)256 << 10);
    for (size_t i = 0; i < LENGTH(sizes) * LENGTH(counts) * LENGTH(flags); i++) {
        mempool_options options = MEMPOOL_OPTIONS_INIT;
        size_t size = options.elem_size = sizes[i % LENGTH(sizes)];
        size_t count = options.elem_count = counts[i / LENGTH(sizes) % LENGTH(counts)];
        options.flags = flags[i / LENGTH(sizes) / LENGTH(counts)];
        if (size * count > most_bytes || count > scaled(SIZE_MAX, 1000))
            continue;
        row("size %zu, count %zu, flags %d", size, count, (int)options.flags);
        void **entries = malloc(count * sizeof *entries);
        size_t *order = malloc(count * sizeof *order);
        mempool *mp = mempool_create_with(&options);
        CHECK(entries != NULL && order != NULL && mp != NULL);
        every_order(mp, entries, order, count, size);
        churn(mp, entries, count, size);
        write_after_free(mp, entries, count, size);
        mempool_destroy(mp);
        free(order);
        free(entries);
    }
    return done();
}
