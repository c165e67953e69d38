/* Is every misuse caught, in every kind of pool?
 *
 * A table of misuses is run over a table of pools, each pair in a child process that must die after one
 * line that says what happened, or after a report to a handler that says the same. Prints a matrix:
 * kinds of misuse by kinds of pools. `make matrix` shows it. */
#include "misuses.h"

/* ---- The matrix ---- */

static const char *const row_names[ROWS] = {
    [DOUBLE] = "double free",
    [AT_ONCE] = "double free at once",
    [INSIDE] = "interior pointer",
    [ODD] = "misaligned pointer",
    [FOREIGN] = "foreign pointer",
    [NEVER] = "never handed out",
    [HEADER] = "header overwritten",
    [LATE] = "free after destroy",
    [REALLOC] = "foreign realloc",
    [DESTROY] = "destroy of no pool",
    [AFTER_FREE] = "write after free",
    [PAST_END] = "write past the end",
    [OUT] = "out at destroy",
};

/* Columns: slots of ordinary pools in own memory, for threads and for one, and in a buffer, for both;
 * of ranged pools the same; and dynamic entries of ordinary and of ranged pools. */
enum {
    COLUMNS = 10,
    ORDINARY = 0x10f, RANGED = 0x2f0, OWN = 0x33, BUFFER = 0xcc, ONE = 0xaa, SLOTS = 0xff, HEAP = 0x300,
    ALL = SLOTS | HEAP,
    DEFAULT = 1, HARDENED = 2, BOTH = 3,
};

static struct {
    size_t tried, missed;
} cells[2][ROWS][COLUMNS];

/* What is to be said of cells; the first that fits. Where `none`, there is nothing to be caught. */
static const struct {
    enum row row;
    int which, columns;
    bool none;
    size_t number; /* from 1 */
} remarks[] = {
    {AT_ONCE, BOTH, ONE, true, 1},
    {AT_ONCE, DEFAULT, SLOTS, true, 2},
    {AFTER_FREE, DEFAULT, ALL, true, 3},
    {PAST_END, DEFAULT, ALL, true, 3},
    {AFTER_FREE, HARDENED, HEAP, true, 4},
    {PAST_END, HARDENED, HEAP, true, 4},
    {REALLOC, BOTH, ORDINARY, true, 5},
    {FOREIGN, BOTH, HEAP, true, 6},
    {NEVER, BOTH, HEAP, true, 6},
    {LATE, HARDENED, OWN, true, 7},
    {LATE, DEFAULT, OWN, false, 8},
    {LATE, BOTH, HEAP, false, 9},
    {DOUBLE, BOTH, HEAP, false, 9},
    {AT_ONCE, BOTH, HEAP, false, 9},
};

static const char *const legend[] = {
    "calls on a pool for one thread never overlap",
    "may go unseen; hardened pools see it",
    "only hardened pools look for it; an overflow shows in the next entry's header",
    "the heap's entries are not filled or fenced; sanitizers and Valgrind see it",
    "an ordinary pool has no realloc",
    "no dynamic entry is involved: see the columns to the left",
    "the memory is the system's again: the access faults",
    "in pools of less than a page; the memory of others is the system's again",
    "as long as the heap has not used the memory again",
};

static const char *const marks[LENGTH(legend)] = {"¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};

/* The number of the remark, or that of all. */
static size_t remark(size_t which, size_t row_number, size_t column)
{
    size_t i = 0;
    while (i < LENGTH(remarks) &&
           (remarks[i].row != row_number || !(remarks[i].which >> which & 1) ||
            !(remarks[i].columns >> column & 1)))
        i++;
    return i;
}

/* Prints it. Whether every cell is caught that must be. */
static bool print_matrix(void)
{
    static const char *const names[] = {"DEFAULT", "HARDENED"};
    bool good = true;
    for (size_t which = 0; which < 2; which++) {
        printf("\n%-20s%-32s%-32s%s\n", names[which], "ordinary pool", "ranged pool",
               "dynamic entry of");
        printf("%-20s%-16s%-16s%-16s%-16s%-8s%s\n%-20s", "", "own memory", "buffer", "own memory",
               "buffer", "ordin.", "ranged", "");
        for (size_t column = 0; column < 8; column++)
            printf("%-*s", column < 7 ? 8 : 0, column % 2 == 0 ? "threads" : "one");
        putchar('\n');
        for (size_t number = 0; number < ROWS; number++) {
            printf("%-20s", row_names[number]);
            for (size_t column = 0; column < COLUMNS; column++) {
                size_t tried = cells[which][number][column].tried;
                size_t said = remark(which, number, column);
                bool none = said < LENGTH(remarks) && remarks[said].none;
                bool missed = cells[which][number][column].missed > 0 || (tried > 0) == none;
                if (under_valgrind() && tried == 0)
                    missed = false; /* it does less */
                good = good && !missed;
                const char *text = missed ? "MISSED" : none ? "-" : tried == 0 ? "?" : "caught";
                bool marked = said < LENGTH(remarks);
                int width = column + 1 < COLUMNS ? 8 - (int)strlen(text) - marked : 0;
                printf("%s%s%*s", text, marked ? marks[remarks[said].number - 1] : "", width, "");
            }
            putchar('\n');
        }
    }
    putchar('\n');
    for (size_t i = 0; i < LENGTH(legend); i++)
        printf("%s %s\n", marks[i], legend[i]);
    return good;
}

/* ---- A misuse in a child ---- */

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
    if (world.kind->handler)
        mempool_set_misuse_handler(note, world.deed);
    create(&world);
    now->commit(&world);
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

/* Runs the misuse in a child. Whether it is caught. */
static bool is_caught(void)
{
    struct deed *deed = world.deed;
    memset(deed, 0, sizeof *deed);
    /* Every line has a newline; it stands for what a case does not say. */
    strcpy(deed->detail, "\n");
    bool names_pool = !(now->rules & (NO_POOL | ANY_POOL));
    const char *const strings[] = {now->says, deed->pointer, deed->detail,
                                   names_pool ? deed->pool : "\n", NULL};
    int status;
    const char *line = run_in_child(commit, NULL, &status);
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

/* Whether the misuse can be committed with such a pool. */
static bool is_possible(const struct misuse *misuse, const struct kind *kind)
{
    int rules = misuse->rules;
    /* Pools of less than a page are on the heap. */
    bool on_heap = rules & ON_HEAP && !kind->hardened && misuse->size == 8 && kind->count == COUNT;
    return (!(rules & RANGED_ONLY) || kind->ranged) &&
           (!(rules & BUFFER_ONLY) || kind->in_buffer || on_heap) &&
           (!(rules & HARDENED_ONLY) || kind->hardened) &&
           (!(rules & DEFAULT_ONLY) || !kind->hardened) &&
           (!(rules & THREADS_ONLY) || !kind->single) &&
           /* The largest entries of the larger pools would not fit the buffer. */
           (misuse->size < 1 << 16 || (kind->count == COUNT && !kind->in_buffer));
}

static void expect(const struct misuse *misuse, const struct kind *kind, struct deed *deed)
{
    row("%s: %s%s%s%s%s%s pool of %zu%s", misuse->what, kind->name != NULL ? "named " : "",
        kind->hardened ? "hardened " : "", kind->single ? "single-thread " : "",
        kind->zeroing ? "zeroing " : "", kind->in_buffer ? "buffered " : "",
        kind->ranged ? "ranged" : "ordinary", kind->count, kind->handler ? ", a handler" : "");
    now = misuse;
    world = (struct world){.kind = kind, .deed = deed, .size = misuse->size,
                           .shift = misuse->shift, .value = misuse->value,
                           .leaks = misuse->rules & LEAKS,
                           .buffer = kind->in_buffer ? buffer_memory : NULL};
    size_t column = misuse->rules & OF_HEAP ? 8u + kind->ranged
                                            : 4u * kind->ranged + 2u * kind->in_buffer + kind->single;
    cells[kind->hardened][misuse->row][column].tried++;
    atomic_fetch_add(&check_count, 1);
    /* A word of memory that is none of ours is taken for one with a chance of 2^-21; but where threads
     * meet, once is too often. */
    if (is_caught() || (!(misuse->rules & THREADS_ONLY) && is_caught()))
        return;
    cells[kind->hardened][misuse->row][column].missed++;
    fprintf(stderr, "missed: %s; expected '%s' '%s' '%s'\n", check_row, misuse->says, deed->pointer,
            deed->pool);
    int status;
    const char *line = run_in_child(commit, NULL, &status);
    fprintf(stderr, "    status %#x, said: %s\n", (unsigned)status, line);
}

static void free_without_pools(void *pointer)
{
    (mempool_free_entry)(pointer);
}

static void destroy_without_pools(void *pointer)
{
    (mempool_destroy)(pointer);
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

    struct deed *deed = mmap(NULL, sizeof *deed, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(deed != MAP_FAILED);
    /* Each kind comes with these; small entries of COUNT take less than a page, of 30 more. */
    static const struct kind variants[] = {
        {.name = "sessions", .count = COUNT},
        {.name = NULL, .count = 30, .handler = true},
        {.name = "sessions", .count = COUNT, .handler = true, .zeroing = true},
    };
    for (size_t k = 0; k < 16 * LENGTH(variants); k++) {
        struct kind kind = variants[k / 16];
        kind.ranged = k & 1;
        kind.in_buffer = k & 2;
        kind.single = k & 4;
        kind.hardened = k & 8;
        if (under_valgrind() && (k >= 16 || kind.single || kind.ranged != kind.in_buffer))
            continue;
        for (size_t i = 0; i < LENGTH(misuses); i++) {
            /* Two threads don't meet each time where it matters. */
            size_t times = misuses[i].rules & THREADS_ONLY ? scaled(30, 1) : 1;
            for (; times > 0 && is_possible(&misuses[i], &kind); times--)
                expect(&misuses[i], &kind, deed);
        }
    }
    row("the matrix");
    CHECK(print_matrix());
    return done();
}
