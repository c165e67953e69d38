/* What if the system or the heap refuses something, at whichever call?
 *
 * The calls that the library makes to libc end here: a symbol of the program's comes before libc's.
 * They are counted, and one is refused: the first, the second, up to the last, of each kind, once
 * or from there on. Then a create returns NULL with ENOMEM and keeps nothing, or what it makes
 * works; an alloc that would fall back returns NULL and changes nothing; what is held stays as it
 * is; and the same calls without a refusal do all that they should. Each case is a process of its
 * own, in which what happens once per process happens for the first time.
 *
 * The shared library's relocations say what it calls: a call that is not decided upon here, or that
 * no plan below comes to, is a failure. */
#include "../check_child.h"
#include "../check_linux.h"

#include <dlfcn.h>
#include <elf.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Known to the library, not to the headers of old systems. */
enum { POPULATE_WRITE = 23, MEMBARRIER_PRIVATE_EXPEDITED = 8 };
/* Of a flag that says how large a huge page is to be. */
#define HUGE_SIZE_BITS (0x3fu << 26)

/* ---- What can be refused, and how ---- */

/* What pthread_atfork is for the linker: in the GNU C library, a function that calls another one. */
#ifdef __GLIBC__
#define ATFORK_SYMBOL "__register_atfork"
#else
#define ATFORK_SYMBOL "pthread_atfork"
#endif

enum kind {
    MMAP, MUNMAP, MADVISE, MPROTECT, MLOCK, MUNLOCK, BACKING, MEMALIGN, GETRANDOM, GETAUXVAL, SYSCONF, MEMBARRIER, FUTEX,
    KEY_CREATE, SETSPECIFIC, ATFORK, WRITE, KINDS
};

/* Not an errno: less than was asked for. */
enum { SHORT = 10000, MOST_ERRORS = 4 };

/* The function's name for the linker, and what it may be refused with. A sleep on a futex can end
 * early, a wake-up can't fail. */
static const struct {
    const char *symbol, *name;
    int errors[MOST_ERRORS];
} kinds[KINDS] = {
    [MMAP] = {"mmap", "mmap", {ENOMEM, EPERM}},
    [MUNMAP] = {"munmap", "munmap", {ENOMEM}},
    [MADVISE] = {"madvise", "madvise", {EINVAL, ENOSYS, ENOMEM, EAGAIN}},
    [MPROTECT] = {"mprotect", "mprotect", {ENOMEM}},
    [MLOCK] = {"mlock", "mlock", {ENOMEM, EPERM, EAGAIN}},
    [MUNLOCK] = {"munlock", "munlock", {ENOMEM}},
    [BACKING] = {NULL, "a backing's alloc", {ENOMEM}},
    [MEMALIGN] = {"posix_memalign", "posix_memalign", {ENOMEM}},
    [GETRANDOM] = {"syscall", "getrandom", {ENOSYS, EAGAIN, EINTR, SHORT}},
    [GETAUXVAL] = {"getauxval", "getauxval", {ENOENT}},
    [SYSCONF] = {"sysconf", "sysconf", {EINVAL}},
    [MEMBARRIER] = {"syscall", "membarrier", {ENOSYS, EPERM}},
    [FUTEX] = {"syscall", "futex (wait)", {EINTR, EAGAIN}},
    [KEY_CREATE] = {"pthread_key_create", "pthread_key_create", {EAGAIN, ENOMEM}},
    [SETSPECIFIC] = {"pthread_setspecific", "pthread_setspecific", {ENOMEM}},
    [ATFORK] = {ATFORK_SYMBOL, "pthread_atfork", {ENOMEM}},
    [WRITE] = {"syscall", "write", {EBADF, EINTR, SHORT}},
};

/* What can't fail, or not in a way that anyone could tell. (A dump's errors stay with the caller's
 * FILE.) */
static const char *const infallible[] = {
    "__cxa_finalize", "__errno_location", "abort", "bcmp", "clock_gettime", "free", "memcpy", "memmove",
    "memset", "strlen",
    /* Of the compiler's own functions. */
    "__getauxval", "raise",
    "pthread_key_delete", "pthread_mutex_consistent", "pthread_mutex_init",
    "pthread_mutex_trylock", "pthread_mutex_unlock", "pthread_mutexattr_destroy", "pthread_mutexattr_init",
    "pthread_mutexattr_setrobust", "pthread_self", "pthread_setcancelstate", "secure_getenv",
    "__asan_poison_memory_region",
    "__asan_unpoison_memory_region", "__lsan_register_root_region",
    "__lsan_unregister_root_region",
    /* At load: if they fail, all is well until a module that holds the library is closed. */
    "dladdr1", "dlsym",
    /* Of reports: a stream that fails is its owner's to find. */
    "fwrite",
};

/* Refuses call `nth` of a kind, and those after it if `onwards`. */
struct fault {
    enum kind kind;
    long nth; /* 0: none */
    int error;
    bool onwards;
};

/* What the parent sees of a child. */
static struct {
    atomic_long calls[KINDS], refused[KINDS];
    atomic_long unknown;    /* number of a system call without a kind */
    atomic_bool finished;
} *seen;

static struct fault fault;
static const int *absent;      /* per kind: the errno of every call, or 0 */
static atomic_long mapped;     /* bytes that the library mapped and did not unmap */
static atomic_long blocks;     /* blocks of the heap that it has */

/* Of those that it gave back, with musl it keeps so many for a while. */
#ifdef __GLIBC__
enum { KEPT = 0 };
#else
enum { KEPT = 16 };
#endif
static atomic_bool concurrent; /* other threads change these two */

/* Of the call into the library that the thread is in. */
static _Thread_local struct {
    bool inside;
    int fatal;    /* refusals that it must pass on to its caller */
    int doubtful; /* refusals that it may pass on */
    int error;    /* what the caller must find in errno, unless ENOMEM */
    long mapped, blocks;
} now;

static void *huge;             /* the last mapping of huge pages */
static char *locked;           /* what the library locked and did not unlock */
static size_t locked_length;

static bool recovering; /* nothing is refused or counted any more */
static bool meets;
static void meet(void);

static atomic_bool keys[PTHREAD_KEYS_MAX]; /* those that the library made */
static atomic_long values_set;             /* for them, since all is well again */

/* Counts a call. Returns what to refuse it with, or 0. */
static int refusal(enum kind kind)
{
    if (!now.inside || recovering)
        return 0;
    long number = atomic_fetch_add(&seen->calls[kind], 1) + 1;
    if (kind == fault.kind && fault.nth != 0 &&
        (number == fault.nth || (fault.onwards && number > fault.nth))) {
        atomic_fetch_add(&seen->refused[kind], 1);
        return fault.error;
    }
    return absent != NULL ? absent[kind] : 0;
}

static void find_next(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

/* libc's function in front of which this program's stands, as `next`. */
#define NEXT(result, name, ...)                 \
    static result (*next)(__VA_ARGS__);         \
    if (next == NULL)                           \
        find_next(&next, name)

void *mmap(void *at, size_t length, int protection, int flags, int file, off_t offset)
{
    NEXT(void *, "mmap", void *, size_t, int, int, int, off_t);
    int error = refusal(MMAP);
    bool of_huge = now.inside && (flags & MAP_HUGETLB) != 0;
    if (error != 0) {
        now.fatal += !of_huge;
        errno = error;
        return MAP_FAILED;
    }
    if (of_huge) /* as if the system had as many as anyone asks for */
        flags = (int)((unsigned)flags & ~(MAP_HUGETLB | HUGE_SIZE_BITS));
    void *result = next(at, length, protection, flags, file, offset);
    if (of_huge) {
        CHECK(length % (2 << 20) == 0);
        huge = result;
    }
    if (now.inside && result != MAP_FAILED)
        atomic_fetch_add(&mapped, (long)length);
    return result;
}

int munmap(void *at, size_t length)
{
    NEXT(int, "munmap", void *, size_t);
    int error = refusal(MUNMAP);
    /* Refused or not: it was asked for, and there is no more that one could do. */
    if (now.inside) {
        atomic_fetch_sub(&mapped, (long)length);
        CHECK(at != huge || length % (2 << 20) == 0);
        huge = at == huge ? NULL : huge;
        if (locked_length != 0 && locked >= (char *)at && locked < (char *)at + length)
            locked_length = 0;
    }
    if (error != 0) {
        errno = error;
        return -1;
    }
    return next(at, length);
}

int madvise(void *at, size_t length, int advice)
{
    NEXT(int, "madvise", void *, size_t, int);
    int error = refusal(MADVISE);
    if (error != 0) {
        /* Other advice is no more than that, and of this one an old kernel knows nothing. Instead of
         * huge pages, others will do. */
        now.fatal += at != huge && advice == POPULATE_WRITE && error != EINVAL && error != ENOSYS;
        errno = error;
        return -1;
    }
    return next(at, length, advice);
}

int mprotect(void *at, size_t length, int protection)
{
    NEXT(int, "mprotect", void *, size_t, int);
    int error = refusal(MPROTECT);
    if (error != 0) {
        now.doubtful++;
        errno = error;
        return -1;
    }
    return next(at, length, protection);
}

/* As if there were no limit. */
int mlock(const void *at, size_t length)
{
    int error = refusal(MLOCK);
    if (!now.inside)
        return 0;
    CHECK(locked_length == 0);
    /* Also when it fails: the kernel does not take back what it did up to there. */
    locked = (char *)at;
    locked_length = length;
    if (error != 0 && at != huge) {
        now.fatal++;
        now.error = error;
    }
    errno = error;
    return error != 0 ? -1 : 0;
}

int munlock(const void *at, size_t length)
{
    int error = refusal(MUNLOCK);
    CHECK(locked == at && locked_length == length);
    locked_length = 0;
    errno = error;
    return error != 0 ? -1 : 0;
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    NEXT(int, "posix_memalign", void **, size_t, size_t);
    int error = refusal(MEMALIGN);
    if (error != 0) {
        now.fatal++;
        return error; /* and no errno */
    }
    error = next(result, alignment, size);
    if (now.inside && error == 0) {
        atomic_fetch_add(&blocks, 1);
        memset(*result, 0xA5, size);
    }
    return error;
}

void free(void *block)
{
    NEXT(void, "free", void *);
    if (now.inside && block != NULL)
        atomic_fetch_sub(&blocks, 1);
    next(block);
}

/* By pointers: a compiler takes what it knows as the heap's functions not to look at `now`. */
static void *(*volatile heap_alloc)(size_t, size_t) = aligned_alloc;
static void (*volatile heap_free)(void *) = free;

static void *give_block(size_t size, size_t alignment, void *context)
{
    CHECK(context == &blocks && now.inside);
    if (refusal(BACKING) != 0) {
        now.fatal++;
        return NULL;
    }
    now.inside = false;
    void *block = heap_alloc(alignment, round_up(size, alignment));
    now.inside = true;
    CHECK(block != NULL);
    atomic_fetch_add(&blocks, 1);
    return memset(block, 0xA5, size);
}

static void take_block(void *block, size_t size, void *context)
{
    CHECK(context == &blocks && now.inside);
    atomic_fetch_sub(&blocks, 1);
    now.inside = false;
    memset(block, 0xA5, size);
    heap_free(block);
    now.inside = true;
}

static const mempool_backing backing = {sizeof backing, give_block, take_block, &blocks};

unsigned long getauxval(unsigned long type)
{
    NEXT(unsigned long, "getauxval", unsigned long);
    int error = refusal(GETAUXVAL);
    if (error != 0) {
        errno = error;
        return 0;
    }
    return next(type);
}

long sysconf(int name)
{
    NEXT(long, "sysconf", int);
    int error = refusal(SYSCONF);
    if (error != 0) {
        now.doubtful++;
        errno = error;
        return -1;
    }
    return next(name);
}

long syscall(long number, ...)
{
    NEXT(long, "syscall", long, ...);
    long with[6];
    va_list arguments;
    va_start(arguments, number);
    for (size_t i = 0; i < LENGTH(with); i++)
        with[i] = va_arg(arguments, long);
    va_end(arguments);
    int error = 0;
    int operation = (int)with[1] & FUTEX_CMD_MASK;
    if (number == SYS_membarrier)
        error = refusal(MEMBARRIER);
    else if (number == SYS_futex && operation == FUTEX_WAIT)
        error = refusal(FUTEX);
    else if (number == SYS_getrandom)
        error = refusal(GETRANDOM);
    else if (number == SYS_write)
        error = refusal(WRITE);
    else if (now.inside && !(number == SYS_futex && operation == FUTEX_WAKE))
        atomic_store(&seen->unknown, number);
    if (now.inside && meets && number == SYS_membarrier &&
        (int)with[0] == MEMBARRIER_PRIVATE_EXPEDITED)
        meet();
    if (error == SHORT) {
        long *length = &with[number == SYS_write ? 2 : 1];
        *length = (*length + 1) / 2;
    } else if (error != 0) {
        errno = error;
        return -1;
    }
    return next(number, with[0], with[1], with[2], with[3], with[4], with[5]);
}

static atomic_int arrived, keys_deleted;
static bool first_pools; /* two threads make one at once */

/* Waits for the other of two threads, or a second. */
static void arrive(void)
{
    int before = atomic_fetch_add(&arrived, 1);
    for (int i = 0; i < 10000 && atomic_load(&arrived) < before / 2 * 2 + 2; i++)
        usleep(100);
}

char *secure_getenv(const char *name)
{
    NEXT(char *, "secure_getenv", const char *);
    if (now.inside && first_pools)
        arrive();
    return next(name);
}

int pthread_key_delete(pthread_key_t key)
{
    NEXT(int, "pthread_key_delete", pthread_key_t);
    if (now.inside) {
        CHECK(atomic_exchange(&keys[key], false));
        atomic_fetch_add(&keys_deleted, 1);
    }
    return next(key);
}

/* Refused when the library is loaded, as the handlers of fork are below. */
int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    NEXT(int, "pthread_key_create", pthread_key_t *, void (*)(void *));
    int error = now.inside ? refusal(KEY_CREATE) : EAGAIN;
    if (now.inside && first_pools)
        arrive();
    if (error == 0)
        error = next(key, destructor);
    if (now.inside && error == 0)
        atomic_store(&keys[*key], true);
    return error;
}

int pthread_setspecific(pthread_key_t key, const void *value)
{
    NEXT(int, "pthread_setspecific", pthread_key_t, const void *);
    int error = refusal(SETSPECIFIC);
    if (now.inside) {
        CHECK(key < LENGTH(keys) && atomic_load(&keys[key]));
        atomic_fetch_add(&values_set, recovering);
    }
    return error != 0 ? error : next(key, value);
}

/* The library calls it when it is loaded; that is refused, so that a create has to try again in each of
 * the cases. */
static int refused_atfork(void)
{
    int error = now.inside ? refusal(ATFORK) : ENOMEM;
    now.fatal += error != 0;
    return error;
}

#ifdef __GLIBC__
int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
int __register_atfork(void (*before)(void), void (*parent)(void), void (*child)(void), void *object)
{
    NEXT(int, "__register_atfork", void (*)(void), void (*)(void), void (*)(void), void *);
    int error = refused_atfork();
    return error != 0 ? error : next(before, parent, child, object);
}
#else
int pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    NEXT(int, "pthread_atfork", void (*)(void), void (*)(void), void (*)(void));
    int error = refused_atfork();
    return error != 0 ? error : next(before, parent, child);
}
#endif

/* ---- Calls into the library ---- */

enum usually { NO, YES, EITHER };

static void enter(void)
{
    now.fatal = now.doubtful = now.error = 0;
    now.mapped = atomic_load(&mapped);
    now.blocks = atomic_load(&blocks);
    now.inside = true;
    errno = 0;
}

static void leave(void)
{
    now.inside = false;
}

/* Leaves a call that returns NULL when it fails. It did what the refusals in it ask for. */
static void *verdict(void *result, enum usually usually)
{
    int error = errno;
    leave();
    if (now.fatal > 0)
        CHECK(result == NULL);
    else if (now.doubtful == 0 && usually != EITHER)
        CHECK((result != NULL) == (usually == YES));
    if (result == NULL) {
        CHECK(error == (now.error != 0 ? now.error : ENOMEM));
        if (!atomic_load(&concurrent))
            CHECK(atomic_load(&mapped) == now.mapped && atomic_load(&blocks) - now.blocks <= KEPT);
    }
    return result;
}

static size_t number(size_t result)
{
    leave();
    return result;
}

#define TRY(call, usually) (enter(), verdict((call), (usually)))
#define COUNT(call) (enter(), number(call))
#define DO(call) (enter(), (call), leave())

/* ---- What is done with a pool ---- */

struct plan {
    const char *name;
    size_t count, size;           /* entries and their bytes; of a ranged pool's smallest class */
    size_t largest;               /* of a ranged pool of powers of two */
    const r_mempool_class *list;  /* or of one with a list */
    size_t list_length;
    r_memory_fallback_policy_t policy;
    uint64_t flags;
    size_t alignment;
    bool buffer;   /* in memory of the caller's */
    bool backed;   /* by functions of the caller's */
    bool threads;  /* others come and go first */
    bool meets;    /* one thread waits for the lock that another has in a shortage */
    bool misuse;   /* ends with a double free */
};

/* The last of a list has a page and more, the first alone would fit in one. */
static const r_mempool_class list[] = {{24, 6}, {100, 3}, {5000, 2}};
#define LISTED .size = 24, .list = list, .list_length = LENGTH(list)
#define EVERY_FLAG \
    (MEMPOOL_FALL_BACK | MEMPOOL_SINGLE_THREAD | MEMPOOL_NO_PREFAULT | MEMPOOL_ZERO_ON_FREE)

static const struct plan plans[] = {
    {"less than a page", .count = 4, .size = 16},
    {"less than a page, falls back", .count = 4, .size = 16, .flags = MEMPOOL_FALL_BACK},
    {"pages", .count = 1000, .size = 40},
    {"pages, falls back", .count = 1000, .size = 40, .flags = MEMPOOL_FALL_BACK},
    {"huge pages", .count = 20, .size = 130000},
    {"a single thread's", .count = 200, .size = 40, .flags = MEMPOOL_SINGLE_THREAD},
    {"not provided", .count = 200, .size = 40, .flags = MEMPOOL_NO_PREFAULT},
    {"huge pages, not provided", .count = 20, .size = 130000, .flags = MEMPOOL_NO_PREFAULT},
    {"zeroing", .count = 200, .size = 40, .flags = MEMPOOL_ZERO_ON_FREE},
    {"every flag", .count = 200, .size = 40, .flags = EVERY_FLAG},
    {"aligned, falls back", .count = 9, .size = 40, .flags = MEMPOOL_FALL_BACK, .alignment = 4096},
    {"in a buffer", .count = 200, .size = 40, .buffer = true},
    {"in a buffer, falls back", .count = 200, .size = 40, .flags = MEMPOOL_FALL_BACK,
     .buffer = true},
    {"ranged, less than a page", .count = 4, .size = 16, .largest = 32},
    {"ranged", .count = 128, .size = 16, .largest = 1024},
    {"ranged, heap first", .count = 8, .size = 16, .largest = 64,
     .policy = fallback_at_first_exhaustion},
    {"ranged, heap last", .count = 128, .size = 16, .largest = 1024,
     .policy = fallback_at_last_exhaustion},
    {"ranged, huge pages", .count = 16, .size = 65536, .largest = 131072,
     .policy = fallback_at_last_exhaustion},
    {"a list", LISTED},
    {"a list, heap first", LISTED, .policy = fallback_at_first_exhaustion},
    {"a list, heap last, every flag", LISTED, .policy = fallback_at_last_exhaustion,
     .flags = EVERY_FLAG & ~MEMPOOL_FALL_BACK, .alignment = 64},
    {"a list in a buffer, heap last", LISTED, .policy = fallback_at_last_exhaustion,
     .buffer = true},
    {"other threads", .count = 1000, .size = 40, .flags = MEMPOOL_FALL_BACK, .threads = true},
    {"two at once", .count = 200, .size = 40, .meets = true},
    {"hardened", .count = 100, .size = 40, .flags = MEMPOOL_HARDENED},
    {"huge pages kept ready", .count = 20, .size = 130000, .flags = MEMPOOL_HUGE_PAGES},
    {"huge pages kept ready, not provided, falls back", .count = 4, .size = 16,
     .flags = MEMPOOL_HUGE_PAGES | MEMPOOL_NO_PREFAULT | MEMPOOL_FALL_BACK},
    {"locked", .count = 4, .size = 16, .flags = MEMPOOL_LOCKED},
    {"locked, not provided", .count = 200, .size = 40,
     .flags = MEMPOOL_LOCKED | MEMPOOL_NO_PREFAULT},
    {"locked, hardened", .count = 100, .size = 40, .flags = MEMPOOL_LOCKED | MEMPOOL_HARDENED},
    {"locked huge pages", .count = 20, .size = 130000,
     .flags = MEMPOOL_LOCKED | MEMPOOL_HUGE_PAGES},
    {"locked, in a buffer", .count = 200, .size = 40, .flags = MEMPOOL_LOCKED, .buffer = true},
    {"locked, a list, heap last", LISTED, .policy = fallback_at_last_exhaustion,
     .flags = MEMPOOL_LOCKED},
    {"backed", .count = 200, .size = 40, .backed = true},
    {"backed, locked, falls back", .count = 9, .size = 40,
     .flags = MEMPOOL_LOCKED | MEMPOOL_FALL_BACK, .backed = true},
    {"backed, hardened, aligned, falls back", .count = 9, .size = 40, .alignment = 4096,
     .flags = MEMPOOL_HARDENED | MEMPOOL_FALL_BACK, .backed = true},
    {"backed, in a buffer, falls back", .count = 200, .size = 40, .flags = MEMPOOL_FALL_BACK,
     .buffer = true, .backed = true},
    {"backed, ranged, heap first", .count = 8, .size = 16, .largest = 64,
     .policy = fallback_at_first_exhaustion, .backed = true},
    {"backed, a list, heap last", LISTED, .policy = fallback_at_last_exhaustion, .backed = true},
    {"a double free", .count = 10, .size = 40, .misuse = true},
};

enum { MOST = 1100, BEYOND = 3, OF_A_THREAD = 60 };

static char buffer[65536] __attribute__((aligned(64)));

struct use {
    const struct plan *plan;
    mempool *mp;
    r_mempool *rmp;
    size_t length; /* of `held` */
    struct held {
        unsigned char *entry, mark;
        size_t size;
    } held[MOST];
};

static bool is_ranged(const struct plan *plan)
{
    return plan->largest != 0 || plan->list != NULL;
}

/* The size of a class, or 0 after the last. */
static size_t class_size(const struct plan *plan, size_t i)
{
    if (plan->list != NULL)
        return i < plan->list_length ? plan->list[i].elem_size : 0;
    return plan->size << i <= plan->largest ? plan->size << i : 0;
}

static size_t largest_size(const struct plan *plan)
{
    return plan->list != NULL ? plan->list[plan->list_length - 1].elem_size : plan->largest;
}

static bool falls_back(const struct plan *plan)
{
    return plan->policy != fallback_disabled || (plan->flags & MEMPOOL_FALL_BACK) != 0;
}

static size_t capacity(const struct use *use)
{
    if (!is_ranged(use->plan))
        return COUNT(mempool_total_capacity(use->mp));
    size_t sum = 0;
    for (size_t i = 0, size; (size = class_size(use->plan, i)) != 0; i++)
        sum += COUNT(r_mempool_total_capacity(use->rmp, size));
    return sum;
}

static size_t used(const struct use *use)
{
    if (!is_ranged(use->plan))
        return COUNT(mempool_used_count(use->mp));
    size_t sum = 0;
    for (size_t i = 0, size; (size = class_size(use->plan, i)) != 0; i++)
        sum += COUNT(r_mempool_used_count(use->rmp, size));
    return sum;
}

static size_t dynamic(const struct use *use)
{
    if (!is_ranged(use->plan))
        return COUNT(mempool_dynamic_allocs_count(use->mp));
    if (use->plan->policy == fallback_at_last_exhaustion)
        return COUNT(r_mempool_dynamic_allocs_count(use->rmp, use->plan->size));
    size_t sum = 0;
    for (size_t i = 0, size; (size = class_size(use->plan, i)) != 0; i++)
        sum += COUNT(r_mempool_dynamic_allocs_count(use->rmp, size));
    return sum;
}

/* All that is held is counted and as it was left. */
static void check_held(const struct use *use)
{
    bool intact = true;
    for (size_t i = 0; i < use->length; i++)
        intact = intact && all_bytes(use->held[i].entry, use->held[i].mark, use->held[i].size);
    CHECK(intact);
    CHECK(used(use) + dynamic(use) == use->length);
}

static void fill(struct held *held, unsigned char *entry, size_t size)
{
    held->entry = entry;
    held->size = size;
    memset(entry, held->mark, size);
}

static bool make_once(struct use *use, enum usually usually)
{
    const struct plan *plan = use->plan;
    bool plain = plan->flags == 0 && plan->alignment == 0 && !plan->buffer && !plan->backed;
    if (!is_ranged(plan)) {
        mempool_options options = MEMPOOL_OPTIONS_INIT;
        options.elem_count = plan->count;
        options.elem_size = plan->size;
        options.alignment = plan->alignment;
        options.flags = plan->flags;
        options.buffer = plan->buffer ? buffer : NULL;
        options.buffer_size = plan->buffer ? sizeof buffer : 0;
        options.backing = plan->backed ? &backing : NULL;
        use->mp = plain ? TRY(mempool_create(plan->count, plan->size, false), usually)
                        : TRY(mempool_create_with(&options), usually);
        return use->mp != NULL;
    }
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    if (plan->list != NULL) {
        options.classes = plan->list;
        options.class_count = plan->list_length;
    } else {
        options.smallest_size = plan->size;
        options.largest_size = plan->largest;
        options.smallest_count = plan->count;
    }
    options.alignment = plan->alignment;
    options.flags = plan->flags;
    options.policy = plan->policy;
    options.buffer = plan->buffer ? buffer : NULL;
    options.buffer_size = plan->buffer ? sizeof buffer : 0;
    options.backing = plan->backed ? &backing : NULL;
    use->rmp = plain && plan->list == NULL
                   ? TRY(r_mempool_create(plan->size, plan->largest, plan->count, plan->policy),
                         usually)
                   : TRY(r_mempool_create_with(&options), usually);
    return use->rmp != NULL;
}

/* Like a program that does not give up at once: what was refused once is not lost for ever. */
static bool make(struct use *use)
{
    return make_once(use, YES) || make_once(use, YES);
}

static void *alloc_once(struct use *use, bool zero, enum usually usually)
{
    size_t size = use->plan->size;
    if (!is_ranged(use->plan))
        return zero ? TRY(mempool_calloc_entry(use->mp), usually)
                    : TRY(mempool_alloc_entry(use->mp), usually);
    return zero ? TRY(r_mempool_calloc_entry(use->rmp, size), usually)
                : TRY(r_mempool_alloc_entry(use->rmp, size), usually);
}

static void take(struct use *use, bool zero, enum usually usually)
{
    unsigned char *entry = alloc_once(use, zero, usually);
    if (entry == NULL) {
        if (!atomic_load(&concurrent))
            check_held(use);
        entry = alloc_once(use, zero, usually);
    }
    if (entry == NULL)
        return;
    CHECK(aligned(entry, use->plan->alignment > 16 ? use->plan->alignment : 16));
    if (zero)
        CHECK(all_bytes(entry, 0, use->plan->size));
    struct held *held = &use->held[use->length];
    held->mark = (unsigned char)(use->length++ % 251 + 1);
    fill(held, entry, use->plan->size);
}

static void give(struct use *use, size_t count)
{
    for (; count > 0 && use->length > 0; count--)
        DO((mempool_free_entry)(use->held[--use->length].entry));
}

/* Changes the size of what is held first. */
static void change(struct use *use, size_t size, enum usually usually)
{
    if (use->length == 0)
        return;
    struct held *held = &use->held[0];
    unsigned char *entry = TRY(r_mempool_realloc_entry(use->rmp, held->entry, size), usually);
    if (entry != NULL) {
        CHECK(all_bytes(entry, held->mark, size < held->size ? size : held->size));
        fill(held, entry, size);
    }
    check_held(use);
}

static void *take_and_give(void *argument)
{
    struct use *use = argument;
    for (size_t i = 0; i < OF_A_THREAD; i++)
        take(use, false, YES);
    give(use, use->length);
    return NULL;
}

static atomic_int here; /* threads that are under the pool's lock, in a shortage */
static atomic_bool over; /* there was one, or there will be none */

/* Waits for the lock of a pool while another thread has it. */
static void *come_meanwhile(void *argument)
{
    struct use *use = argument;
    while (atomic_load(&here) == 0 && !atomic_load(&over))
        usleep(100);
    CHECK(used(use) <= use->plan->count);
    CHECK(atomic_load(&here) == 0);
    return NULL;
}

/* Under the pool's lock: until the other thread waits for it, or half a second; and a little longer,
 * in which that one must not come in. */
static void meet(void)
{
    CHECK(atomic_fetch_add(&here, 1) == 0);
    for (int i = 0; i < 5000 && atomic_load(&seen->calls[FUTEX]) == 0; i++)
        usleep(100);
    usleep(2000);
    atomic_fetch_sub(&here, 1);
}

static void in_thread(struct use *use, void *(*body)(void *), pthread_t *thread)
{
    use->length = 0;
    CHECK(pthread_create(thread, NULL, body, use) == 0);
}

static void carry_out(const struct plan *plan)
{
    static struct use use, other;
    pthread_t thread;
    use = other = (struct use){.plan = plan};
    if (!make(&use))
        return;
    if (plan->meets) {
        pthread_t waits;
        other.mp = use.mp;
        atomic_store(&over, false);
        meets = !recovering;
        atomic_store(&concurrent, true);
        in_thread(&other, come_meanwhile, &waits);
        while (use.length < plan->count)
            take(&use, false, YES);
        take(&use, false, NO);
        meets = false;
        atomic_store(&over, true);
        CHECK(pthread_join(waits, NULL) == 0);
        atomic_store(&concurrent, false);
        give(&use, use.length);
    }

    for (int i = 0; plan->threads && i < 3; i++) {
        other.mp = use.mp;
        in_thread(&other, take_and_give, &thread);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    size_t all = capacity(&use);
    for (size_t i = 0; i < all + BEYOND; i++)
        take(&use, false, i < all || falls_back(plan) ? YES : NO);
    check_held(&use);
    CHECK(used(&use) <= all);
    if (plan->misuse)
        for (int i = 0; i < 2; i++)
            DO((mempool_free_entry)(use.held[0].entry));
    if (is_ranged(plan)) {
        change(&use, largest_size(plan), falls_back(plan) ? YES : NO);
        change(&use, plan->size, YES);
    }
    give(&use, use.length / 2);
    take(&use, true, falls_back(plan) ? EITHER : YES);
    if (is_ranged(plan)) {
        change(&use, largest_size(plan), EITHER);
        change(&use, plan->size, YES);
    }
    check_held(&use);
    /* The rest, with what came from the heap, goes with the pool. */
    if (is_ranged(plan))
        DO((r_mempool_destroy)(use.rmp));
    else
        DO((mempool_destroy)(use.mp));
}

/* ---- Cases ---- */

/* What does not work in a process from its start. */
static const struct world {
    const char *name;
    int absent[KINDS];
} worlds[] = {
    {"", {0}},
    {", no getrandom", {[GETRANDOM] = ENOSYS}},
    {", an old kernel", {[MADVISE] = EINVAL}},
    {", no membarrier", {[MEMBARRIER] = ENOSYS}},
    {", no key", {[KEY_CREATE] = EAGAIN}},
    {", no value for the key", {[SETSPECIFIC] = ENOMEM}},
    {", no huge or populated pages, randomness, membarrier, key",
     {[MADVISE] = ENOSYS, [GETRANDOM] = EAGAIN, [GETAUXVAL] = ENOENT, [MEMBARRIER] = EPERM,
      [KEY_CREATE] = ENOMEM}},
};

struct attempt {
    const struct plan *plan;
    const struct world *world;
    struct fault fault;
};

static void nothing_left(void)
{
    CHECK(atomic_load(&mapped) == 0);
    CHECK(atomic_load(&blocks) <= KEPT);
    CHECK(locked_length == 0);
}

static void attempt_in_child(void *argument)
{
    const struct attempt *attempt = argument;
    const struct plan *plan = attempt->plan;
    fault = attempt->fault;
    absent = attempt->world->absent;
    carry_out(plan);
    nothing_left();
    if (fault.nth != 0 && !plan->meets)
        CHECK(atomic_load(&seen->refused[fault.kind]) > 0);
    if (plan->buffer) {
        CHECK(atomic_load(&seen->calls[MMAP]) + atomic_load(&seen->calls[MUNMAP]) == 0);
        CHECK(atomic_load(&seen->calls[MADVISE]) + atomic_load(&seen->calls[MPROTECT]) == 0);
        CHECK(falls_back(plan) || atomic_load(&seen->calls[MEMALIGN]) == 0);
    }
    if (plan->backed)
        CHECK(atomic_load(&seen->calls[MEMALIGN]) + atomic_load(&seen->calls[MMAP]) == 0);
    /* All is well again, and so is the library. */
    recovering = true;
    carry_out(plan);
    carry_out(&plans[3]);
    nothing_left();
    /* A thread that got no index, however often it asked, gets one. Without a key it had one before. */
    if (attempt->world->absent[SETSPECIFIC] != 0 && !(fault.nth != 0 && fault.kind == KEY_CREATE))
        CHECK(atomic_load(&values_set) > 0);
    atomic_store(&seen->finished, true);
}

static long reached[KINDS], tried[KINDS];

static void run(const struct attempt *attempt)
{
    const struct fault *its = &attempt->fault;
    memset(seen, 0, sizeof *seen);
    if (its->nth == 0)
        row("%s%s", attempt->plan->name, attempt->world->name);
    else
        row("%s%s: %s number %ld%s: %s", attempt->plan->name, attempt->world->name,
            kinds[its->kind].name, its->nth, its->onwards ? " and on" : "",
            its->error == SHORT ? "too little" : strerror(its->error));
    int status;
    const char *text = run_in_child(attempt_in_child, (void *)attempt, &status);
    const char *line = attempt->plan->misuse ? "cmempool: double free of " : NULL;
    if (line == NULL) {
        if (status != 0 || text[0] != '\0')
            fprintf(stderr, "status %#x, said: %s\n", (unsigned)status, text);
        CHECK(status == 0 && text[0] == '\0' && atomic_load(&seen->finished));
    } else {
        /* A signal or a part less and the line comes whole, unless that never ends. */
        bool silenced = atomic_load(&seen->refused[WRITE]) > 0 &&
                        (its->error == EBADF || (its->error == EINTR && its->onwards));
        CHECK(aborted(status, text, (const char *const[]){line, NULL}) ||
              (silenced && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
    }
    row("%s: system call %ld is not decided upon here", attempt->plan->name,
        atomic_load(&seen->unknown));
    CHECK(atomic_load(&seen->unknown) == 0);
}

/* Each call that a plan comes to is refused, in each way. */
static void refuse_in_turn(const struct plan *plan, const struct world *world)
{
    struct attempt attempt = {plan, world, {0}};
    run(&attempt);
    long calls[KINDS];
    for (size_t kind = 0; kind < KINDS; kind++)
        reached[kind] += calls[kind] = atomic_load(&seen->calls[kind]);
    bool thorough = world == worlds && !under_valgrind();
    long most = (long)scaled(LONG_MAX, 4);
    for (size_t kind = 0; kind < KINDS; kind++) {
        if (world->absent[kind] != 0)
            continue;
        for (long nth = 1; nth <= calls[kind] && tried[kind] < most; nth++)
            for (size_t i = 0; i < (thorough ? MOST_ERRORS : 1); i++)
                for (int onwards = 0; onwards < 2; onwards++) {
                    if (kinds[kind].errors[i] == 0)
                        continue;
                    attempt.fault = (struct fault){(enum kind)kind, nth, kinds[kind].errors[i],
                                                   onwards != 0};
                    run(&attempt);
                    tried[kind]++;
                }
    }
}

/* ---- Two first pools at once ---- */

static void *make_and_use(void *argument)
{
    struct use *use = argument;
    CHECK(make_once(use, YES));
    take(use, false, YES);
    give(use, 1);
    DO((mempool_destroy)(use->mp));
    return NULL;
}

/* Both threads read the environment and make a key before the other one is done with it. */
static void two_first_pools(void *unused)
{
    static struct use uses[2];
    pthread_t threads[2];
    (void)unused;
    first_pools = true;
    atomic_store(&concurrent, true);
    for (size_t i = 0; i < LENGTH(threads); i++) {
        uses[i].plan = &plans[2];
        in_thread(&uses[i], make_and_use, &threads[i]);
    }
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(atomic_load(&arrived) == 4 && atomic_load(&keys_deleted) == 1);
    nothing_left();
}

static void first_pools_at_once(void)
{
    int status;
    row("two first pools at once");
    memset(seen, 0, sizeof *seen);
    const char *text = run_in_child(two_first_pools, NULL, &status);
    if (status != 0 || text[0] != '\0')
        fprintf(stderr, "status %#x, said: %s\n", (unsigned)status, text);
    CHECK(status == 0 && text[0] == '\0');
}

/* ---- What the library calls ---- */

static bool is_infallible(const char *symbol)
{
    for (size_t i = 0; i < LENGTH(infallible); i++)
        if (strcmp(symbol, infallible[i]) == 0)
            return true;
    return false;
}

/* The library calls `symbol`: it is one of those above, and if it can fail, a plan came there. */
static void check_call(const char *symbol)
{
    row("the library calls %s, and no plan does or nobody decided whether that can fail", symbol);
    bool known = is_infallible(symbol);
    for (size_t kind = 0; kind < KINDS; kind++)
        if (kinds[kind].symbol != NULL && strcmp(symbol, kinds[kind].symbol) == 0) {
            known = true;
            /* Before libc's functions of the heap come valgrind's. */
            CHECK(tried[kind] > 0 || under_valgrind());
        }
    CHECK(known);
}

/* The dynamic section of the object that has `address` loaded, and where that begins. */
struct object {
    uintptr_t address, start;
    const ElfW(Dyn) *dynamic;
};

static int find_object(struct dl_phdr_info *info, size_t size, void *context)
{
    struct object *object = context;
    const ElfW(Dyn) *dynamic = NULL;
    bool is_it = false;
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_DYNAMIC)
            dynamic = hide((const void *)start);
        is_it = is_it || (header->p_type == PT_LOAD && object->address - start < header->p_memsz);
    }
    if (is_it) {
        object->dynamic = dynamic;
        object->start = info->dlpi_addr;
    }
    return is_it;
}

/* Some C libraries put addresses into the section where the file has offsets. */
static const void *loaded(const struct object *object, uintptr_t at)
{
    return hide((const void *)(at < object->start ? at + object->start : at));
}

#if UINTPTR_MAX > UINT32_MAX
#define SYMBOL_OF(information) ELF64_R_SYM(information)
#else
#define SYMBOL_OF(information) ELF32_R_SYM(information)
#endif

/* Relocations of either kind begin like the shorter. */
struct relocations {
    const char *first;
    size_t bytes, each;
};

/* Checks what the shared library takes from others. False if this program has the static one. */
static bool check_calls(void)
{
    void *symbol = dlsym(RTLD_DEFAULT, "mempool_create");
    struct object object = {address(symbol), 0, NULL};
    if (symbol == NULL)
        return false;
    CHECK(dl_iterate_phdr(find_object, &object) == 1 && object.dynamic != NULL);
    const ElfW(Sym) *symbols = NULL;
    struct relocations tables[3] = {
        {NULL, 0, sizeof(ElfW(Rel))}, {NULL, 0, sizeof(ElfW(Rela))}, {NULL, 0, 0}};
    size_t calls = 0;
    const char *names = NULL;
    for (const ElfW(Dyn) *entry = object.dynamic; entry->d_tag != DT_NULL; entry++)
        switch (entry->d_tag) {
        case DT_SYMTAB: symbols = loaded(&object, entry->d_un.d_ptr); break;
        case DT_STRTAB: names = loaded(&object, entry->d_un.d_ptr); break;
        case DT_REL: tables[0].first = loaded(&object, entry->d_un.d_ptr); break;
        case DT_RELSZ: tables[0].bytes = entry->d_un.d_val; break;
        case DT_RELA: tables[1].first = loaded(&object, entry->d_un.d_ptr); break;
        case DT_RELASZ: tables[1].bytes = entry->d_un.d_val; break;
        case DT_JMPREL: tables[2].first = loaded(&object, entry->d_un.d_ptr); break;
        case DT_PLTRELSZ: tables[2].bytes = entry->d_un.d_val; break;
        case DT_PLTREL:
            tables[2].each = entry->d_un.d_val == DT_RELA ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel));
            break;
        }
    for (size_t table = 0; table < LENGTH(tables); table++)
        for (size_t at = 0; at < tables[table].bytes; at += tables[table].each) {
            ElfW(Rel) relocation;
            memcpy(&relocation, tables[table].first + at, sizeof relocation);
            const ElfW(Sym) *its = &symbols[SYMBOL_OF(relocation.r_info)];
            /* The kinds of binding are the same in both classes of files. */
            if (its->st_shndx != SHN_UNDEF || ELF64_ST_BIND(its->st_info) != STB_GLOBAL)
                continue;
            check_call(names + its->st_name);
            calls++;
        }
    row("the library's relocations");
    CHECK(calls > KINDS / 2);
    return true;
}

int main(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(seen != MAP_FAILED);
    for (size_t i = 0; i < (under_valgrind() ? 1 : LENGTH(worlds)); i++)
        for (size_t j = 0; j < LENGTH(plans); j++)
            refuse_in_turn(&plans[j], &worlds[i]);
    first_pools_at_once();
    CHECK(tried[BACKING] > 0);
    bool checked = check_calls();
    for (size_t kind = 0; kind < KINDS; kind++)
        printf("%-20s %6ld calls, %6ld cases\n", kinds[kind].name, reached[kind], tried[kind]);
    if (!checked)
        puts("linked with the static library: what that calls is checked with the shared one");
    return done();
}
