/* Does inlined code do what the calls do, and does it call where it is to?
 *
 * usage: inlined calls|inlined
 *
 * Linked so that calls of mempool_alloc_entry, r_mempool_alloc_entry and mempool_free_entry come by the
 * counters below. Also a plugin, whose `main` is called `run`. */
#include <cmempool.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 20000, LIVE = 700, ROUNDS = 40, FEW = LIVE * ROUNDS / 4 };

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

static size_t allocs, sized_allocs, frees;

void *__real_mempool_alloc_entry(mempool *mp);
void *__real_r_mempool_alloc_entry(r_mempool *rmp, size_t size);
void __real_mempool_free_entry(void *entry);
void *__wrap_mempool_alloc_entry(mempool *mp);
void *__wrap_r_mempool_alloc_entry(r_mempool *rmp, size_t size);
void __wrap_mempool_free_entry(void *entry);

void *__wrap_mempool_alloc_entry(mempool *mp)
{
    allocs++;
    return __real_mempool_alloc_entry(mp);
}

void *__wrap_r_mempool_alloc_entry(r_mempool *rmp, size_t size)
{
    sized_allocs++;
    return __real_r_mempool_alloc_entry(rmp, size);
}

void __wrap_mempool_free_entry(void *entry)
{
    frees++;
    __real_mempool_free_entry(entry);
}

/* Which are out, and what is in them. */
static void churn(mempool *mp, r_mempool *rmp)
{
    static void *own[LIVE], *sized[LIVE];
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < LIVE; i++) {
            own[i] = mempool_alloc_entry(mp);
            sized[i] = r_mempool_alloc_entry(rmp, i % 200 + 1);
            CHECK(own[i] != NULL && sized[i] != NULL);
            CHECK(mempool_usable_size(sized[i]) >= i % 200 + 1);
            *(size_t *)own[i] = i;
            *(char *)sized[i] = (char)i;
        }
        CHECK(mempool_used_count(mp) == LIVE);
        for (size_t i = 0; i < LIVE; i++) {
            size_t at = i * 491 % LIVE;
            CHECK(*(size_t *)own[at] == at && *(char *)sized[at] == (char)at);
            mempool_free_entry(own[at]);
            r_mempool_free_entry(sized[at]);
            CHECK(own[at] == NULL && sized[at] == NULL);
        }
        CHECK(mempool_used_count(mp) == 0);
    }
}

/* All of a pool, by two threads. */
static void *take_all(void *argument)
{
    mempool *mp = (mempool *)argument;
    static void *all[COUNT + 1];
    size_t count = 0;
    while ((all[count] = mempool_alloc_entry(mp)) != NULL) {
        count++;
    }
    CHECK(count == COUNT && mempool_used_count(mp) == COUNT);
    while (count > 0) {
        count--;
        mempool_free_entry(all[count]);
    }
    return NULL;
}

static int freed_twice;

static void count_misuse(const mempool_misuse *misuse, void *context)
{
    (void)context;
    freed_twice = misuse->kind == MEMPOOL_MISUSE_DOUBLE_FREE;
    /* As the program's end, for this test. */
    printf("%s\n", freed_twice ? "ok" : "wrong misuse");
    exit(freed_twice ? 0 : 1);
}

#ifdef PLUGIN
int run(int argc, char **argv);
#define main run
#endif

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    int inlined = argv[1][0] == 'i';
    mempool *mp = mempool_create(COUNT, 64, false);
    r_mempool *rmp = r_mempool_create(16, 256, 1 << 14, fallback_disabled);
    CHECK(mp != NULL && rmp != NULL);
    CHECK(mempool_alloc_entry(NULL) == NULL && r_mempool_alloc_entry(rmp, 0) == NULL);
    CHECK(r_mempool_alloc_entry(rmp, 257) == NULL && r_mempool_alloc_entry(NULL, 8) == NULL);
    volatile size_t huge = SIZE_MAX / 2 + 2;
    CHECK(r_mempool_alloc_entry(rmp, huge) == NULL);
    churn(mp, rmp);
    if (inlined) {
        CHECK(allocs < FEW && sized_allocs < FEW && frees < FEW);
    } else {
        CHECK(allocs > LIVE * ROUNDS && sized_allocs > LIVE * ROUNDS);
        CHECK(frees >= LIVE * ROUNDS);
    }
    /* Names in parentheses, and pointers. */
    void *(*alloc)(mempool *) = mempool_alloc_entry;
    void (*give_back)(void *) = mempool_free_entry;
    allocs = sized_allocs = frees = 0;
    (mempool_free_entry)((mempool_alloc_entry)(mp));
    (mempool_free_entry)((r_mempool_alloc_entry)(rmp, 40));
    give_back(alloc(mp));
    CHECK(allocs == 2 && sized_allocs == 1 && frees == 3);
    take_all(mp);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, take_all, mp) == 0 && pthread_join(thread, NULL) == 0);
    take_all(mp);
    /* A pool whose threads have no caches for the fast path. */
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = 64;
    options.flags = MEMPOOL_HARDENED;
    mempool *hardened = mempool_create_with(&options);
    CHECK(hardened != NULL);
    take_all(hardened);
    mempool_destroy(hardened);
    r_mempool_destroy(rmp);
    void *entry = mempool_alloc_entry(mp), *again = entry;
    mempool_free_entry(entry);
    mempool_set_misuse_handler(count_misuse, NULL);
    mempool_free_entry(again);
    CHECK(!"a double free went unseen");
    return 1;
}
