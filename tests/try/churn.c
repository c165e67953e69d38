/* Does the code that cmempool-try printed make a pool that serves this program?
 *
 * Takes, resizes and gives back blocks of many sizes, more of some sizes at one time and of others at another,
 * the same in each run. From malloc; or, with PASTED, from the pool that the printed code makes: then it
 * says how often that was exhausted. With LESS, each class has a twentieth less. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef PASTED
#include <cmempool.h>
#include PASTED
#define TAKE(size) r_mempool_alloc_entry(pool, size)
#define RESIZE(block, size) r_mempool_realloc_entry(pool, block, size)
#define GIVE(block) (r_mempool_free_entry)(block)

static void make(void)
{
    if (!make_pool())
        abort();
#ifdef LESS
    r_mempool_class fewer[sizeof classes / sizeof *classes];
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        fewer[i] = classes[i];
        fewer[i].elem_count -= fewer[i].elem_count / 20;
    }
    r_mempool_destroy(pool);
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = fewer;
    options.class_count = sizeof fewer / sizeof *fewer;
    options.policy = fallback_at_first_exhaustion;
    pool = r_mempool_create_with(&options);
#endif
}
#else
#define TAKE(size) malloc(size)
#define RESIZE(block, size) realloc(block, size)
#define GIVE(block) free(block)
#endif

enum { PLACES = 4000, STEPS = 400000 };

static uint32_t state = 1;

static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)state * below) >> 32);
}

/* Small ones, and now and then large ones; those of the middle have their time. */
static size_t some_size(int step)
{
    const uint32_t kind = draw(100);
    if (kind < 5)
        return 1 + draw(60000);
    if (kind < 60 && step / 50000 % 2)
        return 300 + draw(1500);
    return 1 + draw(200);
}

int main(void)
{
    static unsigned char *places[PLACES];
    uint64_t sum = 0;
#ifdef PASTED
    make();
#endif
    for (int step = 0; step < STEPS; step++) {
        unsigned char **place = &places[draw(PLACES * (1 + (uint32_t)step / 100000) / 4)];
        const size_t size = some_size(step);
        if (!*place) {
            *place = TAKE(size);
        } else if (draw(4) == 0) {
            sum += **place;
            *place = RESIZE(*place, size);
        } else {
            sum += **place;
            GIVE(*place);
            *place = NULL;
            continue;
        }
        if (!*place)
            abort();
        **place = (unsigned char)step;
    }
    for (int i = 0; i < PLACES; i++)
        GIVE(places[i]);
#ifdef PASTED
    uint64_t exhausted = 0;
    mempool_stats stats = MEMPOOL_STATS_INIT;
    for (size_t i = 0; r_mempool_get_stats(pool, i, &stats); i++)
        exhausted += stats.exhausted;
    printf("exhausted %llu\n", (unsigned long long)exhausted);
#endif
    printf("%llu\n", (unsigned long long)sum);
    return 0;
}
