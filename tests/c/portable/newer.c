/* Do programs for the original's newer release compile and work, beside the older forms?
 *
 * Written in what C99, C11 and C++11 share, and compiled as each: so without check.h. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

/* What the header's own functions ask of the library is looked at on its way. */
#define mempool_create_with seen_create_with
#define r_mempool_create_with seen_r_create_with
#include <cmempool.h>
#undef mempool_create_with
#undef r_mempool_create_with

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <pthread.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif
mempool *mempool_create_with(const mempool_options *options);
r_mempool *r_mempool_create_with(const r_mempool_options *options);
#ifdef __cplusplus
}
#endif

static mempool_options seen;
static r_mempool_options r_seen;

mempool *seen_create_with(const mempool_options *options)
{
    seen = *options;
    return mempool_create_with(options);
}

r_mempool *seen_r_create_with(const r_mempool_options *options)
{
    r_seen = *options;
    return r_mempool_create_with(options);
}

/* ---- Checks, as in check.h ---- */

static long checks;
static char row[128];

static void check(bool holds, int line, const char *condition)
{
    checks++;
    if (!holds) {
        fprintf(stderr, "newer.c:%d: failed: %s [%s]\n", line, condition, row);
        exit(1);
    }
}

#define CHECK(condition) check((condition) ? true : false, __LINE__, #condition)

#define CHECK_FAILS(call, code)                            \
    do {                                                   \
        errno = 0;                                         \
        check((call) == NULL, __LINE__, #call " fails");   \
        int errno_now_ = errno;                            \
        check(errno_now_ == (code), __LINE__, "errno of " #call); \
    } while (0)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool all_bytes(const unsigned char *bytes, unsigned char value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* ---- Pools ---- */

enum { MOST = 4096 };

static unsigned char *entries[MOST];

/* Takes all entries of a pool, which must be exactly `count`, and frees them. */
static void use(mempool *mp, size_t count, size_t size)
{
    CHECK(mempool_total_capacity(mp) == count);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (unsigned char *)mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL);
        memset(entries[i], (int)(i & 0xff), size);
    }
    CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK(mempool_used_count(mp) == count);
    for (size_t i = 0; i < count; i++) {
        CHECK(all_bytes(entries[i], (unsigned char)i, size));
        mempool_free_entry(entries[i]);
    }
    CHECK(mempool_used_count(mp) == 0);
}

/* The same for a ranged pool of these exponents, class by class. */
static void r_use(r_mempool *rmp, unsigned smallest, unsigned largest, unsigned count)
{
    size_t taken = 0;
    for (unsigned e = smallest; e <= largest; e++) {
        size_t size = (size_t)1 << e, of_class = (size_t)1 << (count - (e - smallest));
        CHECK(r_mempool_total_capacity(rmp, size) == of_class);
        for (size_t i = 0; i < of_class; i++, taken++) {
            entries[taken] = (unsigned char *)r_mempool_alloc_entry(rmp, size);
            CHECK(entries[taken] != NULL);
            memset(entries[taken], (int)e, size);
            CHECK(r_mempool_used_count(rmp, size) == i + 1);
        }
    }
    CHECK_FAILS(r_mempool_alloc_entry(rmp, 1), ENOMEM);
    size_t at = 0;
    for (unsigned e = smallest; e <= largest; e++)
        for (size_t i = 0; i < (size_t)1 << (count - (e - smallest)); i++, at++) {
            CHECK(all_bytes(entries[at], (unsigned char)e, (size_t)1 << e));
            r_mempool_free_entry(entries[at]);
        }
}

/* Calls a function in a thread of its own. Gives its result. */
struct call {
    void *(*run)(void *);
    void *argument, *result;
};

#ifdef _WIN32
static DWORD WINAPI run_call(void *its)
{
    struct call *call = (struct call *)its;
    call->result = call->run(call->argument);
    return 0;
}

static void *in_thread(void *(*run)(void *), void *argument)
{
    struct call call = {run, argument, NULL};
    HANDLE thread = CreateThread(NULL, 0, run_call, &call, 0, NULL);
    CHECK(thread != NULL && WaitForSingleObject(thread, INFINITE) == WAIT_OBJECT_0);
    CHECK(CloseHandle(thread));
    return call.result;
}
#else
static void *in_thread(void *(*run)(void *), void *argument)
{
    struct call call = {run, argument, NULL};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, call.run, call.argument) == 0);
    CHECK(pthread_join(thread, &call.result) == 0);
    return call.result;
}
#endif

static void *take_and_free(void *mp)
{
    void *entry = mempool_alloc_entry((mempool *)mp);
    (mempool_free_entry)(entry);
    return entry;
}

/* Whether threads share one cache: then what another freed last comes out first. A new pool's each
 * have one of their own, if it is large enough. */
static bool is_for_one_thread(mempool *mp)
{
    void *first = mempool_alloc_entry(mp), *others = NULL;
    CHECK(first != NULL && mempool_total_capacity(mp) >= 1000);
    others = in_thread(take_and_free, mp);
    CHECK(others != NULL);
    void *second = mempool_alloc_entry(mp);
    bool same = second == others;
    mempool_free_entry(first);
    mempool_free_entry(second);
    return same;
}

static void *r_take_and_free(void *rmp)
{
    void *entry = r_mempool_alloc_entry((r_mempool *)rmp, 1);
    (r_mempool_free_entry)(entry);
    return entry;
}

static bool r_is_for_one_thread(r_mempool *rmp)
{
    void *first = r_mempool_alloc_entry(rmp, 1), *others = NULL;
    CHECK(first != NULL);
    others = in_thread(r_take_and_free, rmp);
    CHECK(others != NULL);
    void *second = r_mempool_alloc_entry(rmp, 1);
    bool same = second == others;
    r_mempool_free_entry(first);
    r_mempool_free_entry(second);
    return same;
}

/* ---- The forms of create ---- */

static int calls;

static size_t once(size_t value)
{
    calls++;
    return value;
}

#define SIZE_AND_FALL_BACK 24, false
#define POOL(...) mempool_create(__VA_ARGS__)

static void ordinary_forms(void)
{
    snprintf(row, sizeof row, "ordinary");
    mempool *older = mempool_create(1000, 24, false);
    mempool *newer = mempool_create(1000, 24, false, false);
    mempool *single = mempool_create(1000, 24, false, true);
    CHECK(older != NULL && newer != NULL && single != NULL);
    CHECK(!is_for_one_thread(older) && !is_for_one_thread(newer) && is_for_one_thread(single));
    use(older, 1000, 24);
    use(newer, 1000, 24);
    use(single, 1000, 24);
    mempool_destroy(older);
    mempool_destroy(newer);
    mempool_destroy(single);

    for (unsigned bits = 0; bits < 4; bits++) {
        bool fall_back = (bits & 1) != 0, one_thread = (bits & 2) != 0;
        memset(&seen, 0xff, sizeof seen);
        mempool *mp = mempool_create(3, 9, fall_back, one_thread);
        CHECK(seen.struct_size == sizeof seen && seen.elem_count == 3 && seen.elem_size == 9);
        CHECK(seen.flags == ((fall_back ? (uint64_t)MEMPOOL_FALL_BACK : 0) |
                             (one_thread ? (uint64_t)MEMPOOL_SINGLE_THREAD : 0)));
        CHECK(seen.alignment == 0 && seen.name == NULL);
        CHECK(seen.buffer == NULL && seen.buffer_size == 0);
        if (fall_back) {
            for (size_t i = 0; i < 4; i++)
                CHECK(mempool_alloc_entry(mp) != NULL);
            CHECK(mempool_dynamic_allocs_count(mp) == 1);
        } else {
            use(mp, 3, 9);
        }
        mempool_destroy(mp);
    }

    /* The older form goes to the function itself. */
    memset(&seen, 0, sizeof seen);
    mempool *mp = mempool_create(2, SIZE_AND_FALL_BACK);
    use(mp, 2, 24);
    mempool_destroy(mp);
    CHECK(seen.struct_size == 0);
    mp = POOL(2, SIZE_AND_FALL_BACK, true);
    use(mp, 2, 24);
    mempool_destroy(mp);
    CHECK(seen.flags == MEMPOOL_SINGLE_THREAD);
    mp = (mempool_create)(2, 24, false);
    use(mp, 2, 24);
    mempool_destroy(mp);
    mempool *(*function)(size_t, size_t, bool) = &mempool_create;
    CHECK(function == mempool_create);
    mp = function(5, 24, false);
    use(mp, 5, 24);
    mempool_destroy(mp);

    mp = mempool_create(once(7), once(sizeof(int[2])), once(0) != 0, once(1) != 0);
    CHECK(calls == 4);
    use(mp, 7, sizeof(int[2]));
    mempool_destroy(mp);
    mp = mempool_create(once(8), once(3), once(0) != 0);
    CHECK(calls == 7);
    use(mp, 8, 3);
    /* One form inside of the other. */
    size_t used = 0;
    mempool *inner = NULL;
    mempool *outer = mempool_create(
        mempool_total_capacity(inner = mempool_create(6, 8, false)), 8, false, true);
    used += mempool_total_capacity(outer);
    mempool_destroy(outer);
    mempool_destroy(inner);
    outer = mempool_create(mempool_total_capacity(inner = mempool_create(9, 8, false, true)), 8,
                           false);
    used += mempool_total_capacity(outer);
    CHECK(used == 15);
    mempool_destroy(outer);
    mempool_destroy(inner);
    mempool_destroy(mp);

    CHECK_FAILS(mempool_create(0, 8, false, true), EINVAL);
    CHECK_FAILS(mempool_create(8, 0, false, false), EINVAL);
    CHECK_FAILS(mempool_create(8, SIZE_MAX, true, false), ENOMEM);
    CHECK_FAILS(mempool_create(0, 8, false), EINVAL);
}

static CMEMPOOL_ALIGNED(16) unsigned char any[1 << 17];

static void ranged_forms(void)
{
    for (unsigned smallest = 0; smallest <= 6; smallest++)
        for (unsigned largest = 0; largest <= 9; largest++)
            for (uint8_t count = 0; count <= 9; count++) {
                snprintf(row, sizeof row, "2^%u to 2^%u, 2^%u", smallest, largest, count);
                memset(&r_seen, 0xff, sizeof r_seen);
                if (smallest < 4 || largest <= smallest || count < largest - smallest) {
                    CHECK_FAILS(r_mempool_create((uint8_t)smallest, largest, count,
                                                 fallback_disabled, false),
                                EINVAL);
                    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(
                                    any, sizeof any, smallest, largest, count, fallback_disabled,
                                    false),
                                EINVAL);
                    continue;
                }
                r_mempool *rmp = r_mempool_create((uint8_t)smallest, largest, count,
                                                  fallback_disabled, (count & 1) != 0);
                CHECK(r_seen.struct_size == sizeof r_seen && r_seen.buffer == NULL);
                CHECK(r_seen.flags == (count & 1 ? MEMPOOL_SINGLE_THREAD : 0));
                r_use(rmp, smallest, largest, count);
                r_mempool_destroy(rmp);
                memset(&r_seen, 0, sizeof r_seen);
                rmp = r_mempool_create((size_t)1 << smallest, (size_t)1 << largest,
                                       (size_t)1 << count, fallback_disabled);
                CHECK(r_seen.struct_size == 0);
                r_use(rmp, smallest, largest, count);
                r_mempool_destroy(rmp);
            }

    /* The older form has sizes: its smallest class has 16 bytes where less is asked for. */
    for (size_t size = 1; size < 16; size *= 2) {
        snprintf(row, sizeof row, "a smallest size of %zu", size);
        r_mempool *rmp = r_mempool_create(size, 64, 8, fallback_disabled);
        r_use(rmp, 4, 6, 3);
        r_mempool_destroy(rmp);
    }

    snprintf(row, sizeof row, "ranged");
    r_mempool *rmp = r_mempool_create(4, 16, 17, fallback_at_first_exhaustion, false);
    CHECK(r_seen.policy == fallback_at_first_exhaustion);
    CHECK(r_mempool_total_capacity(rmp, 16) == 131072);
    CHECK(r_mempool_total_capacity(rmp, 65536) == 32 && r_mempool_total_capacity(rmp, 65537) == 0);
    r_mempool_destroy(rmp);
    r_mempool *(*function)(size_t, size_t, size_t, r_memory_fallback_policy_t) = &r_mempool_create;
    CHECK(function == r_mempool_create);
    rmp = function(16, 64, 8, fallback_disabled);
    r_use(rmp, 4, 6, 3);
    r_mempool_destroy(rmp);
    rmp = (r_mempool_create)(16, 64, 8, fallback_disabled);
    r_use(rmp, 4, 6, 3);
    r_mempool_destroy(rmp);
    calls = 0;
    rmp = r_mempool_create(once(4), once(6), once(3), fallback_disabled, once(1) != 0);
    CHECK(calls == 4);
    r_use(rmp, 4, 6, 3);
    r_mempool_destroy(rmp);

    CHECK_FAILS(r_mempool_create(4, 64, 8, fallback_disabled, false), ENOMEM);
    CHECK_FAILS(r_mempool_create(4, 255, 8, fallback_disabled, false), ENOMEM);
    CHECK_FAILS(r_mempool_create(4, 6, 64, fallback_disabled, false), ENOMEM);
    CHECK_FAILS(r_mempool_create(4, 6, 63, fallback_disabled, false), ENOMEM);
    CHECK_FAILS(r_mempool_create(64, 65, 8, fallback_disabled, false), EINVAL);
    CHECK_FAILS(r_mempool_create(4, 6, 4, __fallback_end_place_holder, false), EINVAL);
    /* An exponent that is too small is told before one that is too large. */
    CHECK_FAILS(r_mempool_create(0, 64, 64, fallback_disabled, false), EINVAL);
    CHECK_FAILS(r_mempool_create(3, 64, 64, fallback_disabled, false), EINVAL);
    CHECK_FAILS(r_mempool_create(4, 0, 64, fallback_disabled, false), EINVAL);
    CHECK_FAILS(r_mempool_create(4, 64, 0, fallback_disabled, false), EINVAL);
    CHECK_FAILS(r_mempool_create(64, 0, 64, fallback_disabled, false), EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(any, sizeof any, 0, 64, 64,
                                                          fallback_disabled, false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(any, sizeof any, 3, 64, 64,
                                                          fallback_disabled, false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(any, sizeof any, 4, 0, 64,
                                                          fallback_disabled, false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(any, sizeof any, 4, 64, 0,
                                                          fallback_disabled, false),
                EINVAL);
    /* No exponent is cut to 8 bits. */
    CHECK_FAILS(r_mempool_create(256 + 4, 256 + 6, 256 + 4, fallback_disabled, false), EINVAL);
    CHECK_FAILS(r_mempool_create(4, 256 + 6, 4, fallback_disabled, false), ENOMEM);
}

/* ---- Buffers ---- */

/* A count, a size, and for a ranged pool three exponents. */
#define ORDINARY(_) \
    _(1, 1) _(1, 8) _(1, 4096) _(2, 9) _(3, 24) _(7, 25) _(8, 15) _(63, 16) _(64, 17) _(65, 40) \
    _(100, sizeof(void *)) _(127, 100) _(128, 1) _(1000, 3) _(1000, 24) _(1023, 56) _(1024, 57) \
    _(4095, 1) _(4096, 8) _(1 + 2, 8 + 16)
#define RANGED(_) \
    _(4, 5, 1) _(4, 5, 7) _(4, 6, 2) _(4, 5, 3) _(5, 7, 3) _(4, 7, 3) _(4, 10, 6) _(4, 10, 9) \
    _(5, 6, 4) _(6, 9, 5) _(8, 12, 4) _(2 + 2, 3 + 5, 1 + 5)

/* A declaration at file scope, and one in a function. */
DECLARE_STATIC_MEMPOOL_BUFFER(sessions, 1000, 40);
DECLARE_STATIC_RMEMPOOL_BUFFER(texts, 4, 9, 6);

static void in_buffer(unsigned char *buffer, size_t bytes, size_t count, size_t size)
{
    for (int round = 0; round < 4; round++) {
        bool fall_back = round == 2, single = round % 2 == 1;
        mempool *mp =
            mempool_create_from_preallocated_buffer(buffer, bytes, size, fall_back, single);
        CHECK(mp != NULL);
        CHECK((unsigned char *)mp >= buffer && (unsigned char *)mp < buffer + bytes);
        if (count >= 1000)
            CHECK(is_for_one_thread(mp) == single);
        if (!fall_back) {
            use(mp, count, size);
        } else {
            for (size_t i = 0; i <= count; i++)
                CHECK(mempool_alloc_entry(mp) != NULL);
            CHECK(mempool_used_count(mp) == count && mempool_dynamic_allocs_count(mp) == 1);
        }
        mempool_destroy(mp);
    }
    /* A byte less has room for one entry less. */
    if (count == 1) {
        CHECK_FAILS(mempool_create_from_preallocated_buffer(buffer, bytes - 1, size, true, false),
                    EINVAL);
    } else {
        mempool *mp =
            mempool_create_from_preallocated_buffer(buffer, bytes - 1, size, false, false);
        CHECK(mp != NULL);
        use(mp, count - 1, size);
        mempool_destroy(mp);
    }
}

static void r_in_buffer(unsigned char *buffer, size_t bytes, unsigned smallest, unsigned largest,
                        unsigned count)
{
    for (int round = 0; round < 2; round++) {
        r_mempool *rmp = r_mempool_create_from_preallocated_buffer(
            buffer, bytes, smallest, largest, count, fallback_disabled, round == 1);
        CHECK(rmp != NULL);
        CHECK((unsigned char *)rmp >= buffer && (unsigned char *)rmp < buffer + bytes);
        if (count >= 9)
            CHECK(r_is_for_one_thread(rmp) == (round == 1));
        r_use(rmp, smallest, largest, count);
        r_mempool_destroy(rmp);
    }
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer, bytes - 1, smallest, largest,
                                                          count, fallback_disabled, false),
                EINVAL);
    r_mempool *rmp = r_mempool_create_from_preallocated_buffer(
        buffer, bytes, smallest, largest, count, fallback_at_last_exhaustion, false);
    CHECK(rmp != NULL);
    for (size_t i = 0; i <= (size_t)2 << count; i++)
        CHECK(r_mempool_alloc_entry(rmp, 1) != NULL);
    CHECK(r_mempool_dynamic_allocs_count(rmp, 1) > 0);
    r_mempool_destroy(rmp);
}

static void declared_buffers(void)
{
    snprintf(row, sizeof row, "declared at file scope");
    in_buffer(sessions, sizeof sessions, 1000, 40);
    r_in_buffer(texts, sizeof texts, 4, 9, 6);
#define DECLARED(count, size)                                              \
    {                                                                      \
        DECLARE_STATIC_MEMPOOL_BUFFER(buffer, count, size);                \
        snprintf(row, sizeof row, "declared: " #count " entries of " #size); \
        in_buffer(buffer, sizeof buffer, count, size);                     \
    }
#define R_DECLARED(smallest, largest, count)                                            \
    {                                                                                   \
        DECLARE_STATIC_RMEMPOOL_BUFFER(buffer, smallest, largest, count);               \
        snprintf(row, sizeof row, "declared: 2^" #smallest " to 2^" #largest ", 2^" #count); \
        r_in_buffer(buffer, sizeof buffer, smallest, largest, count);                   \
    }
    ORDINARY(DECLARED)
    RANGED(R_DECLARED)
}

enum { GUARD = 4096, ARENA = 1 << 17 };

/* A buffer of the program's own, at each of 16 places: nothing beside it is written. */
static void any_buffer(void)
{
    static CMEMPOOL_ALIGNED(16) unsigned char arena[GUARD + ARENA + GUARD];
    static const size_t counts[] = {1, 2, 5, 64, 99, 300}, sizes[] = {1, 8, 9, 100, 250};
    for (size_t c = 0; c < LENGTH(counts); c++)
        for (size_t s = 0; s < LENGTH(sizes); s++) {
            size_t bytes = MEMPOOL_BUFFER_SIZE(counts[c], sizes[s]);
            unsigned char *buffer = arena + GUARD + 16 * ((c + s) % 16);
            CHECK(bytes + 16 * 16 <= ARENA);
            snprintf(row, sizeof row, "%zu of %zu bytes", counts[c], sizes[s]);
            memset(arena, 0xa5, sizeof arena);
            in_buffer(buffer, bytes, counts[c], sizes[s]);
            CHECK(all_bytes(arena, 0xa5, (size_t)(buffer - arena)));
            CHECK(all_bytes(buffer + bytes, 0xa5, GUARD));
            /* What is more, but too little for another entry, does not matter. */
            mempool *mp = mempool_create_from_preallocated_buffer(
                buffer, bytes + 15, sizes[s], false, false);
            CHECK(mempool_total_capacity(mp) == counts[c]);
            mempool_destroy(mp);
        }

    snprintf(row, sizeof row, "refused");
    unsigned char *buffer = arena + GUARD;
    memset(arena, 0xa5, sizeof arena);
    CHECK_FAILS(mempool_create_from_preallocated_buffer(NULL, ARENA, 8, true, false), EINVAL);
    CHECK_FAILS(mempool_create_from_preallocated_buffer(buffer, 0, 8, true, false), EINVAL);
    CHECK_FAILS(mempool_create_from_preallocated_buffer(buffer, 100, 8, true, false), EINVAL);
    CHECK_FAILS(mempool_create_from_preallocated_buffer(buffer, ARENA, 0, true, false), EINVAL);
    CHECK_FAILS(mempool_create_from_preallocated_buffer(buffer, ARENA, ARENA, true, false), EINVAL);
    CHECK_FAILS(mempool_create_from_preallocated_buffer(buffer, ARENA, SIZE_MAX, true, false),
                EINVAL);
    CHECK_FAILS(mempool_create_from_preallocated_buffer(NULL, 0, 8, true, false), EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(NULL, ARENA, 4, 6, 4, fallback_disabled,
                                                          false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(NULL, 0, 4, 6, 4, fallback_disabled,
                                                          false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer, 0, 4, 6, 4, fallback_disabled,
                                                          false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer, ARENA, 6, 6, 4,
                                                          fallback_disabled, false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer, ARENA, 4, 6, 1,
                                                          fallback_disabled, false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer, ARENA, 4, 6, 4,
                                                          __fallback_end_place_holder, false),
                EINVAL);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer, ARENA, 4, 64, 4,
                                                          fallback_disabled, false),
                ENOMEM);
#if SIZE_MAX > UINT32_MAX
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer, ARENA, 4, 6, (size_t)1 << 32,
                                                          fallback_disabled, false),
                ENOMEM);
    CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer, ARENA, 4,
                                                          ((size_t)1 << 32) + 6, 4,
                                                          fallback_disabled, false),
                ENOMEM);
#endif
    for (size_t off = 1; off < 16; off++) {
        CHECK_FAILS(mempool_create_from_preallocated_buffer(buffer + off, ARENA, 8, true, false),
                    EINVAL);
        CHECK_FAILS(r_mempool_create_from_preallocated_buffer(buffer + off, ARENA, 4, 6, 4,
                                                              fallback_disabled, false),
                    EINVAL);
    }
    CHECK(all_bytes(arena, 0xa5, sizeof arena));
}

int main(void)
{
    ordinary_forms();
    ranged_forms();
    declared_buffers();
    any_buffer();
    printf("ok %ld\n", checks);
    return 0;
}
