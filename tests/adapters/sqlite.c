/* Does SQLite do the same in a pool as without? */
#include "../c/check_child.h"

/* What was asked for last. */
static size_t asked;

static void *note_alloc(r_mempool *pool, size_t size)
{
    asked = size;
    return r_mempool_alloc_entry(pool, size);
}

static void *note_realloc(r_mempool *pool, void *entry, size_t size)
{
    asked = size;
    return r_mempool_realloc_entry(pool, entry, size);
}

#undef r_mempool_alloc_entry
#define r_mempool_alloc_entry note_alloc
#define r_mempool_realloc_entry note_realloc
#include "plug.h"

#include <cmempool/sqlite.h>
#undef r_mempool_alloc_entry
#undef r_mempool_realloc_entry

static int on_row(void *context, int columns, char **values, char **names)
{
    (void)names;
    for (int i = 0; i < columns; i++)
        say(context, "%s|", values[i] ? values[i] : "NULL");
    say(context, "\n");
    return 0;
}

static void run(sqlite3 *db, struct text *text, const char *sql)
{
    char *message = NULL;
    int status = sqlite3_exec(db, sql, on_row, text, &message);
    say(text, "%d %s\n", status, message ? message : "");
    sqlite3_free(message);
}

static void insert(sqlite3 *db, struct text *text, size_t count, uint64_t *state)
{
    static const char letters[] = "etaoinshrdlu";
    char name[3000];
    sqlite3_stmt *statement;
    CHECK(sqlite3_prepare_v2(db, "INSERT INTO people VALUES (NULL, ?, ?, ?)", -1, &statement,
                             NULL) == SQLITE_OK);
    for (size_t i = 0; i < count; i++) {
        /* Now and then longer than a page's share. */
        size_t length = random_below(state, random_below(state, 50) == 0 ? sizeof name : 40);
        for (size_t j = 0; j < length; j++)
            name[j] = letters[random_below(state, sizeof letters - 1)];
        sqlite3_bind_text(statement, 1, name, (int)length, SQLITE_TRANSIENT);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)random_below(state, 1000));
        sqlite3_bind_double(statement, 3, (double)random_below(state, 100000) / 7);
        CHECK(sqlite3_step(statement) == SQLITE_DONE);
        CHECK(sqlite3_reset(statement) == SQLITE_OK);
    }
    CHECK(sqlite3_finalize(statement) == SQLITE_OK);
    run(db, text, "SELECT count(*), sum(length(name)), sum(class), round(sum(score), 3) "
                  "FROM people");
}

static void expect_intact(sqlite3 *db)
{
    struct text answer = {0};
    run(db, &answer, "PRAGMA integrity_check");
    CHECK(answer.length == 7 && memcmp(answer.bytes, "ok|\n0 \n", 7) == 0);
    free(answer.bytes);
}

static bool counts = true;

static void work(struct text *text, const char *file)
{
    uint64_t state = 1;
    sqlite3 *db;
    CHECK(sqlite3_open(file, &db) == SQLITE_OK);
    run(db, text, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;"
                  "PRAGMA cache_size = 300");
    run(db, text, "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, class INT, score REAL)");
    run(db, text, "CREATE INDEX by_name ON people (name)");
    run(db, text, "BEGIN");
    insert(db, text, 4000, &state);
    run(db, text, "COMMIT");
    expect_intact(db);

    run(db, text, "BEGIN; UPDATE people SET name = name || name || class WHERE id % 3 = 0;"
                  "DELETE FROM people WHERE class < 300; SAVEPOINT inside;"
                  "UPDATE people SET score = -score; ROLLBACK TO inside;"
                  "SELECT count(*), max(length(name)), round(sum(score), 3) FROM people");
    run(db, text, "ROLLBACK; SELECT count(*), max(length(name)) FROM people");
    expect_intact(db);

    run(db, text, "UPDATE people SET name = upper(name), class = class + 1 WHERE id % 5 = 0");
    run(db, text, "DELETE FROM people WHERE class % 7 = 0;"
                  "CREATE INDEX by_class ON people (class, score)");
    insert(db, text, 1500, &state);
    run(db, text, "SELECT class, count(*), min(name), max(score) FROM people "
                  "WHERE length(name) < 20 GROUP BY class HAVING count(*) > 2 "
                  "ORDER BY 2 DESC, 1 LIMIT 100");
    run(db, text, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
                  "SELECT count(*), total(length(printf('%0*d', i, i))) FROM n");
    run(db, text, "SELECT a.id, b.id FROM people a JOIN people b ON a.class = b.class "
                  "AND a.id < b.id AND substr(a.name, 1, 2) = substr(b.name, 1, 2) "
                  "ORDER BY 1, 2 LIMIT 200");
    run(db, text, "SELECT length(group_concat(name, ', ')), length(zeroblob(2000000)) FROM people");
    run(db, text, "SELECT hex(zeroblob(3)), "
                  "replace(hex(zeroblob(50000)), '00', 'abc') LIKE '%cab%'");
    run(db, text, "SELECT * FROM nowhere");
    run(db, text, "INSERT INTO people (id) SELECT id FROM people LIMIT 1");
    run(db, text, "ALTER TABLE people ADD COLUMN note DEFAULT 'none'; VACUUM; REINDEX; ANALYZE");
    expect_intact(db);
    run(db, text, "SELECT count(*), count(DISTINCT name), count(note) FROM people");

    /* What SQLite is told of a block's size is enough, and its own. */
    for (int size = 1; size < 70000; size += 1 + size / 5) {
        unsigned char *block = sqlite3_malloc(size);
        CHECK(block != NULL && sqlite3_msize(block) >= (sqlite3_uint64)size);
        memset(block, 1, sqlite3_msize(block));
        block = sqlite3_realloc(block, size / 2 + 1);
        CHECK(block != NULL && all_bytes(block, 1, (size_t)size / 2 + 1));
        block = sqlite3_realloc(block, 3 * size);
        CHECK(block != NULL && all_bytes(block, 1, (size_t)size / 2 + 1));
        sqlite3_free(block);
    }
    CHECK(!counts || sqlite3_memory_used() > 0);
    CHECK(sqlite3_close(db) == SQLITE_OK);
    /* As many bytes went as had come. */
    CHECK(sqlite3_memory_used() == 0);
}

static void works(struct text *text)
{
    char file[] = "/tmp/cmempool-sqlite-XXXXXX";
    int handle = mkstemp(file);
    CHECK(handle >= 0 && close(handle) == 0);
    work(text, file);
    CHECK(unlink(file) == 0);
    work(text, ":memory:");
    CHECK(sqlite3_shutdown() == SQLITE_OK);
}

/* SQLite counts by what xRoundup says, and asks for it. */
static void rounds_up_to_what_it_gets(const r_mempool *pool)
{
    for (int size = 1; size < 300000; size += 1 + size / 50) {
        int rounded = cmempool_sqlite_roundup(size);
        void *block = cmempool_sqlite_malloc(rounded);
        CHECK(rounded >= size && cmempool_sqlite_size(block) == rounded);
        mempool_stats stats = MEMPOOL_STATS_INIT;
        size_t class_size = 0;
        for (size_t i = 0; r_mempool_get_stats(pool, i, &stats) && class_size == 0; i++)
            class_size = stats.elem_size >= (size_t)size ? stats.elem_size : 0;
        CHECK((size_t)rounded == (class_size ? class_size : round_up((size_t)size, 8)));
        cmempool_sqlite_free(block);
    }
    CHECK(cmempool_sqlite_roundup(INT_MAX) == INT_MAX);
    CHECK(cmempool_sqlite_roundup(INT_MAX - 7) == INT_MAX - 7);
}

/* SQLite uses all that xSize says: in an entry's own class, in a larger one's entry, in one from the
 * heap. */
static void asks_for_all_that_it_has(void)
{
    static const r_mempool_class classes[] = {{64, 2}, {128, 3}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.policy = fallback_at_last_exhaustion;
    r_mempool *pool = r_mempool_create_with(&options);
    CHECK(pool != NULL && cmempool_sqlite_use(pool) == SQLITE_OK);
    void *blocks[8];
    for (size_t i = 0; i < LENGTH(blocks); i++) {
        row("entry %zu", i);
        blocks[i] = cmempool_sqlite_malloc(40);
        CHECK(blocks[i] != NULL && asked == (size_t)cmempool_sqlite_size(blocks[i]));
        memset(blocks[i], (int)i, (size_t)cmempool_sqlite_size(blocks[i]));
    }
    for (size_t i = 0; i < LENGTH(blocks); i++) {
        row("entry %zu, reallocated", i);
        blocks[i] = cmempool_sqlite_realloc(blocks[i], 50);
        CHECK(blocks[i] != NULL && asked == (size_t)cmempool_sqlite_size(blocks[i]));
        CHECK(all_bytes(blocks[i], (unsigned char)i, 40));
        cmempool_sqlite_free(blocks[i]);
    }
    CHECK(entries_out(pool) == 0);
    CHECK(sqlite3_shutdown() == SQLITE_OK);
    r_mempool_destroy(pool);
}

/* All of SQLite's work where it does not count memory, and so does not round up. */
static void works_without_counting(struct text *plain, struct text *pooled)
{
    r_mempool *pool = make_pool(AMPLE);
    CHECK(cmempool_sqlite_use(pool) == SQLITE_OK);
    CHECK(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK);
    row("without counting");
    counts = false;
    works(pooled);
    expect_same(AMPLE, pool, &cmempool_sqlite_adapter, 200, plain, pooled);
}

int main(void)
{
    struct text plain = {0}, pooled = {0};
    CHECK(cmempool_sqlite_use(NULL) == SQLITE_MISUSE);
    works(&plain);
    CHECK(plain.length > 5000);
    for (int plan = 0; plan < PLANS; plan++) {
        r_mempool *pool = make_pool(plan);
        CHECK(cmempool_sqlite_use(pool) == SQLITE_OK);
        rounds_up_to_what_it_gets(pool);
        works(&pooled);
        expect_same(plan, pool, &cmempool_sqlite_adapter, 200, &plain, &pooled);
    }
    asks_for_all_that_it_has();
    works_without_counting(&plain, &pooled);
    free(plain.bytes);
    return done();
}
