/* Lua on a pool: a script whose tables and strings are entries, in a state that takes no locks. */
#include <cmempool/lua.h>

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

static const char script[] =
    "local words = {}\n"
    "for word in ('pools hand out what pools take back'):gmatch('%a+') do\n"
    "    words[#words + 1] = word:upper()\n"
    "end\n"
    "table.sort(words)\n"
    "print(table.concat(words, ' '))\n";

int main(void)
{
    /* Classes of 16, 32, 64, .. 16384 bytes with 16384, 8192, 4096, .. 16 entries. What is
     * larger, and what finds no entry, comes from the heap. */
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 16384;
    options.smallest_count = 16384;
    options.policy = fallback_at_last_exhaustion;
    options.name = "lua";
    options.flags = MEMPOOL_SINGLE_THREAD; /* the state's own: Lua runs in one thread at a time */
    r_mempool *pool = r_mempool_create_with(&options);
    cmempool_adapter adapter;
    if (!pool || !cmempool_adapter_init(&adapter, pool)) {
        perror("r_mempool_create_with");
        return EXIT_FAILURE;
    }

    lua_State *L = lua_newstate(cmempool_lua_alloc, &adapter);
    if (!L)
        return EXIT_FAILURE;
    luaL_openlibs(L);
    if (luaL_dostring(L, script) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return EXIT_FAILURE;
    }

    printf("Lua uses %d KiB:\n", lua_gc(L, LUA_GCCOUNT));
    r_mempool_dump(pool, stdout);

    lua_close(L);
    r_mempool_destroy(pool);
    return EXIT_SUCCESS;
}
