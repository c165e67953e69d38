/* May a handler of misuse fork, and is the memory of a pool that leaks the system's again when destroy is
 * through? */
#include "../handler.h"

/* A handler may fork, although the thread that it runs in has a pool's lock. The child uses no pool. */
static void fork_and_exit(const mempool_misuse *report, void *unused)
{
    int status;
    note(report, unused);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(0);
    CHECK(waitpid(child, &status, 0) == child);
    end(WIFEXITED(status) ? 42 : 43);
}

static void a_handler_may_fork(void)
{
    static void (*const deeds[])(void) = {double_free, double_free_in_depot};
    for (size_t i = 0; i < LENGTH(deeds); i++) {
        int status;
        row("a handler that forks, %zu", i);
        CHECK(commit(deeds[i], fork_and_exit, &status)[0] == '\0');
        CHECK(WIFEXITED(status) && seen->ended == 42 && seen->calls == 1);
    }
}

/* The mapping is gone when destroy is through. */
/* Whether the system tells that a page is not mapped any more: an emulator of 32-bit processors keeps all of
 * their addresses mapped. */
static bool is_known_if_mapped(void)
{
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && munmap(page, 4096) == 0);
    return msync(page, 4096, MS_ASYNC) == -1;
}

static void leak_gives_memory_back(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 1000;
    options.elem_size = SIZE;
    options.name = NAME;
    options.flags = MEMPOOL_REPORT_LEAKS;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    char *entry = taken(mp);
    blame(entry, mp);
    mempool_destroy(mp);
    void *page = (void *)(address(entry) / 4096 * 4096);
    if (is_known_if_mapped())
        CHECK(msync(page, 4096, MS_ASYNC) == -1 && errno == ENOMEM);
}

static void memory_goes_back(void)
{
    int status;
    for (int with_handler = 0; with_handler < 2; with_handler++) {
        row("a leak gives memory back, %s handler", with_handler ? "a" : "no");
        const char *line = commit(leak_gives_memory_back, with_handler ? note : NULL, &status);
        CHECK(ended_by_exit(status) && seen->after == 1 && seen->calls == with_handler);
        CHECK((line[0] == '\0') == (with_handler == 1));
    }
}

int main(void)
{
    seen = shared_memory(sizeof *seen);
    a_handler_may_fork();
    memory_goes_back();
    return done();
}
