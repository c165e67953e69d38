/* The harness of the C tests: pages of the system's, which nobody can touch any more once they are given
 * back, on POSIX and on Windows. */
#ifndef CHECK_MEMORY_H
#define CHECK_MEMORY_H

#include "check.h"

#ifdef _WIN32
#include "check_win32.h"
#else
#include <sys/mman.h>
#endif

static inline void *pages_map(size_t size)
{
#ifdef _WIN32
    void *memory = VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        memory = NULL;
#endif
    CHECK(memory != NULL);
    return memory;
}

static inline void pages_unmap(void *memory, size_t size)
{
#ifdef _WIN32
    CHECK(size > 0 && VirtualFree(memory, 0, MEM_RELEASE));
#else
    CHECK(munmap(memory, size) == 0);
#endif
}

/* Memory of the heap at a multiple of an alignment that no C library refuses. */
static inline void *heap_aligned(size_t alignment, size_t size)
{
#ifdef _WIN32
    return _aligned_malloc(size, alignment);
#else
    return aligned_alloc(alignment, round_up(size, alignment));
#endif
}

static inline void heap_aligned_free(void *memory)
{
#ifdef _WIN32
    _aligned_free(memory);
#else
    free(memory);
#endif
}

#endif
