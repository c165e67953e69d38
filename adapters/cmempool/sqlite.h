/* How does SQLite take its memory from a ranged pool?
 *
 *     r_mempool *pool = r_mempool_create(16, 131072, 65536, fallback_at_last_exhaustion);
 *     cmempool_sqlite_use(pool);                     before any other call of SQLite
 *     ...
 *     sqlite3_shutdown();                            all connections are closed
 *     r_mempool_destroy(pool);
 *
 * One pool serves all of SQLite; include this header in one source file and call it there.
 * Larger blocks than the pool's classes come from the heap: see adapter.h. A page in the
 * cache takes up to 300 bytes more than the page itself: with pages of 4096 bytes, a class
 * of 4480 bytes wastes less than the one of 8192 that powers of two give. */
#ifndef CMEMPOOL_SQLITE_H
#define CMEMPOOL_SQLITE_H

#include "adapter.h"
#ifdef CMEMPOOL_ADAPTER_H /* else that has said what is wrong */

#include <limits.h>
#include <sqlite3.h>

static cmempool_adapter cmempool_sqlite_adapter;
static int cmempool_sqlite_sizes[256]; /* of the classes, ascending */
static size_t cmempool_sqlite_classes;

/* SQLite uses all bytes that xSize returns, so this asks for all of them. A block has more
 * than SQLite asked for if it comes from a larger class, or if SQLite did not round up,
 * which it does only when it counts memory. */
static inline void *cmempool_sqlite_whole(void *memory, size_t asked)
{
    const size_t has = cmempool_adapter_usable_size(&cmempool_sqlite_adapter, memory);
    return has > asked ? cmempool_adapter_realloc(&cmempool_sqlite_adapter, memory, has) : memory;
}

static inline void *cmempool_sqlite_malloc(int size)
{
    void *memory = cmempool_adapter_malloc(&cmempool_sqlite_adapter, (size_t)size);
    return cmempool_sqlite_whole(memory, (size_t)size);
}

static inline void cmempool_sqlite_free(void *memory)
{
    cmempool_adapter_free(&cmempool_sqlite_adapter, memory);
}

static inline void *cmempool_sqlite_realloc(void *memory, int size)
{
    memory = cmempool_adapter_realloc(&cmempool_sqlite_adapter, memory, (size_t)size);
    return cmempool_sqlite_whole(memory, (size_t)size);
}

static inline int cmempool_sqlite_size(void *memory)
{
    return (int)cmempool_adapter_usable_size(&cmempool_sqlite_adapter, memory);
}

/* What a request for `size` bytes gets: a whole entry, since SQLite counts by that and
 * reallocates only what does not fit. */
static inline int cmempool_sqlite_roundup(int size)
{
    size_t first = 0, end = cmempool_sqlite_classes;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (cmempool_sqlite_sizes[middle] < size)
            first = middle + 1;
        else
            end = middle;
    }
    if (first < cmempool_sqlite_classes)
        return cmempool_sqlite_sizes[first];
    return size > INT_MAX - 7 ? size : (size + 7) / 8 * 8;
}

static inline int cmempool_sqlite_init(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static inline void cmempool_sqlite_shutdown(void *unused)
{
    (void)unused;
}

/* Makes SQLite take all its memory from the pool, which must stay until sqlite3_shutdown.
 * Call it before any other function of SQLite, or after sqlite3_shutdown. Returns SQLITE_OK,
 * or SQLITE_MISUSE if it is too late or there is no pool. */
static inline int cmempool_sqlite_use(r_mempool *pool)
{
    static const sqlite3_mem_methods methods = {
        cmempool_sqlite_malloc, cmempool_sqlite_free,    cmempool_sqlite_realloc,
        cmempool_sqlite_size,   cmempool_sqlite_roundup, cmempool_sqlite_init,
        cmempool_sqlite_shutdown, NULL};
    cmempool_adapter adapter;
    if (!cmempool_adapter_init(&adapter, pool))
        return SQLITE_MISUSE;
    int status = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    if (status != SQLITE_OK)
        return status;
    cmempool_sqlite_adapter = adapter;
    cmempool_sqlite_classes = 0;
    mempool_stats class_stats = MEMPOOL_STATS_INIT;
    for (size_t i = 0; r_mempool_get_stats(pool, i, &class_stats); i++)
        if (class_stats.elem_size <= INT_MAX)
            cmempool_sqlite_sizes[cmempool_sqlite_classes++] = (int)class_stats.elem_size;
    return SQLITE_OK;
}

#endif
#endif /* CMEMPOOL_SQLITE_H */
