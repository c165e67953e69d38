/* SQLite on a pool: a table of notes, all memory of the database in entries. */
#include <cmempool/sqlite.h>

#include <stdio.h>
#include <stdlib.h>

static void run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s\n", message);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    /* Classes of 16, 32, 64, .. 131072 bytes with 65536, 32768, 16384, .. 8 entries. What is
     * larger, and what finds no entry, comes from the heap. */
    r_mempool *pool = r_mempool_create(16, 131072, 65536, fallback_at_last_exhaustion);
    if (!pool) {
        perror("r_mempool_create");
        return EXIT_FAILURE;
    }
    if (cmempool_sqlite_use(pool) != SQLITE_OK) {
        fprintf(stderr, "SQLite is in use already\n");
        return EXIT_FAILURE;
    }

    sqlite3 *db;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        return EXIT_FAILURE;
    run(db, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)");
    run(db, "CREATE INDEX notes_by_text ON notes (text)");

    sqlite3_stmt *insert;
    sqlite3_prepare_v2(db, "INSERT INTO notes (text) VALUES (?)", -1, &insert, NULL);
    run(db, "BEGIN");
    for (int i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "note number %d", i * 7919 % 1000);
        sqlite3_bind_text(insert, 1, text, -1, SQLITE_TRANSIENT);
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    run(db, "COMMIT");
    sqlite3_finalize(insert);

    sqlite3_stmt *query;
    sqlite3_prepare_v2(db, "SELECT count(*), min(text), max(text) FROM notes", -1, &query, NULL);
    if (sqlite3_step(query) == SQLITE_ROW)
        printf("%d notes, from '%s' to '%s'\n", sqlite3_column_int(query, 0),
               (const char *)sqlite3_column_text(query, 1),
               (const char *)sqlite3_column_text(query, 2));
    sqlite3_finalize(query);

    printf("SQLite uses %lld bytes:\n", sqlite3_memory_used());
    r_mempool_dump(pool, stdout);

    sqlite3_close(db);
    sqlite3_shutdown();
    r_mempool_destroy(pool);
    return EXIT_SUCCESS;
}
