/* What is out in a child of fork, whose parent goes on at once?
 *
 * 1000 blocks, again and again in a child, too: both free them at the same time, and the child takes ten others.
 * Never more than 1000 at once. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 1000, ROUNDS = 20 };

static void *blocks[COUNT];

static void take(int count)
{
    for (int i = 0; i < count; i++)
        if (!(blocks[i] = malloc(100)))
            abort();
}

static void give(int count)
{
    for (int i = 0; i < count; i++)
        free(blocks[i]);
}

int main(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        take(COUNT);
        const pid_t child = fork();
        if (child < 0)
            return 1;
        give(COUNT);
        if (child == 0) {
            take(10);
            give(10);
            return 0;
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            return 1;
    }
    return 3;
}
