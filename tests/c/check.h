/* The harness of the C tests: how does a program check something?
 *
 * A program prints `ok <number of checks>` and returns 0, or says which check failed, for which row
 * of its table, and exits with 1. C11 and the library, no more, so that it builds on any system; for the
 * rest of what a test may need there are, each of which includes this:
 *
 *   check_threads.h  threads, mutexes, barriers, clocks           any system
 *   check_child.h    processes that are expected to abort         any system
 *   check_memory.h   pages of memory, the use of the heap         any system
 *   check_posix.h    fork                                         POSIX
 *   check_linux.h    filters of system calls                      Linux
 *
 * Include them before anything else: this asks for the GNU interfaces of the C library. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <cmempool.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <process.h>
#endif

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Sizes have 64 bits, or 32. */
#if SIZE_MAX > UINT32_MAX
#define WIDE 1
#else
#define WIDE 0
#endif

/* A size of one bit: by its number, or counted from the highest, which is 1. */
#define BIT(n) ((size_t)1 << (n))
#define TOP(n) BIT((WIDE ? 64 : 32) - (n))
/* Half of the bits of a size. */
#define HALF (WIDE ? 32 : 16)
/* So many entries of so many bytes fit no address space, and the bytes of all fit a size. */
#define TOO_MANY BIT(WIDE ? 20 : 11)
#define TOO_LARGE (WIDE ? BIT(30) : BIT(21) - 64)

/* A function that takes what printf does: the string is argument number `string`. */
#if defined(__MINGW32__)
#define PRINTS(string, first) __attribute__((format(gnu_printf, string, first)))
#else
#define PRINTS(string, first) __attribute__((format(printf, string, first)))
#endif

static atomic_long check_count;
static char check_row[256];
/* See check_child.h: a program that was started again has not come to its case yet. */
static bool check_passing_by;

/* Says which row of a table the checks that follow are about. */
static inline PRINTS(1, 2) void row(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check_row, sizeof check_row, format, arguments);
    va_end(arguments);
}

static inline void check(bool holds, const char *file, int line, const char *condition)
{
    atomic_fetch_add_explicit(&check_count, 1, memory_order_relaxed);
    if (!holds && !check_passing_by) {
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

/* Whether the program runs under valgrind, as whoever started it says: then it does less, and some
 * of it not at all. */
static inline bool under_valgrind(void)
{
    return getenv("CMEMPOOL_TEST_VALGRIND") != NULL;
}

/* Where the library keeps the last small blocks that it gave back, as with musl: has it keep as many as it
 * ever will, so that from now on one goes for each that comes. */
static inline void fill_what_is_kept(void)
{
#if defined(__linux__) && !defined(__GLIBC__)
    for (int i = 0; i < 16; i++) {
        mempool *mp = mempool_create(1, 8, false);
        CHECK(mp != NULL);
        mempool_destroy(mp);
    }
#endif
}

/* Whether it is to be brief, as under an emulator: it does less of all that is done many times. */
static inline bool is_brief(void)
{
    return under_valgrind() || getenv("CMEMPOOL_TEST_BRIEF") != NULL;
}

static inline size_t scaled(size_t usual, size_t brief)
{
    return is_brief() ? brief : usual;
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

/* A stream that nobody reads. */
static inline FILE *null_stream(void)
{
#ifdef _WIN32
    FILE *stream = fopen("NUL", "w");
#else
    FILE *stream = fopen("/dev/null", "w");
#endif
    CHECK(stream != NULL);
    return stream;
}

/* A file that is gone when it is closed. Windows' own function gives two processes the same. */
static inline FILE *temporary_file(void)
{
#ifdef _WIN32
    static int number;
    char name[300];
    const char *folder = getenv("TEMP");
    snprintf(name, sizeof name, "%s\\cmempool-%d-%d.tmp", folder != NULL ? folder : ".", _getpid(), number++);
    return fopen(name, "w+bTD");
#else
    return tmpfile();
#endif
}

/* A stream of which one reads what was written. A file, as streams into memory are not to be had
 * everywhere; it goes when it is closed. */
static inline FILE *new_stream(void)
{
    FILE *stream = temporary_file();
    CHECK(stream != NULL);
    return stream;
}

/* Closes the stream, and gives what was written to it in `size` bytes at `text`, the last a zero. */
static inline void close_stream(FILE *stream, char *text, size_t size)
{
    CHECK(fflush(stream) == 0 && !ferror(stream));
    rewind(stream);
    size_t length = fread(text, 1, size - 1, stream);
    CHECK(!ferror(stream));
    text[length] = '\0';
    CHECK(fgetc(stream) == EOF); /* all of it fits */
    CHECK(fclose(stream) == 0);
}

#endif
