/* Do the four macros set the caller's variable to NULL and behave like the functions they are? */
#include "../check.h"

enum { COUNT = 8 };

static mempool *mp;
static r_mempool *rmp;

static void variables(void)
{
    row("variables");
    int *number = mempool_alloc_entry(mp);
    const char *text = r_mempool_alloc_entry(rmp, 16);
    void *anything = mempool_alloc_entry(mp);
    const volatile struct {
        int n;
    } *qualified = mempool_alloc_entry(mp);
    struct {
        int before;
        char *entry;
        int after;
    } holder = {1, mempool_alloc_entry(mp), 2}, *way = &holder;
    double *list[3] = {NULL, mempool_alloc_entry(mp), NULL};
    void **to = &anything;
    CHECK(mempool_used_count(mp) == 5 && r_mempool_used_count(rmp, 16) == 1);
    mempool_free_entry(number);
    CHECK(number == NULL && mempool_used_count(mp) == 4);
    r_mempool_free_entry(text);
    CHECK(text == NULL && r_mempool_used_count(rmp, 16) == 0);
    mempool_free_entry(*to);
    CHECK(anything == NULL && mempool_used_count(mp) == 3);
    mempool_free_entry(qualified);
    CHECK(qualified == NULL && mempool_used_count(mp) == 2);
    r_mempool_free_entry(way->entry);
    CHECK(holder.entry == NULL && mempool_used_count(mp) == 1);
    CHECK(holder.before == 1 && holder.after == 2);
    mempool_free_entry((list[1]));
    CHECK(list[1] == NULL && mempool_used_count(mp) == 0);
    /* What is NULL already may be freed again and again. */
    mempool_free_entry(number);
    r_mempool_free_entry(number);
    CHECK(number == NULL && mempool_used_count(mp) == 0);
}

static int calls;

static void **only_once(void **variable)
{
    calls++;
    return variable;
}

static void evaluated_once(void)
{
    row("evaluated once");
    void *entries[COUNT], *copies[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        copies[i] = entries[i] = mempool_alloc_entry(mp);
    size_t i = 0;
    while (i < COUNT / 2)
        mempool_free_entry(entries[i++]);
    CHECK(i == COUNT / 2 && mempool_used_count(mp) == COUNT - i);
    void **next = entries + i;
    r_mempool_free_entry(*next++);
    CHECK(next == entries + i + 1 && mempool_used_count(mp) == COUNT - 1 - i);
    r_mempool_free_entry(*only_once(next));
    CHECK(calls == 1 && mempool_used_count(mp) == COUNT - 2 - i);
    mempool_free_entry(entries[--i + 3]);
    CHECK(i == COUNT / 2 - 1 && mempool_used_count(mp) == COUNT - 4 - i);
    i = COUNT;
    mempool_free_entry(entries[--i]);
    CHECK(i == COUNT - 1 && mempool_used_count(mp) == 0);
    for (i = 0; i < COUNT; i++)
        CHECK(entries[i] == NULL && copies[i] != NULL);
}

static void evaluated_once_by_destroy(void)
{
    row("destroy evaluates once");
    mempool *pools[2] = {mempool_create(1, 8, false), mempool_create(1, 8, false)};
    r_mempool *ranged[2] = {r_mempool_create(16, 32, 2, fallback_disabled),
                            r_mempool_create(16, 32, 2, fallback_disabled)};
    size_t i = 0, j = 2;
    CHECK(pools[0] != NULL && pools[1] != NULL && ranged[0] != NULL && ranged[1] != NULL);
    mempool_destroy(pools[i++]);
    CHECK(i == 1 && pools[0] == NULL && pools[1] != NULL);
    mempool_destroy(pools[i]);
    r_mempool_destroy(ranged[--j]);
    CHECK(j == 1 && ranged[1] == NULL && ranged[0] != NULL);
    r_mempool_destroy(ranged[--j]);
    CHECK(j == 0 && ranged[0] == NULL && pools[1] == NULL);
}

static void in_statements_and_expressions(void)
{
    row("statements and expressions");
    for (int first = 0; first < 2; first++) {
        char *a = mempool_alloc_entry(mp), *b = r_mempool_alloc_entry(rmp, 10);
        CHECK(a != NULL && b != NULL);
        if (first)
            mempool_free_entry(a);
        else
            r_mempool_free_entry(b);
        CHECK((a == NULL) == (first == 1) && (b == NULL) == (first == 0));
        first ? r_mempool_free_entry(b) : mempool_free_entry(a);
        CHECK(a == NULL && b == NULL);
    }
    char *a = mempool_alloc_entry(mp), *b = r_mempool_alloc_entry(rmp, 10);
    int value = (mempool_free_entry(a), r_mempool_free_entry(b), 7);
    CHECK(value == 7 && a == NULL && b == NULL);
    for (a = mempool_alloc_entry(mp); a != NULL; mempool_free_entry(a))
        CHECK(mempool_used_count(mp) == 1);
    CHECK(mempool_used_count(mp) == 0 && r_mempool_used_count(rmp, 10) == 0);

    mempool *pool = mempool_create(1, 1, false);
    r_mempool *ranged = r_mempool_create(16, 32, 2, fallback_disabled);
    value = 1;
    if (value)
        mempool_destroy(pool);
    else
        r_mempool_destroy(ranged);
    CHECK(pool == NULL && ranged != NULL);
    value = (value ? r_mempool_destroy(ranged) : mempool_destroy(pool), 8);
    CHECK(value == 8 && ranged == NULL);
}

/* The functions behind the macros take values and leave variables alone. */
static void functions(void)
{
    row("functions");
    void (*free_functions[])(void *) = {mempool_free_entry, r_mempool_free_entry,
                                        _mempool_free_entry};
    void (*destroy)(mempool *) = mempool_destroy;
    void (*r_destroy)(r_mempool *) = r_mempool_destroy;
    for (size_t i = 0; i < LENGTH(free_functions); i++) {
        void *ordinary = mempool_alloc_entry(mp), *ranged = r_mempool_alloc_entry(rmp, 20);
        CHECK(mempool_used_count(mp) == 1 && r_mempool_used_count(rmp, 20) == 1);
        free_functions[i](ordinary);
        CHECK(ordinary != NULL && mempool_used_count(mp) == 0);
        free_functions[i](ranged);
        CHECK(ranged != NULL && r_mempool_used_count(rmp, 20) == 0);
        free_functions[i](NULL);
    }
    void *entry = mempool_alloc_entry(mp);
    (mempool_free_entry)(entry);
    CHECK(entry != NULL && mempool_used_count(mp) == 0);
    entry = r_mempool_alloc_entry(rmp, 20);
    (r_mempool_free_entry)(entry);
    CHECK(entry != NULL && r_mempool_used_count(rmp, 20) == 0);
    (mempool_free_entry)(NULL);
    (r_mempool_free_entry)(NULL);

    destroy(mempool_create(3, 3, true));
    (mempool_destroy)(mempool_create(3, 3, true));
    _mempool_destroy(mempool_create(3, 3, true));
    r_destroy(r_mempool_create(16, 32, 2, fallback_disabled));
    (r_mempool_destroy)(r_mempool_create(16, 32, 2, fallback_disabled));
    _r_mempool_destroy(r_mempool_create(16, 32, 2, fallback_disabled));
}

static void null(void)
{
    row("NULL");
    mempool *no_pool = NULL;
    r_mempool *no_ranged = NULL;
    mempool_destroy(no_pool);
    r_mempool_destroy(no_ranged);
    (mempool_destroy)(NULL);
    (r_mempool_destroy)(NULL);
    _mempool_destroy(NULL);
    _r_mempool_destroy(NULL);
    _mempool_free_entry(NULL);
    CHECK_FAILS(mempool_alloc_entry(NULL), EINVAL);
    CHECK_FAILS(mempool_calloc_entry(NULL), EINVAL);
    CHECK_FAILS(r_mempool_alloc_entry(NULL, 16), EINVAL);
    CHECK_FAILS(r_mempool_calloc_entry(NULL, 16), EINVAL);
    CHECK_FAILS(r_mempool_realloc_entry(NULL, NULL, 16), EINVAL);
    CHECK(mempool_total_capacity(NULL) == 0);
    CHECK(mempool_used_count(NULL) == 0);
    CHECK(mempool_dynamic_allocs_count(NULL) == 0);
    CHECK(r_mempool_total_capacity(NULL, 16) == 0);
    CHECK(r_mempool_used_count(NULL, 16) == 0);
    CHECK(r_mempool_dynamic_allocs_count(NULL, 16) == 0);
}

int main(void)
{
    mp = mempool_create(COUNT, 64, false);
    rmp = r_mempool_create(16, 64, 32, fallback_disabled);
    CHECK(mp != NULL && rmp != NULL);
    variables();
    evaluated_once();
    evaluated_once_by_destroy();
    in_statements_and_expressions();
    functions();
    null();
    mempool_destroy(mp);
    r_mempool_destroy(rmp);
    CHECK(mp == NULL && rmp == NULL);
    return done();
}
