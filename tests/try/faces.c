/* Does a program get from the malloc of cmempool-try what it gets from the GNU C library's?
 *
 * Prints the same on both. Built as an ordinary program that knows nothing of pools; `tests/try.sh` runs it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            printf("line %d: not so: %s\n", __LINE__, #what); \
            fflush(stdout); \
            _exit(1); \
        } \
    } while (0)

/* The compiler is to make each call, and know nothing of its result. */
static void *hidden(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer)::"memory");
    return pointer;
}

static size_t hidden_size(size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return size;
}

static bool aligned(const void *pointer, size_t alignment)
{
    return (uintptr_t)pointer % alignment == 0;
}

/* ---- Early and late ------------------------------------------------------------------------- */

static void *early, *late;

__attribute__((constructor(101))) static void begin(void)
{
    early = hidden(malloc(100));
    memset(early, 1, 100);
}

__attribute__((destructor)) static void end(void)
{
    free(late);
    free(hidden(malloc(50)));
}

static void at_exit(void)
{
    free(early);
    late = hidden(malloc(3000));
    memset(late, 2, 3000);
}

/* ---- Sizes and alignments ------------------------------------------------------------------- */

static const size_t sizes[] = {0,    1,    8,     9,     24,     25,     100,     504,     505,     1000,
                               2040, 2041, 4096,  65536, 69624,  69625,  131072,  524280,  524281,  600000,
                               1 << 21, 10 << 20};

static void each_size(void)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t size = hidden_size(sizes[i]);
        unsigned char *block = hidden(malloc(size)), *zeros = hidden(calloc(size ? size : 1, 1));
        CHECK(block && zeros && block != zeros && aligned(block, 16) && aligned(zeros, 16));
        for (size_t b = 0; b < size; b++)
            CHECK(zeros[b] == 0);
        const size_t usable = malloc_usable_size(block);
        CHECK(usable >= size);
        memset(block, 7, usable); /* all of it is ours */
        for (size_t other = 0; other < sizeof sizes / sizeof *sizes; other++) {
            const size_t had = malloc_usable_size(block), now = sizes[other] ? sizes[other] : 1;
            memset(block, (int)other, had);
            block = hidden(realloc(block, hidden_size(now)));
            CHECK(block && aligned(block, 16) && malloc_usable_size(block) >= now);
            for (size_t b = 0; b < had && b < now; b++)
                CHECK(block[b] == other);
        }
        free(block);
        free(zeros);
    }
    CHECK(malloc_usable_size(NULL) == 0);
    CHECK(hidden(realloc(hidden(malloc(10)), hidden_size(0))) == NULL);
    free(hidden(realloc(NULL, 10)));
    free(NULL);
}

static void each_alignment(void)
{
    for (size_t alignment = sizeof(void *); alignment <= 1 << 16; alignment *= 2)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            void *block = NULL;
            CHECK(posix_memalign(&block, alignment, sizes[i]) == 0 && aligned(block, alignment));
            CHECK(malloc_usable_size(block) >= sizes[i]);
            memset(block, 3, sizes[i]);
            block = hidden(realloc(block, sizes[i] + 1000));
            for (size_t b = 0; b < sizes[i]; b++)
                CHECK(((char *)block)[b] == 3);
            void *other = hidden(aligned_alloc(alignment, sizes[i])), *more = hidden(memalign(alignment, sizes[i]));
            CHECK(aligned(other, alignment) && aligned(more, alignment));
            free(block);
            free(other);
            free(more);
        }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *pages = hidden(valloc(10)), *whole = hidden(pvalloc(page + 1));
    CHECK(aligned(pages, page) && aligned(whole, page) && malloc_usable_size(whole) >= 2 * page);
    free(pages);
    free(whole);
    void *odd = hidden(memalign(48, 100)); /* rounded up */
    CHECK(aligned(odd, 64));
    free(odd);
}

static void what_is_refused(void)
{
    errno = 0;
    CHECK(hidden(malloc(hidden_size(PTRDIFF_MAX))) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(hidden(malloc(hidden_size(SIZE_MAX))) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(hidden(calloc(hidden_size(SIZE_MAX / 2), 3)) == NULL && errno == ENOMEM);
    char *block = hidden(malloc(20));
    strcpy(block, "as it was");
    errno = 0;
    CHECK(reallocarray(hidden(block), hidden_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(realloc(hidden(block), hidden_size(PTRDIFF_MAX)) == NULL && errno == ENOMEM);
    block = reallocarray(hidden(block), 30, 100);
    CHECK(strcmp(block, "as it was") == 0);
    errno = 77; /* which free leaves alone */
    free(block);
    CHECK(errno == 77);
    void *untouched = &untouched;
    CHECK(posix_memalign(&untouched, 24, 8) == EINVAL && posix_memalign(&untouched, 2, 8) == EINVAL);
    CHECK(posix_memalign(&untouched, 64, hidden_size(SIZE_MAX - 10)) == ENOMEM && untouched == &untouched);
    errno = 0;
    CHECK(hidden(memalign(hidden_size(SIZE_MAX / 2 + 2), 8)) == NULL && errno == EINVAL);
    CHECK(hidden(pvalloc(hidden_size(SIZE_MAX))) == NULL && errno == ENOMEM);
}

/* ---- Many ----------------------------------------------------------------------------------- */

static void million(void)
{
    enum { COUNT = 1000000 };
    uint32_t **blocks = hidden(malloc(COUNT * sizeof *blocks));
    for (uint32_t i = 0; i < COUNT; i++) {
        blocks[i] = hidden(malloc(4 + i % 60));
        CHECK(blocks[i]);
        *blocks[i] = i;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t at = (uint32_t)((uint64_t)i * 7919 % COUNT);
        CHECK(*blocks[at] == at);
        free(blocks[at]);
    }
    free(blocks);
}

static pthread_key_t key;

static void thread_ends(void *block)
{
    free(block);
    free(hidden(malloc(77)));
}

/* Blocks go from thread to thread. */
static void *slots[256];

static void *exchange(void *seed)
{
    uint32_t random = (uint32_t)(uintptr_t)seed * 2654435761u + 1;
    pthread_setspecific(key, hidden(malloc(33)));
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        const size_t size = 1 + (random >> 8) % (random % 64 == 0 ? 9000 : 400);
        unsigned char *block = hidden(malloc(size));
        memset(block, (int)(size & 255), size < 16 ? size : 16);
        unsigned char *other = __atomic_exchange_n(&slots[random % 256], block, __ATOMIC_ACQ_REL);
        if (other && random % 3 == 0)
            other = hidden(realloc(other, 1 + size / 2 + (random & 31)));
        free(other);
    }
    return NULL;
}

static void many_threads(void)
{
    pthread_key_create(&key, thread_ends);
    for (int round = 0; round < 2; round++) {
        pthread_t threads[6];
        for (size_t i = 0; i < 6; i++)
            CHECK(pthread_create(&threads[i], NULL, exchange, (void *)(i + 1)) == 0);
        /* Children of a process whose threads are inside of malloc. */
        for (int child = 0; child < 10; child++) {
            const pid_t pid = fork();
            CHECK(pid >= 0);
            if (pid == 0) {
                for (size_t i = 1; i < 3000; i++)
                    free(hidden(malloc(i)));
                if (child % 2)
                    _exit(0);
                exit(0);
            }
            int status;
            CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        }
        for (size_t i = 0; i < 6; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (size_t i = 0; i < 256; i++)
        free(slots[i]);
}

/* Another image of the same process, and one of a child. */
static void becomes(char **arguments)
{
    if (arguments[1] && strcmp(arguments[1], "again") == 0)
        return;
    const pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", arguments[0], "again", "closed", (char *)NULL);
        _exit(99);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int count, char **arguments)
{
    if (count > 2) {
        /* With nowhere to complain. */
        close(STDERR_FILENO);
        fclose(stdin);
    }
    atexit(at_exit);
    each_size();
    each_alignment();
    what_is_refused();
    if (count < 3) {
        million();
        many_threads();
    }
    becomes(arguments);
    char *line = NULL;
    CHECK(asprintf(&line, "%s and %d", "libc's own calls", 3) > 0);
    CHECK(strcmp(line, "libc's own calls and 3") == 0);
    free(line);
    puts("ok");
    return 0;
}
