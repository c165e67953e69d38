/* What if a thread is in the middle of a call at the very moment of a fork?
 *
 * What a fork does to pools it does in handlers, which are called here without one: a fork takes a
 * hundred times as long, and few moments are the wrong ones. One thread goes through the handlers
 * again and again and looks at what came to the depot by that; another one takes and gives back, with
 * writes on their way that keep those to its cache waiting. */
#include "../check_child.h"
#include "../check_posix.h"
#include "../hunt.h"

#include <sys/mman.h>

static void (*before_fork)(void), (*in_parent)(void);
static bool creating;

/* What pthread_atfork calls in the GNU C library, and elsewhere that itself: this program's comes before
 * libc's. The library calls it when it is loaded and, if it is refused then, when a pool is made. */
#ifdef __GLIBC__
int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
int __register_atfork(void (*before)(void), void (*parent)(void), void (*child)(void), void *object)
#else
int pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void))
#endif
{
    (void)child;
#ifdef __GLIBC__
    (void)object;
#endif
    if (!creating)
        return ENOMEM;
    CHECK(before_fork == NULL);
    before_fork = before;
    in_parent = parent;
    return 0;
}

struct meeting {
    struct hunter forker, other;
    atomic_bool over;
};

static void *take_and_give(void *argument)
{
    struct meeting *meeting = argument;
    struct hunter *self = &meeting->other;
    while (!atomic_load_explicit(&meeting->over, memory_order_relaxed)) {
        struct mark *marks[3];
        size_t count = 1 + random_below(&self->seed, LENGTH(marks)), taken = 0;
        bool slow_writes = random_below(&self->seed, 4) > 0;
        while (taken < count) {
            if (slow_writes)
                keep_writes_waiting(self);
            if ((marks[taken] = take_of(self, hunt_sizes[0], false)) != NULL)
                taken++;
        }
        while (taken > 0) {
            if (slow_writes)
                keep_writes_waiting(self);
            give_from(self, marks[--taken], false);
        }
    }
    return NULL;
}

static void hunt_moments(enum kind kind, double seconds, uint64_t seed)
{
    static struct hunt hunt;
    static struct meeting meeting;
    memset(&hunt, 0, sizeof hunt);
    memset(&meeting, 0, sizeof meeting);
    row("%s pool", kind_names[kind]);
    hunt.kind = kind;
    creating = true;
    make_pool(&hunt, 1000);
    creating = false;
    CHECK(before_fork != NULL && in_parent != NULL);
    struct hunter *self = &meeting.forker;
    prepare(self, &hunt, 1, seed);
    prepare(&meeting.other, &hunt, 2, seed);

    /* New entries have no marks. */
    struct mark *mark;
    while ((mark = mempool_alloc_entry(hunt.mp)) != NULL) {
        atomic_store(&mark->holder, self->number);
        self->held[self->count++] = mark;
    }
    CHECK(self->count == hunt.capacity);
    while (self->count > 0)
        give_one(self, self->count - 1);

    CHECK(thread_start(&meeting.other.thread, take_and_give, &meeting));
    size_t rounds = 0;
    for (double end = seconds_now() + seconds; seconds_now() < end && atomic_load(&violation_count) == 0; rounds++) {
        before_fork();
        in_parent();
        /* What came last from a cache goes out first. */
        for (size_t i = random_below(&self->seed, 4); i > 0; i--)
            take_one(self, hunt_sizes[0]);
        while (self->count > 0)
            give_one(self, self->count - 1);
    }
    atomic_store(&meeting.over, true);
    CHECK(thread_join(&meeting.other.thread));
    CHECK(rounds > 0);
    take_the_rest(self);
    CHECK(atomic_load(&violation_count) == 0);
    atomic_fetch_add(&operation_count, rounds);
    free(self->held);
    free(meeting.other.held);
    mempool_destroy(hunt.mp);
}

/* ---- Two free the same dynamic entry ---- */

static atomic_int freeing;

static void *free_it(void *entry)
{
    atomic_fetch_add(&freeing, 1);
    (mempool_free_entry)(entry);
    return NULL;
}

/* Both find that it is out and wait for the lock, which the handler has. */
static void free_at_once(void *name)
{
    pthread_t threads[2];
    creating = true;
    mempool *mp = mempool_create(1, 16, true);
    creating = false;
    CHECK(mp != NULL && mempool_alloc_entry(mp) != NULL);
    void *entry = mempool_alloc_entry(mp);
    CHECK(mempool_dynamic_allocs_count(mp) == 1);
    snprintf(name, 40, "double free of %#zx, a dynamic", (size_t)address(entry));
    before_fork();
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, free_it, entry) == 0);
    while (atomic_load(&freeing) < 2)
        sched_yield();
    usleep(50000);
    in_parent();
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    char *name = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(name != MAP_FAILED);
    row("a dynamic entry, freed at once");
    EXPECT_ABORT(free_at_once, name, name);

    static const enum kind kinds[] = {ORDINARY, ZEROING};
    for (size_t i = 0; i < LENGTH(kinds); i++)
        for (uint64_t seed = 0; seed < scaled(4, 1); seed++)
            hunt_moments(kinds[i], under_valgrind() ? 0.01 : 0.25, seed);
    return done();
}
