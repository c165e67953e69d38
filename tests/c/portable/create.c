/* Which pools can be created, and what is every other request refused with? */
#include "../check_child.h"

#define ORDINARY .struct_size = sizeof(mempool_options)
#define RANGED .struct_size = sizeof(r_mempool_options)
#define TEN_INTS ORDINARY, .elem_count = 10, .elem_size = 4
#define SMALL_RANGE RANGED, .smallest_size = 16, .largest_size = 64, .smallest_count = 8
#define LIST(...) \
    .classes = (const r_mempool_class[]){__VA_ARGS__}, \
    .class_count = LENGTH(((const r_mempool_class[]){__VA_ARGS__}))

static char buffer_memory[8192] __attribute__((aligned(64)));
static r_mempool_class many[257];

static void ordinary(void)
{
    static const struct {
        size_t count, size;
        int error; /* 0: is created */
    } table[] = {
        {1, 1, 0},
        {10, 4, 0},
        {3, 100000, 0},
        {0, 4, EINVAL},
        {10, 0, EINVAL},
        {0, 0, EINVAL},
        {0, SIZE_MAX, EINVAL},
        {SIZE_MAX, 0, EINVAL},
        /* More than an address space. */
        {TOO_MANY, TOO_LARGE, ENOMEM},
#if WIDE
        {BIT(31), BIT(31), ENOMEM},
        {1, BIT(62), ENOMEM},
#endif
        /* A product that wraps to something small, or to 0. */
        {BIT(HALF - 1), BIT(HALF + 1), ENOMEM},
        {BIT(HALF - 1), BIT(HALF + 1) - 8, ENOMEM},
        {3, SIZE_MAX / 3 + 1, ENOMEM},
        {2, TOP(1), ENOMEM},
        /* A count that does not fit 32 bits. */
#if WIDE
        {BIT(32), 4, ENOMEM},
        {BIT(32) + 1, 4, ENOMEM},
#endif
        {TOP(2), 16, ENOMEM},
        {SIZE_MAX, 1, ENOMEM},
        {SIZE_MAX, SIZE_MAX, ENOMEM},
        /* A size that wraps when something is added. */
        {1, SIZE_MAX, ENOMEM},
        {1, SIZE_MAX - 7, ENOMEM},
        {1, SIZE_MAX - 8, ENOMEM},
        {1, SIZE_MAX - 23, ENOMEM},
        {1, SIZE_MAX - 2048, ENOMEM},
        {1, SIZE_MAX / 2, ENOMEM},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        for (int fall_back = 0; fall_back < 2; fall_back++) {
            row("count %zu, size %zu, fall back %d", table[i].count, table[i].size, fall_back);
            if (table[i].error != 0) {
                CHECK_FAILS(mempool_create(table[i].count, table[i].size, fall_back),
                            table[i].error);
                continue;
            }
            mempool *mp = mempool_create(table[i].count, table[i].size, fall_back);
            CHECK(mp != NULL);
            CHECK(mempool_total_capacity(mp) == table[i].count);
            CHECK(mempool_used_count(mp) == 0);
            CHECK(mempool_dynamic_allocs_count(mp) == 0);
            mempool_destroy(mp);
            CHECK(mp == NULL);
        }
    }
}

static void ranged(void)
{
    static const struct {
        size_t smallest, largest, count;
        int policy, error;
    } table[] = {
        {16, 64, 8, fallback_disabled, 0},
        {16, 64, 4, fallback_at_first_exhaustion, 0},
        {1, 17, 2, fallback_at_last_exhaustion, 0},
        {16, 65536, 4096, fallback_disabled, 0},
        {0, 64, 8, fallback_disabled, EINVAL},
        {16, 0, 8, fallback_disabled, EINVAL},
        {16, 64, 0, fallback_disabled, EINVAL},
        {0, 0, 0, fallback_disabled, EINVAL},
        /* The largest is not larger than the smallest, or no longer once both are rounded. */
        {64, 64, 8, fallback_disabled, EINVAL},
        {64, 16, 8, fallback_disabled, EINVAL},
        {17, 32, 8, fallback_disabled, EINVAL},
        {1, 16, 8, fallback_disabled, EINVAL},
        {1, 2, 8, fallback_disabled, EINVAL},
        /* A class that would have no entries. */
        {16, 128, 4, fallback_disabled, EINVAL},
        {16, 32, 1, fallback_disabled, EINVAL},
        {16, 65536, 2048, fallback_disabled, EINVAL},
        {16, BIT(WIDE ? 46 : 26), 8, fallback_disabled, EINVAL},
        /* No policy. */
        {16, 64, 8, __fallback_end_place_holder, EINVAL},
        {16, 64, 8, __fallback_end_place_holder + 1, EINVAL},
        {16, 64, 8, 256, EINVAL},
        {16, 64, 8, -1, EINVAL},
        {16, 64, 8, 0x7fffffff, EINVAL},
        /* What can't be counted or had. */
        {16, SIZE_MAX, 8, fallback_disabled, ENOMEM},
        {16, TOP(1) + 1, 8, fallback_disabled, ENOMEM},
        {16, 64, SIZE_MAX, fallback_disabled, ENOMEM},
        {16, 64, TOP(1) + 1, fallback_disabled, ENOMEM},
        {16, 64, TOP(1), fallback_disabled, ENOMEM},
#if WIDE
        {16, 64, BIT(32), fallback_disabled, ENOMEM},
#endif
        {16, 64, BIT(31) + 1, fallback_disabled, ENOMEM},
        {BIT(HALF + 8), BIT(HALF + 9), BIT(HALF - 2), fallback_disabled, ENOMEM},
        {BIT(HALF + 1), BIT(HALF + 2), BIT(HALF - 1), fallback_disabled, ENOMEM},
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        size_t smallest = table[i].smallest, largest = table[i].largest, count = table[i].count;
        r_memory_fallback_policy_t policy = (r_memory_fallback_policy_t)table[i].policy;
        row("smallest %zu, largest %zu, count %zu, policy %d", smallest, largest, count,
            table[i].policy);
        if (table[i].error != 0) {
            CHECK_FAILS(r_mempool_create(smallest, largest, count, policy), table[i].error);
            continue;
        }
        r_mempool *rmp = r_mempool_create(smallest, largest, count, policy);
        CHECK(rmp != NULL);
        CHECK(r_mempool_total_capacity(rmp, smallest) == count);
        CHECK(r_mempool_used_count(rmp, smallest) == 0);
        CHECK(r_mempool_dynamic_allocs_count(rmp, smallest) == 0);
        r_mempool_destroy(rmp);
        CHECK(rmp == NULL);
    }
}

/* `error` is what create says, `size_error` what the function for the buffer's size says: flags,
 * policy and buffer have no influence there. */
static void ordinary_with(void)
{
    const struct {
        const char *what;
        mempool_options options;
        int error, size_error;
    } table[] = {
        {"as asked", {TEN_INTS}, 0, 0},
        {"every flag",
         {TEN_INTS,
          .flags = MEMPOOL_FALL_BACK | MEMPOOL_SINGLE_THREAD | MEMPOOL_NO_PREFAULT |
                   MEMPOOL_ZERO_ON_FREE},
         0, 0},
        {"largest alignment", {TEN_INTS, .alignment = 4096}, 0, 0},
        {"alignment 1", {TEN_INTS, .alignment = 1}, 0, 0},
        {"a buffer",
         {TEN_INTS, .buffer = buffer_memory, .buffer_size = sizeof buffer_memory}, 0, 0},
        {"no struct_size", {.elem_count = 10, .elem_size = 4}, EINVAL, EINVAL},
        {"a struct from before it had a backing",
         {.struct_size = offsetof(mempool_options, backing), .elem_count = 10, .elem_size = 4}, 0, 0},
        {"a smaller struct",
         {.struct_size = offsetof(mempool_options, backing) - 8, .elem_count = 10, .elem_size = 4}, EINVAL,
         EINVAL},
        {"a struct of one byte less",
         {.struct_size = sizeof(mempool_options) - 1, .elem_count = 10, .elem_size = 4}, EINVAL,
         EINVAL},
        {"a bigger struct",
         {.struct_size = sizeof(mempool_options) + 8, .elem_count = 10, .elem_size = 4}, EINVAL,
         EINVAL},
        {"the biggest struct", {.struct_size = SIZE_MAX, .elem_count = 10, .elem_size = 4}, EINVAL,
         EINVAL},
        {"the other struct",
         {.struct_size = sizeof(r_mempool_options), .elem_count = 10, .elem_size = 4}, EINVAL,
         EINVAL},
        {"count 0", {ORDINARY, .elem_size = 4}, EINVAL, EINVAL},
        {"size 0", {ORDINARY, .elem_count = 10}, EINVAL, EINVAL},
        {"alignment 3", {TEN_INTS, .alignment = 3}, EINVAL, EINVAL},
        {"alignment 24", {TEN_INTS, .alignment = 24}, EINVAL, EINVAL},
        {"alignment 4095", {TEN_INTS, .alignment = 4095}, EINVAL, EINVAL},
        {"alignment 8192", {TEN_INTS, .alignment = 8192}, EINVAL, EINVAL},
        {"alignment of the highest bit", {TEN_INTS, .alignment = TOP(1)}, EINVAL, EINVAL},
        {"alignment SIZE_MAX", {TEN_INTS, .alignment = SIZE_MAX}, EINVAL, EINVAL},
        {"an unknown flag", {TEN_INTS, .flags = 512}, EINVAL, 0},
        {"the highest flag", {TEN_INTS, .flags = (uint64_t)1 << 63}, EINVAL, 0},
        {"a flag above 32 bits", {TEN_INTS, .flags = (uint64_t)1 << 32}, EINVAL, 0},
        {"a known and an unknown flag", {TEN_INTS, .flags = MEMPOOL_SINGLE_THREAD | 1024}, EINVAL,
         0},
        {"a buffer's size without a buffer", {TEN_INTS, .buffer_size = 8192}, EINVAL, 0},
        {"a buffer without a size", {TEN_INTS, .buffer = buffer_memory}, EINVAL, 0},
#if WIDE
        {"count 2^32", {ORDINARY, .elem_count = BIT(32), .elem_size = 4}, ENOMEM, ENOMEM},
#endif
        {"size SIZE_MAX", {ORDINARY, .elem_count = 1, .elem_size = SIZE_MAX}, ENOMEM, ENOMEM},
        {"a product that wraps",
         {ORDINARY, .elem_count = BIT(HALF - 1), .elem_size = BIT(HALF + 1)}, ENOMEM, ENOMEM},
#if WIDE
        {"more than an address space",
         {ORDINARY, .elem_count = TOO_MANY, .elem_size = TOO_LARGE}, ENOMEM, 0},
#endif
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        row("ordinary: %s", table[i].what);
        if (table[i].size_error != 0)
            CHECK_FAILS(mempool_buffer_size(&table[i].options), table[i].size_error);
        else
            CHECK(mempool_buffer_size(&table[i].options) != 0);
        if (table[i].error != 0) {
            CHECK_FAILS(mempool_create_with(&table[i].options), table[i].error);
            continue;
        }
        mempool *mp = mempool_create_with(&table[i].options);
        CHECK(mp != NULL && mempool_total_capacity(mp) == 10);
        mempool_destroy(mp);
    }
    CHECK_FAILS(mempool_create_with(NULL), EINVAL);
    CHECK_FAILS(mempool_buffer_size(NULL), EINVAL);
    mempool_options init = MEMPOOL_OPTIONS_INIT;
    CHECK(init.struct_size == sizeof init);
    CHECK(all_bytes((char *)&init + sizeof init.struct_size, 0,
                    sizeof init - sizeof init.struct_size));
}

static void ranged_with(void)
{
    const struct {
        const char *what;
        r_mempool_options options;
        int error, size_error;
    } table[] = {
        {"as asked", {SMALL_RANGE}, 0, 0},
        {"every flag and policy",
         {SMALL_RANGE, .policy = fallback_at_last_exhaustion,
          .flags = MEMPOOL_SINGLE_THREAD | MEMPOOL_NO_PREFAULT | MEMPOOL_ZERO_ON_FREE},
         0, 0},
        {"a buffer",
         {SMALL_RANGE, .buffer = buffer_memory, .buffer_size = sizeof buffer_memory}, 0, 0},
        {"a list", {RANGED, LIST({16, 8}, {24, 1}, {1000, 2})}, 0, 0},
        {"a list of one", {RANGED, LIST({16, 8})}, 0, 0},
        {"the longest list", {RANGED, .classes = many, .class_count = 256}, 0, 0},
        {"no struct_size", {.smallest_size = 16, .largest_size = 64, .smallest_count = 8}, EINVAL,
         EINVAL},
        {"a struct from before it had a backing",
         {.struct_size = offsetof(r_mempool_options, backing), .smallest_size = 16, .largest_size = 64,
          .smallest_count = 8},
         0, 0},
        {"a smaller struct",
         {.struct_size = offsetof(r_mempool_options, backing) - 8, .smallest_size = 16, .largest_size = 64,
          .smallest_count = 8},
         EINVAL, EINVAL},
        {"a bigger struct",
         {.struct_size = sizeof(r_mempool_options) + 8, .smallest_size = 16, .largest_size = 64,
          .smallest_count = 8},
         EINVAL, EINVAL},
        {"the other struct",
         {.struct_size = sizeof(mempool_options), .smallest_size = 16, .largest_size = 64,
          .smallest_count = 8},
         EINVAL, EINVAL},
        {"neither powers nor a list", {RANGED}, EINVAL, EINVAL},
        {"no smallest size", {RANGED, .largest_size = 64, .smallest_count = 8}, EINVAL, EINVAL},
        {"no largest size", {RANGED, .smallest_size = 16, .smallest_count = 8}, EINVAL, EINVAL},
        {"no count", {RANGED, .smallest_size = 16, .largest_size = 64}, EINVAL, EINVAL},
        {"a class without entries",
         {RANGED, .smallest_size = 16, .largest_size = 128, .smallest_count = 4}, EINVAL, EINVAL},
        {"a list without a length", {RANGED, .classes = many}, EINVAL, EINVAL},
        {"a length without a list", {RANGED, .class_count = 2}, EINVAL, EINVAL},
        {"powers and a list's length", {SMALL_RANGE, .class_count = 2}, EINVAL, EINVAL},
        {"powers and a list", {SMALL_RANGE, LIST({16, 8}, {24, 1})}, EINVAL, EINVAL},
        {"a smallest size and a list", {RANGED, .smallest_size = 16, LIST({16, 8}, {24, 1})},
         EINVAL, EINVAL},
        {"a largest size and a list", {RANGED, .largest_size = 64, LIST({16, 8}, {24, 1})}, EINVAL,
         EINVAL},
        {"a smallest count and a list", {RANGED, .smallest_count = 8, LIST({16, 8}, {24, 1})},
         EINVAL, EINVAL},
        {"a list too long", {RANGED, .classes = many, .class_count = 257}, EINVAL, EINVAL},
        {"a length of SIZE_MAX", {RANGED, .classes = many, .class_count = SIZE_MAX}, EINVAL,
         EINVAL},
        {"a list that descends", {RANGED, LIST({24, 8}, {16, 8})}, EINVAL, EINVAL},
        {"a list that descends at its end", {RANGED, LIST({16, 8}, {24, 8}, {20, 8})}, EINVAL,
         EINVAL},
        {"the same size twice", {RANGED, LIST({16, 8}, {16, 4})}, EINVAL, EINVAL},
        {"a size of 0", {RANGED, LIST({0, 8}, {16, 8})}, EINVAL, EINVAL},
        {"a count of 0", {RANGED, LIST({8, 8}, {16, 0})}, EINVAL, EINVAL},
        {"alignment 3", {SMALL_RANGE, .alignment = 3}, EINVAL, EINVAL},
        {"alignment 8192", {SMALL_RANGE, .alignment = 8192}, EINVAL, EINVAL},
        {"falling back by flag", {SMALL_RANGE, .flags = MEMPOOL_FALL_BACK}, EINVAL, 0},
        {"an unknown flag", {SMALL_RANGE, .flags = 512}, EINVAL, 0},
        {"no policy", {SMALL_RANGE, .policy = __fallback_end_place_holder}, EINVAL, 0},
        {"a policy far off", {SMALL_RANGE, .policy = (r_memory_fallback_policy_t)77}, EINVAL, 0},
        {"a reserved field", {SMALL_RANGE, .reserved = 1}, EINVAL, 0},
        {"a buffer's size without a buffer", {SMALL_RANGE, .buffer_size = 8192}, EINVAL, 0},
        {"a buffer without a size", {SMALL_RANGE, .buffer = buffer_memory}, EINVAL, 0},
#if WIDE
        {"a count of 2^32", {RANGED, LIST({8, 8}, {16, BIT(32)})}, ENOMEM, ENOMEM},
#endif
        {"a size of SIZE_MAX", {RANGED, LIST({8, 8}, {SIZE_MAX, 1})}, ENOMEM, ENOMEM},
        {"a sum that wraps",
         {RANGED, LIST({BIT(HALF), BIT(HALF - 1)}, {BIT(HALF) + 8, BIT(HALF - 1)},
                       {BIT(HALF) + 16, BIT(HALF - 1)})},
         ENOMEM, ENOMEM},
#if WIDE
        {"more than an address space", {RANGED, LIST({8, 8}, {TOO_LARGE, TOO_MANY})}, ENOMEM, 0},
#endif
    };
    for (size_t i = 0; i < LENGTH(table); i++) {
        row("ranged: %s", table[i].what);
        if (table[i].size_error != 0)
            CHECK_FAILS(r_mempool_buffer_size(&table[i].options), table[i].size_error);
        else
            CHECK(r_mempool_buffer_size(&table[i].options) != 0);
        if (table[i].error != 0) {
            CHECK_FAILS(r_mempool_create_with(&table[i].options), table[i].error);
            continue;
        }
        r_mempool *rmp = r_mempool_create_with(&table[i].options);
        CHECK(rmp != NULL && r_mempool_total_capacity(rmp, 16) == 8);
        r_mempool_destroy(rmp);
    }
    CHECK_FAILS(r_mempool_create_with(NULL), EINVAL);
    CHECK_FAILS(r_mempool_buffer_size(NULL), EINVAL);
    r_mempool_options init = R_MEMPOOL_OPTIONS_INIT;
    CHECK(init.struct_size == sizeof init);
    CHECK(all_bytes((char *)&init + sizeof init.struct_size, 0,
                    sizeof init - sizeof init.struct_size));
}

/* A request of more than 4 GiB gets what it asks for, or ENOMEM where the system has a limit. */
static void above_four_gigabytes(void)
{
    enum { COUNT = 5 };
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = BIT(30);
    options.flags = MEMPOOL_NO_PREFAULT;
    row("5 GiB");
    errno = 0;
    mempool *mp = mempool_create_with(&options);
    if (mp == NULL) {
        CHECK(errno == ENOMEM);
        return;
    }
    CHECK(WIDE); /* else it was cut to what fits a size */
    void *entries[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        char *entry = entries[i] = mempool_alloc_entry(mp);
        CHECK(entry != NULL);
        entry[0] = entry[options.elem_size - 1] = (char)(i + 1);
    }
    CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK(smallest_distance(entries, COUNT) >= options.elem_size + 8);
    for (size_t i = 0; i < COUNT; i++) {
        const char *entry = hide(entries[i]);
        CHECK(entry[0] == (char)(i + 1) && entry[options.elem_size - 1] == (char)(i + 1));
        mempool_free_entry(entries[i]);
    }
    mempool_destroy(mp);
}

static void free_twice(void *name)
{
    mempool_options options = {TEN_INTS, .name = name};
    mempool *mp = mempool_create_with(&options);
    /* The name was copied: what the caller does with the memory is of no interest. */
    memset(name, '!', strlen(name));
    void *entry = mempool_alloc_entry(mp), *again = entry;
    mempool_free_entry(entry);
    mempool_free_entry(again);
}

/* A name is shown up to its 63rd byte, and never breaks the line that it is shown in. */
static void names(void)
{
    char shown[128];
    for (size_t length = 62; length <= 200; length += length < 65 ? 1 : 45) {
        char name[256] = {0};
        for (size_t i = 0; i < length; i++)
            name[i] = (char)('a' + i % 26);
        snprintf(shown, sizeof shown, "(pool \"%.63s\", 4-byte entries)", name);
        row("a name of %zu bytes", length);
        EXPECT_ABORT(free_twice, name, shown);
    }
    char lines[] = "two\nlines\t";
    row("a name of two lines");
    EXPECT_ABORT(free_twice, lines, "(pool \"two?lines?\", 4-byte entries)");
}

int main(void)
{
    for (size_t i = 0; i < LENGTH(many); i++)
        many[i] = (r_mempool_class){i + 1, i == 15 ? 8 : 1};
    ordinary();
    ranged();
    ordinary_with();
    ranged_with();
    if (!under_valgrind())
        above_four_gigabytes();
    names();
    return done();
}
