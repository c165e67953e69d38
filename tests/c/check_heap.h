/* The harness of the C tests: how much of the heap is in use?
 *
 * The GNU C library tells. Elsewhere on POSIX this file has a heap of its own in the place of the C
 * library's, for a program that includes it, which counts. Windows does not tell. */
#ifndef CHECK_HEAP_H
#define CHECK_HEAP_H

#include "check.h"

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 33)
#define GNU_HEAP
#endif
#endif

#if defined(GNU_HEAP)

#include <malloc.h>

/* Whether the heap tells. Valgrind's does not; it looks for leaks itself. */
static inline bool heap_tells(void)
{
    return !under_valgrind();
}

/* Bytes of the heap in use, with some that the C library keeps back for small requests. */
static inline size_t heap_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

#elif defined(_WIN32) || defined(__GLIBC__)

static inline bool heap_tells(void)
{
    return false;
}

static inline size_t heap_use(void)
{
    return 0;
}

#else

#include <sys/mman.h>

/* In front of each block. */
struct heap_block {
    void *mapping;
    size_t mapped, size;
};

static atomic_size_t heap_bytes;

static inline bool heap_tells(void)
{
    return true;
}

/* Bytes of the heap in use. */
static inline size_t heap_use(void)
{
    return atomic_load(&heap_bytes);
}

/* A mapping for each block. */
static inline void *heap_block_of(size_t alignment, size_t size)
{
    enum { FRONT = 64, PAGE = 4096 };
    alignment = alignment < FRONT ? FRONT : alignment;
    if (size > SIZE_MAX / 2) {
        errno = ENOMEM;
        return NULL;
    }
    size_t mapped = round_up(size + FRONT + alignment, PAGE);
    char *mapping = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) {
        errno = ENOMEM;
        return NULL;
    }
    char *block = (char *)round_up((size_t)mapping + FRONT, alignment);
    *(struct heap_block *)(void *)(block - FRONT) = (struct heap_block){mapping, mapped, size};
    atomic_fetch_add(&heap_bytes, size);
    return block;
}

static inline struct heap_block *heap_front(void *block)
{
    return (struct heap_block *)(void *)((char *)block - 64);
}

void *malloc(size_t size)
{
    return heap_block_of(16, size);
}

void *calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return heap_block_of(16, count * size); /* new pages are zeros */
}

void free(void *block)
{
    int kept = errno;
    if (block != NULL) {
        struct heap_block front = *heap_front(block);
        atomic_fetch_sub(&heap_bytes, front.size);
        munmap(front.mapping, front.mapped);
    }
    errno = kept;
}

void *realloc(void *old, size_t size)
{
    void *block = heap_block_of(16, size);
    if (block != NULL && old != NULL) {
        size_t kept = heap_front(old)->size;
        memcpy(block, old, kept < size ? kept : size);
        free(old);
    }
    return block;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return heap_block_of(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    return heap_block_of(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    void *block = heap_block_of(alignment, size);
    if (block == NULL)
        return ENOMEM;
    *result = block;
    return 0;
}

#endif

#endif
