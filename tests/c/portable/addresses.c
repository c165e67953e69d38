/* Does create refuse memory whose addresses a pool can't store, without touching it?
 *
 * A word has room for an address below 2^48. Memory beyond, or behind a pointer with a tag in its top
 * byte (MTE, HWASan), is no memory for a pool. Most addresses here are nobody's: whoever touches
 * one ends in a fault. */
#include "../check.h"

/* Where there are no such addresses, memory ends with the last that there is; as a number, that is 0. */
#if UINTPTR_MAX > UINT32_MAX
#define END ((uintptr_t)1 << 48)
#define TAG ((uintptr_t)0x2A << 56)
#else
#define END ((uintptr_t)0)
#endif

static void *pointer(uintptr_t address_of_it)
{
    return hide((void *)address_of_it);
}

static mempool_options ordinary(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 20;
    options.elem_size = 40;
    return options;
}

static r_mempool_options ranged(void)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 64;
    options.smallest_count = 8;
    return options;
}

/* ---- Buffers ---- */

enum { BYTES = 16384 };

static unsigned char arena[BYTES] __attribute__((aligned(4096)));

static void refuse_buffer(void *buffer, size_t bytes, uint64_t flags)
{
    mempool_options options = ordinary();
    options.buffer = buffer;
    options.buffer_size = bytes;
    options.flags = flags;
    CHECK_FAILS(mempool_create_with(&options), EINVAL);
    r_mempool_options r_options = ranged();
    r_options.buffer = buffer;
    r_options.buffer_size = bytes;
    r_options.flags = flags;
    CHECK_FAILS(r_mempool_create_with(&r_options), EINVAL);
}

static void buffers(void)
{
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_NO_PREFAULT,
                                     MEMPOOL_HARDENED, MEMPOOL_LOCKED};
    const struct {
        const char *name;
        uintptr_t start;
        size_t bytes;
    } table[] = {
#if UINTPTR_MAX > UINT32_MAX
        {"from 2^48", END, BYTES},
        {"above 2^48", END + 4096, BYTES},
        {"one byte beyond 2^48", END - BYTES + 16, BYTES - 15},
        {"across 2^48", END - 4096, BYTES},
        {"in the upper half", ~(uintptr_t)0 - 2 * BYTES + 1, BYTES},
        {"to the last byte", ~(uintptr_t)0 - BYTES + 1, BYTES},
        {"tagged", address(arena) | TAG, BYTES},
        {"tagged in the lowest bit", address(arena) | END, BYTES},
#endif
        {"beyond the last byte", ~(uintptr_t)0 - BYTES + 17, BYTES},
        {"of more bytes than there are", address(arena), SIZE_MAX},
        {"of bytes up to 2^48 and one more", address(arena), END - address(arena) + 1},
    };
    memset(arena, 0xA5, sizeof arena);
    for (size_t i = 0; i < LENGTH(table); i++) {
        for (size_t f = 0; f < LENGTH(flags); f++) {
            row("a buffer %s, flags %d", table[i].name, (int)flags[f]);
            refuse_buffer(pointer(table[i].start), table[i].bytes, flags[f]);
        }
        for (int single = 0; single < 2; single++) {
            void *buffer = pointer(table[i].start);
            row("a preallocated buffer %s", table[i].name);
            /* An entry count that can't be counted is named first. */
            if (table[i].bytes <= BYTES)
                CHECK_FAILS(mempool_create_from_preallocated_buffer(buffer, table[i].bytes, 40,
                                                                    false, single != 0),
                            EINVAL);
            CHECK_FAILS(r_mempool_create_from_preallocated_buffer(
                            buffer, table[i].bytes, 4, 6, 3, fallback_disabled, single != 0),
                        EINVAL);
        }
    }
    row("what is refused writes nothing");
    CHECK(all_bytes(arena, 0xA5, sizeof arena));

#if UINTPTR_MAX > UINT32_MAX
    row("bytes up to 2^48");
    mempool_options options = ordinary();
    options.buffer = arena;
    options.buffer_size = END - address(arena);
    options.flags = MEMPOOL_NO_PREFAULT;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL && mempool_alloc_entry(mp) != NULL);
    mempool_destroy(mp);
#endif
}

/* ---- Backings ---- */

struct source {
    uintptr_t start;
    size_t given, taken_back, size;
};

static void *give(size_t size, size_t alignment, void *context)
{
    struct source *source = context;
    (void)alignment;
    source->given++;
    source->size = size;
    return pointer(source->start);
}

static void take_back(void *memory, size_t size, void *context)
{
    struct source *source = context;
    CHECK(address(memory) == source->start && size == source->size);
    source->taken_back++;
}

static void backings(void)
{
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_NO_PREFAULT,
                                     MEMPOOL_HARDENED, MEMPOOL_LOCKED};
    const struct {
        const char *name;
        uintptr_t start;
    } table[] = {
#if UINTPTR_MAX > UINT32_MAX
        {"from 2^48", END},
        {"above 2^48", END + 4096},
        {"in the upper half", ~(uintptr_t)0 - 2 * BYTES + 1},
        {"tagged", address(arena) | TAG},
        {"tagged in the lowest bit", address(arena) | END},
#endif
        {"one byte beyond 2^48", 0}, /* by the size that is asked for */
        {"beyond the last byte", ~(uintptr_t)0 - 15},
    };
    for (size_t i = 0; i < LENGTH(table); i++)
        for (size_t f = 0; f < LENGTH(flags); f++) {
            row("a backing that gives memory %s, flags %d", table[i].name, (int)flags[f]);
            struct source source = {table[i].start, 0, 0, 0};
            mempool_options options = ordinary();
            r_mempool_options r_options = ranged();
            mempool_backing backing = MEMPOOL_BACKING_INIT;
            backing.alloc = give;
            backing.free = take_back;
            backing.context = &source;
            options.backing = r_options.backing = &backing;
            options.flags = r_options.flags = flags[f];
            if (table[i].start == 0)
                source.start = END - round_up(mempool_buffer_size(&options), 16) + 16;
            CHECK_FAILS(mempool_create_with(&options), EINVAL);
            CHECK(source.given == 1 && source.taken_back == 1);
            if (table[i].start == 0)
                source.start = END - round_up(r_mempool_buffer_size(&r_options), 16) + 16;
            CHECK_FAILS(r_mempool_create_with(&r_options), EINVAL);
            CHECK(source.given == 2 && source.taken_back == 2);
        }
}

int main(void)
{
    buffers();
    backings();
    return done();
}
