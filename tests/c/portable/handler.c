/* May a handler of misuse do what the header says, and does what comes after it happen?
 *
 * What its report must have, misuse.c knows. Every case is a child process: what the handler got comes
 * back in shared memory. What a handler does with fork, and that memory goes back to the system, have
 * handler_fork.c. Not tested is that a program with more rights than who started it ignores the
 * environment: that needs a set-user-id program, and with it an owner other than who runs the tests. */
#include "../check_child.h"
#include "../check_threads.h"
#include "../handler.h"

static char static_memory[256] __attribute__((aligned(128)));

/* ---- Deeds that are seen in different places ---- */

static void double_free_in_class(void)
{
    r_mempool *rmp = create_ranged(0, NULL);
    void *entry = hide(r_mempool_alloc_entry(rmp, SIZE));
    blame(entry, rmp);
    (r_mempool_free_entry)(entry);
    (r_mempool_free_entry)(entry);
}

static mempool *create_with_caches(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 1000;
    options.elem_size = SIZE;
    options.name = NAME;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

/* The thread's cache is full of it. */
static void double_free_in_full_cache(void)
{
    mempool *mp = create_with_caches();
    char *entry = taken(mp);
    blame(entry, mp);
    free_with_old_word(entry, 10000);
}

/* Caches are closed after a shortage: what comes there goes on to the depot. */
static void double_free_in_closed_cache(void)
{
    static char *entries[1000];
    mempool *mp = create_with_caches();
    for (size_t i = 0; i < LENGTH(entries); i++)
        entries[i] = taken(mp);
    CHECK(mempool_alloc_entry(mp) == NULL);
    for (size_t i = 1; i < LENGTH(entries); i++)
        (mempool_free_entry)(entries[i]);
    blame(entries[0], mp);
    free_with_old_word(entries[0], 2);
}

/* It is kept back before it comes to the depot. */
static void double_free_in_hardened(void)
{
    mempool *mp = create_with_flags(MEMPOOL_HARDENED, NULL);
    char *entry = taken(mp);
    blame(entry, mp);
    free_with_old_word(entry, COUNT);
}

/* What destroy gives back to the heap. */
static void overwritten_at_destroy(void)
{
    mempool *mp = create_with_flags(MEMPOOL_FALL_BACK, NULL);
    for (int i = 0; i < COUNT; i++)
        taken(mp);
    char *entry = taken(mp);
    blame(entry, mp);
    memset(entry - 32, 'A', 8);
    (mempool_destroy)(mp);
}

static void foreign(void)
{
    create_with_flags(0, NULL);
    blame(static_memory + 64, NULL);
    (mempool_free_entry)(static_memory + 64);
}

static void owner_of_a_freed_one(void)
{
    mempool *mp = create_with_flags(0, NULL);
    char *entry = taken(mp);
    blame(entry, mp);
    (mempool_free_entry)(entry);
    CHECK(mempool_owner(entry) == NULL);
}

/* Here and below the list of all pools is asked, under its lock. */
static void destroyed_twice(void)
{
    mempool *mp = create_with_flags(MEMPOOL_HARDENED, NULL), *copy = hide(mp);
    blame(mp, mp);
    (mempool_destroy)(mp);
    (mempool_destroy)(copy);
}

static void counted_after_destroy(void)
{
    r_mempool *rmp = create_ranged(0, NULL), *copy = hide(rmp);
    blame(rmp, rmp);
    (r_mempool_destroy)(rmp);
    CHECK(r_mempool_used_count(copy, SIZE) == 0);
}

static void taken_from_after_destroy(void)
{
    mempool *mp = create_with_flags(0, buffer), *copy = hide(mp);
    blame(mp, mp);
    (mempool_destroy)(mp);
    taken(copy);
}

static void destroy_of_no_pool(void)
{
    create_with_flags(0, NULL);
    blame(static_memory, NULL);
    (mempool_destroy)(hide(static_memory));
}

static const struct {
    const char *what;
    void (*commit)(void);
    const char *says;
    bool ranged, closed; /* the pool hands out nothing any more */
    bool gone;           /* nor is there a pool */
} deeds[] = {
    {"double free", double_free, "double free of ", false, false, false},
    {"double free in a class", double_free_in_class, "double free of ", true, false, false},
    {"double free in the depot", double_free_in_depot, "double free of ", false, true, false},
    {"double free in a full cache", double_free_in_full_cache, "double free of ", false, false, false},
    {"double free in a closed cache", double_free_in_closed_cache, "double free of ", false, true, false},
    {"double free in a hardened pool", double_free_in_hardened, "double free of ", false, true, false},
    {"overwritten at destroy", overwritten_at_destroy, "overwritten", false, false, false},
    {"foreign", foreign, "not an entry of any pool", false, false, false},
    {"owner of a freed one", owner_of_a_freed_one, "mempool_owner of ", false, false, false},
    {"destroyed twice", destroyed_twice, "a pool that was destroyed", false, false, true},
    {"counted after destroy", counted_after_destroy, "r_mempool_used_count of ", true, false, true},
    {"taken from after destroy", taken_from_after_destroy, "alloc of ", false, false, true},
    {"destroy of no pool", destroy_of_no_pool, "not a live pool", false, false, false},
};

static size_t now; /* which of them */

/* A line on stderr is what a report's text was, and an end. */
static void check_line(const char *line, const char *text)
{
    size_t length = strlen(text);
    CHECK(length > 0 && strncmp(line, text, length) == 0 && strcmp(line + length, "\n") == 0);
}

/* ---- What a handler may do ---- */

static void count(const void *pool)
{
    if (pool == NULL || deeds[now].gone)
        return;
    if (deeds[now].ranged) {
        CHECK(r_mempool_used_count(pool, SIZE) <= r_mempool_total_capacity(pool, SIZE));
        CHECK(r_mempool_dynamic_allocs_count(pool, SIZE) == 0);
        return;
    }
    CHECK(mempool_used_count(pool) <= mempool_total_capacity(pool));
    CHECK(mempool_dynamic_allocs_count(pool) <= 1);
}

static void *count_in_thread(void *pool)
{
    count(pool);
    return NULL;
}

/* Looks at the pool, from here and from another thread, and uses another pool. */
static void look_around(const mempool_misuse *report, void *unused)
{
    note(report, unused);
    count(report->pool);
    struct thread thread;
    CHECK(thread_start(&thread, count_in_thread, (void *)report->pool));
    CHECK(thread_join(&thread));
    mempool *other = create_with_flags(MEMPOOL_FALL_BACK, NULL);
    for (int i = 0; i < COUNT + 2; i++)
        taken(other);
    mempool_destroy(other);
    if (deeds[now].closed) {
        for (int i = 0; i < 3; i++) {
            void *entries[3];
            mempool *mp = (mempool *)report->pool;
            CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
            CHECK_FAILS(mempool_alloc_bulk(mp, entries, LENGTH(entries)), ENOMEM);
        }
    }
    atomic_store(&seen->after, 7);
}

static void handlers_may_look_at_the_pool(void)
{
    for (now = 0; now < LENGTH(deeds); now++) {
        row("%s: looks around and returns", deeds[now].what);
        int status;
        const char *line = commit(deeds[now].commit, look_around, &status);
        CHECK(line[0] == '\0');
        CHECK(ended_by_abort(status) && seen->calls == 1 && seen->after == 7);
        CHECK(seen->report.pointer == seen->pointer && seen->report.pool == seen->pool);
        CHECK(seen->context == &context);
        CHECK(strstr(seen->text, deeds[now].says) != NULL);

        row("%s: exits", deeds[now].what);
        line = commit(deeds[now].commit, note_and_exit, &status);
        CHECK(ended_by_exit(status) && seen->ended == 42 && seen->calls == 1);
        CHECK(line[0] == '\0');

        row("%s: without a handler", deeds[now].what);
        line = commit(deeds[now].commit, NULL, &status);
        CHECK(ended_by_abort(status) && seen->calls == 0);
        CHECK(strncmp(line, "cmempool: ", 10) == 0 && strstr(line, deeds[now].says) != NULL);
        CHECK(strchr(line, '\n') == line + strlen(line) - 1);
    }
}

/* ---- Which handler ---- */

static void set_again(void)
{
    static int other;
    mempool_set_misuse_handler(note_and_exit, &other);
    mempool_set_misuse_handler(note, NULL);
    for (int i = 0; i < 100; i++) {
        mempool_set_misuse_handler(note_and_exit, &other);
        mempool_set_misuse_handler(note, NULL);
    }
    double_free();
}

static void set_to_none(void)
{
    mempool_set_misuse_handler(NULL, &context);
    double_free();
}

static void the_last_set_is_called(void)
{
    int status;
    row("set again");
    CHECK(commit(set_again, note_and_exit, &status)[0] == '\0');
    CHECK(ended_by_abort(status) && seen->calls == 1 && seen->context == NULL);

    row("set to NULL");
    const char *line = commit(set_to_none, note_and_exit, &status);
    CHECK(ended_by_abort(status) && seen->calls == 0);
    CHECK(strncmp(line, "cmempool: double free of 0x", 27) == 0);
}

/* ---- Misuse while a handler runs ---- */

static void note_and_misuse(const mempool_misuse *report, void *unused)
{
    note(report, unused);
    foreign();
}

static void misuse_in_a_handler_goes_to_stderr(void)
{
    int status;
    row("misuse in a handler");
    const char *line = commit(double_free, note_and_misuse, &status);
    CHECK(ended_by_abort(status) && seen->calls == 1);
    CHECK(seen->report.kind == MEMPOOL_MISUSE_DOUBLE_FREE);
    CHECK(strstr(line, "which is not an entry of any pool\n") != NULL);
    CHECK(strchr(line, '\n') == line + strlen(line) - 1);
}

/* Waits for one call by the other thread, so that both are inside at once. */
static void meet(const mempool_misuse *report, void *unused)
{
    (void)unused;
    /* While the other makes its pool, a report may do without what the list of pools knows. */
    if (report->kind != MEMPOOL_MISUSE_DOUBLE_FREE ||
        (report->entry_size != SIZE && report->entry_size != 0))
        end(43);
    atomic_fetch_add(&seen->calls, 1);
    while (atomic_load(&seen->calls) < 2)
        sleep_microseconds(100);
    end(42);
}

static void *misuse_in_thread(void *unused)
{
    (void)unused;
    double_free();
    return NULL;
}

static void two_threads(void)
{
    struct thread threads[2];
    for (int i = 0; i < 2; i++)
        CHECK(thread_start(&threads[i], misuse_in_thread, NULL));
    for (int i = 0; i < 2; i++)
        thread_join(&threads[i]);
}

/* A pool's entries can be freed, and others made, while a handler runs. */
static void *others_go_on(void *mp)
{
    while (atomic_load(&seen->calls) == 0)
        sleep_microseconds(100);
    mempool *other = create_with_flags(0, NULL);
    (mempool_free_entry)(taken(other));
    mempool_destroy(other);
    (mempool_free_entry)(taken(mp));
    atomic_store(&seen->after, 7);
    return NULL;
}

static void wait_for_others(const mempool_misuse *report, void *unused)
{
    note(report, unused);
    while (atomic_load(&seen->after) != 7)
        sleep_microseconds(100);
    end(42);
}

static void free_refused_while_others_work(void)
{
    mempool *mp = create_with_flags(0, NULL);
    struct thread thread;
    CHECK(thread_start(&thread, others_go_on, mp));
    (mempool_free_entry)(taken(mp) + 1);
}

static void threads_misuse_at_once(void)
{
    int status;
    row("two threads");
    CHECK(commit(two_threads, meet, &status)[0] == '\0');
    CHECK(ended_by_exit(status) && seen->ended == 42 && seen->calls == 2);
    row("others go on");
    CHECK(commit(free_refused_while_others_work, wait_for_others, &status)[0] == '\0');
    CHECK(ended_by_exit(status) && seen->ended == 42 && seen->calls == 1);
}

/* ---- Leaks ---- */

static void count_used(const mempool_misuse *report, void *unused)
{
    note(report, unused);
    seen->used = mempool_used_count(report->pool);
}

static void leak_three(void)
{
    mempool *mp = create_with_flags(MEMPOOL_REPORT_LEAKS, NULL);
    char *first = taken(mp), *freed = taken(mp);
    taken(mp);
    taken(mp);
    (mempool_free_entry)(freed);
    blame(first, mp);
    mempool_destroy(mp);
}

static void leak_dynamic(void)
{
    mempool *mp = create_with_flags(MEMPOOL_REPORT_LEAKS | MEMPOOL_FALL_BACK, NULL);
    void *entries[COUNT];
    for (int i = 0; i < COUNT; i++)
        entries[i] = taken(mp);
    blame(taken(mp), mp);
    for (int i = 0; i < COUNT; i++)
        mempool_free_entry(entries[i]);
    mempool_destroy(mp);
}

static void leak_in_two_classes(void)
{
    r_mempool *rmp = create_ranged(MEMPOOL_REPORT_LEAKS, NULL);
    blame(hide(r_mempool_alloc_entry(rmp, 16)), rmp);
    void *second = r_mempool_alloc_entry(rmp, SIZE);
    CHECK(second != NULL);
    r_mempool_destroy(rmp);
}

static void leak_in_buffer(void)
{
    for (int i = 0; i < 2; i++) {
        mempool *mp = create_with_flags(MEMPOOL_REPORT_LEAKS, buffer);
        blame(taken(mp), mp);
        mempool_destroy(mp);
    }
}

static void leak_unasked(void)
{
    mempool *mp = create_with_flags(0, NULL);
    taken(mp);
    mempool_destroy(mp);
}

static void leak_nothing(void)
{
    mempool *mp = create_with_flags(MEMPOOL_REPORT_LEAKS | MEMPOOL_FALL_BACK, NULL);
    void *entries[COUNT + 2];
    for (size_t i = 0; i < LENGTH(entries); i++)
        entries[i] = taken(mp);
    for (size_t i = 0; i < LENGTH(entries); i++)
        mempool_free_entry(entries[i]);
    mempool_destroy(mp);
}

/* Other threads' caches hold entries, some that were never out: none of them is a leak. */
static void *use_some(void *mp)
{
    void *entries[100];
    for (size_t i = 0; i < LENGTH(entries); i++)
        entries[i] = taken(mp);
    for (size_t i = 0; i < LENGTH(entries); i++)
        mempool_free_entry(entries[i]);
    return NULL;
}

static void leak_among_caches(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 20000;
    options.elem_size = SIZE;
    options.name = NAME;
    options.flags = MEMPOOL_REPORT_LEAKS;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    for (int i = 0; i < 3; i++) {
        struct thread threads[2];
        for (size_t j = 0; j < 2; j++)
            CHECK(thread_start(&threads[j], use_some, mp));
        for (size_t j = 0; j < 2; j++)
            CHECK(thread_join(&threads[j]));
    }
    use_some(mp);
    blame(taken(mp), mp);
    mempool_destroy(mp);
}

static const struct {
    const char *what;
    void (*commit)(void);
    size_t entry_size, used;
    int calls;
    const char *says; /* between "leak of " and the pool, "%p" for the first pointer */
} leaks[] = {
    {"three", leak_three, SIZE, 3, 1, "3 entries: 0x"},
    {"a dynamic one", leak_dynamic, SIZE, 0, 1, "1 entry: 0x"},
    {"in two classes", leak_in_two_classes, 16, 0, 2, "1 entry: 0x"},
    {"in a buffer", leak_in_buffer, SIZE, 1, 2, "1 entry: 0x"},
    {"among caches", leak_among_caches, SIZE, 1, 1, "1 entry: 0x"},
    {"nothing", leak_nothing, 0, 0, 0, NULL},
    {"unasked", leak_unasked, 0, 0, 0, NULL},
};

static size_t lines(const char *text)
{
    size_t count = 0;
    for (; (text = strchr(text, '\n')) != NULL; text++)
        count++;
    return count;
}

static void leaks_are_told_and_destroy_goes_on(void)
{
    for (size_t i = 0; i < LENGTH(leaks); i++) {
        row("leak: %s", leaks[i].what);
        int status;
        /* A ranged pool's handle is no ordinary pool's. */
        bool ranged = leaks[i].commit == leak_in_two_classes;
        const char *line = commit(leaks[i].commit, ranged ? note : count_used, &status);
        CHECK(ended_by_exit(status) && seen->after == 1);
        CHECK(seen->calls == leaks[i].calls && line[0] == '\0');
        if (leaks[i].calls > 0) {
            char start[80];
            snprintf(start, sizeof start, "cmempool: leak of %s%zx", leaks[i].says,
                     (size_t)address(seen->pointer));
            CHECK(seen->report.kind == MEMPOOL_MISUSE_LEAK);
            CHECK(seen->report.pointer == seen->pointer && seen->report.pool == seen->pool);
            CHECK(strcmp(seen->pool_name, NAME) == 0 && seen->used == leaks[i].used);
            CHECK(seen->report.entry_size == leaks[i].entry_size);
            CHECK(strncmp(seen->text, start, strlen(start)) == 0);
        }

        row("leak without a handler: %s", leaks[i].what);
        line = commit(leaks[i].commit, NULL, &status);
        CHECK(ended_by_exit(status) && seen->after == 1);
        CHECK(lines(line) == (size_t)leaks[i].calls);
        CHECK(leaks[i].calls == 0 || strstr(line, leaks[i].says) != NULL);
    }
}

static void leak_many(void)
{
    mempool *mp = create_with_flags(MEMPOOL_REPORT_LEAKS | MEMPOOL_FALL_BACK, NULL);
    for (size_t i = 0; i < COUNT + 3; i++)
        taken(mp);
    mempool_destroy(mp);
}

static void leak_two_and_dynamic(void)
{
    mempool *mp = create_with_flags(MEMPOOL_REPORT_LEAKS | MEMPOOL_FALL_BACK, NULL);
    char *entries[COUNT + 2];
    for (size_t i = 0; i < LENGTH(entries); i++)
        entries[i] = taken(mp);
    for (size_t i = 2; i < COUNT; i++)
        (mempool_free_entry)(entries[i]);
    /* The text that must come, in the place of a pointer. */
    snprintf(seen->text, sizeof seen->text,
             "cmempool: leak of 4 entries: %#zx, %#zx, %#zx, %#zx (pool \"" NAME
             "\", 64-byte entries)",
             (size_t)address(entries[0]), (size_t)address(entries[1]),
             (size_t)address(entries[COUNT + 1]), (size_t)address(entries[COUNT]));
    mempool_destroy(mp);
}

static void leaks_name_the_first_four(void)
{
    int status;
    row("leak of many");
    const char *line = commit(leak_many, NULL, &status);
    CHECK(ended_by_exit(status) && seen->after == 1 && lines(line) == 1);
    CHECK(strncmp(line, "cmempool: leak of 11 entries: 0x", 32) == 0);
    CHECK(strstr(line, " and 7 more (pool \"" NAME "\", 64-byte entries)\n") != NULL);
    row("leak of two and two dynamic ones");
    line = commit(leak_two_and_dynamic, NULL, &status);
    CHECK(ended_by_exit(status) && seen->after == 1);
    check_line(line, seen->text);
}

/* Another pool leaks while the handler is told of the first. */
static void leak_in_handler(const mempool_misuse *report, void *unused)
{
    note(report, unused);
    leak_three();
}

static void a_leak_in_a_handler_goes_to_stderr(void)
{
    int status;
    row("leak in a handler");
    const char *line = commit(leak_three, leak_in_handler, &status);
    CHECK(ended_by_exit(status) && seen->after == 1 && seen->calls == 1);
    CHECK(lines(line) == 1 && strncmp(line, "cmempool: leak of 3 entries", 27) == 0);
}

static void leak_twice(void)
{
    leak_three();
    leak_three();
    double_free();
}

static void a_handler_is_called_again_after_a_leak(void)
{
    int status;
    row("leak twice, then a double free");
    CHECK(commit(leak_twice, note, &status)[0] == '\0');
    CHECK(ended_by_abort(status) && seen->calls == 3);
}

/* ---- The environment ---- */

static const char *environment;

static void leak_as_the_environment_says(void)
{
    if (environment != NULL)
        set_environment("CMEMPOOL_OPTIONS", environment);
    leak_unasked();
    r_mempool *rmp = create_ranged(0, NULL);
    CHECK(hide(r_mempool_alloc_entry(rmp, SIZE)) != NULL);
    r_mempool_destroy(rmp);
    mempool *mp = mempool_create(COUNT, SIZE, false);
    CHECK(mp != NULL);
    taken(mp);
    mempool_destroy(mp);
}

/* It was read when the first pool was made. */
static void environment_too_late(void)
{
    mempool *mp = create_with_flags(0, NULL);
    leak_as_the_environment_says();
    mempool_destroy(mp);
}

static void the_environment_asks_for_leaks(void)
{
    static const struct {
        const char *environment;
        size_t leaks;
        const char *unknown[2];
    } table[] = {
        {NULL, 0, {NULL}},
        {"", 0, {NULL}},
        {",", 0, {NULL}},
        {"leaks", 3, {NULL}},
        {" leaks ,", 3, {NULL}},
        {"leaks,leaks", 3, {NULL}},
        {"leak", 0, {"leak"}},
        {"fast,leaks", 3, {"fast"}},
        {"leaks,fast,LEAKS", 3, {"fast", "LEAKS"}},
    };
    const char *before = getenv("CMEMPOOL_OPTIONS");
    char kept[256];
    snprintf(kept, sizeof kept, "%s", before != NULL ? before : "");
    set_environment("CMEMPOOL_OPTIONS", NULL);
    for (size_t i = 0; i < LENGTH(table); i++) {
        row("environment '%s'", table[i].environment != NULL ? table[i].environment : "unset");
        environment = table[i].environment;
        int status;
        const char *text = commit(leak_as_the_environment_says, NULL, &status);
        CHECK(ended_by_exit(status) && seen->after == 1);
        size_t expected = table[i].leaks;
        for (size_t j = 0; j < 2 && table[i].unknown[j] != NULL; j++, expected++) {
            char line[120];
            snprintf(line, sizeof line,
                     "cmempool: CMEMPOOL_OPTIONS ignores \"%s\"; "
                     "it knows hardened, leaks, bypass, unwatched, holders\n",
                     table[i].unknown[j]);
            CHECK(strstr(text, line) != NULL);
        }
        CHECK(lines(text) == expected);
        size_t leaks_told = 0;
        for (const char *at = text; (at = strstr(at, "leak of 1 entry: 0x")) != NULL; at++)
            leaks_told++;
        CHECK(leaks_told == table[i].leaks);
    }
    row("environment set too late");
    environment = "leaks,fast";
    int status;
    CHECK(commit(environment_too_late, NULL, &status)[0] == '\0' && ended_by_exit(status));
    /* What the rows below find where is that of pools that nobody watches, under valgrind, too. */
    set_environment("CMEMPOOL_OPTIONS", kept);
}

int main(void)
{
    seen = shared_memory(sizeof *seen);
    /* This process makes no pool: its children read the environment. */
    the_environment_asks_for_leaks();
    handlers_may_look_at_the_pool();
    the_last_set_is_called();
    misuse_in_a_handler_goes_to_stderr();
    threads_misuse_at_once();
    leaks_are_told_and_destroy_goes_on();
    leaks_name_the_first_four();
    a_leak_in_a_handler_goes_to_stderr();
    a_handler_is_called_again_after_a_leak();
    return done();
}
