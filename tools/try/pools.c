/* How does a process find out which classes it is to have, and make them? */
#define _GNU_SOURCE
#include "list.h"
#include "pools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_BYTES = 4 << 20, /* of a class of the pool that measures; taken from the system as they are used */
    HARDENED_BYTES = 1 << 18, /* of which all are used at create */
    FEWEST = 8,           /* entries */
    SMALLEST_BYTES = 1 << 14
};

/* Reads on to the end of a line; false at the end of the file. Calls no heap. */
static bool read_line(int file, char *line, size_t size)
{
    size_t length = 0;
    char c;
    for (;;) {
        const ssize_t got = read(file, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != 1)
            return false;
        if (c == '\n')
            break;
        if (length + 1 < size)
            line[length++] = c;
    }
    line[length] = 0;
    return true;
}

static void plan_to_measure(struct pool_plan *plan)
{
    const char *entries = secure_getenv("CMEMPOOL_TRY_ENTRIES");
    const size_t fixed = entries ? strtoul(entries, NULL, 10) : 0;
    const char *options = secure_getenv("CMEMPOOL_OPTIONS");
    const size_t most = options && strstr(options, "hardened") ? HARDENED_BYTES : MOST_BYTES;
    for (unsigned i = 0; i < GRAINS; i++) {
        const size_t fit = most / (grain_size(i) + WORD);
        plan->classes[i].elem_size = grain_size(i);
        plan->classes[i].elem_count = fixed ? fixed : fit < FEWEST ? FEWEST : fit;
    }
    plan->class_count = GRAINS;
    plan->measures = true;
}

void pools_plan(struct pool_plan *plan, const char *folder)
{
    static char line[16384], program[NAME_MAX_BYTES];
    memset(plan, 0, sizeof *plan);
    int file = -1;
    if (folder && snprintf(line, sizeof line, "%s/classes", folder) < (int)sizeof line)
        file = open(line, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        plan_to_measure(plan);
        return;
    }
    /* PROGRAM, a tab and a list. Any program is called *. */
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        program[0] = 0;
    while (plan->class_count == 0 && read_line(file, line, sizeof line)) {
        char *list = strchr(line, '\t');
        if (!list)
            continue;
        *list++ = 0;
        if (strcmp(line, "*") == 0 || strcmp(line, program) == 0)
            plan->class_count = list_parse(list, plan->classes);
    }
    close(file);
}

static size_t pool_bytes;

r_mempool *pools_make(struct pool_plan *plan)
{
    if (plan->class_count == 0)
        return NULL;
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = plan->classes;
    options.class_count = plan->class_count;
    options.policy = fallback_at_first_exhaustion;
    options.name = "cmempool-try";
    options.flags = plan->measures ? MEMPOOL_NO_PREFAULT : 0;
    r_mempool *pool = r_mempool_create_with(&options);
    /* Address space may be limited: what the classes lack comes from the heap. */
    for (size_t most = MOST_BYTES; !pool && plan->measures && most > SMALLEST_BYTES; most /= 2) {
        for (unsigned i = 0; i < GRAINS; i++) {
            size_t *count = &plan->classes[i].elem_count;
            *count = *count > 1 ? *count / 2 : 1;
        }
        pool = r_mempool_create_with(&options);
    }
    pool_bytes = r_mempool_buffer_size(&options);
    return pool;
}

/* What the parent counted, in a child of fork. */
static struct {
    uint64_t exhausted, failed;
} before[GRAINS];

void pools_in_child(const r_mempool *pool)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    for (unsigned i = 0; i < GRAINS && r_mempool_get_stats(pool, i, &stats); i++) {
        before[i].exhausted = stats.exhausted;
        before[i].failed = stats.failed;
    }
}

void pools_note(const r_mempool *pool, struct figures *figures)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    unsigned i = 0;
    figures->pool_bytes = pool_bytes;
    for (; i < GRAINS && r_mempool_get_stats(pool, i, &stats); i++) {
        figures->classes[i] = (struct class_use){
            .size = stats.elem_size,
            .capacity = stats.capacity,
            .peak = stats.peak_used,
            .heap_peak = stats.dynamic_peak,
            .exhausted = stats.exhausted - before[i].exhausted,
            .failed = stats.failed - before[i].failed,
        };
    }
    figures->class_count = i;
}
