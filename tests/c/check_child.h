/* The harness of the C tests: how does a program run a part of itself in a process of its own, and expect
 * that to abort?
 *
 * Where there is fork, that is a child of it. Elsewhere the program is started again with the number of the
 * call: see check_windows.h. So a test that is to run anywhere does the same each time that it is started,
 * up to its last call here. */
#ifndef CHECK_CHILD_H
#define CHECK_CHILD_H

#ifdef _WIN32
#include "check_windows.h"
#else
#include "check_posix.h"
#endif

/* Sets a variable of the environment; with NULL, it is there no longer. */
static inline void set_environment(const char *name, const char *value)
{
#ifdef _WIN32
    CHECK(_putenv_s(name, value != NULL ? value : "") == 0);
#else
    CHECK((value != NULL ? setenv(name, value, 1) : unsetenv(name)) == 0);
#endif
}

/* Whether a child ended by abort after one line that starts with "cmempool: " and contains every
 * one of the strings; the last of these is followed by NULL. */
static inline bool aborted(int status, const char *line, const char *const *strings)
{
    const char *end = strchr(line, '\n');
    bool holds = ended_by_abort(status) && end != NULL &&
                 end[1] == '\0' && strncmp(line, "cmempool: ", 10) == 0;
    for (; *strings != NULL; strings++)
        holds = holds && (*strings)[0] != '\0' && strstr(line, *strings) != NULL;
    return holds;
}

/* As above, for a child that runs `f(arg)`. The strings are read after it ended, so it may fill
 * them in shared memory. A word of memory that is none of ours is taken for one with a chance of
 * 2^-21, drawn anew in each process that makes its first pool: a second child has the last say.
 * Returns the line. */
static inline const char *expect_abort(const char *file, int number, void (*f)(void *), void *arg,
                                       const char *const *strings)
{
    int status;
    const char *line = run_in_child(f, arg, &status);
    if (check_passing_by)
        return line;
    if (!aborted(status, line, strings))
        line = run_in_child_again(f, arg, &status);
    bool holds = aborted(status, line, strings);
    if (!holds) {
        fprintf(stderr, "status %#x, line '%.*s', expected", (unsigned)status,
                (int)strcspn(line, "\n"), line);
        for (; *strings != NULL; strings++)
            fprintf(stderr, " '%.*s'", (int)strcspn(*strings, "\n"), *strings);
        fputc('\n', stderr);
    }
    check(holds, file, number, "the child says one line with what is expected, and aborts");
    return line;
}

/* The strings, at least one, follow `arg`. */
#define EXPECT_ABORT(f, arg, ...) \
    expect_abort(__FILE__, __LINE__, f, arg, (const char *const[]){__VA_ARGS__, NULL})

#endif
