/* How does Lua take its memory from a ranged pool?
 *
 *     r_mempool *pool = r_mempool_create(16, 65536, 65536, fallback_at_last_exhaustion);
 *     cmempool_adapter adapter;
 *     if (!cmempool_adapter_init(&adapter, pool)) ...
 *     lua_State *L = lua_newstate(cmempool_lua_alloc, &adapter);
 *     ...
 *     lua_close(L);
 *     r_mempool_destroy(pool);
 *
 * Each state may have a pool of its own; in a pool with MEMPOOL_SINGLE_THREAD a state takes
 * no locks. Larger blocks than the pool's classes come from the heap: see adapter.h. Lua 5.1
 * to 5.4. */
#ifndef CMEMPOOL_LUA_H
#define CMEMPOOL_LUA_H

#include "adapter.h"
#ifdef CMEMPOOL_ADAPTER_H /* else that has said what is wrong */

#ifdef __cplusplus
#include <lua.hpp>
#else
#include <lua.h>
#endif

/* A lua_Alloc. `adapter` is a `cmempool_adapter *`. */
static inline void *cmempool_lua_alloc(void *adapter, void *memory, size_t had, size_t size)
{
    cmempool_adapter *const known = (cmempool_adapter *)adapter;
    if (size > 0) {
        /* Without a block, `had` is the kind of object. */
        return memory ? cmempool_adapter_realloc(known, memory, size)
                      : cmempool_adapter_malloc(known, size);
    }
    /* A block of a size that the pool has is an entry, unless it was larger before. */
    if (had <= known->largest && cmempool_adapter_larger_count(known) == 0)
        r_mempool_free_entry(memory);
    else
        cmempool_adapter_free(known, memory);
    return NULL;
}

#endif
#endif /* CMEMPOOL_LUA_H */
