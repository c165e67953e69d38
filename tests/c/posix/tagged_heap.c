/* What if the heap gives tagged pointers, which a pool can't store?
 *
 * The program has functions of its own in the place of the heap's. A pool that would lie there takes other
 * memory. */
#include "../check_posix.h"

#include <dlfcn.h>

#if UINTPTR_MAX > UINT32_MAX
#define END ((uintptr_t)1 << 48)
#define TAG ((uintptr_t)0x2A << 56)
#endif

/* Tools have a heap of their own, and pointers of 32 bits no room for a tag. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(TAG)

static void *pointer(uintptr_t address_of_it)
{
    return hide((void *)address_of_it);
}

/* A heap as HWASan's: of tagged pointers, while `tagging`. */
static bool tagging;
static size_t tagged, untagged;

int posix_memalign(void **result, size_t alignment, size_t size)
{
    void *memory = aligned_alloc(alignment, round_up(size, alignment));
    if (memory == NULL)
        return ENOMEM;
    if (tagging) {
        memory = pointer(address(memory) | TAG);
        tagged++;
    }
    *result = memory;
    return 0;
}

void free(void *memory)
{
    static void (*real)(void *);
    static bool looking_up;
    if (real == NULL && !looking_up) {
        looking_up = true;
        void *found = dlsym(RTLD_NEXT, "free");
        memcpy(&real, &found, sizeof found);
    }
    if (address(memory) >= END) {
        memory = pointer(address(memory) & ~TAG);
        untagged++;
    }
    if (real != NULL)
        real(memory);
}

static void heap(void)
{
    if (under_valgrind())
        return;
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_NO_PREFAULT};
    for (size_t f = 0; f < LENGTH(flags); f++) {
        row("a heap of tagged pointers, flags %d", (int)flags[f]);
        mempool_options options = MEMPOOL_OPTIONS_INIT;
        options.elem_count = 20;
        options.elem_size = 40;
        options.flags = flags[f];
        tagged = untagged = 0;
        tagging = true;
        mempool *mp = mempool_create_with(&options);
        tagging = false;
        CHECK(mp != NULL && address(mp) < END);
        CHECK(tagged == 1 && untagged == 1); /* it was asked, and got that back */
        for (int round = 0; round < 2; round++) {
            void *entries[20];
            for (size_t i = 0; i < LENGTH(entries); i++) {
                entries[i] = mempool_alloc_entry(mp);
                CHECK(entries[i] != NULL);
                memset(entries[i], 0x5A, 40);
            }
            CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
            for (size_t i = 0; i < LENGTH(entries); i++)
                (mempool_free_entry)(entries[i]);
        }
        mempool_destroy(mp);
        CHECK(tagged == 1 && untagged == 1);
    }
}

#else
static void heap(void) {}
#endif

int main(void)
{
    heap();
    return done();
}
