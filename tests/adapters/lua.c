/* Does Lua do the same in a pool as without? */
#include "plug.h"

#include <cmempool/lua.h>

#include <lauxlib.h>
#include <lualib.h>

/* Without what depends on addresses, as the order of pairs does. */
static const char script[] =
    "local function tree(depth)\n"
    "    if depth == 0 then return {} end\n"
    "    return {tree(depth - 1), tree(depth - 1)}\n"
    "end\n"
    "local function count(t) return t[1] and 1 + count(t[1]) + count(t[2]) or 1 end\n"
    "for i = 1, 20 do emit(count(tree(i % 9))) end\n"
    "local parts = {}\n"
    "for i = 1, 5000 do parts[i] = ('%d:%x'):format(i, i * i) end\n"
    "local all = table.concat(parts, ',')\n"
    "emit(#all, all:sub(1000, 1100), all:gsub('%d+', function(n) return #n end):sub(-200))\n"
    "table.sort(parts)\n"
    "for i = #parts, 600, -1 do parts[i] = nil end\n"
    "collectgarbage()\n"
    "emit(table.concat(parts, ' '))\n"
    "local s = ''\n"
    "for i = 1, 2000 do s = s .. string.char(97 + i % 26) end\n"
    "emit(#s, s:reverse():sub(1, 50))\n"
    "emit(#(s:rep(500)), #(s:rep(3, s:rep(20))))\n"
    "local threads = {}\n"
    "for i = 1, 200 do\n"
    "    threads[i] = coroutine.wrap(function(a)\n"
    "        while true do a = coroutine.yield(a * i) end\n"
    "    end)\n"
    "end\n"
    "local sum = 0\n"
    "for round = 1, 20 do for i = 1, #threads do sum = sum + threads[i](round) end end\n"
    "emit(sum)\n"
    "local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end\n"
    "emit(deep(15000), pcall(deep, {}))\n"
    "emit(select('#', table.unpack({}, 1, 5000)))\n"
    "local keyed = {}\n"
    "for i = 1, 3000 do keyed['k' .. i] = {i, tostring(i)} end\n"
    "for i = 1, 3000, 2 do keyed['k' .. i] = nil end\n"
    "collectgarbage('step', 100)\n"
    "local total = 0\n"
    "for i = 1, 3000 do total = total + (keyed['k' .. i] and keyed['k' .. i][1] or 0) end\n"
    "emit(total)\n"
    "for i = 1, 300 do load(('local a%d = %d; return a%d * 2'):format(i, i, i))() end\n"
    "emit(pcall(load, 'return +'))\n"
    "emit(pcall(error, {}, 0) == false, select(2, pcall(error, 'told', 0)))\n";

/* Says its arguments: numbers, strings, booleans. */
static int emit(lua_State *L)
{
    struct text *text = lua_touserdata(L, lua_upvalueindex(1));
    for (int i = 1; i <= lua_gettop(L); i++) {
        size_t length;
        const char *value = luaL_tolstring(L, i, &length);
        add(text, value, length);
        add(text, "\t", 1);
        lua_pop(L, 1);
    }
    add(text, "\n", 1);
    return 0;
}

static void *plain_alloc(void *unused, void *memory, size_t had, size_t size)
{
    (void)unused, (void)had;
    if (size > 0)
        return realloc(memory, size);
    free(memory);
    return NULL;
}

static void work(struct text *text, lua_Alloc alloc, void *context)
{
    lua_State *L = lua_newstate(alloc, context);
    CHECK(L != NULL);
    luaL_openlibs(L);
    lua_pushlightuserdata(L, text);
    lua_pushcclosure(L, emit, 1);
    lua_setglobal(L, "emit");
    int status = luaL_dostring(L, script);
    if (status != LUA_OK)
        say(text, "%s", lua_tostring(L, -1));
    CHECK(status == LUA_OK);
    say(text, "%d\n", lua_gettop(L));
    lua_close(L);
}

/* A script that wants more than the pool has is told so, and the state goes on. */
static void out_of_memory(void)
{
    row("out of memory");
    r_mempool *pool = r_mempool_create(16, 16384, 4096, fallback_disabled);
    cmempool_adapter adapter;
    CHECK(cmempool_adapter_init(&adapter, pool));
    lua_State *L = lua_newstate(cmempool_lua_alloc, &adapter);
    CHECK(L != NULL);
    luaL_openlibs(L);
    for (int i = 0; i < 3; i++) {
        /* What is garbage is collected in time. */
        CHECK(luaL_dostring(L, "local t = {} for i = 1, 1e6 do t[i % 1000] = {} end") == LUA_OK);
        CHECK(luaL_loadstring(L, "local t = {} while true do t = {t} end") == LUA_OK);
        CHECK(lua_pcall(L, 0, 0, 0) == LUA_ERRMEM);
        CHECK(strcmp(lua_tostring(L, -1), "not enough memory") == 0);
        lua_settop(L, 0);
    }
    CHECK(luaL_dostring(L, "return 6 * 7") == LUA_OK && lua_tointeger(L, -1) == 42);
    lua_close(L);
    CHECK(entries_out(pool) == 0 && cmempool_adapter_larger_count(&adapter) == 0);
    r_mempool_destroy(pool);
}

int main(void)
{
    struct text plain = {0}, pooled = {0};
    work(&plain, plain_alloc, NULL);
    CHECK(plain.length > 5000);
    for (int plan = 0; plan < PLANS; plan++) {
        r_mempool *pool = make_pool(plan);
        cmempool_adapter adapter;
        CHECK(cmempool_adapter_init(&adapter, pool));
        work(&pooled, cmempool_lua_alloc, &adapter);
        expect_same(plan, pool, &adapter, 10000, &plain, &pooled);
    }
    free(plain.bytes);
    out_of_memory();
    return done();
}
