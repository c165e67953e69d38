/* Does a pool hand out what it has? */
#include <cmempool.h>

int main(void)
{
    mempool *mp = mempool_create(2, sizeof(long), false);
    long *a = mempool_alloc_entry(mp), *b = mempool_alloc_entry(mp);
    int bad = !a || !b || mempool_alloc_entry(mp) != NULL;
    mempool_free_entry(a);
    mempool_free_entry(b);
    mempool_destroy(mp);
    return bad;
}
