/* What did the processes of a run leave behind, program by program? */
#define _GNU_SOURCE
#include "try.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct program *program_of(struct programs *programs, const char *path, unsigned *index)
{
    for (unsigned i = 0; i < programs->count; i++)
        if (strcmp(programs->list[i]->path, path) == 0) {
            *index = i;
            return programs->list[i];
        }
    if (programs->count == sizeof programs->list / sizeof *programs->list)
        return NULL;
    /* Not in the programs that run later: the system would count it as theirs. */
    struct program *program =
        mmap(NULL, sizeof *program, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (program == MAP_FAILED)
        fail(FAILED, "no memory");
    madvise(program, sizeof *program, MADV_DONTFORK);
    snprintf(program->path, sizeof program->path, "%s", path);
    *index = programs->count;
    programs->list[programs->count++] = program;
    return program;
}

static void add_blocks(struct blocks *all, const struct blocks *one)
{
    all->taken += one->taken;
    all->most = all->most > one->most ? all->most : one->most;
    all->most_bytes = all->most_bytes > one->most_bytes ? all->most_bytes : one->most_bytes;
}

static void add_pairs(struct pairs *all, const struct pairs *one)
{
    for (unsigned i = 0; i < GRAINS; i++)
        for (unsigned j = i; j < GRAINS; j++)
            all->at[i][j] = all->at[i][j] > one->at[i][j] ? all->at[i][j] : one->at[i][j];
}

static void add_classes(struct figures *all, const struct figures *one)
{
    all->class_count = one->class_count;
    all->pool_bytes = one->pool_bytes;
    for (unsigned i = 0; i < one->class_count && i < GRAINS; i++) {
        struct class_use *into = &all->classes[i];
        const struct class_use *use = &one->classes[i];
        into->size = use->size;
        into->capacity = use->capacity;
        into->peak = into->peak > use->peak ? into->peak : use->peak;
        into->heap_peak = into->heap_peak > use->heap_peak ? into->heap_peak : use->heap_peak;
        into->exhausted += use->exhausted;
        into->failed += use->failed;
    }
}

/* A range of grains has no fewer than a part of it. */
static void complete(struct pairs *pairs)
{
    for (unsigned span = 1; span < GRAINS; span++)
        for (unsigned i = 0; i + span < GRAINS; i++) {
            uint32_t *at = &pairs->at[i][i + span];
            const uint32_t left = pairs->at[i][i + span - 1], right = pairs->at[i + 1][i + span];
            const uint32_t most = left > right ? left : right;
            *at = *at > most ? *at : most;
        }
}

static void add_measured(struct program *program, const struct measured *one)
{
    /* Static, for its size: the process's own may still change. */
    static struct measured last;
    uint32_t high[GRAINS], live[GRAINS];
    memcpy(&last, one, sizeof last);
    for (unsigned i = 0; i < GRAINS; i++) {
        const struct grain *grain = &last.figures.grains[i];
        struct grain *into = &program->all.figures.grains[i];
        high[i] = grain->high;
        live[i] = grain->live;
        into->taken += grain->taken;
        into->largest = into->largest > grain->largest ? into->largest : grain->largest;
        program->taken += grain->taken;
    }
    close_pairs(&last, high, live);
    complete(&last.enough);
    complete(&last.at_least);
    add_pairs(&program->all.enough, &last.enough);
    add_pairs(&program->all.at_least, &last.at_least);
}

/* `latest`: the process became no other program since. */
static void add_process(struct programs *programs, const struct measured *one, size_t size, int pid, bool latest)
{
    const struct figures *figures = &one->figures;
    if (size < sizeof *figures || __atomic_load_n(&figures->magic, __ATOMIC_ACQUIRE) != MAGIC)
        return;
    unsigned index;
    struct program *program = program_of(programs, figures->program, &index);
    if (!program) {
        programs->left_out++;
        return;
    }
    program->processes++;
    if (figures->ending != ENDED) {
        program->unended++;
        program->running += latest && figures->pid != pid && (kill(figures->pid, 0) == 0 || errno == EPERM);
    }
    add_classes(&program->all.figures, figures);
    for (unsigned i = 0; i < SORTS; i++)
        add_blocks(&program->all.figures.heap[i], &figures->heap[i]);
    if (figures->measured && size >= sizeof *one)
        add_measured(program, one);
    if (figures->pid == pid && latest)
        programs->first = (int)index;
}

static int compare(const void *a, const void *b)
{
    const struct program *const *one = a, *const *other = b;
    return ((*one)->taken < (*other)->taken) - ((*one)->taken > (*other)->taken);
}

void gather(struct programs *programs, const char *folder, int pid)
{
    memset(programs, 0, sizeof *programs);
    programs->first = -1;
    DIR *files = opendir(folder);
    if (!files)
        fail(FAILED, "cannot read %s: %s", folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(files));) {
        int file = -1;
        int process, image;
        struct stat status;
        if (sscanf(entry->d_name, "%d.%d", &process, &image) != 2 ||
            (file = openat(dirfd(files), entry->d_name, O_RDONLY | O_CLOEXEC)) < 0)
            continue;
        if (fstat(file, &status) == 0 && (size_t)status.st_size >= sizeof(struct figures)) {
            const size_t size = (size_t)status.st_size;
            void *memory = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
            if (memory != MAP_FAILED) {
                char next[64];
                snprintf(next, sizeof next, "%d.%d", process, image + 1);
                const bool latest = faccessat(dirfd(files), next, F_OK, 0) != 0;
                add_process(programs, memory, size, pid, latest);
                munmap(memory, size);
            }
        }
        close(file);
    }
    closedir(files);
    struct program *run = programs->first >= 0 ? programs->list[programs->first] : NULL;
    qsort(programs->list, programs->count, sizeof *programs->list, compare);
    for (unsigned i = 0; i < programs->count; i++)
        if (programs->list[i] == run)
            programs->first = (int)i;
}
