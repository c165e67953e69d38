/* Can any number of threads share a pool, with exactly N entries for whoever asks? */
#include "../check_threads.h"

enum { THREADS = 8, LARGEST = 64 };

/* An ordinary pool, or a ranged one whose classes are all emptied by asking for little. */
struct pool {
    mempool *mp;
    r_mempool *rmp;
    size_t capacity;
};

static struct pool create(bool ranged, size_t count)
{
    struct pool pool = {NULL, NULL, 0};
    if (ranged) {
        pool.rmp = r_mempool_create(16, LARGEST, count < 4 ? 4 : count, fallback_disabled);
        CHECK(pool.rmp != NULL);
        for (size_t size = 16; size <= LARGEST; size *= 2)
            pool.capacity += r_mempool_total_capacity(pool.rmp, size);
        CHECK(pool.capacity >= count + count / 2);
    } else {
        pool.mp = mempool_create(count, 16, false);
        CHECK(pool.mp != NULL);
        pool.capacity = mempool_total_capacity(pool.mp);
        CHECK(pool.capacity == count);
    }
    return pool;
}

static void destroy(struct pool *pool)
{
    mempool_destroy(pool->mp);
    r_mempool_destroy(pool->rmp);
}

static void *take(const struct pool *pool)
{
    return pool->mp != NULL ? mempool_alloc_entry(pool->mp) : r_mempool_alloc_entry(pool->rmp, 16);
}

static void give(const struct pool *pool, void *entry)
{
    if (pool->mp != NULL)
        mempool_free_entry(entry);
    else
        r_mempool_free_entry(entry);
}

static size_t used(const struct pool *pool)
{
    if (pool->mp != NULL)
        return mempool_used_count(pool->mp);
    size_t sum = 0;
    for (size_t size = 16; size <= LARGEST; size *= 2) {
        size_t of_class = r_mempool_used_count(pool->rmp, size);
        CHECK(of_class <= r_mempool_total_capacity(pool->rmp, size));
        sum += of_class;
    }
    return sum;
}

/* What a holder writes into an entry: nobody else may change it. */
struct mark {
    size_t thread, number;
};

struct worker {
    struct thread thread;
    size_t number, count, steps;
    const struct pool *pool;
    struct barrier *barrier;
    void **entries; /* room for all of the pool */
    atomic_bool *stop;
};

static void start(struct worker *workers, size_t count, const struct pool *pool,
                  struct barrier *barrier, void *(*run)(void *))
{
    for (size_t i = 0; i < count; i++) {
        workers[i].number = i;
        workers[i].count = 0;
        workers[i].pool = pool;
        workers[i].barrier = barrier;
        workers[i].entries = malloc((pool->capacity + 1) * sizeof *workers[i].entries);
        CHECK(workers[i].entries != NULL);
        CHECK(thread_start(&workers[i].thread, run, &workers[i]));
    }
}

static void join(struct worker *workers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(thread_join(&workers[i].thread));
        free(workers[i].entries);
    }
}

static void take_all(struct worker *worker)
{
    for (void *entry; (entry = take(worker->pool)) != NULL; worker->count++) {
        /* One more than there are shows as a count that is wrong, not as a crash. */
        CHECK(worker->count < worker->pool->capacity);
        *(struct mark *)entry = (struct mark){worker->number, worker->count};
        worker->entries[worker->count] = entry;
    }
}

static void check_marks(const struct worker *worker)
{
    bool intact = true;
    for (size_t i = 0; i < worker->count; i++) {
        const struct mark *mark = worker->entries[i];
        intact = intact && mark->thread == worker->number && mark->number == i;
    }
    CHECK(intact);
}

static void give_all(struct worker *worker)
{
    while (worker->count > 0)
        give(worker->pool, worker->entries[--worker->count]);
}

/* ---- Threads that used the pool and now do nothing keep nothing back ---- */

static void *use_then_idle(void *argument)
{
    struct worker *worker = argument;
    for (size_t round = 0; round < 10; round++) {
        while (worker->count < 300) {
            void *entry = take(worker->pool);
            if (entry == NULL || worker->count >= worker->pool->capacity) {
                give(worker->pool, entry);
                break;
            }
            worker->entries[worker->count++] = entry;
        }
        give_all(worker);
    }
    barrier_wait(worker->barrier); /* used */
    barrier_wait(worker->barrier); /* may end */
    return NULL;
}

static void idle_threads(bool ranged, size_t count)
{
    struct pool pool = create(ranged, count);
    struct worker workers[THREADS - 1], self = {.number = THREADS, .pool = &pool};
    struct barrier barrier;
    CHECK(barrier_init(&barrier, THREADS));
    self.entries = malloc((pool.capacity + 1) * sizeof *self.entries);
    CHECK(self.entries != NULL);
    start(workers, LENGTH(workers), &pool, &barrier, use_then_idle);
    barrier_wait(&barrier);
    CHECK(used(&pool) == 0);
    for (int round = 0; round < 2; round++) {
        take_all(&self);
        CHECK(self.count == pool.capacity);
        CHECK_FAILS(take(&pool), ENOMEM);
        CHECK(used(&pool) == pool.capacity);
        check_marks(&self);
        give_all(&self);
        CHECK(used(&pool) == 0);
    }
    barrier_wait(&barrier);
    join(workers, LENGTH(workers));
    free(self.entries);
    barrier_destroy(&barrier);
    destroy(&pool);
}

/* ---- Eight threads share exactly N, and free what others took ---- */

static void *share(void *argument)
{
    struct worker *worker = argument, *all = worker - worker->number;
    struct worker *neighbour = &all[(worker->number + 1) % THREADS];
    for (int round = 0; round < 3; round++) {
        barrier_wait(worker->barrier);
        take_all(worker);
        barrier_wait(worker->barrier);
        if (worker->number == 0) {
            size_t sum = 0;
            for (size_t i = 0; i < THREADS; i++) {
                check_marks(&all[i]);
                sum += all[i].count;
            }
            CHECK(sum == worker->pool->capacity);
            CHECK(used(worker->pool) == worker->pool->capacity);
            CHECK_FAILS(take(worker->pool), ENOMEM);
        }
        barrier_wait(worker->barrier);
        give_all(neighbour);
        barrier_wait(worker->barrier);
        CHECK(used(worker->pool) == 0);
    }
    return NULL;
}

static void all_together(bool ranged, size_t count)
{
    struct pool pool = create(ranged, count);
    struct worker workers[THREADS];
    struct barrier barrier;
    CHECK(barrier_init(&barrier, THREADS));
    start(workers, THREADS, &pool, &barrier, share);
    join(workers, THREADS);
    CHECK(used(&pool) == 0);
    barrier_destroy(&barrier);
    destroy(&pool);
}

/* ---- Entries outlive the thread that took them ---- */

static void *take_and_end(void *argument)
{
    take_all(argument);
    return NULL;
}

static void *give_and_end(void *argument)
{
    struct worker *worker = argument;
    check_marks(worker);
    give_all(worker);
    return NULL;
}

static void after_the_end(bool ranged, size_t count)
{
    struct pool pool = create(ranged, count);
    struct worker worker = {.pool = &pool};
    worker.entries = malloc((pool.capacity + 1) * sizeof *worker.entries);
    CHECK(worker.entries != NULL);
    for (int round = 0; round < 4; round++) {
        CHECK(thread_start(&worker.thread, take_and_end, &worker));
        CHECK(thread_join(&worker.thread));
        CHECK(worker.count == pool.capacity && used(&pool) == pool.capacity);
        CHECK_FAILS(take(&pool), ENOMEM);
        if (round % 2 == 0) {
            give_and_end(&worker);
        } else {
            CHECK(thread_start(&worker.thread, give_and_end, &worker));
            CHECK(thread_join(&worker.thread));
        }
        CHECK(used(&pool) == 0);
    }
    free(worker.entries);
    destroy(&pool);
}

/* ---- Counts while everybody works ---- */

static void *churn(void *argument)
{
    struct worker *worker = argument;
    uint64_t seed = worker->number + 1;
    bool intact = true;
    for (size_t step = 0; step < worker->steps; step++) {
        if (worker->count < worker->pool->capacity && random_below(&seed, 2) == 0) {
            struct mark *mark = take(worker->pool);
            if (mark == NULL)
                continue;
            *mark = (struct mark){worker->number, address(mark)};
            worker->entries[worker->count++] = mark;
        } else if (worker->count > 0) {
            size_t i = random_below(&seed, worker->count);
            struct mark *mark = worker->entries[i];
            intact = intact && mark->thread == worker->number && mark->number == address(mark);
            *mark = (struct mark){SIZE_MAX, SIZE_MAX};
            give(worker->pool, mark);
            worker->entries[i] = worker->entries[--worker->count];
        }
    }
    CHECK(intact);
    return NULL;
}

static void *watch(void *argument)
{
    struct worker *worker = argument;
    size_t highest = 0, looks = 0;
    do {
        size_t now = used(worker->pool);
        highest = now > highest ? now : highest;
        looks++;
        give_way();
    } while (!atomic_load(worker->stop));
    CHECK(looks > 0 && highest <= worker->pool->capacity);
    return NULL;
}

static void counts_while_running(bool ranged, size_t count)
{
    struct pool pool = create(ranged, count);
    atomic_bool stop = false;
    struct worker workers[THREADS], watcher = {.pool = &pool, .stop = &stop};
    for (size_t i = 0; i < THREADS; i++)
        workers[i].steps = scaled(20000, 1000);
    CHECK(thread_start(&watcher.thread, watch, &watcher));
    start(workers, THREADS, &pool, NULL, churn);
    size_t held = 0;
    for (size_t i = 0; i < THREADS; i++)
        CHECK(thread_join(&workers[i].thread));
    atomic_store(&stop, true);
    CHECK(thread_join(&watcher.thread));
    for (size_t i = 0; i < THREADS; i++)
        held += workers[i].count;
    CHECK(used(&pool) == held);
    for (size_t i = 0; i < THREADS; i++) {
        held -= workers[i].count;
        give_all(&workers[i]);
        CHECK(used(&pool) == held);
        free(workers[i].entries);
    }
    destroy(&pool);
}

/* ---- One side takes, the other frees ---- */

struct channel {
    struct mutex lock;
    struct condition changed;
    void *entries[64];
    size_t first, count, messages;
    const struct pool *pool;
};

static void *produce(void *argument)
{
    struct channel *channel = argument;
    for (size_t i = 0; i < channel->messages; i++) {
        struct mark *mark;
        while ((mark = take(channel->pool)) == NULL)
            give_way(); /* the consumer has them all */
        *mark = (struct mark){(size_t)channel, i};
        mutex_lock(&channel->lock);
        while (channel->count == LENGTH(channel->entries))
            condition_wait(&channel->changed, &channel->lock);
        channel->entries[(channel->first + channel->count++) % LENGTH(channel->entries)] = mark;
        condition_broadcast(&channel->changed);
        mutex_unlock(&channel->lock);
    }
    return NULL;
}

static void *consume(void *argument)
{
    struct channel *channel = argument;
    bool in_order = true;
    for (size_t i = 0; i < channel->messages; i++) {
        mutex_lock(&channel->lock);
        while (channel->count == 0)
            condition_wait(&channel->changed, &channel->lock);
        struct mark *mark = channel->entries[channel->first];
        channel->first = (channel->first + 1) % LENGTH(channel->entries);
        channel->count--;
        condition_broadcast(&channel->changed);
        mutex_unlock(&channel->lock);
        in_order = in_order && mark->thread == (size_t)channel && mark->number == i;
        give(channel->pool, mark);
    }
    CHECK(in_order);
    return NULL;
}

static void producers_and_consumers(bool ranged, size_t count)
{
    enum { PAIRS = THREADS / 2 };
    struct pool pool = create(ranged, count);
    struct channel channels[PAIRS];
    struct thread threads[PAIRS][2];
    for (size_t i = 0; i < PAIRS; i++) {
        channels[i] = (struct channel){.pool = &pool, .messages = scaled(5000, 200)};
        CHECK(mutex_init(&channels[i].lock));
        CHECK(condition_init(&channels[i].changed));
        CHECK(thread_start(&threads[i][0], produce, &channels[i]));
        CHECK(thread_start(&threads[i][1], consume, &channels[i]));
    }
    for (size_t i = 0; i < PAIRS; i++) {
        CHECK(thread_join(&threads[i][0]));
        CHECK(thread_join(&threads[i][1]));
        condition_destroy(&channels[i].changed);
        mutex_destroy(&channels[i].lock);
    }
    CHECK(used(&pool) == 0);
    destroy(&pool);
}

/* ---- Dynamic entries cross threads too, and pools come and go meanwhile ---- */

static void *dynamic_churn(void *argument)
{
    mempool *mp = argument;
    for (size_t round = 0; round < scaled(300, 10); round++) {
        void *entries[32];
        for (size_t i = 0; i < LENGTH(entries); i++) {
            entries[i] = mempool_alloc_entry(mp);
            CHECK(entries[i] != NULL);
            memset(entries[i], (int)i, 40);
        }
        mempool *own = mempool_create(4, 8, true);
        CHECK(own != NULL && mempool_alloc_entry(own) != NULL);
        for (size_t i = 0; i < LENGTH(entries); i++) {
            CHECK(all_bytes(entries[i], (unsigned char)i, 40));
            mempool_free_entry(entries[i]);
        }
        mempool_destroy(own);
    }
    return NULL;
}

static void dynamic_entries(void)
{
    struct thread threads[THREADS];
    mempool *mp = mempool_create(50, 40, true);
    CHECK(mp != NULL);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(thread_start(&threads[i], dynamic_churn, mp));
    for (size_t i = 0; i < THREADS; i++)
        CHECK(thread_join(&threads[i]));
    CHECK(mempool_used_count(mp) == 0 && mempool_dynamic_allocs_count(mp) == 0);
    mempool_destroy(mp);
}

int main(void)
{
    static const size_t counts[] = {1, 2, 16, 1000, 100000};
    for (int ranged = 0; ranged < 2; ranged++)
        for (size_t i = 0; i < LENGTH(counts); i++) {
            if (counts[i] > scaled(SIZE_MAX, 1000))
                continue;
            row("%s pool of %zu", ranged ? "ranged" : "ordinary", counts[i]);
            idle_threads(ranged, counts[i]);
            all_together(ranged, counts[i]);
            after_the_end(ranged, counts[i]);
            counts_while_running(ranged, counts[i]);
            producers_and_consumers(ranged, counts[i]);
        }
    row("dynamic entries");
    dynamic_entries();
    return done();
}
