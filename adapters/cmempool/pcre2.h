/* How does PCRE2 take its memory from a ranged pool?
 *
 *     #define PCRE2_CODE_UNIT_WIDTH 8                else 8 is taken
 *     #include <cmempool/pcre2.h>
 *
 *     r_mempool *pool = r_mempool_create(64, 65536, 4096, fallback_at_last_exhaustion);
 *     cmempool_adapter adapter;
 *     if (!cmempool_adapter_init(&adapter, pool)) ...
 *     pcre2_general_context *general = cmempool_pcre2_context(&adapter);
 *     pcre2_compile_context *compile = pcre2_compile_context_create(general);
 *     pcre2_code *code = pcre2_compile(..., compile);
 *     pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, general);
 *
 * Everything that is created with the general context, directly or not, lies in the pool.
 * Machine code that pcre2_jit_compile writes does not. Larger blocks than the pool's classes
 * come from the heap: see adapter.h. */
#ifndef CMEMPOOL_PCRE2_H
#define CMEMPOOL_PCRE2_H

#include "adapter.h"
#ifdef CMEMPOOL_ADAPTER_H /* else that has said what is wrong */

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

static inline void *cmempool_pcre2_malloc(size_t size, void *adapter)
{
    return cmempool_adapter_malloc((cmempool_adapter *)adapter, size);
}

static inline void cmempool_pcre2_free(void *memory, void *adapter)
{
    cmempool_adapter_free((cmempool_adapter *)adapter, memory);
}

/* A general context. Its memory, and that of everything created with it, comes through the
 * adapter, which must stay until the last of it is freed. Free the context itself with
 * pcre2_general_context_free. NULL if there is no memory for it. */
static inline pcre2_general_context *cmempool_pcre2_context(cmempool_adapter *adapter)
{
    return pcre2_general_context_create(cmempool_pcre2_malloc, cmempool_pcre2_free, adapter);
}

#endif
#endif /* CMEMPOOL_PCRE2_H */
