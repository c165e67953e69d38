/* How does cJSON take its memory from a ranged pool?
 *
 *     r_mempool *pool = r_mempool_create(16, 4096, 65536, fallback_at_last_exhaustion);
 *     cmempool_cjson_use(pool);
 *     ...
 *     cmempool_cjson_use(NULL);                      all items and texts are deleted
 *     r_mempool_destroy(pool);
 *
 * cJSON passes no context to its allocator. So one pool serves all of cJSON; include this
 * header in one source file and call it there. Larger blocks than the pool's classes come
 * from the heap: see adapter.h. Free the texts that cJSON_Print returns with cJSON_free, not
 * with free. */
#ifndef CMEMPOOL_CJSON_H
#define CMEMPOOL_CJSON_H

#include "adapter.h"
#ifdef CMEMPOOL_ADAPTER_H /* else that has said what is wrong */

/* pkg-config's flags lead into the directory, CMake's beside it. */
#if defined(__has_include)
#if __has_include(<cJSON.h>)
#include <cJSON.h>
#else
#include <cjson/cJSON.h>
#endif
#else
#include <cJSON.h>
#endif

static cmempool_adapter cmempool_cjson_adapter;

static inline void *cmempool_cjson_malloc(size_t size)
{
    return cmempool_adapter_malloc(&cmempool_cjson_adapter, size);
}

static inline void cmempool_cjson_free(void *memory)
{
    cmempool_adapter_free(&cmempool_cjson_adapter, memory);
}

/* Makes cJSON take all its memory from the pool, or with NULL from the heap again. Call it
 * while cJSON holds no memory and no other thread uses it. */
static inline void cmempool_cjson_use(r_mempool *pool)
{
    cJSON_Hooks hooks = {cmempool_cjson_malloc, cmempool_cjson_free};
    cJSON_InitHooks(cmempool_adapter_init(&cmempool_cjson_adapter, pool) ? &hooks : NULL);
}

#endif
#endif /* CMEMPOOL_CJSON_H */
