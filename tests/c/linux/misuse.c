/* Is every misuse caught, in every kind of pool?
 *
 * Deeds are run on pools of each kind, each pair in a child process that must die after one line that
 * says what happened, or after a report to a handler that says the same, or must end in the way that a
 * remark says. Prints a matrix: kinds of misuse by kinds of pools. `make matrix` shows it. */
#include "../misuse/ended.h"
#include "../misuse/freed.h"
#include "../misuse/matrix.h"
#include "../misuse/pointers.h"
#include "../misuse/pools.h"
#include "../misuse/words.h"
#include "../misuse/writes.h"

/* With AddressSanitizer the heap's memory is looked at too. */
#ifdef __SANITIZE_ADDRESS__
enum { HEAP_IS_WATCHED = 1 };
#else
enum { HEAP_IS_WATCHED = 0 };
#endif

static const struct {
    const struct misuse *misuses;
    size_t count;
} tables[] = {
    {freed_misuses, LENGTH(freed_misuses)}, {pointers_misuses, LENGTH(pointers_misuses)},
    {words_misuses, LENGTH(words_misuses)}, {pools_misuses, LENGTH(pools_misuses)},
    {ended_misuses, LENGTH(ended_misuses)}, {writes_misuses, LENGTH(writes_misuses)},
};

static const struct misuse *now;
static struct world world;

/* Notes the report, and writes the line that would have come without a handler. */
static void note(const mempool_misuse *report, void *context)
{
    struct deed *deed = context;
    deed->report = *report;
    snprintf(deed->name, sizeof deed->name, "%s", report->pool_name);
    snprintf(deed->text, sizeof deed->text, "%s", report->text);
    atomic_fetch_add(&deed->calls, 1);
    dprintf(STDERR_FILENO, "%s\n", report->text);
}

static void commit(void *argument)
{
    (void)argument;
    signal(SIGSEGV, SIG_DFL);
    if (world.kind->handler)
        mempool_set_misuse_handler(note, world.deed);
    create(&world);
    now->commit(&world);
    world.deed->done = true;
}

/* Whether the handler got what the header promises. */
static bool reported(const struct deed *deed)
{
    const mempool_misuse *report = &deed->report;
    bool holds = deed->calls == 1 && report->struct_size == sizeof *report &&
                 report->reserved == 0 && report->pointer == deed->at && deed->at != NULL;
    if (now->rules & ANY_POOL)
        return holds;
    for (size_t i = 0; i < LENGTH(public_kinds); i++)
        if (strcmp(public_kinds[i].says, now->says) == 0)
            holds = holds && report->kind == public_kinds[i].kind;
    bool names_pool = !(now->rules & NO_POOL);
    return holds && report->pool == (names_pool ? deed->handle : NULL) &&
           report->entry_size == (names_pool ? deed->elem_size : 0) &&
           (deed->name[0] != '\0') == (strstr(deed->text, "(pool \"") != NULL) &&
           (deed->name[0] == '\0' || strstr(deed->pool, deed->name) != NULL);
}

/* Whether a child that ended like this was caught at the misuse. */
static bool was_caught(const struct deed *deed, int status, const char *line)
{
    bool names_pool = !(now->rules & (NO_POOL | ANY_POOL));
    const char *const strings[] = {now->says, deed->pointer, deed->detail,
                                   names_pool ? deed->pool : "\n", NULL};
    if (now->rules & LEAKS) {
        /* The only misuse after which a program goes on. (Valgrind has its own exit status.) */
        if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && !under_valgrind()))
            return false;
        status = SIGABRT;
    }
    return aborted(status, line, strings) &&
           (now->rules & ANY_POOL || (strstr(line, "(pool") != NULL) == names_pool) &&
           (!world.kind->handler || reported(deed));
}

/* Other heaps than the GNU C library's look at the bytes past a block, and fault. */
#ifdef __GLIBC__
enum { HEAP_FAULTS = 0 };
#else
enum { HEAP_FAULTS = 1 };
#endif

/* Whether it came to its end as if nothing were wrong. */
static bool went_on(const struct deed *deed, int status, const char *line)
{
    if (HEAP_FAULTS && now->row == PAST_END && now->rules & OF_HEAP && ended_by_fault(status))
        return line[0] == '\0' && deed->calls == 0;
    return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || under_valgrind()) && deed->done &&
           line[0] == '\0' && deed->calls == 0;
}

/* Runs the misuse in a child. Whether it ends as it must. */
static bool ends_as(enum outcome outcome)
{
    struct deed *deed = world.deed;
    int status;
    memset(deed, 0, sizeof *deed);
    /* Every line has a newline; it stands for what a case does not say. */
    strcpy(deed->detail, "\n");
    const char *line = run_in_child(commit, NULL, &status);
    if (!deed->made || deed->at == NULL)
        return false;
    switch (outcome) {
    case CAUGHT: return was_caught(deed, status, line);
    case FAULTS:
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && !deed->done &&
               line[0] == '\0' && deed->calls == 0;
    case UNSEEN:
    case LEGAL: return went_on(deed, status, line);
    case MAYBE: return was_caught(deed, status, line) || went_on(deed, status, line);
    case NONE: break;
    }
    return false;
}

/* Whether the misuse can be committed with such a pool. */
static bool is_possible(const struct misuse *misuse, const struct kind *kind)
{
    int rules = misuse->rules;
    bool on_heap = rules & OF_HEAP || place_wanted(kind) == ON_HEAP;
    return (!(rules & RANGED_ONLY) || kind->ranged) &&
           (!(rules & BUFFER_ONLY) || kind->memory == CALLERS) &&
           (!(rules & HARDENED_ONLY) || kind->hardened) &&
           (!(rules & DEFAULT_ONLY) || !kind->hardened) &&
           (!(rules & THREADS_ONLY) || !kind->single) &&
           (!(rules & HEAPS_OWN) || !on_heap || !HEAP_IS_WATCHED) &&
           /* Not all entries fit such memory. */
           (misuse->size <= 100 || kind->memory != SMALL) &&
           (misuse->size < 1 << 16 || kind->memory == LARGE);
}

static void expect(const struct misuse *misuse, const struct kind *kind, struct deed *deed)
{
    static const char *const memories[] = {[SMALL] = "small", [LARGE] = "large",
                                           [CALLERS] = "buffered"};
    now = misuse;
    world = (struct world){.kind = kind, .deed = deed, .size = misuse->size,
                           .count = count_of(kind, misuse->size), .shift = misuse->shift,
                           .value = misuse->value, .leaks = misuse->rules & LEAKS,
                           .buffer = kind->memory == CALLERS ? buffer_memory : NULL};
    CHECK(world.count <= MAX_COUNT);
    row("%s: %s%s%s%s, %s %s pool of %zu%s", misuse->what, kind->name != NULL ? "named" : "unnamed",
        kind->hardened ? ", hardened" : "", kind->single ? ", single-thread" : "",
        kind->zeroing ? ", zeroing" : "", memories[kind->memory],
        kind->ranged ? "ranged" : "ordinary", world.count, kind->handler ? ", a handler" : "");
    bool dynamic = misuse->rules & OF_HEAP;
    struct cell *cell = cell_of(misuse->row, kind, dynamic);
    enum outcome outcome = outcome_of(misuse->row, kind, dynamic);
    cell->tried |= 1u << kind->memory;
    atomic_fetch_add(&check_count, 1);
    /* A word of memory that is none of ours is taken for one with a chance of 2^-21; but where threads
     * meet, once is too often. */
    if (ends_as(outcome) || (!(misuse->rules & THREADS_ONLY) && ends_as(outcome)))
        return;
    cell->missed++;
    fprintf(stderr, "missed: %s; not %s: expected '%s' '%s' '%.*s' '%s'\n", check_row,
            outcome_names[outcome], misuse->says, deed->pointer, (int)strcspn(deed->detail, "\n"),
            deed->detail, deed->pool);
    int status;
    const char *line = run_in_child(commit, NULL, &status);
    fprintf(stderr, "    status %#x, said: %s\n", (unsigned)status, line);
}

/* ---- Where a kind shows only in what a pool does ---- */

/* A hardened pool fills what is freed, any other leaves it. */
static void free_and_look(void *unused)
{
    (void)unused;
    create(&world);
    char *entry = take(&world);
    memset(entry, 'x', world.size);
    give(&world, entry);
    bool is_left = all_bytes(entry, 'x', world.size);
    CHECK(world.kind->zeroing || is_left != world.kind->hardened);
    CHECK(!world.kind->zeroing || world.kind->hardened || all_bytes(entry, 0, world.size));
}

/* The address of a pool that was destroyed is a live pool's again. */
static void make_anew(void *unused)
{
    (void)unused;
    create(&world);
    const void *former = pool_of(&world);
    destroy(&world);
    create(&world);
    CHECK(pool_of(&world) == former);
    give(&world, take(&world));
    reset(&world);
    destroy_as(former, world.kind->ranged);
}

static void expect_nothing_said(const char *what, void (*f)(void *), const struct kind *kind,
                                struct deed *deed)
{
    int status;
    row("%s: %s%s, memory %d", what, kind->hardened ? "hardened " : "",
        kind->ranged ? "ranged" : "ordinary", kind->memory);
    world = (struct world){.kind = kind, .deed = deed, .size = 64, .count = count_of(kind, 64), .placed = true,
                           .buffer = kind->memory == CALLERS ? buffer_memory : NULL};
    const char *line = run_in_child(f, NULL, &status);
    CHECK(line[0] == '\0' && (status == 0 || under_valgrind()));
}

static void free_without_pools(void *pointer)
{
    (mempool_free_entry)(pointer);
}

static void destroy_without_pools(void *pointer)
{
    (mempool_destroy)(pointer);
}

static void run(const struct kind *kind, struct deed *deed)
{
    expect_nothing_said("the kind", free_and_look, kind, deed);
    if (kind->memory == CALLERS)
        expect_nothing_said("a pool in the place of another", make_anew, kind, deed);
    for (size_t t = 0; t < LENGTH(tables); t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct misuse *misuse = &tables[t].misuses[i];
            /* Two threads don't meet each time where it matters. */
            size_t times = misuse->rules & THREADS_ONLY ? scaled(30, 1) : 1;
            for (; times > 0 && is_possible(misuse, kind); times--)
                expect(misuse, kind, deed);
        }
}

int main(void)
{
    /* A sanitizer or Valgrind would see some of it first. */
    CHECK(setenv("CMEMPOOL_OPTIONS", "unwatched", 1) == 0);
    /* As long as this process has no pool, nothing is an entry or a pool. */
    row("no pool yet");
    memset(static_memory, 'A', sizeof static_memory);
    EXPECT_ABORT(free_without_pools, static_memory + 64, NO_ENTRY);
    EXPECT_ABORT(destroy_without_pools, static_memory, NO_LIVE_POOL);
    void *memory = malloc(64);
    heap_has_name = place_of(memory) == ON_HEAP;
#ifdef __GLIBC__
    CHECK(heap_has_name || under_valgrind() || emulator() != NULL);
#endif
    free(memory);

    struct deed *deed = mmap(NULL, sizeof *deed, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(deed != MAP_FAILED);
    /* Each kind comes with these. */
    static const struct kind variants[] = {
        {.name = "sessions"},
        {.handler = true, .zeroing = true, .more = true},
    };
    for (size_t k = 0; k < 8 * MEMORIES * LENGTH(variants); k++) {
        struct kind kind = variants[k / 8 / MEMORIES];
        kind.ranged = k & 1;
        kind.single = k & 2;
        kind.hardened = k & 4;
        kind.memory = (enum memory)(k / 8 % MEMORIES);
        /* Under Valgrind one variant, and each memory once; where it is to be brief, one variant of each
         * kind. */
        bool chosen = !is_brief() || kind.handler == ((kind.ranged ^ kind.single ^ kind.hardened) != 0);
        /* An emulator takes long for a child: half of these kinds. */
        if (emulator() != NULL)
            chosen = chosen && kind.single == kind.ranged;
        if (under_valgrind())
            chosen = !kind.handler && !kind.single && kind.ranged == (kind.memory == LARGE) &&
                     kind.hardened == (kind.memory == CALLERS);
        if (chosen)
            run(&kind, deed);
    }
    row("the matrix");
    CHECK(print_matrix());
    return done();
}
