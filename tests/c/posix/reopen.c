/* Can the library be opened by a program, closed while threads have used it, and opened again? */
#include "../check_posix.h"

#include <dlfcn.h>

enum { SIZE = 40, WORKERS = 3 };

struct library {
    void *handle;
    mempool *(*create)(size_t, size_t, bool);
    void *(*alloc)(mempool *);
    void (*free)(void *);
    void (*destroy)(mempool *);
    size_t (*used)(const mempool *);
};

static void find(struct library *library, void *function, const char *name)
{
    void *found = dlsym(library->handle, name);
    CHECK(found != NULL);
    memcpy(function, &found, sizeof found);
}

/* False if there is no shared library to be found. Where it is, whoever started the program may say: then
 * it must be possible to open it. */
static bool open_library(struct library *library)
{
    const char *path = getenv("CMEMPOOL_TEST_LIBRARY");
    library->handle = dlopen(path != NULL ? path : "libcmempool.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library->handle == NULL && path != NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library->handle != NULL || path == NULL);
    if (library->handle == NULL)
        return false;
    find(library, &library->create, "mempool_create");
    find(library, &library->alloc, "mempool_alloc_entry");
    find(library, &library->free, "mempool_free_entry");
    find(library, &library->destroy, "mempool_destroy");
    find(library, &library->used, "mempool_used_count");
    return true;
}

struct user {
    struct library library;
    mempool *mp;
    pthread_barrier_t barrier;
};

static void *use_around_a_close(void *argument)
{
    struct user *user = argument;
    struct library *library = &user->library;
    for (int i = 0; i < 100; i++)
        library->free(library->alloc(user->mp));
    pthread_barrier_wait(&user->barrier); /* used */
    pthread_barrier_wait(&user->barrier); /* closed */
    return NULL; /* and gives its cache back */
}

static void open_and_close(void *unused)
{
    (void)unused;
    static struct user user, again;
    CHECK(open_library(&user.library));
    struct library *library = &user.library;
    for (size_t round = 0; round < scaled(100, 3); round++) {
        pthread_t threads[WORKERS];
        CHECK(pthread_barrier_init(&user.barrier, NULL, WORKERS + 1) == 0);
        user.mp = library->create(1000, SIZE, true);
        CHECK(user.mp != NULL);
        for (size_t i = 0; i < WORKERS; i++)
            CHECK(pthread_create(&threads[i], NULL, use_around_a_close, &user) == 0);
        void *entry = library->alloc(user.mp);
        CHECK(entry != NULL);
        pthread_barrier_wait(&user.barrier);
        CHECK(dlclose(library->handle) == 0);
        pthread_barrier_wait(&user.barrier);
        for (size_t i = 0; i < WORKERS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        /* It is the same as before, and so are its pools. */
        CHECK(open_library(&again.library));
        CHECK(again.library.create == library->create);
        CHECK(again.library.used(user.mp) == 1);
        again.library.free(entry);
        CHECK(again.library.used(user.mp) == 0);
        again.library.destroy(user.mp);
        library->handle = again.library.handle;
        pthread_barrier_destroy(&user.barrier);
    }
    CHECK(dlclose(library->handle) == 0);
    exit(0); /* with the library closed: what it registered runs */
}

static void closed_and_opened(void)
{
    struct library library;
    row("closed and opened again");
    if (!open_library(&library)) {
        printf("not tested is dlclose: %s\n", dlerror());
        return;
    }
    CHECK(dlclose(library.handle) == 0);
    int status;
    CHECK(run_in_child(open_and_close, NULL, &status)[0] == '\0' && status == 0);
}

int main(void)
{
    closed_and_opened();
    return done();
}
