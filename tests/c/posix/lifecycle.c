/* Do pools work wherever in the life of a thread, of a process or of the library they are used: before
 * main, when a thread ends or was cancelled, at and during exit?
 *
 * Exit handlers and threads that leave caches behind are in shortage.c, too; a library that is closed is in
 * reopen.c. */
#include "../check_child.h"
#include "../check_posix.h"

#include <pthread.h>
#include <limits.h>
#include <sched.h>
#include <time.h>

enum { SIZE = 40, WORKERS = 3 };

#ifdef __SANITIZE_THREAD__
static const bool watched = true; /* what watches a thread has ended when its last data goes */
#else
static const bool watched = false;
#endif

/* ---- All sorts of pools, and a bit of everything with them ---- */

struct pools {
    mempool *large, *small, *dynamic, *hardened, *zeroing;
    r_mempool *ranged;
};

static mempool *create(size_t count, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = SIZE;
    options.flags = flags;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static struct pools create_all(void)
{
    struct pools all = {create(2000, 0),    create(20, 0), create(1, MEMPOOL_FALL_BACK),
                        create(200, MEMPOOL_HARDENED), create(500, MEMPOOL_ZERO_ON_FREE),
                        r_mempool_create(16, 1024, 256, fallback_at_last_exhaustion)};
    CHECK(all.ranged != NULL);
    return all;
}

static void destroy_all(struct pools *all)
{
    mempool_destroy(all->large);
    mempool_destroy(all->small);
    mempool_destroy(all->dynamic);
    mempool_destroy(all->hardened);
    mempool_destroy(all->zeroing);
    r_mempool_destroy(all->ranged);
}

static size_t used(const struct pools *all)
{
    size_t sum = mempool_used_count(all->large) + mempool_used_count(all->small) +
                 mempool_used_count(all->dynamic) + mempool_dynamic_allocs_count(all->dynamic) +
                 mempool_used_count(all->hardened) + mempool_used_count(all->zeroing) +
                 r_mempool_dynamic_allocs_count(all->ranged, 16);
    for (size_t size = 16; size <= 1024; size *= 2)
        sum += r_mempool_used_count(all->ranged, size);
    return sum;
}

/* Entries of one caller. NULL where a pool had none. */
struct held {
    void *entries[32];
    size_t count;
};

static void hold(struct held *held, void *entry)
{
    if (entry != NULL)
        memset(entry, 0x5A, 16);
    held->entries[held->count++] = entry;
}

static void take_some(const struct pools *all, struct held *held)
{
    mempool *const pools[] = {all->large, all->small, all->dynamic, all->hardened, all->zeroing};
    for (size_t i = 0; i < LENGTH(pools); i++)
        for (int j = 0; j < 3; j++)
            hold(held, mempool_alloc_entry(pools[i]));
    for (size_t size = 20; size <= 1000; size *= 2)
        hold(held, r_mempool_calloc_entry(all->ranged, size));
    void *entry = r_mempool_alloc_entry(all->ranged, 100);
    if (entry != NULL)
        hold(held, r_mempool_realloc_entry(all->ranged, entry, 500));
}

static void give_some(void *argument)
{
    struct held *held = argument;
    while (held->count > 0)
        mempool_free_entry(held->entries[--held->count]);
}

static void a_bit_of_everything(const struct pools *all)
{
    struct held held = {.count = 0};
    take_some(all, &held);
    give_some(&held);
}

static void in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* What a handler found wrong: `exit` would not run the others, and a check calls that. */
static void expect(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "failed: %s\n", what);
        _exit(1);
    }
}

/* ---- The process ends while threads are inside calls ---- */

static struct pools shared;
static atomic_int running;

static void *work_for_ever(void *seed)
{
    for (uint64_t state = (uint64_t)(size_t)seed;; atomic_fetch_add(&running, 1)) {
        a_bit_of_everything(&shared);
        if (random_below(&state, 16) == 0) {
            mempool *own = create(1 + random_below(&state, 300), MEMPOOL_FALL_BACK);
            CHECK(mempool_alloc_entry(own) != NULL);
            mempool_destroy(own);
        }
        CHECK(used(&shared) < SIZE_MAX / 2);
    }
    return NULL;
}

static void use_at_the_end(void)
{
    a_bit_of_everything(&shared);
    mempool *own = create(100, 0);
    expect(mempool_alloc_entry(own) != NULL, "an entry in an exit handler");
    mempool_destroy(own);
    static const char text[] = "handled";
    expect(write(STDERR_FILENO, text, sizeof text - 1) == sizeof text - 1, "stderr");
}

enum end { EXIT, QUICK_EXIT, _EXIT, EXIT_OF_ANOTHER, RETURN_OF_THREADS, ENDS };
static const char *const end_names[ENDS] = {"exit", "quick_exit", "_exit", "exit of a thread",
                                            "pthread_exit of main"};
struct ending {
    enum end how;
    uint64_t delay; /* microseconds */
};

static void *end_process(void *argument)
{
    const struct ending *ending = argument;
    usleep((useconds_t)ending->delay);
    exit(0);
}

static void end_while_others_work(void *argument)
{
    const struct ending *ending = argument;
    shared = create_all();
    CHECK(atexit(use_at_the_end) == 0 && at_quick_exit(use_at_the_end) == 0);
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, work_for_ever, (void *)(i + 1)) == 0);
    while (atomic_load(&running) < WORKERS)
        sched_yield();
    if (ending->how == EXIT_OF_ANOTHER || ending->how == RETURN_OF_THREADS)
        CHECK(pthread_create(&threads[0], NULL, end_process, argument) == 0);
    if (ending->how == RETURN_OF_THREADS)
        pthread_exit(NULL);
    usleep((useconds_t)ending->delay);
    switch (ending->how) {
    case EXIT: exit(0);
    case QUICK_EXIT: quick_exit(0);
    case _EXIT: _exit(0);
    default: pause();
    }
}

static double seconds(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void ends_while_others_work(void)
{
    uint64_t state = 1;
    for (size_t i = 0; i < scaled(60, 1) * ENDS; i++) {
        /* Not on the stack of main, which goes when that exits. */
        static struct ending ending;
        ending = (struct ending){(enum end)(i % ENDS), random_below(&state, 3000)};
        if (watched && ending.how == RETURN_OF_THREADS)
            continue; /* nor does that see main give its index back */
        row("%s while others work, number %zu", end_names[ending.how], i);
        int status;
        double before = seconds();
        const char *text = run_in_child(end_while_others_work, &ending, &status);
        if (status != 0 && !under_valgrind())
            fprintf(stderr, "status %#x: '%s'\n", (unsigned)status, text);
        /* What others have in hand is lost to valgrind, which has a status for that. */
        CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || under_valgrind()));
        CHECK(strcmp(text, ending.how == _EXIT ? "" : "handled") == 0);
        /* With nothing to wait for; a machine may be busy. */
        CHECK(under_valgrind() || seconds() - before < 10);
    }
}

/* ---- Before main and after exit ---- */

static struct pools early;
static mempool *of_main; /* made in main */
static bool tells;

/* Set where this program was started anew, to make its first pool in main. */
#define ANEW "CMEMPOOL_TEST_ANEW"

__attribute__((constructor(101))) static void before_main(void)
{
    if (getenv(ANEW) != NULL)
        return;
    early = create_all();
    a_bit_of_everything(&early);
}

/* The last that the program has run. */
__attribute__((destructor(101))) static void after_all(void)
{
    if (early.large == NULL)
        return;
    expect(used(&early) == 0, "nothing is out");
    a_bit_of_everything(&early);
    expect(used(&early) == 0, "nothing is out afterwards");
    destroy_all(&early);
    if (of_main != NULL) {
        expect(mempool_used_count(of_main) == 1, "one is out");
        mempool_destroy(of_main);
    }
    mempool *own = create(10, 0);
    expect(mempool_alloc_entry(own) != NULL, "an entry of a new pool");
    mempool_destroy(own);
    if (tells)
        fputs("done", stderr);
}

/* What a C++ program's thread-local and static objects have their destructors called by. */
__attribute__((weak)) int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library);
int __cxa_atexit(void (*destroy)(void *), void *object, void *library);
extern __attribute__((visibility("hidden"))) void *__dso_handle;

static int objects_destroyed;

/* Gives back what it held, and uses pools besides. */
static void destroy_object(void *argument)
{
    struct held *held = argument;
    give_some(held);
    a_bit_of_everything(&early);
    free(held);
    objects_destroyed++;
}

static struct held *new_object(void)
{
    struct held *held = calloc(1, sizeof *held);
    CHECK(held != NULL);
    take_some(&early, held);
    return held;
}

/* Where the C library has no such function, GCC's for C++ keeps a list of them as data of the thread, and
 * goes through that of the main thread at exit. */
struct local {
    void *object;
    struct local *next;
};

static pthread_key_t locals_key;

static void destroy_locals(void *list)
{
    for (struct local *next, *local = list; local != NULL; local = next) {
        destroy_object(local->object);
        next = local->next;
        free(local);
    }
}

static void destroy_mains_locals(void)
{
    void *list = pthread_getspecific(locals_key);
    pthread_setspecific(locals_key, NULL);
    destroy_locals(list);
}

static void make_locals_key(void)
{
    CHECK(pthread_key_create(&locals_key, destroy_locals) == 0);
    CHECK(atexit(destroy_mains_locals) == 0);
}

static void at_thread_exit(void *object)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (__cxa_thread_atexit_impl != NULL) {
        CHECK(__cxa_thread_atexit_impl(destroy_object, object, &__dso_handle) == 0);
        return;
    }
    CHECK(pthread_once(&once, make_locals_key) == 0);
    struct local *local = malloc(sizeof *local);
    CHECK(local != NULL);
    *local = (struct local){object, pthread_getspecific(locals_key)};
    CHECK(pthread_setspecific(locals_key, local) == 0);
}

static void *with_thread_local_objects(void *unused)
{
    for (int i = 0; i < 3; i++)
        at_thread_exit(new_object());
    return unused;
}

static void exit_with_objects(void *unused)
{
    (void)unused;
    tells = true;
    of_main = create(200, 0);
    CHECK(mempool_alloc_entry(of_main) != NULL);
    CHECK(__cxa_atexit(destroy_object, new_object(), &__dso_handle) == 0);
    with_thread_local_objects(NULL);
    exit(0);
}

static void destructors(void)
{
    row("thread-local objects");
    for (size_t i = 1; i <= scaled(100, 5); i++) {
        in_thread(with_thread_local_objects, NULL);
        CHECK(used(&early) == 0);
        CHECK(objects_destroyed == (int)(3 * i));
    }
    row("objects at exit");
    int status;
    const char *text = run_in_child(exit_with_objects, NULL, &status);
    CHECK(status == 0 && strcmp(text, "done") == 0);
}

/* ---- A pool outlives the thread that made it ---- */

static void *make_and_use(void *argument)
{
    struct pools *all = argument;
    *all = create_all();
    a_bit_of_everything(all);
    return NULL;
}

static void *use(void *argument)
{
    for (int i = 0; i < 50; i++)
        a_bit_of_everything(argument);
    return NULL;
}

static void *use_and_destroy(void *argument)
{
    use(argument);
    destroy_all(argument);
    return NULL;
}

static void made_by_a_thread_that_ended(void)
{
    row("made by a thread that ended");
    for (size_t i = 0; i < scaled(20, 2); i++) {
        struct pools all;
        in_thread(make_and_use, &all);
        use(&all);
        in_thread(use, &all);
        CHECK(used(&all) == 0);
        in_thread(use_and_destroy, &all);
    }
}

/* ---- Threads whose first call comes as late as can be ---- */

static pthread_key_t last_key;

struct late {
    mempool *mp;
    int round;
};

static void call_in_the_last_round(void *argument)
{
    struct late *late = argument;
    if (++late->round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        CHECK(pthread_setspecific(last_key, late) == 0);
        return;
    }
    (mempool_free_entry)(mempool_alloc_entry(late->mp));
}

static void *call_late(void *argument)
{
    CHECK(pthread_setspecific(last_key, argument) == 0);
    return NULL;
}

/* A thread without a cache takes one entry from the pool, with a cache it takes more along: then the
 * next thread's lowest is farther away. */
static void *has_cache(void *argument)
{
    mempool *mp = create(1000, 0);
    *(void **)argument = mp;
    void *entry = mempool_alloc_entry(mp);
    CHECK(entry != NULL);
    return entry;
}

static bool new_thread_has_cache(void)
{
    pthread_t thread;
    mempool *mp;
    void *first, *next;
    CHECK(pthread_create(&thread, NULL, has_cache, &mp) == 0);
    CHECK(pthread_join(thread, &first) == 0);
    CHECK((next = mempool_alloc_entry(mp)) != NULL);
    size_t distance = address(next) - address(first);
    mempool_destroy(mp);
    CHECK(distance % slot_size(SIZE, 16) == 0);
    return distance > slot_size(SIZE, 16);
}

static void *lock_and_end(void *mutex)
{
    CHECK(pthread_mutex_lock(mutex) == 0);
    return NULL;
}

/* Whether the system marks the robust mutexes of a thread that ends, as qemu's does not: by nothing else is a
 * thread known to have ended that can't say so. */
static bool ends_are_seen(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutex_init(&mutex, &attributes) == 0);
    in_thread(lock_and_end, &mutex);
    bool seen = pthread_mutex_trylock(&mutex) == EOWNERDEAD;
    CHECK(seen || emulator() != NULL);
    if (!seen)
        puts("skipped threads that can't say that they end: the emulator has no robust mutexes");
    return seen;
}

/* They can't give their caches back, more of them than there are caches. */
static void first_calls_in_the_last_round(void)
{
    if (watched || !ends_are_seen())
        return;
    CHECK(pthread_key_create(&last_key, call_in_the_last_round) == 0);
    mempool *mp = create(1000, 0);
    row("first calls in the last round");
    CHECK(new_thread_has_cache());
    for (size_t i = 0; i < scaled(200, 70); i++) {
        struct late late = {mp, 0};
        in_thread(call_late, &late);
        CHECK(late.round == PTHREAD_DESTRUCTOR_ITERATIONS);
        CHECK(mempool_used_count(mp) == 0);
    }
    CHECK(new_thread_has_cache());
    /* All at once, while others claim theirs. */
    for (size_t round = 0; round < scaled(20, 2); round++) {
        pthread_t threads[70];
        struct late late[LENGTH(threads)];
        for (size_t i = 0; i < LENGTH(threads); i++) {
            late[i] = (struct late){mp, 0};
            void *(*body)(void *) = i % 3 == 0 ? use : call_late;
            void *argument = i % 3 == 0 ? (void *)&early : (void *)&late[i];
            CHECK(pthread_create(&threads[i], NULL, body, argument) == 0);
        }
        for (size_t i = 0; i < LENGTH(threads); i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(mempool_used_count(mp) == 0 && used(&early) == 0);
    }
    CHECK(new_thread_has_cache());
    mempool_destroy(mp);
}

static void in_child_of_fork(void *unused)
{
    (void)unused;
    CHECK(new_thread_has_cache());
    first_calls_in_the_last_round();
}

static pthread_barrier_t barrier;

static void *use_and_wait(void *unused)
{
    a_bit_of_everything(&early);
    pthread_barrier_wait(&barrier); /* all have an index */
    pthread_barrier_wait(&barrier); /* the child has ended */
    return unused;
}

/* All indices are a child's own threads', whoever has them in the parent. */
static void first_calls_in_a_child(void)
{
    if (under_valgrind() || watched || !ends_are_seen() || !children_start_threads())
        return;
    row("first calls in the last round, in a child of fork");
    pthread_t threads[70];
    CHECK(pthread_barrier_init(&barrier, NULL, LENGTH(threads) + 1) == 0);
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, use_and_wait, NULL) == 0);
    pthread_barrier_wait(&barrier);
    int status;
    CHECK(run_in_child(in_child_of_fork, NULL, &status)[0] == '\0' && status == 0);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    pthread_barrier_destroy(&barrier);
}

/* ---- Threads that are cancelled ---- */

static void *work_until_cancelled(void *unused)
{
    struct held held = {.count = 0};
    pthread_cleanup_push(give_some, &held);
    for (;;) {
        take_some(&early, &held);
        pthread_testcancel();
        give_some(&held);
        pthread_testcancel();
        atomic_fetch_add(&running, 1);
    }
    pthread_cleanup_pop(0);
    return unused;
}

static void cancelled_between_calls(void)
{
    uint64_t state = 2;
    for (size_t i = 0; i < scaled(200, 5); i++) {
        row("cancelled between calls, number %zu", i);
        pthread_t threads[WORKERS];
        atomic_store(&running, 0);
        for (size_t j = 0; j < WORKERS; j++)
            CHECK(pthread_create(&threads[j], NULL, work_until_cancelled, NULL) == 0);
        while (atomic_load(&running) < 2)
            sched_yield();
        usleep((useconds_t)random_below(&state, 500));
        for (size_t j = 0; j < WORKERS; j++)
            CHECK(pthread_cancel(threads[j]) == 0);
        for (size_t j = 0; j < WORKERS; j++) {
            void *result;
            CHECK(pthread_join(threads[j], &result) == 0 && result == PTHREAD_CANCELED);
        }
        CHECK(used(&early) == 0);
    }
    if (!watched)
        CHECK(new_thread_has_cache());
}

/* Without a buffer, so that each piece is a write: a cancellation point. */
static FILE *nowhere;

/* No call ends a thread that was cancelled. */
static void *call_everything(void *unused)
{
    CHECK(pthread_cancel(pthread_self()) == 0);
    struct pools all = create_all();
    for (int i = 0; i < 1000; i++)
        a_bit_of_everything(&all);
    /* Until the small one is empty, and its caches are closed. */
    while (mempool_alloc_entry(all.large) != NULL)
        continue;
    CHECK(used(&all) == 2000);
    mempool_dump(all.large, nowhere);
    r_mempool_dump_json(all.ranged, nowhere);
    mempool_dump_all(nowhere);
    mempool_dump_all_json(nowhere);
    destroy_all(&all);
    mempool *mp = create(10, MEMPOOL_REPORT_LEAKS);
    CHECK(mempool_alloc_entry(mp) != NULL);
    mempool_destroy(mp);
    int state;
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state) == 0);
    CHECK(state == PTHREAD_CANCEL_ENABLE);
    fputs("done", stderr);
    return unused;
}

static void *free_twice(void *unused)
{
    mempool *mp = create(10, 0);
    void *entry = mempool_alloc_entry(mp);
    CHECK(pthread_cancel(pthread_self()) == 0);
    (mempool_free_entry)(entry);
    (mempool_free_entry)(entry);
    return unused;
}

/* stderr is a point of cancellation. */
static void tell_slowly(const mempool_misuse *report, void *context)
{
    (void)context;
    fprintf(stderr, "%s\n", report->text);
    usleep(1000);
    pthread_testcancel();
}

static mempool_misuse_handler handler;

static void thread_in_child(void *body)
{
    void *(*const *its)(void *) = body;
    mempool_set_misuse_handler(handler, NULL);
    in_thread(*its, NULL);
    destroy_all(&early); /* valgrind would find them lost */
}

/* This program again, whose thread is cancelled before the first pool is made. */
static void start_again(void *unused)
{
    (void)unused;
    start_anew(ANEW, "1");
}

static void cancelled_inside_calls(void)
{
    nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL && setvbuf(nowhere, NULL, _IONBF, 0) == 0);
    void *(*body)(void *) = call_everything;
    int status;
    for (int with_handler = 0; with_handler < 2; with_handler++) {
        handler = with_handler ? tell_slowly : NULL;
        row("cancelled, %s handler", with_handler ? "a" : "no");
        body = call_everything;
        const char *text = run_in_child(thread_in_child, &body, &status);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(strncmp(text, "cmempool: leak of 1 entry: 0x", 29) == 0);
        CHECK(strcmp(strchr(text, '\n'), "\ndone") == 0);
        body = free_twice;
        EXPECT_ABORT(thread_in_child, &body, "double free of 0x");
    }
    if (under_valgrind())
        return; /* it is what would be started again */
    row("cancelled before the first pool is made");
    const char *text = run_in_child(start_again, NULL, &status);
    CHECK(status == 0 && strstr(text, "\ndone") != NULL);
}

int main(void)
{
    if (getenv(ANEW) != NULL) {
        in_thread(call_everything, NULL);
        return 0;
    }
    row("before main");
    CHECK(early.large != NULL && used(&early) == 0);
    destructors();
    made_by_a_thread_that_ended();
    cancelled_between_calls();
    cancelled_inside_calls();
    ends_while_others_work();
    first_calls_in_the_last_round();
    first_calls_in_a_child();
    return done();
}
