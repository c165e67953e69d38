/* How much does a process grow by for each entry?
 *
 * usage: footprint SIZE COUNT
 *
 * Takes COUNT entries of SIZE bytes, the pool with room for as many made first, writes all of each, and prints
 * as a line of JSON by how many bytes the resident memory grew, for each entry. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"
#include "timing.h"

/* Bytes of the process that are there. */
static double resident(void)
{
    unsigned long long all = 0;
    unsigned long long there = 0;
    FILE *file = (FILE *)must(fopen("/proc/self/statm", "r"), "fopen");
    if (fscanf(file, "%llu %llu", &all, &there) != 2) {
        exit(1);
    }
    fclose(file);
    return (double)there * (double)sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: footprint SIZE COUNT\n");
        return 2;
    }
    size_t size = strtoull(argv[1], NULL, 10);
    size_t count = strtoull(argv[2], NULL, 10);
    /* Of this program's own, and there before. */
    void **entries = (void **)mmap(NULL, count * sizeof *entries, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (entries == MAP_FAILED) {
        return 1;
    }
    memset(entries, 1, count * sizeof *entries);
    (void)resident();
    double before = resident();
    source pool = source_make(count, size, false);
    for (size_t i = 0; i < count; ++i) {
        entries[i] = must(take(&pool), "take");
        memset(entries[i], 1, size);
    }
    printf("{\"bytes\": %.4f}\n", (resident() - before) / (double)count);
    for (size_t i = 0; i < count; ++i) {
        give(&pool, entries[i]);
    }
    source_end(&pool);
    return 0;
}
