/* Which pool does the program get, and how was it used? */
#ifndef CMEMPOOL_TRY_POOLS_H
#define CMEMPOOL_TRY_POOLS_H

#include "figures.h"

#include <cmempool.h>

struct pool_plan {
    r_mempool_class classes[GRAINS];
    size_t class_count; /* 0: no pool */
    bool measures;      /* its classes are the grains */
};

/* What the folder's file `classes` has for this program; without a file, the pool that measures. */
void pools_plan(struct pool_plan *plan, const char *folder);

/* NULL if there is none. Takes from no heap but by the library. */
r_mempool *pools_make(struct pool_plan *plan);

/* A child of fork counts from here on. */
void pools_in_child(const r_mempool *pool);

/* Notes how its classes were used. */
void pools_note(const r_mempool *pool, struct figures *figures);

#endif
