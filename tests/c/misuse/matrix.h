/* What must become of each kind of misuse in each kind of pool, and how is that printed?
 *
 * A cell in which a misuse is not caught, or not in any case, has a remark that says why. The remark also
 * says how such a deed ends, and deeds are held to it. */
#ifndef MISUSE_MATRIX_H
#define MISUSE_MATRIX_H

#include "deed.h"

enum outcome {
    CAUGHT, /* one line, or one report, and SIGABRT */
    FAULTS, /* SIGSEGV, without a line */
    UNSEEN, /* nothing: the program goes on */
    MAYBE,  /* caught or unseen */
    LEGAL,  /* as unseen; it is no misuse */
    NONE,   /* there is no such deed */
};

static const char *const outcome_names[] = {
    [CAUGHT] = "caught", [FAULTS] = "faults", [UNSEEN] = "unseen",
    [MAYBE] = "maybe",   [LEGAL] = "legal",   [NONE] = "-",
};

static const char *const row_names[ROWS] = {
    [DOUBLE] = "double free",
    [AT_ONCE] = "double free at once",
    [IN_CALL] = "use of a freed one",
    [INSIDE] = "interior pointer",
    [ODD] = "misaligned pointer",
    [FOREIGN] = "foreign pointer",
    [NEVER] = "never handed out",
    [HEADER] = "header overwritten",
    [REALLOC] = "foreign realloc",
    [NOT_A_POOL] = "call on no pool",
    [TWICE_DESTROYED] = "destroyed twice",
    [GONE_ALLOC] = "alloc after destroy",
    [GONE_FREE] = "free after destroy",
    [GONE_COUNT] = "count after destroy",
    [GONE_REALLOC] = "realloc after destroy",
    [GONE_STATS] = "stats after destroy",
    [RESET_TWICE] = "reset twice",
    [STALE] = "free after reset",
    [AFTER_FREE] = "write after free",
    [PAST_END] = "write past the end",
    [OUT] = "out at destroy",
};

/* What a remark is about, as sets. */
enum {
    DEFAULT = 1, HARDENED = 2,
    ORDINARY = 1, RANGED = 2,
    THREADS = 1, ONE = 2,
    HEAP = 1 << ON_HEAP, MAPPING = 1 << IN_MAPPING, BUFFER = 1 << IN_BUFFER, /* of a pool */
    SLOT = 1, DYNAMIC = 2,
    ANY = 7,
};

static const struct remark {
    enum row row;
    int protection, sort, users, place, entry;
    enum outcome outcome;
    size_t number; /* of its note, from 1 */
} remarks[] = {
    /* The first that fits. */
    {AT_ONCE, ANY, ANY, ONE, ANY, ANY, NONE, 1},
    {AT_ONCE, DEFAULT, ANY, THREADS, ANY, SLOT, MAYBE, 2},
    {AT_ONCE, ANY, ANY, ANY, ANY, DYNAMIC, CAUGHT, 8},
    {AFTER_FREE, ANY, ANY, ANY, ANY, DYNAMIC, UNSEEN, 4},
    {AFTER_FREE, DEFAULT, ANY, ANY, ANY, SLOT, UNSEEN, 3},
    {PAST_END, DEFAULT, ANY, ANY, ANY, ANY, UNSEEN, 3},
    {REALLOC, ANY, ORDINARY, ANY, ANY, ANY, NONE, 5},
    {GONE_REALLOC, ANY, ORDINARY, ANY, ANY, ANY, NONE, 5},
    {FOREIGN, ANY, ANY, ANY, ANY, DYNAMIC, NONE, 6},
    {NEVER, ANY, ANY, ANY, ANY, DYNAMIC, NONE, 6},
    {TWICE_DESTROYED, ANY, ANY, ANY, ANY, DYNAMIC, NONE, 6},
    {GONE_ALLOC, ANY, ANY, ANY, ANY, DYNAMIC, NONE, 6},
    {GONE_COUNT, ANY, ANY, ANY, ANY, DYNAMIC, NONE, 6},
    {GONE_STATS, ANY, ANY, ANY, ANY, DYNAMIC, NONE, 6},
    {RESET_TWICE, ANY, ANY, ANY, ANY, DYNAMIC, NONE, 6},
    {GONE_ALLOC, ANY, ANY, ANY, MAPPING, SLOT, FAULTS, 7},
    {GONE_FREE, ANY, ANY, ANY, MAPPING, SLOT, FAULTS, 7},
    {GONE_REALLOC, ANY, ANY, ANY, MAPPING, SLOT, FAULTS, 7},
    {GONE_ALLOC, ANY, ANY, ANY, HEAP, SLOT, CAUGHT, 8},
    {GONE_FREE, ANY, ANY, ANY, HEAP, SLOT, CAUGHT, 8},
    {GONE_REALLOC, ANY, ANY, ANY, HEAP, SLOT, CAUGHT, 8},
    {DOUBLE, ANY, ANY, ANY, ANY, DYNAMIC, CAUGHT, 8},
    {IN_CALL, ANY, ANY, ANY, ANY, DYNAMIC, CAUGHT, 8},
    {GONE_FREE, ANY, ANY, ANY, ANY, DYNAMIC, CAUGHT, 8},
    {GONE_REALLOC, ANY, ANY, ANY, ANY, DYNAMIC, CAUGHT, 8},
    {STALE, ANY, ANY, ANY, ANY, DYNAMIC, CAUGHT, 8},
    {RESET_TWICE, ANY, ANY, ANY, ANY, SLOT, LEGAL, 9},
};

static const char *const notes[] = {
    "calls on a pool for one thread never overlap",
    "may go unseen; hardened pools see it",
    "only hardened pools look for it; an overflow may show in the next entry's header",
    "memory that went back to the heap is the heap's; sanitizers and Valgrind see it",
    "an ordinary pool has no realloc",
    "no dynamic entry is involved: see the columns to the left",
    "the memory is the system's again: the access faults",
    "as long as the heap has not used the memory again",
    "no misuse: the second finds nothing that is out",
};

static const char *const marks[LENGTH(notes)] = {"¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};

/* NULL if the misuse must be caught, and there is no more to say. */
static const struct remark *remark_on(enum row row, const struct kind *kind, bool dynamic)
{
    for (const struct remark *remark = remarks; remark < remarks + LENGTH(remarks); remark++)
        if (remark->row == row && remark->protection >> kind->hardened & 1 &&
            remark->sort >> kind->ranged & 1 && remark->users >> kind->single & 1 &&
            remark->place >> place_wanted(kind) & 1 && remark->entry >> dynamic & 1)
            return remark;
    return NULL;
}

static enum outcome outcome_of(enum row row, const struct kind *kind, bool dynamic)
{
    const struct remark *remark = remark_on(row, kind, dynamic);
    return remark == NULL ? CAUGHT : remark->outcome;
}

/* Columns of each of the four tables: slots by the pool's memory, and dynamic entries of pools of all of
 * these; for threads and for one. */
enum { COLUMNS = 2 * (MEMORIES + 1) };

static struct cell {
    unsigned tried; /* in which memories */
    size_t missed;
} cells[2][2][ROWS][COLUMNS];

static struct cell *cell_of(enum row row, const struct kind *kind, bool dynamic)
{
    size_t column = 2 * (dynamic ? MEMORIES : (size_t)kind->memory) + kind->single;
    return &cells[kind->hardened][kind->ranged][row][column];
}

/* Prints a cell. Whether it is what it must be. */
static bool print_cell(enum row row, const struct kind *kind, bool dynamic, bool last)
{
    const struct cell *cell = cell_of(row, kind, dynamic);
    const struct remark *remark = remark_on(row, kind, dynamic);
    enum outcome outcome = outcome_of(row, kind, dynamic);
    unsigned all = dynamic ? (1 << MEMORIES) - 1 : 1u << kind->memory;
    bool tried = under_valgrind() || emulator() != NULL || cell->tried == (outcome == NONE ? 0 : all);
    bool good = cell->missed == 0 && tried;
    const char *text = cell->missed != 0 ? "MISSED" : !tried ? "?" : outcome_names[outcome];
    int width = last ? 0 : 8 - (int)strlen(text) - (remark != NULL);
    printf("%s%s%*s", text, remark != NULL ? marks[remark->number - 1] : "", width, "");
    return good;
}

static bool print_table(struct kind kind)
{
    bool good = true;
    printf("\n%-22s%-16s%-16s%-16s%s\n", kind.hardened ? "HARDENED" : "DEFAULT", "below a page",
           "a page or more", "your buffer", "dynamic entry");
    printf("%-22s", kind.ranged ? "ranged pool" : "ordinary pool");
    for (size_t column = 0; column < COLUMNS; column++)
        printf("%-*s", column + 1 < COLUMNS ? 8 : 0, column % 2 == 0 ? "threads" : "one");
    putchar('\n');
    for (enum row row = 0; row < ROWS; row++) {
        printf("%-22s", row_names[row]);
        for (size_t column = 0; column < COLUMNS; column++) {
            bool dynamic = column / 2 == MEMORIES;
            /* What is to be said of dynamic entries does not depend on the pool's memory. */
            kind.memory = dynamic ? SMALL : (enum memory)(column / 2);
            kind.single = column % 2;
            good = print_cell(row, &kind, dynamic, column + 1 == COLUMNS) && good;
        }
        putchar('\n');
    }
    return good;
}

/* Prints it all. Whether every cell is what it must be. */
static bool print_matrix(void)
{
    bool good = true;
    for (int table = 0; table < 4; table++)
        good = print_table((struct kind){.hardened = table & 2, .ranged = table & 1}) && good;
    puts("\nA pool below a page is on the heap, a hardened or larger one in a mapping of its own.");
    for (size_t i = 0; i < LENGTH(notes); i++)
        printf("%s %s\n", marks[i], notes[i]);
    return good;
}

#endif
