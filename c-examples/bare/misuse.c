/* An entry is freed twice: the library tells the program's handler, which here ends it. */
#define CMEMPOOL_BARE
#include <cmempool.h>

#include "board.h"

MEMPOOL_STATIC_BUFFER(memory, 4, 32);

static void on_misuse(const mempool_misuse *misuse, void *context)
{
    (void)context;
    report(misuse->text);
    stop(misuse->kind == MEMPOOL_MISUSE_DOUBLE_FREE ? 0 : 1);
}

int main(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 4;
    options.elem_size = 32;
    options.buffer = memory;
    options.buffer_size = sizeof memory;
    options.name = "frames";
    mempool_set_misuse_handler(on_misuse, NULL);
    mempool *mp = mempool_create_with(&options);
    expect(mp != NULL, "the pool is made");

    void *entry = mempool_alloc_entry(mp), *copy = entry;
    mempool_free_entry(entry);
    mempool_free_entry(copy);
    report("a double free went unnoticed");
    return 1;
}
