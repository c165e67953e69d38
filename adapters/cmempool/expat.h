/* How do parsers of Expat take their memory from a ranged pool?
 *
 *     r_mempool *pool = r_mempool_create(16, 65536, 16384, fallback_at_last_exhaustion);
 *     if (!cmempool_expat_use(pool)) ...
 *     XML_Parser parser = XML_ParserCreate_MM(NULL, &cmempool_expat_suite, NULL);
 *     ...
 *     XML_ParserFree(parser);
 *     r_mempool_destroy(pool);
 *
 * Expat passes no context to its allocator. So one pool serves all parsers that a source
 * file creates this way. Larger blocks than the pool's classes come from the heap: see
 * adapter.h. */
#ifndef CMEMPOOL_EXPAT_H
#define CMEMPOOL_EXPAT_H

#include "adapter.h"
#ifdef CMEMPOOL_ADAPTER_H /* else that has said what is wrong */

#include <expat.h>

static cmempool_adapter cmempool_expat_adapter;

static inline void *cmempool_expat_malloc(size_t size)
{
    return cmempool_adapter_malloc(&cmempool_expat_adapter, size);
}

static inline void *cmempool_expat_realloc(void *memory, size_t size)
{
    return cmempool_adapter_realloc(&cmempool_expat_adapter, memory, size);
}

static inline void cmempool_expat_free(void *memory)
{
    cmempool_adapter_free(&cmempool_expat_adapter, memory);
}

/* Pass this to XML_ParserCreate_MM for parsers in the pool. */
static const XML_Memory_Handling_Suite cmempool_expat_suite = {
    cmempool_expat_malloc, cmempool_expat_realloc, cmempool_expat_free};

/* Makes the parsers that are created with the suite take their memory from the pool, which
 * must stay until the last of them is freed. Call it while there are none. False if there is
 * no pool. */
static inline bool cmempool_expat_use(r_mempool *pool)
{
    return cmempool_adapter_init(&cmempool_expat_adapter, pool);
}

#endif
#endif /* CMEMPOOL_EXPAT_H */
