/* How is a list of classes written? SIZE:COUNT,SIZE:COUNT,.. */
#ifndef CMEMPOOL_TRY_LIST_H
#define CMEMPOOL_TRY_LIST_H

#include "figures.h"

#include <cmempool.h>

#include <stdlib.h>

/* How many classes it has, in room for GRAINS; 0 if it is no such list. Calls no heap. */
static inline size_t list_parse(const char *list, r_mempool_class *classes)
{
    for (size_t count = 0; count < GRAINS;) {
        char *end;
        if (*list < '0' || *list > '9')
            return 0;
        classes[count].elem_size = strtoul(list, &end, 10);
        if (end[0] != ':' || end[1] < '0' || end[1] > '9')
            return 0;
        classes[count++].elem_count = strtoul(end + 1, &end, 10);
        if (*end == 0)
            return count;
        if (*end != ',')
            return 0;
        list = end + 1;
    }
    return 0;
}

#endif
