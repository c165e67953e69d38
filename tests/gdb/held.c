/*
 * Who took an entry, where the compiler inlines the library's code and the program's?
 *
 * Says what `mempool show` and `mempool live` print of its pool, as crash.c does, and stops. Whether its functions are
 * inlined does not depend on the level of optimisation. As C++, it takes entries by the classes of cmempool.hpp;
 * tests/gdb.sh leaves out the arguments of functions that gdb prints then.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifdef __cplusplus
#include <cmempool.hpp>
#else
#include <cmempool.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INLINED static inline __attribute__((always_inline))
#define CALLED static __attribute__((noinline))

struct node {
    char bytes[40];
};

static int line_of_new, line_of_session, line_of_name, line_of_loop, line_of_main;

#ifdef __cplusplus
typedef cmempool::object_pool<node> pool_type;
#define TAKE(pool) (pool)->make()
#else
typedef mempool pool_type;
#define TAKE(pool) (struct node *)mempool_alloc_entry(pool)
#endif

/* What is done after a call keeps the call from being the function's last instruction. */
INLINED struct node *node_new(pool_type *pool)
{
    line_of_new = __LINE__ + 1;
    struct node *node = TAKE(pool);
    if (node == NULL)
        abort();
    node->bytes[0] = 1;
    return node;
}

CALLED struct node *open_session(pool_type *pool)
{
    line_of_session = __LINE__ + 1;
    struct node *node = node_new(pool);
    node->bytes[1] = 2;
    return node;
}

CALLED struct node *copy_name(pool_type *pool)
{
    line_of_name = __LINE__ + 1;
    struct node *node = TAKE(pool);
    if (node == NULL)
        abort();
    node->bytes[1] = 3;
    return node;
}

/* Compilers move what is in a loop. */
CALLED void take_many(pool_type *pool, int count)
{
    for (int i = 0; i < count; i++) {
        line_of_loop = __LINE__ + 1;
        struct node *node = node_new(pool);
        node->bytes[2] = 4;
    }
}

static void expect(int count, const char *place, int line)
{
    printf("inside   40 B: %9d taken at %s (%s:%d)", count, place, __FILE__, line);
}

static void expect_called_by(const char *place, int line)
{
    printf(", called by %s (%s:%d)", place, __FILE__, line);
}

static pool_type *make_pool(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 1000;
    options.elem_size = sizeof(struct node);
    options.name = "nodes";
    options.flags = MEMPOOL_RECORD_HOLDERS;
#ifdef __cplusplus
    return new pool_type(options);
#else
    mempool *pool = mempool_create_with(&options);
    if (pool == NULL)
        abort();
    return pool;
#endif
}

int main(void)
{
    pool_type *pool = make_pool();
    for (int i = 0; i < 3; i++)
        open_session(pool);
    for (int i = 0; i < 5; i++)
        copy_name(pool);
    take_many(pool, 300);
    for (int i = 0; i < 7; i++) {
        line_of_main = __LINE__ + 1;
        struct node *node = node_new(pool);
        node->bytes[3] = 5;
    }
    printf("command mempool show \"nodes\"\n");
    expect(300, "node_new", line_of_new);
    expect_called_by("take_many", line_of_loop);
    printf("\n");
    expect(7, "node_new", line_of_new);
    expect_called_by("main", line_of_main);
    printf("\n");
    expect(5, "copy_name", line_of_name);
    printf("\n");
    expect(3, "node_new", line_of_new);
    expect_called_by("open_session", line_of_session);
    printf("\ncommand mempool live \"nodes\"\ninside , 40 bytes, taken at copy_name (%s:%d), by thread 1 (LWP %ld)\n", __FILE__,
           line_of_name, (long)syscall(SYS_gettid));
    printf("lines 316\n");
    fflush(stdout);
    abort();
}
