/* Frees an entry twice. usage: twice, or twice ranged. */
#include <cmempool.h>

static void twice(mempool *mp)
{
    void *entry = (mempool_alloc_entry)(mp);
    (mempool_free_entry)(entry);
    (mempool_free_entry)(entry);
}

static void twice_ranged(r_mempool *rmp)
{
    void *entry = (r_mempool_alloc_entry)(rmp, 32);
    (r_mempool_free_entry)(entry);
    (r_mempool_free_entry)(entry);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        twice_ranged((r_mempool_create)(16, 64, 16, fallback_at_last_exhaustion));
    else
        twice((mempool_create)(8, 32, false));
    return 0;
}
