/* Which parts does cmempool-try have?
 *
 * `checks` refuses what can't be preloaded, `runs` runs the program, `gather` reads what its processes left
 * behind, `advise` chooses classes, `report` prints, and `try.c` puts them together. */
#ifndef CMEMPOOL_TRY_TRY_H
#define CMEMPOOL_TRY_TRY_H

#include "figures.h"

#include <cmempool.h>

#include <stdio.h>

/* ---- try.c ---------------------------------------------------------------------------------- */

/* Exit statuses of our own, as env(1) and timeout(1) have them. */
enum { FAILED = 125, CANNOT_RUN = 126, NOT_FOUND = 127 };

/* Says what is wrong in one line, and ends. */
_Noreturn void fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- checks.c ------------------------------------------------------------------------------- */

/* The file that a shell would run; ends the program if there is none, or nothing can be preloaded into
 * it. */
char *find_program(const char *name);

/* ---- runs.c --------------------------------------------------------------------------------- */

struct run {
    char *const *arguments;
    const char *file;
    const char *preload; /* NULL: on the system's malloc */
    const char *folder;  /* for the figures */
    bool quiet;          /* its output goes nowhere */
};

struct outcome {
    int pid;
    int status; /* as wait says */
    double seconds;
    double processor; /* seconds, of children that it waited for, too */
    long peak_kib;    /* memory of the largest process */
};

/* Signals that end a program reach the one that runs, and end us when all is tidied up. */
void handle_signals(void);
/* One of these that came; 0 for none. */
int stopped_by(void);
/* Has all runs read the same: what was piped into us is kept in the folder. */
void keep_input(const char *folder);
struct outcome run_program(const struct run *run);

/* ---- gather.c ------------------------------------------------------------------------------- */

/* All processes of the same file. */
struct program {
    char path[NAME_MAX_BYTES];
    unsigned processes;
    unsigned unended; /* killed, or another program since: nothing is known of their classes */
    unsigned running;
    uint64_t taken; /* from the pool */
    struct measured all; /* `taken` are sums; all else is the most of one process */
};

struct programs {
    struct program *list[256];
    unsigned count;
    unsigned left_out; /* processes of further programs */
    int first;         /* index of the program that was run, the last that it became; -1 if it left nothing */
};

void gather(struct programs *programs, const char *folder, int pid);

/* ---- advise.c ------------------------------------------------------------------------------- */

struct advised {
    size_t size, count;
    size_t seen; /* that many were out at one moment */
};

struct advice {
    struct advised classes[GRAINS];
    size_t count;
    size_t bytes; /* of a pool of these classes */
};

/* What classes may be. */
struct terms {
    size_t most;     /* at most so many */
    size_t largest;  /* none for larger blocks */
    unsigned margin; /* per cent of what was out at once, and at least an entry */
};

/* Those that take the least memory. */
void advise(struct advice *advice, const struct measured *figures, const struct terms *terms);

/* How many blocks of the grains i to j together were out at once, at most. */
uint32_t enough_for(const struct measured *figures, unsigned i, unsigned j);

/* ---- report.c ------------------------------------------------------------------------------- */

void report_measured(FILE *out, const struct programs *programs, const struct terms *terms, bool all);
void report_classes(FILE *out, const struct programs *programs, bool all);
/* How often any class of theirs was exhausted. */
uint64_t exhausted_in(const struct programs *programs);

#endif
