/* A C program that uses a pool, and an adapter's header. */
#include <cmempool.h>
#include <cmempool/adapter.h>

int main(void)
{
    mempool *mp = mempool_create(2, sizeof(long), true);
    long *a = mempool_alloc_entry(mp);
    int bad = !a || mempool_used_count(mp) != 1;
    mempool_free_entry(a);
    mempool_destroy(mp);
    return bad;
}
