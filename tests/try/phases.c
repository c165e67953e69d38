/* How many blocks of which sizes? Known here to the last one.
 *
 * 1000 blocks of 100 bytes, and when those are freed 1000 of 200: never more than 1000 at once. Prints
 * nothing, so that libc takes no block for it. A word says how it ends. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 1000 };

static void phase(size_t size)
{
    static void *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(size);
        if (!blocks[i])
            abort();
        memset(blocks[i], i, size);
    }
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
}

/* 1000 blocks that end smaller than they begin, then 1000 that stay. */
static void shrink(void)
{
    static void *blocks[2 * COUNT];
    for (int i = 0; i < 2 * COUNT; i++) {
        blocks[i] = malloc(700);
        if (blocks[i] && i < COUNT)
            blocks[i] = realloc(blocks[i], 400);
        if (!blocks[i])
            abort();
    }
    for (int i = 0; i < 2 * COUNT; i++)
        free(blocks[i]);
}

int main(int count, char **arguments)
{
    const char *end = count > 1 ? arguments[1] : "";
    if (strcmp(end, "shrinks") == 0)
        shrink();
    /* More in its second run than in the first. */
    if (strcmp(end, "grows") == 0) {
        if (access("grown", F_OK) == 0)
            shrink();
        fclose(fopen("grown", "w"));
    }
    if (strcmp(end, "frees twice") == 0) {
        char *volatile block = malloc(100);
        free(block);
        free(block);
    }
    phase(100);
    phase(200);
    if (strcmp(end, "killed") == 0)
        raise(SIGKILL);
    if (strcmp(end, "exits") == 0)
        _exit(5);
    if (strcmp(end, "becomes") == 0)
        execv(arguments[0], arguments + 2);
    return 3;
}
