/* The harness of the C tests: how does a program check something, and how does it expect an abort?
 *
 * A program prints `ok <number of checks>` and returns 0, or says which check failed, for which row
 * of its table, and exits with 1. Include this before anything else: it asks for the GNU interfaces
 * of the C library. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <cmempool.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static atomic_long check_count;
static char check_row[256];

/* Says which row of a table the checks that follow are about. */
static inline __attribute__((format(printf, 1, 2))) void row(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check_row, sizeof check_row, format, arguments);
    va_end(arguments);
}

static inline void check(bool holds, const char *file, int line, const char *condition)
{
    atomic_fetch_add_explicit(&check_count, 1, memory_order_relaxed);
    if (!holds) {
        fprintf(stderr, "%s:%d: failed: %s [%s]\n", file, line, condition, check_row);
        exit(1);
    }
}

#define CHECK(condition) check((condition) ? true : false, __FILE__, __LINE__, #condition)

/* The call gives 0 or NULL and sets errno to exactly `code`. */
#define CHECK_FAILS(call, code)                                                        \
    do {                                                                               \
        errno = 0;                                                                     \
        check((call) ? false : true, __FILE__, __LINE__, #call " fails");              \
        int errno_now_ = errno;                                                        \
        check(errno_now_ == (code), __FILE__, __LINE__, "errno after " #call);         \
    } while (0)

static inline int done(void)
{
    printf("ok %ld\n", atomic_load(&check_count));
    return 0;
}

/* Whether the program runs under valgrind, as whoever started it says: then it does less. */
static inline bool under_valgrind(void)
{
    return getenv("CMEMPOOL_TEST_VALGRIND") != NULL;
}

/* Whether children of fork can start threads. ThreadSanitizer has a thread that is gone in the way of a
 * new one in its place. */
#ifdef __SANITIZE_THREAD__
enum { CHILDREN_START_THREADS = 0 };
#else
enum { CHILDREN_START_THREADS = 1 };
#endif

static inline size_t scaled(size_t usual, size_t with_valgrind)
{
    return under_valgrind() ? with_valgrind : usual;
}

/* The same pointer, of which the compiler knows nothing: the header's attributes would let it take
 * an alignment for granted, or warn of what is done on purpose. */
static inline void *hide(const void *pointer)
{
    const void *volatile hidden = pointer;
    return (void *)hidden;
}

static inline size_t hide_size(size_t size)
{
    volatile size_t hidden = size;
    return hidden;
}

static inline uintptr_t address(const void *pointer)
{
    return (uintptr_t)hide(pointer);
}

static inline bool aligned(const void *pointer, size_t alignment)
{
    return address(pointer) % alignment == 0;
}

static inline size_t round_up(size_t size, size_t multiple)
{
    return (size + multiple - 1) / multiple * multiple;
}

/* Bytes from an entry to the next, as the header tells. */
static inline size_t slot_size(size_t elem_size, size_t alignment)
{
    return round_up(elem_size + 8, alignment < 16 ? 16 : alignment);
}

/* Whether all `size` bytes have the value. */
static inline bool all_bytes(const void *memory, unsigned char value, size_t size)
{
    const unsigned char *bytes = hide(memory);
    return size == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* A generator with a fixed start: a failure comes back. */
static inline size_t random_below(uint64_t *state, size_t limit)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*state >> 33) % limit;
}

static inline void shuffle(size_t *numbers, size_t count, uint64_t *state)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(state, i), number = numbers[i - 1];
        numbers[i - 1] = numbers[j];
        numbers[j] = number;
    }
}

static inline int compare_addresses(const void *left, const void *right)
{
    uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;
    return (a > b) - (a < b);
}

/* The smallest distance between any two of the entries. */
static inline size_t smallest_distance(void *const *entries, size_t count)
{
    size_t smallest = SIZE_MAX;
    uintptr_t *sorted = malloc(count * sizeof *sorted);
    CHECK(sorted != NULL);
    for (size_t i = 0; i < count; i++)
        sorted[i] = address(entries[i]);
    qsort(sorted, count, sizeof *sorted, compare_addresses);
    for (size_t i = 1; i < count; i++)
        if (sorted[i] - sorted[i - 1] < smallest)
            smallest = sorted[i] - sorted[i - 1];
    free(sorted);
    return smallest;
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
        prctl(PR_SET_DUMPABLE, 0); /* the limit does not hold where a program takes the cores */
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
    return text;
}

/* Whether a child died of SIGABRT after one line that starts with "cmempool: " and contains every
 * one of the strings; the last of these is followed by NULL. */
static inline bool aborted(int status, const char *line, const char *const *strings)
{
    const char *end = strchr(line, '\n');
    bool holds = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && end != NULL &&
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
    if (!aborted(status, line, strings))
        line = run_in_child(f, arg, &status);
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

/* Has the kernel answer membarrier from now on as one that does not know it. False if that can't be
 * had, as under valgrind, which hands out and checks calls itself and knows no filters. */
static inline bool refuse_membarrier(void)
{
    /* The number alone: nothing in here makes calls of another architecture. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {LENGTH(filter), filter};
    if (under_valgrind() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return false;
    /* MEMBARRIER_CMD_QUERY, which old systems' headers don't have. */
    CHECK_FAILS(syscall(SYS_membarrier, 0, 0, 0) >= 0, ENOSYS);
    return true;
}

/* The strings, at least one, follow `arg`. */
#define EXPECT_ABORT(f, arg, ...) \
    expect_abort(__FILE__, __LINE__, f, arg, (const char *const[]){__VA_ARGS__, NULL})

#endif
