/* Does every public function do with NULL, zero, huge and boundary arguments what its comment says?
 *
 * A line for each case. What misuse is, `misuse.c` has: here are the arguments that are refused, or
 * do nothing, and those beside them that are good. */
#include "../check_memory.h"

#include <limits.h>

enum { COUNT = 10, SIZE = 40, SMALLEST = 16, LARGEST = 64, CLASS_COUNT = 8 };

static mempool *mp;
static r_mempool *rmp;
static void *entry; /* of rmp, of the smallest class */
static char memory[1 << 13] __attribute__((aligned(64)));

static size_t given, taken_back;

static void *give(size_t size, size_t alignment, void *context)
{
    CHECK(alignment == 16 && context == memory);
    given++;
    return heap_aligned(alignment, size);
}

static void take_back(void *block, size_t size, void *context)
{
    CHECK(size > 0 && context == memory);
    taken_back++;
    heap_aligned_free(block);
}

static const mempool_backing backing = {sizeof backing, give, take_back, memory};
#define BACKING(first, second) (&(mempool_backing){sizeof backing, first, second, memory})

/* Nothing is changed by a call that fails. */
static void check_unchanged(void)
{
    CHECK(mempool_used_count(mp) == 0 && mempool_total_capacity(mp) == COUNT);
    CHECK(r_mempool_used_count(rmp, SMALLEST) == 1 && r_mempool_used_count(rmp, LARGEST) == 0);
    CHECK(all_bytes(entry, 'e', SMALLEST));
}

/* The call gives NULL or 0, with this errno. */
#define FAILS(code, call)        \
    do {                         \
        row("%s", #call);        \
        CHECK_FAILS(call, code); \
        check_unchanged();       \
    } while (0)

/* The call gives that number and leaves errno alone. */
#define COUNTS(number, call)                   \
    do {                                       \
        row("%s", #call);                      \
        errno = ERANGE;                        \
        CHECK((call) == (size_t)(number));     \
        CHECK(errno == ERANGE);                \
        check_unchanged();                     \
    } while (0)

/* The call does nothing, and leaves errno alone. */
#define NOTHING(call)           \
    do {                        \
        row("%s", #call);       \
        errno = ERANGE;         \
        call;                   \
        CHECK(errno == ERANGE); \
        check_unchanged();      \
    } while (0)

/* The call makes a pool of either sort. */
#define MAKES(call)                         \
    do {                                    \
        row("%s", #call);                   \
        mempool *made = call;               \
        CHECK(made != NULL);                \
        mempool_destroy(made);              \
        check_unchanged();                  \
    } while (0)

#define MAKES_RANGED(call)                  \
    do {                                    \
        row("%s", #call);                   \
        r_mempool *made = call;             \
        CHECK(made != NULL);                \
        r_mempool_destroy(made);            \
        check_unchanged();                  \
    } while (0)

/* The call takes an entry, or keeps one. */
#define TAKES(call)                  \
    do {                             \
        row("%s", #call);            \
        void *taken = call;          \
        CHECK(taken != NULL);        \
        mempool_free_entry(taken);   \
        check_unchanged();           \
    } while (0)

#define S(size) hide_size(size)

static void ordinary(void)
{
    FAILS(EINVAL, mempool_create(0, 1, false));
    FAILS(EINVAL, mempool_create(1, 0, false));
    FAILS(EINVAL, mempool_create(0, 0, true));
    FAILS(EINVAL, mempool_create(0, SIZE_MAX, false));
    FAILS(EINVAL, mempool_create(SIZE_MAX, 0, false));
    FAILS(ENOMEM, mempool_create(SIZE_MAX, SIZE_MAX, true));
    FAILS(ENOMEM, mempool_create(SIZE_MAX, 1, false));
    FAILS(ENOMEM, mempool_create(1, SIZE_MAX, false));
    FAILS(ENOMEM, mempool_create(1, SIZE_MAX / 2 + 1, false));
#if WIDE
    FAILS(ENOMEM, mempool_create(BIT(32), 1, false));
    FAILS(ENOMEM, mempool_create(1, BIT(47), false));
#endif
    FAILS(ENOMEM, mempool_create(BIT(HALF - 1), BIT(HALF + 1), false));
    FAILS(ENOMEM, mempool_create(TOO_MANY, TOO_LARGE, false));
    MAKES(mempool_create(1, 1, false));
    MAKES(mempool_create(1, 1, true));

    FAILS(EINVAL, mempool_alloc_entry(NULL));
    FAILS(EINVAL, mempool_calloc_entry(NULL));
    COUNTS(0, mempool_total_capacity(NULL));
    COUNTS(0, mempool_used_count(NULL));
    COUNTS(0, mempool_dynamic_allocs_count(NULL));
    NOTHING((mempool_free_entry)(NULL));
    NOTHING(_mempool_free_entry(NULL));
    NOTHING((mempool_destroy)(NULL));
    NOTHING(_mempool_destroy(NULL));
    TAKES(mempool_alloc_entry(mp));
    TAKES(mempool_calloc_entry(mp));
}

static void exhausted(void)
{
    void *all[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        all[i] = mempool_alloc_entry(mp);
        CHECK(all[i] != NULL);
    }
    row("all are out");
    CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK_FAILS(mempool_calloc_entry(mp), ENOMEM);
    CHECK(mempool_used_count(mp) == COUNT && mempool_dynamic_allocs_count(mp) == 0);
    for (size_t i = 0; i < COUNT; i++)
        mempool_free_entry(all[i]);
    check_unchanged();
}

static void ranged(void)
{
    FAILS(EINVAL, r_mempool_create(0, 64, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(16, 0, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(16, 64, 0, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(0, 0, 0, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(64, 64, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(64, 32, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(33, 64, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(1, 16, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(16, 64, 2, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(16, SIZE_MAX / 2, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(SIZE_MAX, 16, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(SIZE_MAX, SIZE_MAX, 8, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(64, 16, SIZE_MAX, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(33, 64, SIZE_MAX, fallback_disabled));
    FAILS(EINVAL, r_mempool_create(16, 64, 8, __fallback_end_place_holder));
    FAILS(EINVAL, r_mempool_create(16, 64, 8, (r_memory_fallback_policy_t)-1));
    FAILS(EINVAL, r_mempool_create(16, 64, 8, (r_memory_fallback_policy_t)INT_MAX));
    FAILS(ENOMEM, r_mempool_create(16, SIZE_MAX, 8, fallback_disabled));
    FAILS(ENOMEM, r_mempool_create(16, 64, SIZE_MAX, fallback_disabled));
#if WIDE
    FAILS(ENOMEM, r_mempool_create(16, 64, BIT(32), fallback_disabled));
#endif
    FAILS(ENOMEM, r_mempool_create(BIT(WIDE ? 46 : 30), BIT(WIDE ? 47 : 31), 2, fallback_disabled));
    MAKES_RANGED(r_mempool_create(1, 17, 1 << 1, fallback_disabled));
    MAKES_RANGED(r_mempool_create(16, 32, 2, fallback_at_first_exhaustion));
    MAKES_RANGED(r_mempool_create(16, 64, 3, fallback_at_last_exhaustion));

    FAILS(EINVAL, r_mempool_alloc_entry(NULL, 16));
    FAILS(EINVAL, r_mempool_alloc_entry(NULL, 0));
    FAILS(EINVAL, r_mempool_alloc_entry(rmp, 0));
    FAILS(EINVAL, r_mempool_alloc_entry(rmp, LARGEST + 1));
    FAILS(EINVAL, r_mempool_alloc_entry(rmp, S(TOP(1))));
    FAILS(EINVAL, r_mempool_alloc_entry(rmp, S(TOP(1) + 1)));
    FAILS(EINVAL, r_mempool_alloc_entry(rmp, S(SIZE_MAX)));
    TAKES(r_mempool_alloc_entry(rmp, 1));
    TAKES(r_mempool_alloc_entry(rmp, LARGEST));

    FAILS(EINVAL, r_mempool_calloc_entry(NULL, 16));
    FAILS(EINVAL, r_mempool_calloc_entry(rmp, 0));
    FAILS(EINVAL, r_mempool_calloc_entry(rmp, LARGEST + 1));
    FAILS(EINVAL, r_mempool_calloc_entry(rmp, S(SIZE_MAX)));
    TAKES(r_mempool_calloc_entry(rmp, 1));
    TAKES(r_mempool_calloc_entry(rmp, LARGEST));

    FAILS(EINVAL, r_mempool_realloc_entry(NULL, NULL, 16));
    FAILS(EINVAL, r_mempool_realloc_entry(NULL, entry, 16));
    FAILS(EINVAL, r_mempool_realloc_entry(NULL, entry, 0));
    FAILS(EINVAL, r_mempool_realloc_entry(rmp, NULL, 0));
    FAILS(EINVAL, r_mempool_realloc_entry(rmp, NULL, LARGEST + 1));
    FAILS(EINVAL, r_mempool_realloc_entry(rmp, NULL, S(SIZE_MAX)));
    FAILS(EINVAL, r_mempool_realloc_entry(rmp, entry, 0));
    FAILS(EINVAL, r_mempool_realloc_entry(rmp, entry, LARGEST + 1));
    FAILS(EINVAL, r_mempool_realloc_entry(rmp, entry, S(SIZE_MAX)));
    TAKES(r_mempool_realloc_entry(rmp, NULL, 1));
    TAKES(r_mempool_realloc_entry(rmp, NULL, LARGEST));
    row("realloc inside the class");
    CHECK(r_mempool_realloc_entry(rmp, entry, 1) == entry);
    CHECK(r_mempool_realloc_entry(rmp, entry, SMALLEST) == entry);
    check_unchanged();

    COUNTS(0, r_mempool_total_capacity(NULL, 16));
    COUNTS(0, r_mempool_total_capacity(NULL, 0));
    COUNTS(0, r_mempool_total_capacity(rmp, 0));
    COUNTS(0, r_mempool_total_capacity(rmp, LARGEST + 1));
    COUNTS(0, r_mempool_total_capacity(rmp, SIZE_MAX));
    COUNTS(CLASS_COUNT, r_mempool_total_capacity(rmp, 1));
    COUNTS(CLASS_COUNT / 2, r_mempool_total_capacity(rmp, SMALLEST + 1));
    COUNTS(CLASS_COUNT / 4, r_mempool_total_capacity(rmp, LARGEST));
    COUNTS(0, r_mempool_used_count(NULL, 16));
    COUNTS(0, r_mempool_used_count(rmp, 0));
    COUNTS(0, r_mempool_used_count(rmp, LARGEST + 1));
    COUNTS(0, r_mempool_used_count(rmp, SIZE_MAX));
    COUNTS(1, r_mempool_used_count(rmp, 1));
    COUNTS(0, r_mempool_dynamic_allocs_count(NULL, 16));
    COUNTS(0, r_mempool_dynamic_allocs_count(rmp, 0));
    COUNTS(0, r_mempool_dynamic_allocs_count(rmp, LARGEST + 1));
    COUNTS(0, r_mempool_dynamic_allocs_count(rmp, SIZE_MAX));
    COUNTS(0, r_mempool_dynamic_allocs_count(rmp, LARGEST));

    NOTHING((r_mempool_free_entry)(NULL));
    NOTHING((r_mempool_destroy)(NULL));
    NOTHING(_r_mempool_destroy(NULL));
}

#define WITH(...) (&(mempool_options){.struct_size = sizeof(mempool_options), __VA_ARGS__})
#define TEN .elem_count = COUNT, .elem_size = SIZE
#define RANGED(...) \
    (&(r_mempool_options){.struct_size = sizeof(r_mempool_options), __VA_ARGS__})
#define POWERS .smallest_size = SMALLEST, .largest_size = LARGEST, .smallest_count = CLASS_COUNT
#define LIST(number, ...) \
    .classes = (const r_mempool_class[]){__VA_ARGS__}, .class_count = (number)

static void ordinary_options(void)
{
    mempool_options good = *WITH(TEN, .flags = 0);
    size_t needed = mempool_buffer_size(&good);
    CHECK(needed > 0 && needed < sizeof memory);
    _Alignas(16) char storage[sizeof(mempool_options) + 1];
    memcpy(storage + 1, &good, sizeof good);
    const mempool_options *misaligned = hide(storage + 1);

    FAILS(EINVAL, mempool_create_with(NULL));
    FAILS(EINVAL, mempool_create_with(misaligned));
    FAILS(EINVAL, mempool_create_with(&(mempool_options){0}));
    FAILS(EINVAL, mempool_create_with(WITH(.elem_size = SIZE, .elem_count = 0)));
    FAILS(EINVAL, mempool_create_with(WITH(.elem_count = COUNT, .elem_size = 0)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .alignment = 3)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .alignment = 8192)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .alignment = SIZE_MAX)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .buffer_size = 1)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .buffer_size = SIZE_MAX)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .buffer = memory)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .buffer = memory, .buffer_size = needed - 1)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .buffer = memory + 8, .buffer_size = needed)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .flags = MEMPOOL_RECORD_HOLDERS << 1)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .flags = UINT64_MAX)));
    FAILS(ENOMEM, mempool_create_with(WITH(.elem_size = SIZE, .elem_count = SIZE_MAX)));
#if WIDE
    FAILS(ENOMEM, mempool_create_with(WITH(.elem_size = SIZE, .elem_count = BIT(32))));
    FAILS(ENOMEM, mempool_create_with(WITH(.elem_count = COUNT, .elem_size = BIT(47))));
#endif
    FAILS(ENOMEM, mempool_create_with(WITH(.elem_count = COUNT, .elem_size = SIZE_MAX)));
    FAILS(ENOMEM, mempool_create_with(WITH(.elem_count = TOO_MANY, .elem_size = TOO_LARGE)));
    FAILS(ENOMEM, mempool_create_with(WITH(.elem_count = 1, .elem_size = SIZE_MAX - 4096,
                                           .alignment = 4096)));
    MAKES(mempool_create_with(WITH(TEN, .alignment = 1)));
    MAKES(mempool_create_with(WITH(TEN, .alignment = 4096)));
    MAKES(mempool_create_with(WITH(TEN, .name = "")));
    MAKES(mempool_create_with(WITH(TEN, .buffer = memory, .buffer_size = needed)));
    MAKES(mempool_create_with(WITH(TEN, .buffer = memory + 16, .buffer_size = sizeof memory - 16)));
    MAKES(mempool_create_with(WITH(TEN, .flags = MEMPOOL_REPORT_LEAKS)));
    MAKES(mempool_create_with(WITH(TEN, .backing = &backing)));
    MAKES(mempool_create_with(WITH(TEN, .backing = &backing, .buffer = memory,
                                   .buffer_size = needed)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .backing = &(mempool_backing){0})));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .backing = BACKING(give, NULL))));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .backing = BACKING(NULL, take_back))));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .backing = hide((const char *)&backing + 4))));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .backing = &backing, .flags = MEMPOOL_HUGE_PAGES)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .buffer = memory, .buffer_size = needed,
                                           .flags = MEMPOOL_HUGE_PAGES)));
    FAILS(EINVAL, mempool_create_with(WITH(TEN, .backing = &backing, .buffer_size = 1)));
    FAILS(ENOMEM, mempool_create_with(WITH(.elem_count = COUNT, .elem_size = SIZE_MAX,
                                           .backing = &backing)));
    CHECK(given == 1 && taken_back == 1);

    FAILS(EINVAL, mempool_buffer_size(NULL));
    FAILS(EINVAL, mempool_buffer_size(misaligned));
    FAILS(EINVAL, mempool_buffer_size(&(mempool_options){0}));
    FAILS(EINVAL, mempool_buffer_size(WITH(.elem_size = SIZE, .elem_count = 0)));
    FAILS(EINVAL, mempool_buffer_size(WITH(.elem_count = COUNT, .elem_size = 0)));
    FAILS(EINVAL, mempool_buffer_size(WITH(TEN, .alignment = 3)));
    FAILS(EINVAL, mempool_buffer_size(WITH(TEN, .alignment = SIZE_MAX)));
    FAILS(ENOMEM, mempool_buffer_size(WITH(.elem_size = SIZE, .elem_count = SIZE_MAX)));
#if WIDE
    FAILS(ENOMEM, mempool_buffer_size(WITH(.elem_size = SIZE, .elem_count = BIT(32))));
#endif
    FAILS(ENOMEM, mempool_buffer_size(WITH(.elem_count = COUNT, .elem_size = SIZE_MAX)));
    COUNTS(needed, mempool_buffer_size(WITH(TEN, .buffer_size = 1, .flags = UINT64_MAX)));

    for (size_t size = 0; size < 3 * sizeof good; size++) {
        row("struct_size %zu", size);
        good.struct_size = size;
        if (size == offsetof(mempool_options, backing)) {
            MAKES(mempool_create_with(&good));
            COUNTS(needed, mempool_buffer_size(&good));
        } else if (size != sizeof good) {
            CHECK_FAILS(mempool_create_with(&good), EINVAL);
            CHECK_FAILS(mempool_buffer_size(&good), EINVAL);
        }
    }
    good.struct_size = sizeof good;
    for (int bit = 0; bit < 64; bit++) {
        row("flag bit %d", bit);
        good.flags = (uint64_t)1 << bit;
        const uint64_t known = MEMPOOL_FALL_BACK | MEMPOOL_SINGLE_THREAD | MEMPOOL_NO_PREFAULT |
                               MEMPOOL_ZERO_ON_FREE | MEMPOOL_REPORT_LEAKS |
                               MEMPOOL_HARDENED | MEMPOOL_HUGE_PAGES | MEMPOOL_LOCKED |
                               MEMPOOL_RECORD_HOLDERS;
        if (good.flags & known)
            MAKES(mempool_create_with(&good));
        else
            FAILS(EINVAL, mempool_create_with(&good));
    }
}

static void ranged_options(void)
{
    static r_mempool_class many[257];
    for (size_t i = 0; i < LENGTH(many); i++)
        many[i] = (r_mempool_class){.elem_size = i + 1, .elem_count = 1};
    r_mempool_options good = *RANGED(POWERS);
    size_t needed = r_mempool_buffer_size(&good);
    CHECK(needed > 0 && needed < sizeof memory);
    _Alignas(16) char storage[sizeof(r_mempool_options) + 1];
    memcpy(storage + 1, &good, sizeof good);
    const r_mempool_options *misaligned = hide(storage + 1);

/* Both functions refuse what they say of classes and alignment. */
#define BOTH_FAIL(code, options)                      \
    do {                                              \
        FAILS(code, r_mempool_create_with(options));  \
        FAILS(code, r_mempool_buffer_size(options));  \
    } while (0)

    BOTH_FAIL(EINVAL, NULL);
    BOTH_FAIL(EINVAL, misaligned);
    BOTH_FAIL(EINVAL, (&(r_mempool_options){0}));
    BOTH_FAIL(EINVAL, RANGED(.policy = fallback_disabled));
    BOTH_FAIL(EINVAL, RANGED(.smallest_size = 16, .largest_size = 16, .smallest_count = 8));
    BOTH_FAIL(EINVAL, RANGED(.smallest_size = 16, .largest_size = 64, .smallest_count = 2));
    BOTH_FAIL(EINVAL, RANGED(POWERS, .alignment = 3));
    BOTH_FAIL(EINVAL, RANGED(POWERS, .alignment = 8192));
    BOTH_FAIL(EINVAL, RANGED(POWERS, .class_count = 1));
    BOTH_FAIL(EINVAL, RANGED(POWERS, LIST(1, {8, 1})));
    BOTH_FAIL(EINVAL, RANGED(LIST(0, {8, 1})));
    BOTH_FAIL(EINVAL, RANGED(LIST(1, {0, 1})));
    BOTH_FAIL(EINVAL, RANGED(LIST(1, {8, 0})));
    BOTH_FAIL(EINVAL, RANGED(LIST(2, {8, 1}, {8, 1})));
    BOTH_FAIL(EINVAL, RANGED(LIST(2, {9, 1}, {8, 1})));
    BOTH_FAIL(EINVAL, RANGED(.classes = many, .class_count = 257));
    BOTH_FAIL(EINVAL, RANGED(.classes = many, .class_count = SIZE_MAX));
    BOTH_FAIL(EINVAL, RANGED(.class_count = SIZE_MAX));
    BOTH_FAIL(ENOMEM, RANGED(LIST(1, {SIZE_MAX, 1})));
    BOTH_FAIL(ENOMEM, RANGED(LIST(1, {8, SIZE_MAX})));
#if WIDE
    BOTH_FAIL(ENOMEM, RANGED(LIST(2, {8, 1}, {16, BIT(32)})));
#endif
    BOTH_FAIL(ENOMEM, RANGED(.smallest_size = 16, .largest_size = 64, .smallest_count = SIZE_MAX));
    BOTH_FAIL(ENOMEM, RANGED(.smallest_size = 16, .largest_size = SIZE_MAX, .smallest_count = 8));

    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .policy = __fallback_end_place_holder)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .policy = (r_memory_fallback_policy_t)-1)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .reserved = 1)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .flags = MEMPOOL_FALL_BACK)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .flags = MEMPOOL_RECORD_HOLDERS << 1)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .flags = UINT64_MAX)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .buffer_size = 1)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .buffer = memory)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .buffer = memory,
                                               .buffer_size = needed - 1)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .buffer = memory + 1,
                                               .buffer_size = needed)));
    MAKES_RANGED(r_mempool_create_with(RANGED(POWERS, .buffer = memory, .buffer_size = needed)));
    MAKES_RANGED(r_mempool_create_with(RANGED(POWERS, .flags = MEMPOOL_REPORT_LEAKS)));
    MAKES_RANGED(r_mempool_create_with(RANGED(POWERS, .backing = &backing)));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .backing = &(mempool_backing){0})));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .backing = BACKING(give, NULL))));
    FAILS(EINVAL, r_mempool_create_with(RANGED(POWERS, .backing = &backing,
                                               .flags = MEMPOOL_HUGE_PAGES)));
    CHECK(given == 2 && taken_back == 2);
    MAKES_RANGED(r_mempool_create_with(RANGED(LIST(1, {1, 1}))));
    MAKES_RANGED(r_mempool_create_with(RANGED(.classes = many, .class_count = 256)));
    COUNTS(needed, r_mempool_buffer_size(RANGED(POWERS, .buffer_size = 1, .flags = UINT64_MAX,
                                                .policy = (r_memory_fallback_policy_t)99)));

    for (size_t size = 0; size < 3 * sizeof good; size++) {
        row("struct_size %zu", size);
        good.struct_size = size;
        if (size == offsetof(r_mempool_options, backing)) {
            MAKES_RANGED(r_mempool_create_with(&good));
            COUNTS(needed, r_mempool_buffer_size(&good));
        } else if (size != sizeof good) {
            CHECK_FAILS(r_mempool_create_with(&good), EINVAL);
            CHECK_FAILS(r_mempool_buffer_size(&good), EINVAL);
        }
    }
}

/* A size that no version has is refused, and nothing is written: it may be garbage. */
static void stats_of_any_size(void)
{
    static mempool_stats many[4], untouched[4];
    memset(many, 's', sizeof many);
    memcpy(untouched, many, sizeof many);
    for (size_t size = 0; size < 3 * sizeof *many + 2; size++) {
        size_t of = size < 3 * sizeof *many ? size : SIZE_MAX - (size & 1);
        row("struct_size %zu", of);
        bool known = of == sizeof *many;
        for (int ranged = 0; ranged < 2; ranged++) {
            many->struct_size = untouched->struct_size = of;
            errno = 0;
            CHECK((ranged ? r_mempool_get_stats(rmp, 0, many) : mempool_get_stats(mp, many)) ==
                  known);
            CHECK(errno == (known ? 0 : EINVAL));
            CHECK((memcmp(many, untouched, sizeof many) == 0) == !known);
            CHECK(memcmp(many + 1, untouched + 1, sizeof many - sizeof *many) == 0);
            memcpy(many, untouched, sizeof many);
        }
    }
}

static void on_misuse(const mempool_misuse *report, void *context)
{
    (void)report, (void)context;
    _Exit(42);
}

static void handlers(void)
{
    NOTHING(mempool_set_misuse_handler(NULL, NULL));
    NOTHING(mempool_set_misuse_handler(NULL, memory));
    NOTHING(mempool_set_misuse_handler(on_misuse, NULL));
    NOTHING(mempool_set_misuse_handler(NULL, NULL));
}

int main(void)
{
    mp = mempool_create(COUNT, SIZE, false);
    rmp = r_mempool_create(SMALLEST, LARGEST, CLASS_COUNT, fallback_disabled);
    entry = hide(r_mempool_alloc_entry(rmp, SMALLEST));
    CHECK(mp != NULL && rmp != NULL && entry != NULL);
    memset(entry, 'e', SMALLEST);
    ordinary();
    exhausted();
    ranged();
    ordinary_options();
    ranged_options();
    stats_of_any_size();
    handlers();
    r_mempool_free_entry(entry);
    r_mempool_destroy(rmp);
    mempool_destroy(mp);
    return done();
}
