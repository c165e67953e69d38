/* How does a process get its file, and what happens at the end of an epoch?
 *
 * A class needs as many entries as its grains together had out at once. That is less than the sum of their
 * high-water marks, if they reach these at different times. So time is cut into epochs, short
 * ones. At the end of each, the grains' marks of the epoch are added up for each range of grains. The most
 * of these sums is never less than what was out at once, and more by no more than what the marks rose by
 * within one epoch: `step`. */
#define _GNU_SOURCE
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FIRST_STEP = 8,      /* rises */
    STEP_SHARE = 64,     /* an epoch may be wrong by this part of the blocks that are out */
    EPOCHS_A_STEP = 2048 /* then the step doubles: closing costs some microseconds */
};

struct measured *record_of;
struct out record_out;

static char folder[4096];

static void complain(const char *what, const char *path)
{
    const int error = errno;
    if (error == ENOENT)
        return; /* the report is written, and nobody waits for more */
    char line[4096 + 200];
    const int length = snprintf(line, sizeof line, "cmempool-try: no report of process %d: %s %s: errno %d\n",
                                (int)getpid(), what, path, error);
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        errno = error; /* nobody is there to be told */
}

/* A new file of this process, mapped at `where`, or anywhere. */
static struct measured *map_file(size_t size, void *where)
{
    char path[sizeof folder + 64];
    int file = -1;
    for (unsigned image = 0; file < 0; image++) { /* the process may have been another program before */
        snprintf(path, sizeof path, "%s/%d.%u", folder, (int)getpid(), image);
        file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file < 0 && errno != EEXIST)
            break;
    }
    void *memory = MAP_FAILED;
    if (file >= 0) {
        if (ftruncate(file, (off_t)size) == 0)
            memory = mmap(where, size, PROT_READ | PROT_WRITE, MAP_SHARED | (where ? MAP_FIXED : 0), file, 0);
        close(file);
    }
    if (memory != MAP_FAILED)
        return memory;
    complain(file < 0 ? "cannot create" : "cannot map", path);
    return NULL;
}

static size_t size_of(bool measured)
{
    return measured ? sizeof(struct measured) : sizeof(struct figures);
}

static void begin_epochs(struct figures *f)
{
    f->epochs = f->rises = f->closing = 0;
    f->step = f->floor = FIRST_STEP;
}

/* The magic comes last: before that, nobody looks. */
static void sign(struct figures *f)
{
    f->pid = getpid();
    __atomic_store_n(&f->magic, (uint32_t)MAGIC, __ATOMIC_RELEASE);
}

void record_begin(const char *into, bool measured)
{
    if (strlen(into) >= sizeof folder)
        return;
    strcpy(folder, into);
    struct measured *m = map_file(size_of(measured), NULL);
    if (!m)
        return;
    m->figures.measured = measured;
    if (readlink("/proc/self/exe", m->figures.program, sizeof m->figures.program - 1) < 0)
        strcpy(m->figures.program, "?");
    begin_epochs(&m->figures);
    sign(&m->figures);
    record_of = m;
}

void record_in_child(void)
{
    struct measured *m = record_of;
    if (!m)
        return;
    static struct figures parents; /* no heap, and more than a stack may have room for */
    memcpy(&parents, &m->figures, sizeof parents);
    const size_t size = size_of(parents.measured);
    if (!map_file(size, m)) {
        /* The parent's file is the parent's alone. */
        if (mmap(m, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            record_of = NULL;
        return;
    }
    struct figures *f = &m->figures;
    memcpy(f->program, parents.program, sizeof f->program);
    f->measured = parents.measured;
    for (unsigned i = 0; i < GRAINS; i++) {
        f->grains[i].largest = parents.grains[i].largest;
        f->grains[i].live = f->grains[i].high = record_out.grains[i];
    }
    for (unsigned i = 0; i < SORTS; i++) {
        f->heap[i].most = record_out.heap[i].count;
        f->heap[i].most_bytes = record_out.heap[i].bytes;
    }
    begin_epochs(f);
    sign(f);
}

void record_note(void)
{
    for (unsigned i = 0; i < GRAINS; i++)
        record_of->figures.grains[i].live = __atomic_load_n(&record_out.grains[i], __ATOMIC_RELAXED);
}

static void close_epoch(struct measured *m)
{
    struct figures *f = &m->figures;
    uint32_t high[GRAINS], live[GRAINS];
    uint64_t out = 0;
    /* Other threads go on. What they take meanwhile counts on both sides of the end. */
    for (unsigned i = 0; i < GRAINS; i++) {
        f->grains[i].live = live[i] = __atomic_load_n(&record_out.grains[i], __ATOMIC_RELAXED);
        high[i] = __atomic_exchange_n(&f->grains[i].high, live[i], __ATOMIC_SEQ_CST);
        out += live[i];
    }
    for (unsigned i = 0; i < GRAINS; i++) {
        const uint32_t now = __atomic_load_n(&record_out.grains[i], __ATOMIC_SEQ_CST);
        RECORD_MOST(&f->grains[i].high, now);
        const uint32_t after = __atomic_load_n(&f->grains[i].high, __ATOMIC_RELAXED);
        high[i] = high[i] > after ? high[i] : after;
    }
    close_pairs(m, high, live);
    if (++f->epochs % EPOCHS_A_STEP == 0)
        f->floor *= 2;
    const uint64_t share = out / STEP_SHARE;
    f->step = share > f->floor ? (uint32_t)share : f->floor;
    __atomic_store_n(&f->rises, 0, __ATOMIC_RELAXED);
}

void record_rise(struct grain *grain, uint32_t count)
{
    struct measured *m = record_of;
    RECORD_MOST(&grain->high, count);
    if (RECORD_ADD(&m->figures.rises, 1) < m->figures.step ||
        __atomic_exchange_n(&m->figures.closing, 1, __ATOMIC_ACQUIRE) != 0)
        return;
    close_epoch(m);
    __atomic_store_n(&m->figures.closing, 0, __ATOMIC_RELEASE);
}
