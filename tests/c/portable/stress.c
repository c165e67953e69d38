/* Is an entry ever handed out twice or lost, whatever threads do, in pools of all kinds and sizes?
 *
 * A few seconds' hunt; CMEMPOOL_STRESS_SECONDS in the environment makes it that long, and has it
 * say what it did. */
#include "../hunt.h"

/* Two of a kind, as many as share well, more than the machine has cores, more than there are
 * indices. */
static const size_t thread_counts[] = {2, 4, 8, 70};
static const size_t capacities[] = {1, 2, 16, 100, 1000, 20000};

static void hunt_everywhere(double seconds_each, uint64_t pass)
{
    for (size_t i = 0; i < LENGTH(capacities); i++)
        for (size_t j = 0; j < LENGTH(thread_counts); j++)
            for (size_t kind = 0; kind < LENGTH(kind_names); kind++) {
                if (capacities[i] > scaled(SIZE_MAX, 1000) || thread_counts[j] > scaled(70, 4))
                    continue;
                hunt_in((enum kind)kind, ALL_DO_ALL, capacities[i], thread_counts[j], seconds_each,
                        pass);
            }
}

/* Where a pool runs short most often while other threads are in the middle of a call. */
static void hunt_where_it_is_tight(double seconds_each, uint64_t pass)
{
    static const size_t tight[] = {200, 1000};
    for (size_t i = 0; i < LENGTH(tight); i++)
        for (size_t threads = 2; threads <= 3; threads++)
            for (size_t kind = ORDINARY; kind <= ZEROING; kind++)
                hunt_in((enum kind)kind, ONE_HOARDS, tight[i], threads, seconds_each, pass);
    for (size_t kind = ORDINARY; kind <= ZEROING; kind++)
        hunt_in((enum kind)kind, DUEL, tight[0], 2, 4 * seconds_each, pass);
}

/* ---- Threads that start at once, end at once, and share a pool in between ---- */

struct starter {
    struct thread thread;
    mempool *mp;
    size_t number;
    atomic_size_t *waiting;
    bool alone; /* with its entries */
};

static void *start_at_once(void *argument)
{
    struct starter *self = argument;
    self->alone = true;
    atomic_fetch_sub(self->waiting, 1);
    for (int i = 0; atomic_load(self->waiting) > 0; i++)
        if (i > 1000)
            give_way();
    for (size_t i = 0; i < 100; i++) {
        atomic_size_t *holder = mempool_alloc_entry(self->mp);
        if (holder == NULL)
            continue;
        self->alone = atomic_exchange(holder, self->number) == 0 && self->alone;
        self->alone = atomic_exchange(holder, 0) == self->number && self->alone;
        mempool_free_entry(holder);
    }
    return NULL;
}

static void at_once(size_t rounds)
{
    mempool *mp = mempool_create(1000, sizeof(atomic_size_t), false);
    CHECK(mp != NULL);
    static atomic_size_t *all[1001];
    size_t count = 0;
    row("threads that start at once");
    while (count <= 1000 && (all[count] = mempool_alloc_entry(mp)) != NULL)
        atomic_store(all[count++], 0);
    CHECK(count == 1000);
    while (count > 0)
        mempool_free_entry(all[--count]);
    for (size_t round = 0; round < rounds; round++) {
        struct starter starters[4];
        size_t threads = 2 + round % (LENGTH(starters) - 1);
        atomic_size_t waiting = threads;
        for (size_t i = 0; i < threads; i++) {
            starters[i] = (struct starter){.mp = mp, .number = i + 1, .waiting = &waiting};
            CHECK(thread_start(&starters[i].thread, start_at_once, &starters[i]));
        }
        for (size_t i = 0; i < threads; i++) {
            CHECK(thread_join(&starters[i].thread));
            CHECK(starters[i].alone);
        }
        CHECK(mempool_used_count(mp) == 0);
    }
    mempool_destroy(mp);
}

int main(void)
{
    const char *asked = getenv("CMEMPOOL_STRESS_SECONDS");
    double end = seconds_now() + (asked != NULL ? atof(asked) : 0);
    uint64_t pass = 0;
    do {
        at_once(scaled(2000, 40));
        hunt_where_it_is_tight(under_valgrind() ? 0 : 0.06, pass);
        hunt_everywhere(under_valgrind() ? 0 : 0.01, pass);
        pass++;
        if (asked != NULL) {
            printf("%llu operations, %lu violations\n", atomic_load(&operation_count),
                   atomic_load(&violation_count));
            fflush(stdout);
        }
    } while (seconds_now() < end);
    return done();
}
