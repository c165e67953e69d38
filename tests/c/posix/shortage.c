/* Is every entry within reach when they get short, wherever it was cached: by threads that do
 * nothing, that ended, that are ending, that are more than there are indices?
 *
 * Caches close when the depot is empty and open again after some thousand visits to it with enough
 * entries there: what is done here is repeated until they did both many times. */
#include "../check_posix.h"

#include <limits.h>
#include <pthread.h>

enum { THREADS = 8, MANY = 100, HELD = 5, LARGEST = 10000 };

static const size_t capacities[] = {100, 1000, LARGEST};

/* What one thread holds of a pool. */
struct holder {
    pthread_t thread;
    mempool *mp;
    size_t number, count, rounds;
    size_t most;    /* entries of the pool */
    void **entries; /* room for one more */
    pthread_barrier_t *barrier;
};

static mempool *create(size_t count)
{
    mempool *mp = mempool_create(count, sizeof(void *), false);
    CHECK(mp != NULL);
    return mp;
}

static struct holder holder_of(mempool *mp)
{
    struct holder holder = {.mp = mp, .most = mempool_total_capacity(mp)};
    holder.entries = malloc((holder.most + 1) * sizeof *holder.entries);
    CHECK(holder.entries != NULL);
    return holder;
}

/* Takes up to `count` entries, each of which then holds its own address and nothing else. */
static void take(struct holder *holder, size_t count)
{
    bool free_before = true;
    for (; count > 0 && holder->count <= holder->most; count--) {
        void **entry = mempool_alloc_entry(holder->mp);
        if (entry == NULL)
            break;
        free_before = free_before && *entry != entry;
        *entry = entry;
        holder->entries[holder->count++] = entry;
    }
    CHECK(free_before); /* what another holds bears its address */
    CHECK(holder->count <= holder->most);
}

static void give(struct holder *holder, size_t count)
{
    bool intact = true;
    for (; count > 0; count--) {
        void **entry = holder->entries[--holder->count];
        intact = intact && *entry == entry;
        *entry = NULL;
        mempool_free_entry(entry);
    }
    CHECK(intact);
}

/* Takes all that others don't hold, which must be all but `out`. */
static void take_all_but(struct holder *holder, size_t out)
{
    CHECK(mempool_used_count(holder->mp) == out + holder->count);
    take(holder, SIZE_MAX);
    CHECK(holder->count == holder->most - out);
    CHECK(mempool_used_count(holder->mp) == holder->most);
    CHECK_FAILS(mempool_alloc_entry(holder->mp), ENOMEM);
}

/* Clears entries, whose content is not promised: `take` is to tell those that are held. */
static mempool *create_cleared(size_t count)
{
    mempool *mp = create(count);
    struct holder all = holder_of(mp);
    for (void **entry; (entry = mempool_alloc_entry(mp)) != NULL;) {
        CHECK(all.count < count);
        *entry = NULL;
        all.entries[all.count++] = entry;
    }
    CHECK(all.count == count);
    while (all.count > 0)
        mempool_free_entry(all.entries[--all.count]);
    free(all.entries);
    return mp;
}

static void run(struct holder *holders, size_t count, mempool *mp, pthread_barrier_t *barrier,
                size_t rounds, void *(*body)(void *))
{
    for (size_t i = 0; i < count; i++) {
        holders[i] = holder_of(mp);
        holders[i].number = i;
        holders[i].barrier = barrier;
        holders[i].rounds = rounds;
        CHECK(pthread_create(&holders[i].thread, NULL, body, &holders[i]) == 0);
    }
}

static void join(struct holder *holders, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(pthread_join(holders[i].thread, NULL) == 0);
        free(holders[i].entries);
    }
}

/* ---- Threads fill their caches, then one takes all ---- */

static void *fill_cache_and_wait(void *argument)
{
    struct holder *holder = argument;
    for (size_t round = 0; round < holder->rounds; round++) {
        /* Often enough for all to open their caches, and not all at once. */
        for (int i = 0; i < 20; i++) {
            take(holder, holder->most / THREADS);
            give(holder, holder->count);
        }
        pthread_barrier_wait(holder->barrier); /* cached */
        pthread_barrier_wait(holder->barrier); /* taken and given back by one */
    }
    return NULL;
}

static void one_takes_all(size_t capacity)
{
    mempool *mp = create_cleared(capacity);
    size_t rounds = scaled(capacity < LARGEST ? 100 : 20, 2);
    struct holder holders[THREADS], self = holder_of(mp);
    pthread_barrier_t barrier;
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    run(holders, THREADS, mp, &barrier, rounds, fill_cache_and_wait);
    for (size_t round = 0; round < rounds; round++) {
        pthread_barrier_wait(&barrier);
        for (int again = 0; again < 3; again++) {
            take_all_but(&self, 0);
            give(&self, self.count);
        }
        pthread_barrier_wait(&barrier);
    }
    join(holders, THREADS);
    take_all_but(&self, 0);
    free(self.entries);
    pthread_barrier_destroy(&barrier);
    mempool_destroy(mp);
}

/* ---- They take all in turn, while the others hold a few or none ---- */

static size_t held_by_others(const struct holder *holder)
{
    const struct holder *all = holder - holder->number;
    size_t held = 0;
    for (size_t i = 0; i < THREADS; i++)
        held += all[i].count;
    return held - holder->count;
}

static void *take_all_in_turn(void *argument)
{
    struct holder *holder = argument;
    for (size_t round = 0; round < holder->rounds; round++) {
        size_t few = (round + holder->number) % 4;
        take(holder, few);
        CHECK(holder->count == few);
        pthread_barrier_wait(holder->barrier); /* all have a few */
        if (round % THREADS == holder->number) {
            take_all_but(holder, held_by_others(holder));
            /* The next one finds half of them in this thread's cache, if it has one. */
            give(holder, holder->count / 2);
        }
        pthread_barrier_wait(holder->barrier); /* one had all */
        if ((round + 1) % THREADS == holder->number)
            take_all_but(holder, held_by_others(holder));
        pthread_barrier_wait(holder->barrier); /* and another the rest */
        give(holder, holder->count);
        pthread_barrier_wait(holder->barrier); /* nobody has any */
    }
    return NULL;
}

static void in_turn(size_t capacity)
{
    mempool *mp = create_cleared(capacity);
    struct holder holders[THREADS];
    pthread_barrier_t barrier;
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    run(holders, THREADS, mp, &barrier, scaled(capacity < LARGEST ? 400 : 60, 8), take_all_in_turn);
    join(holders, THREADS);
    CHECK(mempool_used_count(mp) == 0);
    pthread_barrier_destroy(&barrier);
    mempool_destroy(mp);
}

/* ---- The depot runs low, but not out, while a cache is about to be full ---- */

struct low {
    mempool *mp;
    pthread_barrier_t barrier;
    size_t capacity, left, count;
    void **entries;
};

static void *free_when_low(void *argument)
{
    struct low *low = argument;
    size_t count = low->capacity / 2;
    void **entries = malloc(count * sizeof *entries);
    CHECK(entries != NULL);
    for (size_t i = 0; i < count; i++)
        CHECK((entries[i] = mempool_alloc_entry(low->mp)) != NULL);
    while (count > low->capacity * 3 / 8)
        mempool_free_entry(entries[--count]);
    pthread_barrier_wait(&low->barrier); /* this cache is open, with plenty in the depot */
    pthread_barrier_wait(&low->barrier); /* the depot is low */
    while (count > 0)
        mempool_free_entry(entries[--count]);
    pthread_barrier_wait(&low->barrier); /* all is back that this thread had */
    free(entries);
    return NULL;
}

static void *bring_low(void *argument)
{
    struct low *low = argument;
    size_t most = low->capacity * 5 / 8 - low->left;
    pthread_barrier_wait(&low->barrier);
    while (low->count < most &&
           (low->entries[low->count] = mempool_alloc_entry(low->mp)) != NULL)
        low->count++;
    pthread_barrier_wait(&low->barrier);
    pthread_barrier_wait(&low->barrier);
    while (low->count <= low->capacity &&
           (low->entries[low->count] = mempool_alloc_entry(low->mp)) != NULL)
        low->count++;
    return NULL;
}

static void low_depot(size_t capacity)
{
    struct low low = {.capacity = capacity};
    CHECK(pthread_barrier_init(&low.barrier, NULL, 2) == 0);
    low.entries = malloc((capacity + 2) * sizeof *low.entries);
    CHECK(low.entries != NULL);
    size_t most = capacity / 2 < 450 ? capacity / 2 : 450;
    for (; low.left < most; low.left += scaled(1, 50)) {
        pthread_t threads[2];
        low.mp = create(capacity);
        low.count = 0;
        CHECK(pthread_create(&threads[0], NULL, free_when_low, &low) == 0);
        CHECK(pthread_create(&threads[1], NULL, bring_low, &low) == 0);
        for (size_t i = 0; i < LENGTH(threads); i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(low.count == capacity);
        bool distinct = true;
        for (size_t i = 0; i < capacity; i++)
            *(void **)low.entries[i] = NULL;
        for (size_t i = 0; i < capacity; i++) {
            void **entry = low.entries[i];
            distinct = distinct && *entry == NULL;
            *entry = entry;
        }
        CHECK(distinct);
        mempool_destroy(low.mp);
    }
    free(low.entries);
    pthread_barrier_destroy(&low.barrier);
}

/* ---- Threads end and leave full caches behind ---- */

static void *fill_cache(void *argument)
{
    struct holder *holder = argument;
    take(holder, holder->most / 2);
    give(holder, holder->count);
    return NULL;
}

static void *take_all_once(void *argument)
{
    struct holder *holder = argument;
    take_all_but(holder, 0);
    give(holder, holder->count);
    return NULL;
}

static void left_behind(size_t capacity)
{
    mempool *mp = create_cleared(capacity);
    struct holder self = holder_of(mp), other[THREADS];
    for (size_t round = 0; round < scaled(40, 4); round++) {
        run(other, THREADS, mp, NULL, 0, fill_cache);
        join(other, THREADS);
        if (round % 2 == 0) {
            take_all_but(&self, 0);
            give(&self, capacity);
        } else {
            /* A new thread, with a cache that one of those left. */
            run(other, 1, mp, NULL, 0, take_all_once);
            join(other, 1);
        }
        /* Until the caches are open again. */
        for (int i = 0; i < 3000; i++) {
            take(&self, 1);
            give(&self, 1);
        }
    }
    free(self.entries);
    mempool_destroy(mp);
}

/* ---- Destructors of thread-local data ---- */

static pthread_key_t key_before, key_after; /* made before and after the first pool */
static mempool *destructors_pool;
/* What each thread may hold beside its two, with all of them there at once. */
static size_t destructors_share;

/* Ends with nothing held, after as many rounds as there are: frees what the thread left and takes
 * another, which it leaves for the next round. */
static void destroy_value(pthread_key_t key, void *value)
{
    void **entry = value;
    size_t rounds = (size_t)entry[1];
    mempool_free_entry(entry);
    CHECK(value != NULL);
    void *burst[20];
    size_t count = destructors_share < LENGTH(burst) ? destructors_share : LENGTH(burst);
    for (size_t i = 0; i < count; i++)
        CHECK((burst[i] = mempool_alloc_entry(destructors_pool)) != NULL);
    for (size_t i = 0; i < count; i++)
        mempool_free_entry(burst[i]);
    if (rounds == 0)
        return;
    CHECK((entry = mempool_alloc_entry(destructors_pool)) != NULL);
    entry[1] = (void *)(rounds - 1);
    CHECK(pthread_setspecific(key, entry) == 0);
}

static void destroy_before(void *value)
{
    destroy_value(key_before, value);
}

static void destroy_after(void *value)
{
    destroy_value(key_after, value);
}

struct leaver {
    pthread_t thread;
    size_t number;
};

/* Leaves entries to both destructors, and fills its cache before that or not. */
static void *leave(void *argument)
{
    size_t number = ((struct leaver *)argument)->number;
    const pthread_key_t keys[] = {key_before, key_after};
    for (size_t i = 0; i < LENGTH(keys); i++) {
        void **entry = mempool_alloc_entry(destructors_pool);
        CHECK(entry != NULL);
        entry[1] = (void *)(number % PTHREAD_DESTRUCTOR_ITERATIONS);
        CHECK(pthread_setspecific(keys[i], entry) == 0);
    }
    void *entries[40];
    size_t most = destructors_share < LENGTH(entries) ? destructors_share : LENGTH(entries);
    size_t count = number % 2 == 0 ? most : 0;
    for (size_t i = 0; i < count; i++)
        CHECK((entries[i] = mempool_alloc_entry(destructors_pool)) != NULL);
    for (size_t i = 0; i < count; i++)
        mempool_free_entry(entries[i]);
    return NULL;
}

static void destructors(size_t capacity)
{
    mempool *mp = destructors_pool = mempool_create(capacity, 2 * sizeof(void *), false);
    CHECK(mp != NULL);
    destructors_share = capacity / THREADS - 2;
    struct holder self = holder_of(mp);
    for (size_t round = 0; round < scaled(40, 2); round++) {
        struct leaver leavers[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            leavers[i].number = round + i;
            CHECK(pthread_create(&leavers[i].thread, NULL, leave, &leavers[i]) == 0);
        }
        for (size_t i = 0; i < THREADS; i++)
            CHECK(pthread_join(leavers[i].thread, NULL) == 0);
        /* `take` would read what new entries contain. */
        CHECK(mempool_used_count(mp) == 0);
        if (round % 4 != 0)
            continue;
        for (void *entry; (entry = mempool_alloc_entry(mp)) != NULL;) {
            CHECK(self.count < capacity);
            self.entries[self.count++] = entry;
        }
        CHECK(self.count == capacity);
        CHECK(smallest_distance(self.entries, self.count) >= slot_size(2 * sizeof(void *), 0));
        while (self.count > 0)
            mempool_free_entry(self.entries[--self.count]);
    }
    free(self.entries);
    mempool_destroy(mp);
}

/* ---- A thread's first call comes when it ends, too late to give back an index ---- */

static pthread_key_t key_last;

static void destroy_last(void *value)
{
    struct holder *holder = value;
    if (++holder->count < PTHREAD_DESTRUCTOR_ITERATIONS) {
        CHECK(pthread_setspecific(key_last, holder) == 0);
        return;
    }
    holder->count = 0;
    take(holder, 50);
    CHECK(holder->count == 50);
    give(holder, 50);
}

static void *end_only(void *argument)
{
    CHECK(pthread_setspecific(key_last, argument) == 0);
    return NULL;
}

static void first_call_at_the_end(size_t capacity)
{
    mempool *mp = create_cleared(capacity);
    struct holder self = holder_of(mp), other;
    for (size_t i = 0; i < scaled(MANY, 10); i++) {
        run(&other, 1, mp, NULL, 0, end_only);
        join(&other, 1);
        if (i % 10 == 0) {
            take_all_but(&self, 0);
            give(&self, capacity);
        }
    }
    take_all_but(&self, 0);
    free(self.entries);
    mempool_destroy(mp);
}

/* ---- More threads than there are indices, all alive, all with entries ---- */

static void *hold_a_few(void *argument)
{
    struct holder *holder = argument;
    for (size_t round = 0; round < holder->rounds; round++) {
        /* Some do more than they end with, so that those with caches fill them. */
        size_t more = holder->number % 2 * 20;
        take(holder, more);
        give(holder, holder->count);
        take(holder, HELD);
        pthread_barrier_wait(holder->barrier); /* all hold a few */
        CHECK(holder->count == HELD);
        pthread_barrier_wait(holder->barrier); /* the rest was taken and given back */
        give(holder, holder->count);
        pthread_barrier_wait(holder->barrier); /* nobody holds any */
        pthread_barrier_wait(holder->barrier); /* all were taken and given back */
    }
    return NULL;
}

static void more_than_indices(size_t capacity)
{
    size_t threads = scaled(MANY, THREADS), rounds = scaled(20, 2);
    if (capacity < threads * (HELD + 20))
        return;
    mempool *mp = create_cleared(capacity);
    struct holder holders[MANY], self = holder_of(mp);
    pthread_barrier_t barrier;
    CHECK(pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1) == 0);
    run(holders, threads, mp, &barrier, rounds, hold_a_few);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t held = threads * HELD;; held = 0) {
            pthread_barrier_wait(&barrier);
            take_all_but(&self, held);
            give(&self, self.count);
            pthread_barrier_wait(&barrier);
            if (held == 0)
                break;
        }
    }
    join(holders, threads);
    take_all_but(&self, 0);
    free(self.entries);
    pthread_barrier_destroy(&barrier);
    mempool_destroy(mp);
}

/* ---- Handlers at the end of a process ---- */

static mempool *last_pool;
static size_t handlers_run;

/* `exit` from within would not run what is left: says what failed as a check does, then ends. */
static void expect(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "in an exit handler: %s\n", what);
        _exit(1);
    }
}

static void at_exit(void)
{
    struct holder self = {.mp = last_pool};
    static void *entries[LARGEST + 1];
    self.entries = entries;
    size_t capacity = mempool_total_capacity(last_pool);
    for (int again = 0; again < 3; again++) {
        expect(mempool_used_count(last_pool) == 0, "nothing is out");
        while (self.count <= capacity &&
               (entries[self.count] = mempool_alloc_entry(last_pool)) != NULL)
            self.count++;
        expect(self.count == capacity, "all can be taken");
        while (self.count > 0)
            mempool_free_entry(entries[--self.count]);
    }
    handlers_run++;
}

static void destroy_at_exit(void)
{
    expect(handlers_run == 2, "both handlers ran");
    mempool_destroy(last_pool);
    fputs("done", stderr);
}

/* In a child that has made no pool yet. The handlers run in reverse order. */
static void exit_with_handlers(void *argument)
{
    CHECK(atexit(destroy_at_exit) == 0);
    CHECK(atexit(at_exit) == 0);
    last_pool = create_cleared(*(const size_t *)argument);
    CHECK(atexit(at_exit) == 0);
    struct holder holders[THREADS], self = holder_of(last_pool);
    run(holders, THREADS, last_pool, NULL, 0, fill_cache);
    fill_cache(&self);
    join(holders, THREADS);
    free(self.entries);
    exit(0);
}

/* ---- A child process has the caches of threads that it does not have ---- */

static void take_all_in_child(void *argument)
{
    take_all_but(argument, 0);
    fputs("done", stderr);
}

static void *fill_cache_until_told(void *argument)
{
    struct holder *holder = argument;
    fill_cache(holder);
    pthread_barrier_wait(holder->barrier);
    pthread_barrier_wait(holder->barrier);
    return NULL;
}

static void child_process(size_t capacity)
{
    if (under_valgrind())
        return; /* finds that the child lost what belongs to its parent's threads */
    mempool *mp = create_cleared(capacity);
    struct holder holders[THREADS], self = holder_of(mp);
    pthread_barrier_t barrier;
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    run(holders, THREADS, mp, &barrier, 0, fill_cache_until_told);
    pthread_barrier_wait(&barrier);
    int status;
    const char *said = run_in_child(take_all_in_child, &self, &status);
    CHECK(status == 0 && strcmp(said, "done") == 0);
    pthread_barrier_wait(&barrier);
    join(holders, THREADS);
    take_all_but(&self, 0);
    free(self.entries);
    pthread_barrier_destroy(&barrier);
    mempool_destroy(mp);
}

int main(void)
{
    static const struct {
        const char *what;
        void (*check)(size_t capacity);
    } shortages[] = {
        {"one takes all", one_takes_all},
        {"all take all in turn", in_turn},
        {"a low depot", low_depot},
        {"caches left behind", left_behind},
        {"destructors of thread-local data", destructors},
        {"more threads than indices", more_than_indices},
        {"a child process", child_process},
#ifndef __SANITIZE_THREAD__ /* what watches a thread has ended then */
        {"first call at the end", first_call_at_the_end},
#endif
    };
    CHECK(pthread_key_create(&key_before, destroy_before) == 0);
    for (size_t i = 0; i < LENGTH(capacities); i++) {
        int status;
        row("exit handlers, pool of %zu", capacities[i]);
        const char *said = run_in_child(exit_with_handlers, (void *)&capacities[i], &status);
        CHECK(status == 0 && strcmp(said, "done") == 0);
    }
    mempool *first = create(1);
    CHECK(pthread_key_create(&key_after, destroy_after) == 0);
    CHECK(pthread_key_create(&key_last, destroy_last) == 0);
    for (size_t i = 0; i < LENGTH(shortages); i++)
        for (size_t j = 0; j < LENGTH(capacities); j++) {
            row("%s, pool of %zu", shortages[i].what, capacities[j]);
            shortages[i].check(capacities[j]);
        }
    mempool_destroy(first);
    return done();
}
