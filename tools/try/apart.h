/* How does a block from libc's heap say that it is no entry?
 *
 *     [ .. | alignment | size | base | mark | payload ]
 *
 * The mark is where an entry has the pool's word. It is made of the address and a random key: an entry's
 * word, or whatever lies in front of another pointer, is the same with a chance of 2^-64 (2^-32 where
 * addresses have 32 bits). */
#ifndef CMEMPOOL_TRY_APART_H
#define CMEMPOOL_TRY_APART_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/random.h>

/* libc's own, by names that nothing replaces. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

/* The alignment of any block. */
enum { APART_PLAIN = 16 };

struct apart {
    size_t alignment;
    size_t size;
    void *base;
    uintptr_t mark;
};

_Static_assert(sizeof(struct apart) % APART_PLAIN == 0, "keeps the alignment");

/* A mark wherever a foreign pointer may point. */
typedef uintptr_t __attribute__((aligned(1), may_alias)) apart_any_mark;

static uintptr_t apart_key; /* 0 before the first block */

static inline struct apart *apart_of(const void *memory)
{
    uintptr_t address = (uintptr_t)memory - sizeof(struct apart);
    __asm__("" : "+r"(address)); /* the compiler may not know what lies there */
    return (struct apart *)address;
}

static inline uintptr_t apart_mark(const void *memory)
{
    const uintptr_t key = __atomic_load_n(&apart_key, __ATOMIC_RELAXED);
    return ((uintptr_t)memory ^ key) * (uintptr_t)0x9e3779b97f4a7c15;
}

static inline bool apart_is(const void *memory)
{
    return *(const apart_any_mark *)&apart_of(memory)->mark == apart_mark(memory);
}

static inline size_t apart_size(const void *memory)
{
    return apart_of(memory)->size;
}

static inline size_t apart_alignment(const void *memory)
{
    return apart_of(memory)->alignment;
}

static inline void apart_make_key(void)
{
    uintptr_t key, none = 0;
    if (getrandom(&key, sizeof key, GRND_NONBLOCK) != sizeof key || key == 0)
        key = (uintptr_t)&key;
    /* Another thread's, if that was first. */
    __atomic_compare_exchange_n(&apart_key, &none, key, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* `alignment` is a power of two of at least APART_PLAIN. */
static void *apart_take(size_t size, size_t alignment, bool zero)
{
    if (__atomic_load_n(&apart_key, __ATOMIC_RELAXED) == 0)
        apart_make_key();
    const size_t lead = alignment > sizeof(struct apart) ? alignment : sizeof(struct apart);
    size_t bytes;
    if (__builtin_add_overflow(size, lead, &bytes) || bytes > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    char *base = zero                       ? __libc_calloc(1, bytes)
                 : alignment == APART_PLAIN ? __libc_malloc(bytes)
                                            : __libc_memalign(alignment, bytes);
    if (!base)
        return NULL;
    void *memory = base + lead;
    *apart_of(memory) = (struct apart){alignment, size, base, apart_mark(memory)};
    return memory;
}

static void apart_give(void *memory)
{
    struct apart *apart = apart_of(memory);
    /* Volatile, or the compiler would leave out a store to what is freed. */
    *(volatile uintptr_t *)&apart->mark = 0;
    __libc_free(apart->base);
}

#endif
