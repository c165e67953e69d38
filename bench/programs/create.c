/* What does a ranged pool cost to make and to destroy, beside the memory in it?
 *
 * usage: create MILLISECONDS
 *
 * Built with cmempool, it makes and destroys the pool of 16 B to 64 KiB with 131,072 entries in the
 * smallest class. Built without, it maps as many bytes, has the kernel provide them page by page in
 * pages of 4 KiB, and unmaps them. Prints one line of JSON. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cmempool.h>
#include <sys/mman.h>

#include "timing.h"

enum { SMALLEST = 16, LARGEST = 65536, COUNT = 131072 };

#if defined MEMORY_POOL

static void make_and_destroy(void)
{
    r_mempool *pool = r_mempool_create(SMALLEST, LARGEST, COUNT, fallback_disabled);
    if (!pool) {
        perror("create: r_mempool_create");
        exit(1);
    }
    r_mempool_destroy(pool);
}

#else

static void make_and_destroy(void)
{
    const size_t page = 4096;
    const size_t bytes = R_MEMPOOL_BUFFER_SIZE(SMALLEST, LARGEST, COUNT);
    unsigned char *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("create: mmap");
        exit(1);
    }
    /* Fails where the kernel has no huge pages, and then it is not needed. */
    (void)madvise(memory, bytes, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < bytes; i += page) {
        ((volatile unsigned char *)memory)[i] = 1;
    }
    munmap(memory, bytes);
}

#endif

static uint64_t run(uint64_t *times)
{
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < *times; ++i) {
        make_and_destroy();
    }
    return now_ns() - start;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: create MILLISECONDS\n");
        return 2;
    }
    measure(run, strtoull(argv[1], NULL, 10));
    return 0;
}
