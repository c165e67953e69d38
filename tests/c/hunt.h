/* The hunt for entries that are handed out twice or lost: what do threads do to find one?
 *
 * They share a pool and do what programs do, mixed at random: loops, bursts, churn, entries that
 * another thread frees, and every now and then one takes all there is while the others go on.
 * Each entry says who holds it; whoever gets one that is held, or finds another's mark in its own,
 * has found a duplicate. From time to time all stop, and one takes the rest: exactly what nobody
 * else holds. */
#ifndef HUNT_H
#define HUNT_H

#include "check_threads.h"

/* How a pool is made, and what is asked of it. */
enum kind {
    ORDINARY,
    RANGED,      /* three classes, of which the smallest falls back on the larger */
    ZEROING,     /* entries are zeroed when freed */
    TAKING_TURNS /* for a single thread, and the threads take turns */
};

static const char *const kind_names[] = {"ordinary", "ranged", "zeroing", "single-thread"};

/* The sizes of a ranged pool's classes; the others have entries of the first. */
static const size_t hunt_sizes[] = {16, 24, 40};

/* Who does what. */
enum roles {
    ALL_DO_ALL, /* anything, at random */
    ONE_HOARDS, /* one takes all, again and again; the others take one and give it, as fast as can be */
    DUEL        /* of two: see below */
};

enum { PASSED_ON = 1000, PLACES = 32, LINES = 1 << 18, STINTS = 16 };

/* More than caches hold, so that writing here takes long. */
static struct {
    _Alignas(64) atomic_size_t written;
} hunt_lines[LINES];

/* What a holder writes into an entry. */
struct mark {
    atomic_size_t holder; /* 0 while nobody has it */
    atomic_size_t number; /* the holder's own count */
};

_Static_assert(sizeof(struct mark) <= 16, "an entry has room for a mark");

struct hunt {
    enum kind kind;
    enum roles roles;
    mempool *mp;
    r_mempool *rmp;
    size_t capacity;
    struct mutex turn;
    struct hunter *hunters;
    size_t threads;
    struct barrier barrier;
    _Atomic(struct mark *) places[PLACES]; /* entries on the way from one thread to another */
    size_t round;
    double end;
    bool over;
    atomic_bool pause, joined;
};

struct hunter {
    struct thread thread;
    struct hunt *hunt;
    size_t number;
    uint64_t seed;
    struct mark **held; /* room for one more than there are */
    size_t count, taken;
    unsigned long long operations;
};

static atomic_ullong operation_count;
static atomic_ulong violation_count;

/* Says what was found. The hunt goes on, but not beyond its row. */
static inline PRINTS(1, 2) void violation(const char *format, ...)
{
    if (atomic_fetch_add(&violation_count, 1) >= 10)
        return;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "violation: %s [%s]\n", text, check_row);
}

/* ---- The pool ---- */

static inline void begin_turn(struct hunt *hunt)
{
    if (hunt->kind == TAKING_TURNS)
        mutex_lock(&hunt->turn);
}

static inline void end_turn(struct hunt *hunt)
{
    if (hunt->kind == TAKING_TURNS)
        mutex_unlock(&hunt->turn);
}

static inline void make_pool(struct hunt *hunt, size_t count)
{
    hunt->capacity = count;
    if (hunt->kind == RANGED) {
        size_t large = count / 4 > 0 ? count / 4 : 1;
        r_mempool_class classes[] = {
            {hunt_sizes[0], 0}, {hunt_sizes[1], large}, {hunt_sizes[2], large}};
        r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
        options.classes = classes;
        options.class_count = count < LENGTH(classes) ? count : LENGTH(classes);
        classes[0].elem_count = count - (options.class_count - 1) * large;
        hunt->rmp = r_mempool_create_with(&options);
    } else {
        mempool_options options = MEMPOOL_OPTIONS_INIT;
        options.elem_count = count;
        options.elem_size = hunt_sizes[0];
        options.flags = hunt->kind == ZEROING        ? MEMPOOL_ZERO_ON_FREE
                        : hunt->kind == TAKING_TURNS ? MEMPOOL_SINGLE_THREAD
                                                     : 0;
        hunt->mp = mempool_create_with(&options);
    }
    CHECK(hunt->mp != NULL || hunt->rmp != NULL);
}

static inline size_t used(struct hunt *hunt)
{
    size_t sum = 0;
    begin_turn(hunt);
    if (hunt->mp != NULL) {
        sum = mempool_used_count(hunt->mp);
    } else {
        /* A size that no class has gives 0. */
        for (size_t i = 0; i < LENGTH(hunt_sizes); i++) {
            size_t of_class = r_mempool_used_count(hunt->rmp, hunt_sizes[i]);
            CHECK(of_class <= r_mempool_total_capacity(hunt->rmp, hunt_sizes[i]));
            sum += of_class;
        }
    }
    end_turn(hunt);
    return sum;
}

/* ---- Taking and giving ---- */

/* Both ways to mark show a duplicate, the exchange for certain. But it makes the processor finish
 * all writes before it goes on, and some faults only show while writes are under way. */
static inline size_t change_mark(atomic_size_t *mark, size_t to, bool exchange)
{
    if (exchange)
        return atomic_exchange(mark, to);
    size_t from = atomic_load_explicit(mark, memory_order_relaxed);
    atomic_store_explicit(mark, to, memory_order_relaxed);
    return from;
}

static inline struct mark *take_of(struct hunter *self, size_t size, bool exchange)
{
    struct hunt *hunt = self->hunt;
    begin_turn(hunt);
    struct mark *mark = hunt->mp != NULL ? mempool_alloc_entry(hunt->mp)
                                         : r_mempool_alloc_entry(hunt->rmp, size);
    end_turn(hunt);
    self->operations++;
    if (mark == NULL)
        return NULL;
    size_t holder = change_mark(&mark->holder, self->number, exchange);
    if (holder != 0)
        violation("thread %zu got an entry that %zu holds", self->number, holder);
    atomic_store_explicit(&mark->number, ++self->taken, memory_order_relaxed);
    return mark;
}

static inline struct mark *take(struct hunter *self)
{
    return take_of(self, hunt_sizes[0], true);
}

static inline void give_from(struct hunter *self, struct mark *mark, bool exchange)
{
    struct hunt *hunt = self->hunt;
    size_t holder = change_mark(&mark->holder, 0, exchange);
    if (holder != self->number)
        violation("thread %zu finds the mark of %zu in its entry", self->number, holder);
    begin_turn(hunt);
    if (hunt->mp != NULL)
        mempool_free_entry(mark);
    else
        r_mempool_free_entry(mark);
    end_turn(hunt);
    self->operations++;
}

static inline void give(struct hunter *self, struct mark *mark)
{
    give_from(self, mark, true);
}

static inline bool take_one(struct hunter *self, size_t size)
{
    struct mark *mark = self->count <= self->hunt->capacity ? take_of(self, size, true) : NULL;
    if (mark != NULL)
        self->held[self->count++] = mark;
    return mark != NULL;
}

static inline void give_one(struct hunter *self, size_t which)
{
    struct mark *mark = self->held[which];
    self->held[which] = self->held[--self->count];
    give(self, mark);
}

static inline void prepare(struct hunter *self, struct hunt *hunt, size_t number, uint64_t seed)
{
    *self = (struct hunter){.hunt = hunt, .number = number, .seed = seed * 1000 + number};
    self->held = malloc((hunt->capacity + 1) * sizeof(struct mark *));
    CHECK(self->held != NULL);
}

/* ---- What a thread does for a while ---- */

/* Writes that take long keep those that follow waiting, while loads go ahead. */
static inline void keep_writes_waiting(struct hunter *self)
{
    for (int i = 0; i < 4; i++)
        atomic_store_explicit(&hunt_lines[random_below(&self->seed, LINES)].written, self->number,
                              memory_order_relaxed);
}

static inline void loop(struct hunter *self, bool slow_writes)
{
    size_t steps = random_below(&self->seed, scaled(2000, 50)) + 1;
    if (self->hunt->kind == TAKING_TURNS)
        steps = steps / 8 + 1;
    for (size_t i = 0; i < steps; i++) {
        if (slow_writes)
            keep_writes_waiting(self);
        struct mark *mark = take_of(self, hunt_sizes[0], false);
        if (slow_writes)
            keep_writes_waiting(self);
        if (mark != NULL)
            give_from(self, mark, false);
    }
}

static inline void burst(struct hunter *self)
{
    size_t count = self->count, most = random_below(&self->seed, 100);
    while (most-- > 0 && take_one(self, hunt_sizes[0])) {}
    while (self->count > count)
        give_one(self, self->count - 1);
}

/* Ends with as many entries as leave half of the pool to nobody. */
static inline void churn(struct hunter *self)
{
    size_t most = self->hunt->capacity / self->hunt->threads / 2;
    for (size_t i = random_below(&self->seed, scaled(400, 40)); i > 0; i--) {
        if (self->count < most && random_below(&self->seed, 2) == 0)
            take_one(self, hunt_sizes[random_below(&self->seed, LENGTH(hunt_sizes))]);
        else if (self->count > 0)
            give_one(self, random_below(&self->seed, self->count));
    }
    while (self->count > most)
        give_one(self, self->count - 1);
}

/* Takes all there is, or so many that few are left. */
static inline void hoard(struct hunter *self)
{
    size_t count = self->count, most = self->hunt->capacity + 1;
    if (self->hunt->roles == ALL_DO_ALL && random_below(&self->seed, 2) == 0)
        most = random_below(&self->seed, most);
    while (self->count < most && take_one(self, hunt_sizes[0])) {}
    bool oldest_first = random_below(&self->seed, 2) == 0;
    while (self->count > count)
        give_one(self, oldest_first ? count : self->count - 1);
}

/* Gives what another thread took, and leaves it an entry instead. */
static inline void pass_on(struct hunter *self)
{
    for (size_t i = random_below(&self->seed, scaled(200, 20)); i > 0; i--) {
        size_t place = random_below(&self->seed, PLACES);
        struct mark *mark = random_below(&self->seed, 8) > 0 ? take(self) : NULL;
        if (mark != NULL)
            atomic_store(&mark->holder, PASSED_ON);
        mark = atomic_exchange(&self->hunt->places[place], mark);
        if (mark == NULL)
            continue;
        size_t holder = atomic_exchange(&mark->holder, self->number);
        if (holder != PASSED_ON)
            violation("an entry on its way bears the mark of %zu", holder);
        give(self, mark);
    }
}

static inline void stint(struct hunter *self)
{
    size_t what = random_below(&self->seed, 8);
    if (self->hunt->roles == ONE_HOARDS) {
        if (self->number == 1)
            hoard(self);
        what = 4 + what / 2; /* a loop: the hoarder's has the caches open again sooner */
    }
    switch (what) {
    case 0:
        hoard(self);
        break;
    case 1:
        burst(self);
        break;
    case 2:
        churn(self);
        break;
    case 3:
        pass_on(self);
        break;
    case 4:
    case 5:
        loop(self, false);
        break;
    default:
        loop(self, true);
        break;
    }
}

/* ---- Threads that come and go ---- */

/* Keys whose destructors run before and after the library's own: made before and after the first
 * pool. There the thread does some more. */
static struct thread_key hunt_keys[2];

static inline void end_of_thread(void *argument)
{
    stint(argument);
}

static inline void make_key(size_t which)
{
    static bool made[LENGTH(hunt_keys)];
    if (!made[which])
        CHECK(thread_key_create(&hunt_keys[which], end_of_thread));
    made[which] = true;
}

static inline void *short_life(void *argument)
{
    struct hunter *self = argument;
    for (size_t i = 0; i < LENGTH(hunt_keys); i++)
        if (random_below(&self->seed, 2) == 0)
            CHECK(thread_key_set(&hunt_keys[i], self));
    stint(self);
    return NULL;
}

/* ---- One takes the rest ---- */

static inline void take_the_rest(struct hunter *self)
{
    struct hunt *hunt = self->hunt;
    size_t others = 0, count = self->count;
    for (size_t i = 0; i < hunt->threads; i++)
        others += hunt->hunters[i].count;
    for (size_t i = 0; i < PLACES; i++)
        others += atomic_load(&hunt->places[i]) != NULL;
    if (self->number > hunt->threads)
        others += count; /* not one of the threads */
    size_t counted = used(hunt);
    if (counted != others)
        violation("%zu entries are out, the count says %zu", others, counted);
    while (take_one(self, hunt_sizes[0])) {}
    if (self->count - count != hunt->capacity - others)
        violation("%zu of %zu entries are out, and %zu more can be taken", others, hunt->capacity,
                  self->count - count);
    counted = used(hunt);
    if (counted != hunt->capacity)
        violation("all %zu entries are out, the count says %zu", hunt->capacity, counted);
    while (self->count > count)
        give_one(self, self->count - 1);
}

static inline void *hunter(void *argument)
{
    struct hunter *self = argument;
    struct hunt *hunt = self->hunt;
    do {
        /* All go on until the first is done, so that it has company. */
        for (size_t i = 0; i < STINTS && (i == 0 || !atomic_load(&hunt->pause)); i++) {
            if (random_below(&self->seed, 16) > 0) {
                stint(self);
                continue;
            }
            struct thread other;
            CHECK(thread_start(&other, short_life, self));
            CHECK(thread_join(&other));
        }
        atomic_store(&hunt->pause, true);
        barrier_wait(&hunt->barrier);
        if (hunt->round % hunt->threads == self->number - 1) {
            take_the_rest(self);
            atomic_store(&hunt->pause, false);
            hunt->over = atomic_load(&violation_count) > 0 || seconds_now() >= hunt->end;
        }
        barrier_wait(&hunt->barrier);
        if (self->number == 1)
            hunt->round++; /* read after the next barrier only */
    } while (!hunt->over);
    return NULL;
}

/* ---- One against one: a few calls at the very moment when the other takes all ---- */

/* What a call leaves wrong, the same thread's next one may put right: so the calls are few, and then
 * the thread keeps still while the other looks whether it can get all. */
struct duel {
    struct hunter taker, other;
    atomic_size_t met;
    bool over;
};

/* Waits for the other, without the kernel's help: the two go on in the same moment. */
static inline void meet(struct duel *duel)
{
    size_t both = (atomic_fetch_add(&duel->met, 1) / 2 + 1) * 2;
    for (size_t i = 0; atomic_load(&duel->met) < both; i++)
        if (i > 1000 || under_valgrind())
            give_way();
}

static inline void *be_robbed(void *argument)
{
    struct duel *duel = argument;
    struct hunter *self = &duel->other;
    for (;;) {
        for (size_t i = 0; i < 20; i++)
            take_one(self, hunt_sizes[0]);
        while (self->count > 10)
            give_one(self, self->count - 1);
        size_t calls = 1 + random_below(&self->seed, 4);
        /* A call takes some ten or some hundred nanoseconds, by their path. */
        size_t wait = random_below(&self->seed, (size_t)64 << random_below(&self->seed, 8));
        bool slow_writes = random_below(&self->seed, 2) == 0;
        bool first = random_below(&self->seed, 2) == 0;
        meet(duel); /* with some entries in an open cache */
        meet(duel); /* the depot has few */
        if (duel->over)
            return NULL;
        while (wait-- > 0)
            atomic_signal_fence(memory_order_seq_cst);
        for (size_t i = 0; i < calls; i++) {
            struct mark *mark = NULL;
            if (slow_writes)
                keep_writes_waiting(self);
            if (i % 2 == first && self->count > 0)
                give_from(self, self->held[--self->count], false);
            else if ((mark = take_of(self, hunt_sizes[0], false)) != NULL)
                self->held[self->count++] = mark;
        }
        meet(duel); /* done */
        meet(duel); /* the other gave all back */
    }
}

static inline void duels(struct hunt *hunt, double seconds, uint64_t seed)
{
    static struct duel duel;
    memset(&duel, 0, sizeof duel);
    struct hunter *self = &duel.taker;
    prepare(self, hunt, 1, seed);
    prepare(&duel.other, hunt, 2, seed);
    CHECK(thread_start(&duel.other.thread, be_robbed, &duel));
    for (double end = seconds_now() + seconds; !duel.over;) {
        meet(&duel);
        while (self->count + 40 < hunt->capacity && take_one(self, hunt_sizes[0])) {}
        meet(&duel);
        while (take_one(self, hunt_sizes[0])) {}
        meet(&duel);
        while (take_one(self, hunt_sizes[0])) {}
        if (self->count + duel.other.count != hunt->capacity)
            violation("one has %zu of %zu entries, the other %zu", self->count, hunt->capacity,
                      duel.other.count);
        while (self->count > 0)
            give_one(self, self->count - 1);
        /* Until the caches are open again. */
        for (size_t i = 0; i < scaled(2200, 100); i++)
            give_from(self, take_of(self, hunt_sizes[0], false), false);
        duel.over = seconds_now() >= end || atomic_load(&violation_count) > 0;
        meet(&duel);
    }
    meet(&duel);
    meet(&duel);
    CHECK(thread_join(&duel.other.thread));
    while (duel.other.count > 0)
        give_one(&duel.other, 0);
    atomic_fetch_add(&operation_count, self->operations + duel.other.operations);
    free(self->held);
    free(duel.other.held);
}

/* ---- All of it ---- */

static inline void hunt_together(struct hunt *hunt, double seconds, uint64_t seed)
{
    hunt->end = seconds_now() + seconds;
    for (size_t i = 0; i < hunt->threads; i++)
        prepare(&hunt->hunters[i], hunt, i + 1, seed);
    for (size_t i = 0; i < hunt->threads; i++)
        CHECK(thread_start(&hunt->hunters[i].thread, hunter, &hunt->hunters[i]));
    for (size_t i = 0; i < hunt->threads; i++)
        CHECK(thread_join(&hunt->hunters[i].thread));
}

static inline void *watch(void *argument)
{
    struct hunt *hunt = argument;
    size_t highest = 0;
    do {
        size_t count = used(hunt);
        highest = count > highest ? count : highest;
        sleep_microseconds(200);
    } while (!atomic_load(&hunt->joined));
    CHECK(highest <= hunt->capacity);
    return NULL;
}

/* Hunts in a new pool with new threads for about that long; ends the program if it finds anything. */
static inline void hunt_in(enum kind kind, enum roles roles, size_t capacity, size_t threads,
                           double seconds, uint64_t seed)
{
    static struct hunt hunt;
    memset(&hunt, 0, sizeof hunt);
    row("%s pool of %zu, %zu threads%s", kind_names[kind], capacity, threads,
        roles == ONE_HOARDS ? ", one hoards" : roles == DUEL ? ", a duel" : "");
    hunt.kind = kind;
    hunt.roles = roles;
    hunt.threads = threads;
    hunt.hunters = calloc(threads, sizeof *hunt.hunters);
    CHECK(hunt.hunters != NULL);
    CHECK(mutex_init(&hunt.turn));
    CHECK(barrier_init(&hunt.barrier, threads));
    make_key(0);
    make_pool(&hunt, capacity);
    make_key(1);

    /* What a new entry contains is not promised: the first to take it clears it. */
    struct hunter self;
    prepare(&self, &hunt, threads + 1, seed);
    while (self.count <= capacity) {
        struct mark *mark = hunt.mp != NULL ? mempool_alloc_entry(hunt.mp)
                                            : r_mempool_alloc_entry(hunt.rmp, hunt_sizes[0]);
        if (mark == NULL)
            break;
        atomic_store(&mark->holder, self.number);
        self.held[self.count++] = mark;
    }
    CHECK(self.count == capacity && used(&hunt) == capacity);
    while (self.count > 0)
        give_one(&self, self.count - 1);

    struct thread watcher;
    CHECK(thread_start(&watcher, watch, &hunt));
    if (roles == DUEL)
        duels(&hunt, seconds, seed);
    else
        hunt_together(&hunt, seconds, seed);
    atomic_store(&hunt.joined, true);
    CHECK(thread_join(&watcher));

    take_the_rest(&self);
    for (size_t i = 0; i < threads; i++) {
        while (hunt.hunters[i].count > 0)
            give_one(&hunt.hunters[i], 0);
        atomic_fetch_add(&operation_count, hunt.hunters[i].operations);
        free(hunt.hunters[i].held);
    }
    for (size_t i = 0; i < PLACES; i++) {
        struct mark *mark = atomic_load(&hunt.places[i]);
        if (mark != NULL) {
            atomic_store(&mark->holder, self.number);
            give(&self, mark);
            atomic_store(&hunt.places[i], NULL);
        }
    }
    take_the_rest(&self); /* all of it */
    CHECK(used(&hunt) == 0);
    CHECK(atomic_load(&violation_count) == 0);
    free(self.held);
    free(hunt.hunters);
    barrier_destroy(&hunt.barrier);
    mutex_destroy(&hunt.turn);
    mempool_destroy(hunt.mp);
    r_mempool_destroy(hunt.rmp);
}

#endif
