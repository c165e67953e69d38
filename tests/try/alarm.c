/* May a signal's handler end the process, also in the middle of a malloc? */
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static void end(int number)
{
    (void)number;
    _exit(7);
}

int main(void)
{
    static void *volatile blocks[1000];
    const struct itimerval soon = {.it_value = {.tv_usec = 2000}};
    signal(SIGALRM, end);
    setitimer(ITIMER_REAL, &soon, NULL);
    for (;;) {
        for (int i = 0; i < 1000; i++)
            blocks[i] = malloc((size_t)i);
        for (int i = 0; i < 1000; i++)
            free(blocks[i]);
    }
}
