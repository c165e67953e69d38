/* How long does SQLite take for a fixed workload in memory: inserts, updates, queries?
 *
 * usage: sqlite
 *
 * Built with cmempool, SQLite's memory comes from a ranged pool, through the adapter below; built
 * without, from malloc. The time includes the making and the destroying of the pool and of the
 * database. Prints one line of JSON. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

#include "timing.h"

#if defined MEMORY_POOL

#include <cmempool.h>

/* Enough of each size for the workload: SQLite asks for small blocks, for the pieces of a journal (1 KiB
 * and a pointer) and for pages (4 KiB and what it knows of them). What does not fit falls back. */
static const r_mempool_class classes[] = {
    {16, 1024}, {32, 1024}, {48, 1024}, {64, 1024},  {96, 1024},  {128, 1024},
    {192, 512}, {256, 512}, {384, 512}, {512, 256},  {1040, 4096}, {2048, 128},
    {4096, 64}, {4608, 1024}, {8192, 32}, {16384, 16}, {32768, 8}, {65536, 8},
};

enum { CLASS_COUNT = sizeof classes / sizeof classes[0], LARGEST = 65536 };

static r_mempool *pool;

/* The adapter puts 8 bytes before each block, with its size: SQLite asks for sizes, and what is larger
 * than the largest class comes from the heap, which only the size tells. SQLite needs blocks aligned to
 * 8 bytes, which they still are. */
enum { HEADER = 8 };

static int rounded_up(int size)
{
    size_t whole = (size_t)size + HEADER;
    for (size_t i = 0; i < CLASS_COUNT; ++i) {
        if (whole <= classes[i].elem_size) {
            return (int)(classes[i].elem_size - HEADER);
        }
    }
    return (size + 7) & ~7;
}

static uint64_t *header_of(void *block)
{
    return (uint64_t *)block - 1;
}

static int block_size(void *block)
{
    return block ? (int)*header_of(block) : 0;
}

static bool is_pooled(size_t size)
{
    return size + HEADER <= LARGEST;
}

/* SQLite rounds sizes up before it asks. */
static void *block_alloc(int size)
{
    size_t whole = (size_t)size + HEADER;
    uint64_t *block = is_pooled((size_t)size) ? r_mempool_alloc_entry(pool, whole) : malloc(whole);
    if (!block) {
        return NULL;
    }
    *block = (uint64_t)size;
    return block + 1;
}

static void block_free(void *block)
{
    if (is_pooled(*header_of(block))) {
        (r_mempool_free_entry)(header_of(block));
    } else {
        free(header_of(block));
    }
}

static void *block_realloc(void *block, int size)
{
    size_t whole = (size_t)size + HEADER;
    bool was_pooled = is_pooled(*header_of(block));
    uint64_t *moved;
    if (was_pooled && is_pooled((size_t)size)) {
        moved = r_mempool_realloc_entry(pool, header_of(block), whole);
    } else if (!was_pooled && !is_pooled((size_t)size)) {
        moved = realloc(header_of(block), whole);
    } else {
        void *other = block_alloc(size);
        if (other) {
            size_t old = (size_t)block_size(block);
            memcpy(other, block, old < (size_t)size ? old : (size_t)size);
            block_free(block);
        }
        return other;
    }
    if (!moved) {
        return NULL;
    }
    *moved = (uint64_t)size;
    return moved + 1;
}

static int adapter_init(void *data)
{
    (void)data;
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = CLASS_COUNT;
    options.policy = fallback_at_last_exhaustion;
    pool = r_mempool_create_with(&options);
    return pool ? SQLITE_OK : SQLITE_NOMEM;
}

static void adapter_shutdown(void *data)
{
    (void)data;
    r_mempool_destroy(pool);
}

static void use_adapter(void)
{
    static const sqlite3_mem_methods methods = {
        block_alloc, block_free,   block_realloc,    block_size,
        rounded_up,  adapter_init, adapter_shutdown, NULL,
    };
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

#else

static void use_adapter(void)
{
}

#endif

static sqlite3 *db;

static void check(int code)
{
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
        fprintf(stderr, "sqlite: %s\n", db ? sqlite3_errmsg(db) : "can't start");
        exit(1);
    }
}

static void execute(const char *sql)
{
    check(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *statement = NULL;
    check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL));
    return statement;
}

static void step_all(sqlite3_stmt *statement, uint64_t *sum)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        *sum += (uint64_t)sqlite3_column_int64(statement, 0);
        *sum += (uint64_t)sqlite3_column_bytes(statement, 1);
    }
    check(code);
    check(sqlite3_reset(statement));
}

enum { ROWS = 20000, LOOKUPS = 20000, UPDATES = 10000, STATEMENTS = 4000, REPORTS = 20 };

static uint64_t workload(void)
{
    uint64_t seed = RANDOM_SEED;
    uint64_t sum = 0;
    char text[256];

    execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, owner INTEGER, note TEXT)");
    execute("CREATE INDEX item_owner ON item (owner)");

    execute("BEGIN");
    sqlite3_stmt *insert = prepare("INSERT INTO item (name, owner, note) VALUES (?1, ?2, ?3)");
    for (int i = 0; i < ROWS; ++i) {
        int length = snprintf(text, sizeof text, "item %d of %u", i, random_below(&seed, 1000));
        memset(text + length, 'x', 100);
        check(sqlite3_bind_text(insert, 1, text, length, SQLITE_TRANSIENT));
        check(sqlite3_bind_int(insert, 2, (int)random_below(&seed, 500)));
        check(sqlite3_bind_text(insert, 3, text, (int)random_below(&seed, 100) + length,
                                SQLITE_TRANSIENT));
        step_all(insert, &sum);
    }
    check(sqlite3_finalize(insert));
    execute("COMMIT");

    sqlite3_stmt *lookup = prepare("SELECT owner, note FROM item WHERE id = ?1");
    for (int i = 0; i < LOOKUPS; ++i) {
        check(sqlite3_bind_int(lookup, 1, (int)random_below(&seed, ROWS) + 1));
        step_all(lookup, &sum);
    }
    check(sqlite3_finalize(lookup));

    execute("BEGIN");
    sqlite3_stmt *update =
        prepare("UPDATE item SET note = note || ?2, owner = owner + 1 WHERE id = ?1");
    for (int i = 0; i < UPDATES; ++i) {
        check(sqlite3_bind_int(update, 1, (int)random_below(&seed, ROWS) + 1));
        check(sqlite3_bind_text(update, 2, " changed", -1, SQLITE_STATIC));
        step_all(update, &sum);
    }
    check(sqlite3_finalize(update));
    execute("COMMIT");

    /* Statements that are prepared each time, as many programs do it. */
    for (int i = 0; i < STATEMENTS; ++i) {
        snprintf(text, sizeof text,
                 "SELECT count(*), max(name) FROM item WHERE owner = %u AND note LIKE '%%x%u%%'",
                 random_below(&seed, 500), random_below(&seed, 10));
        sqlite3_stmt *select = prepare(text);
        step_all(select, &sum);
        check(sqlite3_finalize(select));
    }

    sqlite3_stmt *report = prepare("SELECT count(*), group_concat(substr(name, 1, 12)) FROM item "
                                   "GROUP BY owner ORDER BY count(*), max(note)");
    for (int i = 0; i < REPORTS; ++i) {
        step_all(report, &sum);
    }
    check(sqlite3_finalize(report));
    return sum;
}

int main(void)
{
    use_adapter();
    uint64_t start = now_ns();
    check(sqlite3_initialize());
    check(sqlite3_open(":memory:", &db));
    uint64_t sum = workload();
    check(sqlite3_close(db));
    check(sqlite3_shutdown());
    uint64_t took = now_ns() - start;
    printf("{\"median_ns\": %llu, \"checksum\": %llu}\n", (unsigned long long)took,
           (unsigned long long)sum);
    return 0;
}
