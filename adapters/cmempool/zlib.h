/* How does zlib take its memory from a ranged pool?
 *
 *     r_mempool *pool = r_mempool_create(64, 65536, 16384, fallback_at_last_exhaustion);
 *     cmempool_adapter adapter;
 *     if (!cmempool_adapter_init(&adapter, pool)) ...
 *     z_stream stream = {0};
 *     cmempool_zlib_use(&stream, &adapter);          before deflateInit or inflateInit
 *
 * A stream allocates a few blocks at its begin, of up to 64 KiB with zlib's defaults, and
 * frees them at its end: a pool pays where streams come and go. Larger blocks than the
 * pool's classes come from the heap: see adapter.h. */
#ifndef CMEMPOOL_ZLIB_H
#define CMEMPOOL_ZLIB_H

#include "adapter.h"
#ifdef CMEMPOOL_ADAPTER_H /* else that has said what is wrong */

#include <zlib.h>

static inline void *cmempool_zlib_alloc(void *adapter, unsigned count, unsigned size)
{
    size_t bytes = (size_t)count * size; /* two unsigned: fits */
    return cmempool_adapter_malloc((cmempool_adapter *)adapter, bytes);
}

static inline void cmempool_zlib_free(void *adapter, void *memory)
{
    cmempool_adapter_free((cmempool_adapter *)adapter, memory);
}

/* Makes a stream take its memory through the adapter, which must stay until the stream's
 * end. */
static inline void cmempool_zlib_use(z_stream *stream, cmempool_adapter *adapter)
{
    stream->zalloc = cmempool_zlib_alloc;
    stream->zfree = cmempool_zlib_free;
    stream->opaque = adapter;
}

#endif
#endif /* CMEMPOOL_ZLIB_H */
