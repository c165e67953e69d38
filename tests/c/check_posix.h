/* The harness of the C tests on POSIX: how does a program run a part of itself in a child of fork? */
#ifndef CHECK_POSIX_H
#define CHECK_POSIX_H

#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

/* What runs this program, if the system alone can't: words with a space between. As whoever started it
 * says. */
static inline const char *emulator(void)
{
    return getenv("CMEMPOOL_TEST_RUNNER");
}

/* Whether children of fork can start threads. ThreadSanitizer has a thread that is gone in the way of a new
 * one in its place, and qemu fails an assertion of its own. */
static inline bool children_start_threads(void)
{
#ifdef __SANITIZE_THREAD__
    return false;
#else
    return emulator() == NULL;
#endif
}

/* Said once by a program of which that is a part. */
static inline void tell_of_childrens_threads(void)
{
    if (!children_start_threads())
        puts("skipped threads that a child of fork starts: a tool or the emulator can't have them");
}

/* How a child ended. */
static inline bool ended_by_abort(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static inline bool ended_by_fault(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static inline bool ended_by_exit(int status)
{
    return WIFEXITED(status);
}

/* Memory that a child shares with its parent; zeros. */
static inline void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

/* Takes out the lines that qemu writes about a program that it runs and that died of a signal. */
static inline void drop_emulators_lines(char *text)
{
    static const char mark[] = "qemu: ";
    for (char *line; (line = strstr(text, mark)) != NULL && (line == text || line[-1] == '\n');) {
        char *end = strchr(line, '\n');
        memmove(line, end == NULL ? strchr(line, '\0') : end + 1,
                strlen(end == NULL ? "" : end + 1) + 1);
    }
}

/* Runs `f(arg)` in a child process. Returns what it wrote to stderr, in memory that the next call
 * uses again, and in `status` how it ended. */
static inline const char *run_in_child(void (*f)(void *), void *arg, int *status)
{
    static char text[4096];
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
#ifdef __linux__
        prctl(PR_SET_DUMPABLE, 0); /* the limit does not hold where a program takes the cores */
#endif
        alarm(30);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        f(arg);
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], text + length, sizeof text - 1 - length)) != 0;) {
        CHECK(got > 0 || errno == EINTR);
        length += got > 0 ? (size_t)got : 0;
    }
    text[length] = '\0';
    close(ends[0]);
    CHECK(waitpid(child, status, 0) == child);
    drop_emulators_lines(text);
    return text;
}

/* This program from its start in the place of the process, with a variable of the environment set. */
static inline void start_anew(const char *variable, const char *value)
{
    static char path[4096], runner[1024];
    char *words[16] = {NULL};
    size_t count = 0;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length > 0 && setenv(variable, value, 1) == 0) {
        path[length] = '\0';
        snprintf(runner, sizeof runner, "%s", emulator() != NULL ? emulator() : "");
        for (char *word = strtok(runner, " "); word != NULL && count < LENGTH(words) - 2;
             word = strtok(NULL, " "))
            words[count++] = word;
        words[count] = path;
        execvp(words[0], words);
    }
    fprintf(stderr, "the program can't be started again: %s\n", strerror(errno));
    _exit(1);
}

/* The same once more, for a chance that went wrong. */
static inline const char *run_in_child_again(void (*f)(void *), void *arg, int *status)
{
    return run_in_child(f, arg, status);
}

#endif
