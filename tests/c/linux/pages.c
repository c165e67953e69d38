/* Does a pool have the pages that it was asked to have: locked ones, huge ones?
 *
 * The kernel says so, in /proc/self: how much is locked, and how large the pages of a mapping are. Huge
 * pages must be set aside by the system: as root this program has that done, and undone. */
#include "../check_child.h"
#include "../check_linux.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { COUNT = 20, SIZE = 40, HUGE = 2 << 20 };

static size_t page;

/* ---- What the kernel says ---- */

/* The number after a key in a file of lines, times 1024 if its unit is kB; SIZE_MAX without one. */
static size_t number_in(const char *file, const char *key)
{
    FILE *lines = fopen(file, "r");
    CHECK(lines != NULL);
    char line[512];
    size_t number = SIZE_MAX;
    while (number == SIZE_MAX && fgets(line, sizeof line, lines) != NULL)
        if (strncmp(line, key, strlen(key)) == 0) {
            unsigned long value = strtoul(line + strlen(key), NULL, 10);
            number = strstr(line, "kB") != NULL ? value * 1024 : value;
        }
    fclose(lines);
    return number;
}

static size_t locked(void)
{
    return number_in("/proc/self/status", "VmLck:");
}

/* A number about the mapping that an address lies in, in bytes. */
static size_t of_mapping(const void *at, const char *key)
{
    FILE *lines = fopen("/proc/self/smaps", "r");
    CHECK(lines != NULL);
    char line[4096];
    bool inside = false;
    size_t number = SIZE_MAX;
    while (number == SIZE_MAX && fgets(line, sizeof line, lines) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = address(at) >= from && address(at) < to;
        else if (inside && strncmp(line, key, strlen(key)) == 0)
            number = strtoul(line + strlen(key), NULL, 10) * 1024;
    }
    fclose(lines);
    return number;
}

static bool all_resident(void *from, size_t length)
{
    static unsigned char pages[1 << 14];
    size_t count = (length + page - 1) / page;
    CHECK(count <= sizeof pages && mincore(from, length, pages) == 0);
    for (size_t i = 0; i < count; i++)
        if (!(pages[i] & 1))
            return false;
    return true;
}

/* What whole pages take that hold these bytes. */
static size_t in_pages(const void *from, size_t length)
{
    uintptr_t first = address(from) / page, last = (address(from) + length - 1) / page;
    return (last - first + 1) * page;
}

static void *fresh(size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

static mempool_options options_for(size_t count, size_t size, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = size;
    options.flags = flags;
    return options;
}

static void use(mempool *mp, size_t count, size_t size)
{
    static void *entries[2048];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            CHECK((entries[i] = mempool_alloc_entry(mp)) != NULL);
            memset(entries[i], (int)i, size);
        }
        CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
        for (size_t i = 0; i < count; i++) {
            CHECK(all_bytes(entries[i], (unsigned char)i, size));
            mempool_free_entry(entries[i]);
        }
    }
}

/* ---- Locked pages ---- */

static bool may_lock(size_t length)
{
    void *memory = fresh(length);
    bool could = mlock(memory, length) == 0;
    CHECK(munmap(memory, length) == 0);
    return could;
}

/* What the pool's figures note. */
static bool notes(const mempool *mp, uint64_t expected)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(mp, &stats));
    return stats.notes == expected;
}

static void locked_pools(void)
{
    static const struct {
        size_t count, size;
    } shapes[] = {{4, 16}, {COUNT, SIZE}, {1000, 1000}, {40, 65536}};
    static const uint64_t flags[] = {0, MEMPOOL_NO_PREFAULT, MEMPOOL_SINGLE_THREAD,
                                     MEMPOOL_HARDENED, MEMPOOL_HARDENED | MEMPOOL_NO_PREFAULT};
    for (size_t s = 0; s < LENGTH(shapes); s++)
        for (size_t f = 0; f < LENGTH(flags); f++) {
            size_t count = shapes[s].count, size = shapes[s].size;
            row("%zu of %zu, flags %#x", count, size, (unsigned)flags[f]);
            size_t before = locked();
            mempool_options options = options_for(count, size, flags[f] | MEMPOOL_LOCKED);
            mempool *mp = mempool_create_with(&options);
            CHECK(mp != NULL && notes(mp, MEMPOOL_NOTE_LOCKED));
            size_t needs = mempool_buffer_size(&options);
            size_t more = flags[f] & MEMPOOL_HARDENED ? count * 16 : 0;
            CHECK(locked() == before + round_up(needs + more, page));
            CHECK(all_resident((char *)mp - address(mp) % page, needs));
            /* Pages of its own: locked and unlocked by nobody else. */
            mempool *second = mempool_create_with(&options);
            CHECK(second != NULL);
            size_t both = locked();
            CHECK(both == before + 2 * round_up(needs + more, page));
            mempool_destroy(second);
            CHECK(locked() == before + (both - before) / 2);
            use(mp, count, size);
            mempool_destroy(mp);
            CHECK(locked() == before);
            /* Not asked for. */
            options.flags = flags[f];
            mp = mempool_create_with(&options);
            CHECK(mp != NULL && locked() == before);
            mempool_destroy(mp);
        }

    row("ranged");
    size_t before = locked();
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 1024;
    options.smallest_count = 64;
    options.flags = MEMPOOL_LOCKED;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    CHECK(locked() == before + round_up(r_mempool_buffer_size(&options), page));
    r_mempool_destroy(rmp);
    CHECK(locked() == before);
}

/* A buffer's pages are locked, and unlocked when it is the caller's again. */
static void locked_buffers(void)
{
    size_t length = 64 * page;
    for (int prefault = 0; prefault < 2; prefault++)
        for (size_t start = 0; start < 2 * page; start += page / 2 + 16) {
            row("buffer at %zu, prefault %d", start, prefault);
            char *memory = fresh(length);
            CHECK(!all_resident(memory, length));
            size_t before = locked();
            mempool_options options =
                options_for(COUNT, SIZE, MEMPOOL_LOCKED | (prefault ? 0 : MEMPOOL_NO_PREFAULT));
            options.buffer = memory + start;
            options.buffer_size = 50 * page;
            mempool *mp = mempool_create_with(&options);
            CHECK(mp != NULL);
            CHECK(locked() == before + in_pages(memory + start, 50 * page));
            CHECK(all_resident(memory + start / page * page, 50 * page));
            use(mp, COUNT, SIZE);
            mempool_destroy(mp);
            CHECK(locked() == before);
            memset(memory, 1, length);
            CHECK(munmap(memory, length) == 0);
        }
}

static void *given;
static size_t given_size;

static void *give(size_t size, size_t alignment, void *context)
{
    CHECK(context == &given && alignment == 16 && given == NULL);
    given_size = size;
    return given = fresh(size);
}

static void take_back(void *memory, size_t size, void *context)
{
    CHECK(context == &given && memory == given && size == given_size);
    /* It comes back as it went. */
    CHECK(of_mapping(memory, "Locked:") == 0);
    CHECK(munmap(memory, size) == 0);
    given = NULL;
}

static const mempool_backing backing = {sizeof backing, give, take_back, &given};

static void locked_backing(void)
{
    for (int prefault = 0; prefault < 2; prefault++) {
        row("backing, prefault %d", prefault);
        size_t before = locked();
        mempool_options options =
            options_for(1000, 100, MEMPOOL_LOCKED | (prefault ? 0 : MEMPOOL_NO_PREFAULT));
        options.backing = &backing;
        mempool *mp = mempool_create_with(&options);
        CHECK(mp != NULL && locked() == before + in_pages(given, given_size));
        CHECK(all_resident(given, given_size));
        use(mp, 1000, 100);
        mempool_destroy(mp);
        CHECK(given == NULL && locked() == before);

        /* Not locked: there or not, as asked. */
        options.flags &= ~MEMPOOL_LOCKED;
        mp = mempool_create_with(&options);
        CHECK(mp != NULL && locked() == before);
        CHECK(all_resident(given, given_size) == (prefault != 0));
        mempool_destroy(mp);
    }
}

static void in_a_child(void *pool)
{
    CHECK(locked() == 0);
    use(pool, COUNT, SIZE);
    mempool *mp = pool;
    mempool_destroy(mp);
    CHECK(locked() == 0);
}

static void locks_stay_with_the_parent(void)
{
    row("a child of a fork has none");
    size_t before = locked();
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_LOCKED);
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL && locked() > before);
    int status;
    CHECK(run_in_child(in_a_child, mp, &status)[0] == '\0' && status == 0);
    CHECK(locked() > before);
    mempool_destroy(mp);
}

/* Whoever has this may lock any amount. */
static void drop_the_capability(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    CHECK(syscall(SYS_capget, &header, sets) == 0);
    sets[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    sets[CAP_TO_INDEX(CAP_IPC_LOCK)].permitted &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    CHECK(syscall(SYS_capset, &header, sets) == 0);
}

static void each_memory_fails(int code, size_t count)
{
    void *memory = fresh(1 << 22);
    for (int kind = 0; kind < 5; kind++) {
        row("limit of locked memory: errno %d, kind %d", code, kind);
        mempool_options options = options_for(count, 1000, MEMPOOL_LOCKED | MEMPOOL_NO_PREFAULT);
        size_t mapped = number_in("/proc/self/status", "VmSize:");
        options.flags |= kind == 1 ? MEMPOOL_HARDENED : kind == 2 ? MEMPOOL_HUGE_PAGES : 0;
        if (kind == 3) {
            options.buffer = memory;
            options.buffer_size = 1 << 22;
        }
        options.backing = kind == 4 ? &backing : NULL;
        CHECK_FAILS(mempool_create_with(&options), code);
        CHECK(locked() == 0 && given == NULL);
        /* An emulator maps memory of its own. */
        CHECK(under_valgrind() || emulator() != NULL ||
              number_in("/proc/self/status", "VmSize:") == mapped);
    }
    CHECK(munmap(memory, 1 << 22) == 0);
}

static void limited(void *unused)
{
    (void)unused;
    drop_the_capability();
    struct rlimit limit = {0, 0};
    CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    limit.rlim_cur = 16 * page;
    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    CHECK(locked() == 0);
    each_memory_fails(ENOMEM, 1000);
    row("below the limit");
    mempool_options options = options_for(COUNT, SIZE, MEMPOOL_LOCKED);
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL && locked() == page);
    mempool_destroy(mp);
    CHECK(locked() == 0);
    limit.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    each_memory_fails(EPERM, COUNT);
    /* All other pools are as ever. */
    options.flags = 0;
    mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    use(mp, COUNT, SIZE);
    mempool_destroy(mp);
}

/* A pool that has no use for its slots has none of them locked, nor huge. */
static void bypassed(void *unused)
{
    (void)unused;
    CHECK(setenv("CMEMPOOL_OPTIONS", "bypass", 1) == 0);
    mempool_options options = options_for(1000, 1000, MEMPOOL_LOCKED | MEMPOOL_HUGE_PAGES);
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL && locked() == 0);
    CHECK(of_mapping(mp, "KernelPageSize:") == page);
    use(mp, 1000, 1000);
    mempool_destroy(mp);
}

/* ---- Huge pages ---- */

static const char *const setting = "/proc/sys/vm/nr_hugepages";

static bool has_huge_pages(const mempool *mp)
{
    return of_mapping(mp, "KernelPageSize:") == HUGE;
}

static size_t free_pages(void)
{
    return number_in("/proc/meminfo", "HugePages_Free:") -
           number_in("/proc/meminfo", "HugePages_Rsvd:");
}

/* More than there are: ordinary pages serve, of which nothing else is said than without the flag. */
static void refused(void)
{
    row("more huge pages than there are");
    mempool_options options = options_for(free_pages() + 64, HUGE, MEMPOOL_HUGE_PAGES);
    options.flags |= MEMPOOL_NO_PREFAULT;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL && of_mapping(mp, "KernelPageSize:") == page);
    CHECK(notes(mp, MEMPOOL_NOTE_HUGE_PAGES_REFUSED));
    mempool_destroy(mp);
    row("huge pages for a hardened pool");
    options = options_for(COUNT, SIZE, MEMPOOL_HUGE_PAGES | MEMPOOL_HARDENED);
    mp = mempool_create_with(&options);
    CHECK(mp != NULL && of_mapping(mp, "KernelPageSize:") == page);
    use(mp, COUNT, SIZE);
    mempool_destroy(mp);
}

static void touch_absent(void *pool)
{
    /* A child can have pools, though not that one. */
    mempool *mp = mempool_create(COUNT, SIZE, true);
    CHECK(mp != NULL);
    for (int i = 0; i < COUNT + 3; i++)
        CHECK(mempool_alloc_entry(mp) != NULL);
    mempool_destroy(mp);
    fputs("gone\n", stderr);
    void *volatile entry = mempool_alloc_entry(pool);
    (void)entry;
}

/* What looks a pool up reports it. */
static void ask_absent(void *pool)
{
    mempool_total_capacity(pool);
}

/* Pools of both sorts of pages in turn: a walk over all comes to each, the newest first. */
static void all_are_told_of(void)
{
    row("a walk over all pools");
    static const char *const names[] = {"pool-0", "pool-1", "pool-2", "pool-3", "pool-4"};
    mempool *pools[LENGTH(names)];
    for (size_t i = 0; i < LENGTH(names); i++) {
        mempool_options options = options_for(COUNT, SIZE, i % 2 == 1 ? MEMPOOL_HUGE_PAGES : 0);
        options.name = names[i];
        pools[i] = mempool_create_with(&options);
        CHECK(pools[i] != NULL && has_huge_pages(pools[i]) == (i % 2 == 1));
    }
    for (size_t gone = 0; gone < LENGTH(names); gone++) {
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        CHECK(out != NULL);
        mempool_dump_all_json(out);
        CHECK(fclose(out) == 0);
        const char *at = text;
        for (size_t i = LENGTH(names); i-- > gone;) {
            CHECK((at = strstr(at, names[i])) != NULL);
            at++;
        }
        CHECK(strstr(at, "pool-") == NULL);
        free(text);
        mempool_destroy(pools[gone]);
    }
}

static void have_huge_pages(void)
{
    static const struct {
        size_t count, size;
    } shapes[] = {{COUNT, SIZE}, {1000, 1000}, {1000, 3000}};
    static const uint64_t flags[] = {0, MEMPOOL_NO_PREFAULT, MEMPOOL_SINGLE_THREAD, MEMPOOL_LOCKED};
    for (size_t s = 0; s < LENGTH(shapes); s++)
        for (size_t f = 0; f < LENGTH(flags); f++) {
            size_t count = shapes[s].count, size = shapes[s].size, before = free_pages();
            row("huge pages: %zu of %zu, flags %#x", count, size, (unsigned)flags[f]);
            mempool_options options = options_for(count, size, flags[f] | MEMPOOL_HUGE_PAGES);
            mempool *mp = mempool_create_with(&options);
            CHECK(mp != NULL && has_huge_pages(mp));
            bool locked = (flags[f] & MEMPOOL_LOCKED) != 0;
            CHECK(notes(mp, MEMPOOL_NOTE_HUGE_PAGES | (locked ? MEMPOOL_NOTE_LOCKED : 0)));
            size_t bytes = round_up(mempool_buffer_size(&options), HUGE);
            CHECK(of_mapping(mp, "Size:") == bytes && free_pages() == before - bytes / HUGE);
            use(mp, count, size);
            mempool *second = mempool_create(COUNT, SIZE, false);
            int status;
            /* None are left for a child, which lives on without the pool. */
            size_t rest = free_pages() * HUGE;
            void *all = rest == 0 ? NULL
                                  : mmap(NULL, rest, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
            CHECK(all != MAP_FAILED && free_pages() == 0);
            const char *text = run_in_child(touch_absent, mp, &status);
            CHECK(strcmp(text, "gone\n") == 0);
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
            text = run_in_child(ask_absent, mp, &status);
            CHECK(strstr(text, "cmempool: mempool_total_capacity of ") != NULL &&
                  strstr(text, ", which is not a live pool") != NULL);
            /* valgrind, which knows nothing of memory that is not copied, ends in another way. */
            CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGABRT || under_valgrind()));
            /* A pool more has ordinary ones. */
            mempool *third = mempool_create_with(&options);
            CHECK(third != NULL && !has_huge_pages(third));
            mempool_destroy(third);
            use(mp, count, size);
            use(second, COUNT, SIZE);
            mempool_destroy(second);
            mempool_destroy(mp);
            CHECK(all == NULL || munmap(all, rest) == 0);
            CHECK(free_pages() == before);
        }
    all_are_told_of();
    row("huge pages, ranged");
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 1024;
    options.smallest_count = 64;
    options.flags = MEMPOOL_HUGE_PAGES;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL && of_mapping(rmp, "KernelPageSize:") == HUGE);
    r_mempool_destroy(rmp);
}

static bool set_aside(size_t count)
{
    FILE *file = fopen(setting, "w");
    if (file == NULL)
        return false;
    bool wrote = fprintf(file, "%zu\n", count) > 0;
    return fclose(file) == 0 && wrote && number_in(setting, "") >= count;
}

static char set_aside_before[32];
static pid_t whose; /* not a child's */

/* Also when a check fails. */
static void undo(void)
{
    int file = getpid() == whose ? open(setting, O_WRONLY) : -1;
    if (file >= 0 && write(file, set_aside_before, strlen(set_aside_before)) < 0)
        perror(setting);
}

/* Also when it takes too long. */
static void on_signal(int number)
{
    undo();
    signal(number, SIG_DFL);
    raise(number);
}

/* One of the programs that do this at a time; none waits for ever for one that was stopped. */
static bool comes_to_its_turn(int file)
{
    for (int i = 0; i < 600; i++) {
        if (flock(file, LOCK_EX | LOCK_NB) == 0)
            return true;
        usleep(100000);
    }
    return false;
}

static int turn = -1;

/* Has the system set some aside, if it does that for this program. */
static bool prepare_huge_pages(void)
{
    if (access(setting, R_OK) != 0 || number_in("/proc/meminfo", "Hugepagesize:") != HUGE) {
        puts("skipped pools in huge pages: this system has none of 2 MiB");
        return false;
    }
    turn = open(setting, O_RDONLY | O_CLOEXEC);
    CHECK(turn >= 0);
    if (!comes_to_its_turn(turn)) {
        puts("skipped pools in huge pages: another program has had its turn for a minute");
        return false;
    }
    size_t before = number_in(setting, "");
    snprintf(set_aside_before, sizeof set_aside_before, "%zu\n", before);
    whose = getpid();
    CHECK(atexit(undo) == 0 && signal(SIGTERM, on_signal) != SIG_ERR);
    CHECK(signal(SIGINT, on_signal) != SIG_ERR);
    if (!set_aside(before + 4)) {
        puts("skipped pools in huge pages: the system sets none aside");
        return false;
    }
    void *one = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (one == MAP_FAILED && emulator() != NULL) {
        puts("skipped pools in huge pages: the emulator refuses them");
        return false;
    }
    CHECK(one != MAP_FAILED && munmap(one, HUGE) == 0);
    return true;
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    bool has_huge = prepare_huge_pages();
    int status;
    /* What the environment says is read when the first pool is made. */
    const char *text = run_in_child(bypassed, NULL, &status);
    fputs(text, stderr);
    CHECK(status == 0);
    refused();
    if (has_huge) {
        have_huge_pages();
        undo();
        whose = 0;
        close(turn);
    }
    if (may_lock(16 << 20)) {
        locked_pools();
        locked_buffers();
        locked_backing();
        locks_stay_with_the_parent();
    } else {
        puts("skipped locked pools: the limit of locked memory is below 16 MiB");
    }
    text = run_in_child(limited, NULL, &status);
    fputs(text, stderr);
    CHECK(status == 0);
    return done();
}
