/* Are pools found: all of them in turn, and one by its name? */
#include "../check.h"
#include "../check_threads.h"

enum { MOST = 16 };

static struct seen {
    size_t count, stop_at;
    const void *pools[MOST];
    char names[MOST][64];
    bool ranged[MOST];
} seen;

static bool note(const mempool_pool_info *pool, void *context)
{
    CHECK(context == &seen && pool->struct_size == sizeof *pool);
    CHECK((pool->mp == NULL) != (pool->rmp == NULL) && pool->name != NULL);
    CHECK(seen.count < MOST && strlen(pool->name) < sizeof seen.names[0]);
    seen.pools[seen.count] = pool->mp != NULL ? (const void *)pool->mp : (const void *)pool->rmp;
    seen.ranged[seen.count] = pool->rmp != NULL;
    strcpy(seen.names[seen.count], pool->name);
    return ++seen.count != seen.stop_at;
}

static size_t walk(size_t stop_at)
{
    memset(&seen, 0, sizeof seen);
    seen.stop_at = stop_at;
    size_t count = mempool_for_each_pool(note, &seen);
    CHECK(count == seen.count && (stop_at != 0 || mempool_for_each_pool(NULL, NULL) == count));
    return count;
}

static mempool *ordinary(const char *name)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 10;
    options.elem_size = 24;
    options.name = name;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static r_mempool *ranged(const char *name)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 64;
    options.smallest_count = 8;
    options.name = name;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    return rmp;
}

static void in_turn(void)
{
    row("the newest first");
    CHECK(walk(0) == 0);
    mempool *a = ordinary("a");
    r_mempool *b = ranged("b");
    mempool *c = ordinary(NULL);
    CHECK(walk(0) == 3);
    CHECK(seen.pools[0] == c && seen.pools[1] == b && seen.pools[2] == a);
    CHECK(!seen.ranged[0] && seen.ranged[1] && !seen.ranged[2]);
    CHECK(strcmp(seen.names[0], "") == 0 && strcmp(seen.names[1], "b") == 0);
    CHECK(walk(2) == 2);
    r_mempool_destroy(b);
    CHECK(walk(0) == 2 && seen.pools[0] == c && seen.pools[1] == a);
    mempool_destroy(a);
    mempool_destroy(c);
    CHECK(walk(0) == 0);
}

static void by_name(void)
{
    row("by name");
    errno = 0;
    mempool *a = ordinary("sessions");
    r_mempool *b = ranged("sessions");
    CHECK(mempool_find("sessions") == a && r_mempool_find("sessions") == b);
    CHECK(mempool_find("session") == NULL && mempool_find("sessions ") == NULL);
    mempool *newer = ordinary("sessions");
    CHECK(mempool_find("sessions") == newer);
    mempool_destroy(newer);
    CHECK(mempool_find("sessions") == a);
    mempool *unnamed = ordinary(NULL);
    CHECK(mempool_find("") == NULL && mempool_find(NULL) == NULL && r_mempool_find(NULL) == NULL);
    mempool_destroy(unnamed);
    mempool_destroy(a);
    r_mempool_destroy(b);
    CHECK(mempool_find("sessions") == NULL && r_mempool_find("sessions") == NULL);

    row("by a name that was cut");
    char name[100];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    a = ordinary(name);
    CHECK(mempool_find(name) == a);
    name[63] = '\0';
    CHECK(mempool_find(name) == a && errno == 0);
    mempool_destroy(a);
}

/* ---- What a visitor may do ---- */

static bool destroy_it(const mempool_pool_info *pool, void *context)
{
    (void)context;
    mempool *mp = pool->mp;
    mempool_destroy(mp);
    return true;
}

static void destroyed_on_the_way(void)
{
    row("a visitor destroys what it gets");
    for (int i = 0; i < 5; i++)
        ordinary("short-lived");
    CHECK(mempool_for_each_pool(destroy_it, NULL) == 5 && walk(0) == 0);
}

/* ---- Others make pools and destroy them ---- */

static atomic_bool over;

static void *make_and_destroy(void *unused)
{
    while (!atomic_load(&over)) {
        mempool *mp = ordinary("passing");
        r_mempool *rmp = ranged("passing");
        mempool_destroy(mp);
        r_mempool_destroy(rmp);
    }
    return unused;
}

static bool count_those_that_stay(const mempool_pool_info *pool, void *count)
{
    if (strncmp(pool->name, "stays", 5) == 0) {
        CHECK(mempool_total_capacity(pool->mp) == 10);
        ++*(size_t *)count;
    }
    return true;
}

static void while_others_come_and_go(void)
{
    row("while others come and go");
    mempool *staying[8];
    for (size_t i = 0; i < LENGTH(staying); i++) {
        char name[16];
        snprintf(name, sizeof name, "stays %d", (int)i);
        staying[i] = ordinary(name);
    }
    struct thread thread;
    CHECK(thread_start(&thread, make_and_destroy, NULL));
    for (size_t i = 0; i < scaled(2000, 100); i++) {
        size_t count = 0;
        mempool_for_each_pool(count_those_that_stay, &count);
        CHECK(count == LENGTH(staying));
        CHECK(mempool_find("stays 3") == staying[3]);
    }
    atomic_store(&over, true);
    CHECK(thread_join(&thread));
    for (size_t i = 0; i < LENGTH(staying); i++)
        mempool_destroy(staying[i]);
}

int main(void)
{
    in_turn();
    by_name();
    destroyed_on_the_way();
    while_others_come_and_go();
    row("version");
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", CMEMPOOL_VERSION_MAJOR, CMEMPOOL_VERSION_MINOR,
             CMEMPOOL_VERSION_PATCH);
    CHECK(strcmp(cmempool_version(), version) == 0);
    return done();
}
