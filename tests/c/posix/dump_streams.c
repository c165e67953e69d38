/* What may a stream do while pools are written to it: wait for other threads that make and destroy pools, or
 * destroy pools itself? */
#include "../check_posix.h"
#include "../check_threads.h"

enum { COUNT = 2000, SIZE = 24 };

static mempool *create(size_t count, const char *name, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = SIZE;
    options.name = name;
    options.flags = flags;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static void *make_and_destroy(void *done)
{
    mempool *mp = create(COUNT, "meanwhile", 0);
    mempool_destroy(mp);
    atomic_store((atomic_bool *)done, true);
    return NULL;
}

/* Waits until another thread made and destroyed a pool. */
static ssize_t write_slowly(void *done, const char *text, size_t size)
{
    (void)text;
    struct thread thread;
    atomic_store((atomic_bool *)done, false);
    CHECK(thread_start(&thread, make_and_destroy, done));
    for (int i = 0; i < 10000 && !atomic_load((atomic_bool *)done); i++)
        sleep_microseconds(1000);
    CHECK(atomic_load((atomic_bool *)done));
    CHECK(thread_join(&thread));
    return (ssize_t)size;
}

static void with_a_slow_stream(void)
{
    row("a slow stream");
    static atomic_bool done;
    FILE *out = fopencookie(&done, "w", (cookie_io_functions_t){.write = write_slowly});
    CHECK(out != NULL && setvbuf(out, NULL, _IOFBF, 128) == 0);
    mempool *mp = create(COUNT, "slow", 0);
    mempool_dump_all(out);
    mempool_dump_all_json(out);
    fclose(out);
    mempool_destroy(mp);
}

enum { POOLS = 6 };

static mempool *pools[POOLS];
static const char *const names[POOLS] = {"<0>", "<1>", "<2>", "<3>", "<4>", "<5>"};

struct scene {
    char seen[POOLS + 1]; /* in the order in which they were */
    size_t goes_with[POOLS]; /* the pools that go when one is seen, a bit for each */
};

/* A line of JSON is one write. */
static ssize_t look_and_destroy(void *context, const char *text, size_t size)
{
    struct scene *scene = context;
    for (size_t i = 0; i < POOLS; i++) {
        if (memmem(text, size, names[i], strlen(names[i])) == NULL)
            continue;
        scene->seen[strlen(scene->seen)] = (char)('0' + i);
        for (size_t j = 0; j < POOLS; j++)
            if (scene->goes_with[i] >> j & 1)
                mempool_destroy(pools[j]);
    }
    return (ssize_t)size;
}

static void pools_that_go_meanwhile(void)
{
    static const struct {
        struct scene scene;
        const char *seen;
    } scenes[] = {
        {{"", {0}}, "543210"},
        {{"", {[5] = 1 << 5}}, "543210"},            /* the one that is shown */
        {{"", {[5] = 1 << 4}}, "53210"},             /* the next */
        {{"", {[5] = 1 << 5 | 1 << 4 | 1 << 3}}, "5210"},
        {{"", {[3] = 1 << 5 | 1 << 4}}, "543210"},   /* those before */
        {{"", {[1] = 1 << 0}}, "54321"},             /* the last */
        {{"", {[4] = 0x3F}}, "54"},                  /* all */
        {{"", {[5] = 1 << 5, [4] = 1 << 4, [3] = 1 << 3, [2] = 1 << 2}}, "543210"},
    };
    for (size_t i = 0; i < LENGTH(scenes); i++) {
        row("pools that go meanwhile, %zu", i);
        for (size_t j = 0; j < POOLS; j++)
            pools[j] = create(COUNT, names[j], 0);
        struct scene scene = scenes[i].scene;
        FILE *out = fopencookie(&scene, "w", (cookie_io_functions_t){.write = look_and_destroy});
        CHECK(out != NULL && setvbuf(out, NULL, _IOLBF, 4096) == 0);
        mempool_dump_all_json(out);
        fclose(out);
        CHECK(strcmp(scene.seen, scenes[i].seen) == 0);
        for (size_t j = 0; j < POOLS; j++)
            mempool_destroy(pools[j]);
    }
}

int main(void)
{
    with_a_slow_stream();
    pools_that_go_meanwhile();
    return done();
}
