/* Do figures, walks, owners and reports say what is the case? */
#include "../check_child.h"
#include "../check_threads.h"

static mempool_stats stats_of(const mempool *mp)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(mp, &stats));
    CHECK(stats.struct_size == sizeof stats);
    CHECK(stats.used == mempool_used_count(mp));
    CHECK(stats.dynamic_used == mempool_dynamic_allocs_count(mp));
    CHECK(stats.used + stats.cached <= stats.capacity && stats.used <= stats.peak_used);
    CHECK(stats.peak_used <= stats.capacity && stats.dynamic_used <= stats.dynamic_peak);
    return stats;
}

static mempool_stats class_stats(const r_mempool *rmp, size_t index)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(r_mempool_get_stats(rmp, index, &stats));
    return stats;
}

static mempool *make(size_t count, size_t size, uint64_t flags, const char *name)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = size;
    options.flags = flags;
    options.name = name;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

/* ---- Figures ------------------------------------------------------------------------------- */

/* One thread takes and frees at random, in waves: each figure is exact after every call. */
static void one_thread(size_t count, uint64_t flags)
{
    row("one thread, %zu entries, flags %u", count, (unsigned)flags);
    mempool *mp = make(count, 24, flags, NULL);
    void **held = calloc(count, sizeof *held);
    CHECK(held != NULL);
    size_t used = 0, peak = 0, exhausted = 0;
    uint64_t seed = count;
    for (size_t step = 0; step < scaled(20000, 2000); step++) {
        size_t wave = step / 500 % 4;
        if (random_below(&seed, 8) < 2 + 2 * wave) {
            void *entry = mempool_alloc_entry(mp);
            CHECK((entry == NULL) == (used == count));
            if (entry != NULL)
                held[used++] = entry;
            else
                exhausted++;
        } else if (used > 0) {
            size_t i = random_below(&seed, used);
            mempool_free_entry(held[i]);
            held[i] = held[--used];
        }
        peak = used > peak ? used : peak;
        if (step % 5000 == 4321) {
            mempool_reset_peak(mp);
            peak = used;
        }
        mempool_stats stats = stats_of(mp);
        CHECK(stats.used == used);
        CHECK(stats.peak_used == peak);
        CHECK(stats.exhausted == exhausted && stats.failed == exhausted);
    }
    free(held);
    mempool_destroy(mp);
}

static void what_it_takes(void)
{
    row("memory");
    mempool *small = make(10, 100, 0, NULL), *large = make(100000, 100, 0, NULL);
    mempool_stats a = stats_of(small), b = stats_of(large);
    CHECK(a.elem_size == 100 && a.capacity == 10 && b.capacity == 100000);
    CHECK(a.bytes_per_entry == slot_size(100, 16) && b.bytes_per_entry == a.bytes_per_entry);
    CHECK(a.bytes_reserved >= 10 * a.bytes_per_entry && a.bytes_reserved < 10000);
    CHECK(b.bytes_reserved >= 100000 * (b.bytes_per_entry) + b.cache_bytes);
    CHECK(b.bytes_reserved <= 100000 * (b.bytes_per_entry + 8) + 8192);
    CHECK(a.cache_bytes == 0);
    /* What the depot leaves of 8 bytes per entry: 1589 words of bits, and 64 numbers of slots are its. */
    CHECK(b.cache_bytes > 0 && b.cache_bytes <= 8 * 100000 - 1589 * 8 - 64 * 4);
    mempool_destroy(small);
    mempool_destroy(large);
}

static void from_the_heap(void)
{
    row("fallback");
    mempool *mp = make(5, 24, MEMPOOL_FALL_BACK, NULL);
    void *held[9];
    for (size_t i = 0; i < 9; i++)
        held[i] = mempool_alloc_entry(mp);
    mempool_stats stats = stats_of(mp);
    CHECK(stats.used == 5 && stats.dynamic_used == 4 && stats.dynamic_peak == 4);
    CHECK(stats.exhausted == 4 && stats.failed == 0);
    for (size_t i = 0; i < 9; i++)
        mempool_free_entry(held[i]);
    stats = stats_of(mp);
    CHECK(stats.used == 0 && stats.peak_used == 5);
    CHECK(stats.dynamic_used == 0 && stats.dynamic_peak == 4 && stats.exhausted == 4);
    mempool_reset_peak(mp);
    stats = stats_of(mp);
    CHECK(stats.peak_used == 0 && stats.dynamic_peak == 0 && stats.exhausted == 4);
    mempool_destroy(mp);
}

static void by_class(r_memory_fallback_policy_t policy, size_t failed, size_t dynamic)
{
    row("ranged, policy %d", (int)policy);
    r_mempool *rmp = r_mempool_create(16, 128, 8, policy);
    CHECK(rmp != NULL && r_mempool_class_count(rmp) == 4);
    /* 4 of 32 bytes, 2 of 64, 1 of 128: all out, and two calls more. */
    for (size_t i = 0; i < 9; i++)
        (void)r_mempool_alloc_entry(rmp, 30);
    static const size_t sizes[] = {16, 32, 64, 128}, counts[] = {8, 4, 2, 1};
    size_t elsewhere = policy == fallback_at_first_exhaustion ? 0 : 1;
    for (size_t i = 0; i < 4; i++) {
        mempool_stats stats = class_stats(rmp, i);
        CHECK(stats.elem_size == sizes[i] && stats.capacity == counts[i]);
        CHECK(stats.peak_used == (i == 1 ? 4 : i > 1 ? elsewhere * counts[i] : 0));
        CHECK(stats.exhausted == (i == 1 ? 5 : 0));
        CHECK(stats.failed == (i == 1 ? failed : 0));
        CHECK(stats.dynamic_used == (i == 1 ? dynamic : 0));
        CHECK(stats.bytes_per_entry == slot_size(sizes[i], 16));
    }
    mempool_stats stats;
    memset(&stats, 0, sizeof stats); /* what lies between its members, too */
    stats.struct_size = sizeof stats;
    CHECK_FAILS(r_mempool_get_stats(rmp, 4, &stats), EINVAL);
    CHECK(all_bytes((char *)&stats + sizeof(size_t), 0, sizeof stats - sizeof(size_t)));
    r_mempool_reset_peak(rmp);
    CHECK(class_stats(rmp, 1).exhausted == 5 && class_stats(rmp, 1).failed == failed);
    CHECK(class_stats(rmp, 1).peak_used == 4);
    r_mempool_destroy(rmp);
}

/* Sizes that no version of the struct has are refused, and nothing is written. */
static void versions_of_the_struct(void)
{
    row("versions");
    mempool *mp = make(5, 24, 0, NULL);
    struct {
        mempool_stats known;
        size_t later[2];
    } stats;
    memset(&stats, 0xAA, sizeof stats);
    stats.known.struct_size = sizeof stats.known;
    CHECK(mempool_get_stats(mp, &stats.known) && stats.known.capacity == 5);
    CHECK(stats.known.struct_size == sizeof stats.known);
    CHECK(all_bytes(stats.later, 0xAA, sizeof stats.later));
    const size_t wrong[] = {0, 1, sizeof stats.known - 1, sizeof stats.known + 1,
                            sizeof stats, SIZE_MAX, (size_t)&stats};
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        memset(&stats, 0xAA, sizeof stats);
        stats.known.struct_size = wrong[i];
        CHECK_FAILS(mempool_get_stats(mp, &stats.known), EINVAL);
        CHECK(stats.known.struct_size == wrong[i]);
        CHECK(all_bytes((char *)&stats + sizeof(size_t), 0xAA, sizeof stats - sizeof(size_t)));
    }
    CHECK_FAILS(mempool_get_stats(mp, NULL), EINVAL);
    /* Nor is anything written where no struct can be. */
    memset(&stats, 0, sizeof stats);
    const size_t size = sizeof stats.known;
    memcpy((char *)&stats + 1, &size, sizeof size);
    CHECK_FAILS(mempool_get_stats(mp, (void *)((char *)&stats + 1)), EINVAL);
    CHECK(all_bytes((char *)&stats + 1 + sizeof size, 0, sizeof stats - 1 - sizeof size));
    stats.known.struct_size = sizeof stats.known;
    CHECK_FAILS(mempool_get_stats(NULL, &stats.known), EINVAL);
    CHECK_FAILS(r_mempool_get_stats(NULL, 0, &stats.known), EINVAL);
    CHECK(r_mempool_class_count(NULL) == 0);
    mempool_reset_peak(NULL);
    r_mempool_reset_peak(NULL);
    mempool_destroy(mp);
}

/* A realloc to a smaller class counts once where that class is full, whether the entry moves to another
 * one or stays. */
static void shrinks_that_miss(void)
{
    row("shrinking realloc");
    static const r_mempool_class classes[] = {{16, 1}, {32, 1}, {64, 2}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    void *small = r_mempool_alloc_entry(rmp, 16), *first = r_mempool_alloc_entry(rmp, 64);
    void *second = r_mempool_alloc_entry(rmp, 64);
    void *moved = r_mempool_realloc_entry(rmp, first, 10);
    CHECK(moved != first && mempool_usable_size(moved) == 32);
    CHECK(class_stats(rmp, 0).exhausted == 1 && class_stats(rmp, 0).failed == 0);
    CHECK(r_mempool_realloc_entry(rmp, second, 10) == second);
    CHECK(class_stats(rmp, 0).exhausted == 2 && class_stats(rmp, 0).failed == 0);
    CHECK(r_mempool_realloc_entry(rmp, second, 30) == second);
    CHECK(class_stats(rmp, 1).exhausted == 1 && class_stats(rmp, 2).exhausted == 0);
    mempool_free_entry(small);
    void *back = r_mempool_realloc_entry(rmp, second, 10);
    CHECK(back != second && mempool_usable_size(back) == 16);
    CHECK(class_stats(rmp, 0).exhausted == 2 && class_stats(rmp, 1).exhausted == 1);
    r_mempool_destroy(rmp);
}

/* Threads take and free. What they have at once at most is known; the mark is never below, and above by
 * no more than what their caches can hold. */
enum { THREADS = 4, HELD = 150 };

struct crowd {
    mempool *mp;
    struct barrier *full;
};

static void *member(void *argument)
{
    struct crowd *crowd = argument;
    void *held[HELD];
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < HELD; i++)
            CHECK((held[i] = mempool_alloc_entry(crowd->mp)) != NULL);
        barrier_wait(crowd->full);
        for (size_t i = 0; i < HELD; i++)
            mempool_free_entry(held[i]);
        barrier_wait(crowd->full);
    }
    return NULL;
}

static void several_threads(void)
{
    row("several threads");
    struct barrier full;
    CHECK(barrier_init(&full, THREADS));
    struct crowd crowd = {make(4000, 24, 0, NULL), &full};
    for (int again = 0; again < 2; again++) {
        struct thread threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            CHECK(thread_start(&threads[i], member, &crowd));
        for (size_t i = 0; i < THREADS; i++)
            CHECK(thread_join(&threads[i]));
        mempool_stats stats = stats_of(crowd.mp);
        CHECK(stats.used == 0);
        CHECK(stats.peak_used >= THREADS * HELD);
        CHECK(stats.peak_used <= THREADS * HELD + stats.cache_bytes / sizeof(void *));
        mempool_reset_peak(crowd.mp);
        CHECK(stats_of(crowd.mp).peak_used == 0);
    }
    mempool_destroy(crowd.mp);
    barrier_destroy(&full);
}

/* A thread has a cache of which not all may go out unseen, when another takes all there is: the mark
 * still is the whole pool. With `back`, that thread's cache is closed before that, since it gives back
 * what it was handed while the depot has little left. */
struct keeper {
    mempool *mp;
    void **handed;
    size_t count;
    struct barrier step;
};

static void *keep(void *argument)
{
    struct keeper *keeper = argument;
    void *own = mempool_alloc_entry(keeper->mp);
    CHECK(own != NULL);
    barrier_wait(&keeper->step);
    barrier_wait(&keeper->step);
    for (size_t i = 0; i < keeper->count; i++)
        mempool_free_entry(keeper->handed[i]);
    barrier_wait(&keeper->step);
    barrier_wait(&keeper->step);
    mempool_free_entry(own);
    return NULL;
}

static void shortage(size_t back)
{
    enum { COUNT = 1000, LEFT = 60 };
    row("shortage, %zu given back", back);
    void *held[COUNT];
    struct keeper keeper = {.mp = make(COUNT, 24, 0, NULL), .handed = held, .count = back};
    CHECK(barrier_init(&keeper.step, 2));
    struct thread thread;
    CHECK(thread_start(&thread, keep, &keeper));
    barrier_wait(&keeper.step);
    for (size_t i = 0; i < COUNT - LEFT; i++)
        CHECK((held[i] = mempool_alloc_entry(keeper.mp)) != NULL);
    barrier_wait(&keeper.step);
    barrier_wait(&keeper.step);
    for (size_t i = 0; i < back; i++)
        CHECK((held[i] = mempool_alloc_entry(keeper.mp)) != NULL);
    /* With some left, there is no shortage, after which all would be counted anew. */
    size_t most = back > 0 ? COUNT - LEFT / 2 : COUNT;
    for (size_t i = COUNT - LEFT; i < most - 1; i++)
        CHECK((held[i] = mempool_alloc_entry(keeper.mp)) != NULL);
    if (back == 0)
        CHECK_FAILS(mempool_alloc_entry(keeper.mp), ENOMEM);
    for (size_t i = 0; i < most - 1; i++)
        mempool_free_entry(held[i]);
    barrier_wait(&keeper.step);
    CHECK(thread_join(&thread));
    CHECK(stats_of(keeper.mp).peak_used >= most && stats_of(keeper.mp).used == 0);
    mempool_destroy(keeper.mp);
    barrier_destroy(&keeper.step);
}

/* ---- Entries ------------------------------------------------------------------------------- */

struct seen {
    void *entries[64];
    size_t count, limit, bytes;
    bool frees;
};

static bool see(void *entry, size_t usable_size, void *context)
{
    struct seen *seen = context;
    CHECK(seen->count < LENGTH(seen->entries));
    CHECK(mempool_usable_size(entry) == usable_size);
    seen->entries[seen->count++] = entry;
    seen->bytes += usable_size;
    if (seen->frees)
        mempool_free_entry(entry);
    return seen->count < seen->limit;
}

static bool has(const struct seen *seen, const void *entry)
{
    size_t times = 0;
    for (size_t i = 0; i < seen->count; i++)
        times += seen->entries[i] == entry;
    CHECK(times <= 1);
    return times == 1;
}

static void walks(uint64_t flags)
{
    row("walk, flags %u", (unsigned)flags);
    mempool *mp = make(20, 40, MEMPOOL_FALL_BACK | flags, NULL);
    void *held[30];
    struct seen seen = {.limit = SIZE_MAX};
    CHECK(mempool_for_each_live(mp, see, &seen) == 0 && seen.count == 0);
    for (size_t i = 0; i < 30; i++)
        held[i] = mempool_alloc_entry(mp);
    for (size_t i = 0; i < 30; i += 3)
        (mempool_free_entry)(held[i]);
    CHECK(mempool_for_each_live(mp, see, &seen) == 20 && seen.count == 20);
    for (size_t i = 0; i < 30; i++)
        CHECK(has(&seen, held[i]) == (i % 3 != 0));
    CHECK(seen.bytes == 20 * 40);
    CHECK(mempool_for_each_live(mp, NULL, NULL) == 20);
    /* 13 of its own, then those from the heap. */
    for (size_t limit = 7; limit <= 18; limit += 11) {
        seen = (struct seen){.limit = limit};
        CHECK(mempool_for_each_live(mp, see, &seen) == limit && seen.count == limit);
    }
    /* Each may be freed on the way. */
    seen = (struct seen){.limit = SIZE_MAX, .frees = true};
    CHECK(mempool_for_each_live(mp, see, &seen) == 20);
    CHECK(mempool_used_count(mp) == 0 && mempool_dynamic_allocs_count(mp) == 0);
    CHECK(mempool_for_each_live(NULL, see, &seen) == 0);
    mempool_destroy(mp);
}

static void ranged_walk(void)
{
    row("ranged walk");
    r_mempool *rmp = r_mempool_create(16, 128, 8, fallback_at_last_exhaustion);
    CHECK(rmp != NULL);
    size_t held = 0;
    for (size_t size = 1; size <= 128; size += 9, held++)
        CHECK(r_mempool_alloc_entry(rmp, size) != NULL);
    struct seen seen = {.limit = SIZE_MAX};
    CHECK(r_mempool_for_each_live(rmp, see, &seen) == held && seen.count == held);
    seen = (struct seen){.limit = 3};
    CHECK(r_mempool_for_each_live(rmp, see, &seen) == 3);
    CHECK(r_mempool_for_each_live(NULL, see, &seen) == 0);
    r_mempool_destroy(rmp);
}

static void owners(void)
{
    row("owners");
    mempool *mp = make(3, 40, MEMPOOL_FALL_BACK, NULL), *other = make(3, 40, 0, NULL);
    r_mempool *rmp = r_mempool_create(16, 64, 4, fallback_at_first_exhaustion);
    CHECK(rmp != NULL);
    void *entries[5], *sized[6];
    for (size_t i = 0; i < 5; i++) {
        entries[i] = mempool_alloc_entry(mp);
        CHECK(mempool_owner(entries[i]) == mp && mempool_usable_size(entries[i]) == 40);
        CHECK(mempool_owns(mp, entries[i]) && !mempool_owns(other, entries[i]));
        CHECK(!r_mempool_owns(rmp, entries[i]));
        CHECK(!mempool_owns(mp, (char *)entries[i] + 16) && !mempool_owns(mp, (char *)entries[i] - 1));
    }
    for (size_t i = 0; i < 6; i++) {
        sized[i] = r_mempool_alloc_entry(rmp, 33);
        CHECK(mempool_owner(sized[i]) == rmp && mempool_usable_size(sized[i]) == 64);
        CHECK(r_mempool_owns(rmp, sized[i]) && !mempool_owns(mp, sized[i]));
    }
    for (size_t i = 0; i < 5; i++) {
        (mempool_free_entry)(entries[i]);
        CHECK(!mempool_owns(mp, entries[i]));
    }
    CHECK(mempool_owner(NULL) == NULL && mempool_usable_size(NULL) == 0);
    int here;
    static const char text[] = "no entry";
    void *const foreign[] = {NULL, &here, hide(text), mp, other, (void *)1, (void *)-1,
                             (void *)0xdead0000, (void *)(uintptr_t)(UINTPTR_MAX / 2)};
    for (size_t i = 0; i < LENGTH(foreign); i++)
        CHECK(!mempool_owns(mp, foreign[i]) && !r_mempool_owns(rmp, foreign[i]));
    CHECK(!mempool_owns(NULL, entries[0]) && !r_mempool_owns(NULL, entries[0]));
    mempool_destroy(mp);
    mempool_destroy(other);
    r_mempool_destroy(rmp);
}

static void ask_size(void *entry)
{
    (void)mempool_usable_size(entry);
}

static void ask_owner(void *entry)
{
    (void)mempool_owner(entry);
}

static void misused(void)
{
    row("what is no entry");
    mempool *mp = make(3, 40, 0, "asked");
    void *entry = mempool_alloc_entry(mp);
    EXPECT_ABORT(ask_size, (char *)entry + 16, "\"asked\"");
    EXPECT_ABORT(ask_owner, (char *)entry + 16, "\"asked\"");
    (mempool_free_entry)(entry);
    EXPECT_ABORT(ask_size, entry, "\"asked\"");
    mempool_destroy(mp);
}

/* ---- Reports ------------------------------------------------------------------------------- */

static char report[1 << 16];

/* What a function wrote to a stream. */
#define REPORT(call)                                 \
    do {                                             \
        FILE *out = new_stream();                    \
        call;                                        \
        close_stream(out, report, sizeof report);    \
    } while (0)

static size_t lines(void)
{
    size_t count = 0;
    for (const char *c = report; *c != '\0'; c++)
        count += *c == '\n';
    return count;
}

static bool says(const char *text)
{
    bool holds = strstr(report, text) != NULL;
    if (!holds)
        fprintf(stderr, "looked for '%s' in:\n%s", text, report);
    return holds;
}

static void reports(void)
{
    row("reports");
    mempool *mp = make(100, 64, 0, "na\nme");
    void *held[75];
    for (size_t i = 0; i < 75; i++)
        held[i] = mempool_alloc_entry(mp);
    for (size_t i = 25; i < 75; i++)
        mempool_free_entry(held[i]);
    REPORT(mempool_dump(mp, out));
    CHECK(lines() == 3 && says("pool \"na?me\" at ") && says("then returns NULL"));
    CHECK(says(" 64 B       100        25        75  [######------------      ]          0 "));
    REPORT(mempool_dump_json(mp, out));
    CHECK(lines() == 1 && says("{\"kind\":\"ordinary\",\"name\":\"na\\u000ame\",\"address\":\"0x"));
    CHECK(says("\"policy\":\"null\"") && says("\"capacity\":100,\"used\":25,\"peak_used\":75,"));
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 64;
    options.smallest_count = 4;
    options.policy = fallback_at_first_exhaustion;
    options.name = "say \"\xC3\xA4\\\xFF\"";
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    for (size_t i = 0; i < 4; i++)
        (void)r_mempool_alloc_entry(rmp, 32);
    REPORT(r_mempool_dump(rmp, out));
    CHECK(lines() == 2 + 3 + 3 && says("ranged pool "));
    CHECK(says("  16 B: never used") && says("  64 B: never used"));
    CHECK(says("  32 B: exhausted 2 times: 4 entries would have done\n"));
    REPORT(r_mempool_dump_json(rmp, out));
    CHECK(lines() == 1 && says("\"name\":\"say \\\"\xC3\xA4\\\\\\ufffd\\\"\""));
    CHECK(says("\"policy\":\"fallback_at_first_exhaustion\"") && says("\"dynamic_peak\":2,"));
    /* All of them, the newest first. */
    REPORT(mempool_dump_all(out));
    const char *ranged = strstr(report, "ranged pool "), *ordinary = strstr(report, "\npool \"na?me\"");
    CHECK(ranged == report && ordinary != NULL && lines() == 3 + 8);
    REPORT(mempool_dump_all_json(out));
    CHECK(lines() == 2);
    mempool_dump(NULL, stdout);
    r_mempool_dump(NULL, stdout);
    mempool_dump_json(NULL, stdout);
    r_mempool_dump_json(NULL, stdout);
    mempool_dump(mp, NULL);
    mempool_dump_all(NULL);
    mempool_dump_all_json(NULL);
    mempool_destroy(mp);
    r_mempool_destroy(rmp);
    REPORT(mempool_dump_all(out));
    CHECK(lines() == 0);
}

/* What is said of each policy, and in which unit. */
static void other_reports(void)
{
    static const struct {
        r_memory_fallback_policy_t policy;
        const char *text, *json;
    } policies[] = {
        {fallback_disabled, "; hands out its own, then takes larger entries, then returns NULL\n",
         "\"policy\":\"fallback_disabled\""},
        {fallback_at_last_exhaustion,
         "; hands out its own, then takes larger entries, then from the heap\n",
         "\"policy\":\"fallback_at_last_exhaustion\""},
    };
    for (size_t i = 0; i < LENGTH(policies); i++) {
        row("report of policy %d", (int)policies[i].policy);
        r_mempool *rmp = r_mempool_create(16, 32, 2, policies[i].policy);
        CHECK(rmp != NULL);
        for (size_t n = 0; n < 3; n++)
            (void)r_mempool_alloc_entry(rmp, 32);
        REPORT(r_mempool_dump(rmp, out));
        CHECK(says(policies[i].text));
        CHECK(says(i == 0 ? "  32 B: exhausted 2 times, of which 2 got NULL: give it more than 1 entries\n"
                          : "  32 B: exhausted 2 times: 3 entries would have done\n"));
        REPORT(r_mempool_dump_json(rmp, out));
        CHECK(says(policies[i].json));
        r_mempool_destroy(rmp);
    }
    row("reports of sizes");
    static const struct {
        size_t count;
        uint64_t flags;
        const char *text, *json;
    } pools[] = {
        {1, MEMPOOL_FALL_BACK, " B; hands out its own, then takes from the heap\n",
         "\"policy\":\"heap\""},
        {1000, 0, " KiB; hands out its own, then returns NULL\n", "\"notes\":0"},
        {200000, MEMPOOL_NO_PREFAULT, " MiB; hands out", "\"capacity\":200000"},
    };
    for (size_t i = 0; i < LENGTH(pools); i++) {
        mempool *mp = make(pools[i].count, 64, pools[i].flags, NULL);
        REPORT(mempool_dump(mp, out));
        CHECK(says(pools[i].text));
        REPORT(mempool_dump_json(mp, out));
        CHECK(says(pools[i].json));
        mempool_destroy(mp);
    }
}

/* Pools come and go while all are reported: each line is whole. */
static atomic_bool over;

static void *come_and_go(void *unused)
{
    (void)unused;
    while (!atomic_load(&over)) {
        mempool *pools[5];
        for (size_t i = 0; i < 5; i++)
            pools[i] = make(50, 16, 0, "fleeting");
        for (size_t i = 0; i < 5; i++)
            mempool_destroy(pools[i]);
    }
    return NULL;
}

static void reports_of_what_changes(void)
{
    row("reports while pools come and go");
    mempool *mp = make(100, 64, 0, "steady");
    struct thread thread;
    CHECK(thread_start(&thread, come_and_go, NULL));
    for (size_t i = 0; i < scaled(2000, 100); i++) {
        REPORT(mempool_dump_all_json(out));
        CHECK(says("\"name\":\"steady\""));
        for (const char *line = report; *line != '\0'; line = strchr(line, '\n') + 1)
            CHECK(strncmp(line, "{\"kind\":", 8) == 0 && strchr(line, '\n')[-1] == '}');
    }
    atomic_store(&over, true);
    CHECK(thread_join(&thread));
    mempool_destroy(mp);
}

int main(void)
{
    static const size_t counts[] = {1, 16, 100, 1000, 5000};
    for (size_t i = 0; i < LENGTH(counts); i++) {
        one_thread(counts[i], 0);
        one_thread(counts[i], MEMPOOL_SINGLE_THREAD);
        one_thread(counts[i], MEMPOOL_ZERO_ON_FREE);
        one_thread(counts[i], MEMPOOL_HARDENED);
    }
    what_it_takes();
    from_the_heap();
    by_class(fallback_disabled, 2, 0);
    by_class(fallback_at_first_exhaustion, 0, 5);
    by_class(fallback_at_last_exhaustion, 0, 2);
    versions_of_the_struct();
    shrinks_that_miss();
    several_threads();
    for (size_t back = 0; back <= 200; back += 20)
        shortage(back);
    walks(0);
    walks(MEMPOOL_HARDENED);
    ranged_walk();
    owners();
    misused();
    reports();
    other_reports();
    reports_of_what_changes();
    return done();
}
