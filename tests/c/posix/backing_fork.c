/* May a backing's functions fork, and has a child of fork the pool and its backing as the parent has them? */
#include "../check_posix.h"
#include "../backing.h"

enum { COUNT = 20, SIZE = 40, BEYOND = 7 };

static void fork_here(struct source *its)
{
    its->meanwhile = NULL;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        use_another_pool(its);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    its->meanwhile = fork_here;
}

static void child_of_a_fork(void *pool)
{
    take(pool, COUNT + BEYOND, COUNT + BEYOND + 1, SIZE, 16);
    give_entries(0, COUNT + BEYOND + 1, SIZE);
    CHECK(out() == 1);
    mempool *mp = pool;
    mempool_destroy(mp);
    CHECK(out() == 0);
}

int main(void)
{
    int status;
    row("the functions fork");
    functions_that_do(fork_here, SIZE);
    row("a child of a fork");
    reset();
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_FALL_BACK);
    mempool *mp = mempool_create_with(&options);
    take(mp, 0, COUNT + BEYOND, SIZE, 16);
    const char *text = run_in_child(child_of_a_fork, mp, &status);
    CHECK(status == 0 && text[0] == '\0');
    give_entries(0, COUNT + BEYOND, SIZE);
    CHECK(out() == 1);
    mempool_destroy(mp);
    return done();
}
