/* How long does a Lua program take?
 *
 * usage: lua SCRIPT
 *
 * Built with cmempool, Lua's memory comes from a ranged pool; built without, from realloc and free. The
 * time includes the making and the destroying of the pool and of the state. Prints one line of JSON. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <string.h>

#include "timing.h"

#if defined MEMORY_POOL

#include <cmempool.h>

/* Enough of each size for the script, most for tables and their arrays. What does not fit falls back.
 */
static const r_mempool_class classes[] = {
    {16, 2048},  {32, 65536}, {48, 16384}, {64, 65536},  {96, 2048},  {128, 2048},
    {256, 1024}, {512, 512},  {1024, 256}, {2048, 128},  {4096, 128}, {8192, 256},
    {16384, 96}, {32768, 16}, {65536, 8},
};

enum { CLASS_COUNT = sizeof classes / sizeof classes[0], LARGEST = 65536 };

static r_mempool *pool;

/* Lua says how large a block is when it frees it: no header is needed to tell what is larger than the
 * largest class, and so the heap's. When there is no block, `old_size` says what it will be for. */
static void *allocate(void *data, void *block, size_t old_size, size_t size)
{
    (void)data;
    if (!block) {
        old_size = 0;
    }
    if (size == 0) {
        if (old_size > LARGEST) {
            free(block);
        } else {
            (r_mempool_free_entry)(block);
        }
        return NULL;
    }
    if (!block) {
        return size > LARGEST ? malloc(size) : r_mempool_alloc_entry(pool, size);
    }
    if (old_size > LARGEST && size > LARGEST) {
        return realloc(block, size);
    }
    if (old_size <= LARGEST && size <= LARGEST) {
        return r_mempool_realloc_entry(pool, block, size);
    }
    void *moved = size > LARGEST ? malloc(size) : r_mempool_alloc_entry(pool, size);
    if (moved) {
        memcpy(moved, block, old_size < size ? old_size : size);
        allocate(data, block, old_size, 0);
    }
    return moved;
}

static void begin(void)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = CLASS_COUNT;
    options.policy = fallback_at_last_exhaustion;
    pool = r_mempool_create_with(&options);
    if (!pool) {
        perror("lua: r_mempool_create_with");
        exit(1);
    }
}

static void end(void)
{
    r_mempool_destroy(pool);
}

#else

static void *allocate(void *data, void *block, size_t old_size, size_t size)
{
    (void)data;
    (void)old_size;
    if (size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, size);
}

static void begin(void)
{
}

static void end(void)
{
}

#endif

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: lua SCRIPT\n");
        return 2;
    }
    uint64_t start = now_ns();
    begin();
    lua_State *state = lua_newstate(allocate, NULL);
    if (!state) {
        fprintf(stderr, "lua: there is no memory for a state\n");
        return 1;
    }
    luaL_openlibs(state);
    if (luaL_dofile(state, argv[1]) != LUA_OK) {
        fprintf(stderr, "lua: %s\n", lua_tostring(state, -1));
        return 1;
    }
    long long checksum = (long long)lua_tointeger(state, -1);
    lua_close(state);
    end();
    uint64_t took = now_ns() - start;
    printf("{\"median_ns\": %llu, \"checksum\": %lld}\n", (unsigned long long)took, checksum);
    return 0;
}
