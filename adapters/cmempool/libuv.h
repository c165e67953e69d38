/* How does libuv take its memory from a ranged pool?
 *
 *     r_mempool *pool = r_mempool_create(16, 65536, 16384, fallback_at_last_exhaustion);
 *     cmempool_libuv_use(pool);                      before any other call of libuv
 *     ...
 *     uv_library_shutdown();                         all loops are closed
 *     r_mempool_destroy(pool);
 *
 * libuv passes no context to its allocator. So one pool serves all of libuv; include this
 * header in one source file and call it there. libuv's worker threads use the pool too, so it
 * must not have MEMPOOL_SINGLE_THREAD. Larger blocks than the pool's classes come from the
 * heap: see adapter.h. The program's own requests and buffers may come from the same pool: see
 * the example.
 *
 * Not for programs that call uv_fs_realpath with libuv 1.44: there uv_fs_req_cleanup passes
 * memory of the C library's to the function that replaces free. */
#ifndef CMEMPOOL_LIBUV_H
#define CMEMPOOL_LIBUV_H

#include "adapter.h"
#ifdef CMEMPOOL_ADAPTER_H /* else that has said what is wrong */

#include <uv.h>

static cmempool_adapter cmempool_libuv_adapter;

static inline void *cmempool_libuv_malloc(size_t size)
{
    return cmempool_adapter_malloc(&cmempool_libuv_adapter, size);
}

static inline void *cmempool_libuv_realloc(void *memory, size_t size)
{
    return cmempool_adapter_realloc(&cmempool_libuv_adapter, memory, size);
}

static inline void *cmempool_libuv_calloc(size_t count, size_t size)
{
    return cmempool_adapter_calloc(&cmempool_libuv_adapter, count, size);
}

static inline void cmempool_libuv_free(void *memory)
{
    cmempool_adapter_free(&cmempool_libuv_adapter, memory);
}

/* Makes libuv take all its memory from the pool, which must stay as long as libuv is used.
 * Returns 0, or UV_EINVAL if there is no pool. */
static inline int cmempool_libuv_use(r_mempool *pool)
{
    if (!cmempool_adapter_init(&cmempool_libuv_adapter, pool))
        return UV_EINVAL;
    return uv_replace_allocator(cmempool_libuv_malloc, cmempool_libuv_realloc,
                                cmempool_libuv_calloc, cmempool_libuv_free);
}

#endif
#endif /* CMEMPOOL_LIBUV_H */
