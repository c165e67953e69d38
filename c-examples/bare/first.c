/* The document's first program, where there is no operating system: a pool in a static buffer hands out as many
 * entries as it has, and no more. Then a ranged pool does the same.
 *
 * `report` is the board's: see board.h. */
#define CMEMPOOL_BARE
#include <cmempool.h>

#include "board.h"

struct particle {
    int x, y;
};

MEMPOOL_STATIC_BUFFER(particles_memory, 20, sizeof(struct particle));
R_MEMPOOL_STATIC_BUFFER(messages_memory, 16, 64, 8);

static void particles(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 20;
    options.elem_size = sizeof(struct particle);
    options.buffer = particles_memory;
    options.buffer_size = sizeof particles_memory;
    mempool *mp = mempool_create_with(&options);
    expect(mp != NULL, "the pool is made");

    struct particle *held[21];
    for (int i = 0; i < 20; i++) {
        held[i] = mempool_alloc_entry(mp);
        expect(held[i] != NULL, "20 entries can be taken");
        held[i]->x = i;
        held[i]->y = -i;
    }
    held[20] = mempool_alloc_entry(mp);
    expect(held[20] == NULL, "the 21st is NULL");
    expect(mempool_used_count(mp) == 20, "20 are out");
    for (int i = 0; i < 20; i++) {
        expect(held[i]->x == i && held[i]->y == -i, "each is the holder's alone");
        mempool_free_entry(held[i]);
        expect(held[i] == NULL, "a pointer that was freed is NULL");
    }
    expect(mempool_used_count(mp) == 0, "none is out");
    mempool_destroy(mp);
}

static void messages(void)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 64;
    options.smallest_count = 8;
    options.buffer = messages_memory;
    options.buffer_size = sizeof messages_memory;
    options.policy = fallback_disabled;
    r_mempool *rmp = r_mempool_create_with(&options);
    expect(rmp != NULL, "the ranged pool is made");

    /* Eight of 16 bytes, four of 32 and two of 64: a class that is empty is served by the next. */
    int count = 0;
    void *held[15];
    while (count < 15 && (held[count] = r_mempool_alloc_entry(rmp, 10)) != NULL)
        count++;
    expect(count == 14, "14 messages can be taken");
    char *text = r_mempool_realloc_entry(rmp, held[0], 12);
    expect(text == held[0], "what still fits stays");
    while (count > 0)
        r_mempool_free_entry(held[--count]);
    r_mempool_destroy(rmp);
}

int main(void)
{
    particles();
    messages();
    report("all is well");
    return 0;
}
