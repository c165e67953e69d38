/* Do two copies of the library in a process keep to themselves?
 *
 * As where a plugin has the static library in it: each copy has indices of its own for threads, and a thread's
 * index in one is another thread's in the other. A copy of the shared library's file is a library of its own to
 * the loader. */
#include "../check_posix.h"

#include <dlfcn.h>

enum { COUNT = 1000, SIZE = 40, CACHED = 8 };

static struct {
    mempool *(*create)(size_t, size_t, bool);
    void *(*alloc)(mempool *);
    void (*free)(void *);
    void (*destroy)(mempool *);
} copy;

static void find(void *handle, void *function, const char *name)
{
    void *found = dlsym(handle, name);
    CHECK(found != NULL);
    memcpy(function, &found, sizeof found);
}

/* Opens a copy of the library's file; false if nobody says where that is. */
static bool open_copy(void)
{
    const char *path = getenv("CMEMPOOL_TEST_LIBRARY");
    if (path == NULL)
        return false;
    char name[] = "/tmp/libcmempool-copy-XXXXXX";
    int target = mkstemp(name);
    FILE *from = fopen(path, "rb"), *to = fdopen(target, "wb");
    CHECK(target >= 0 && from != NULL && to != NULL);
    static char buffer[1 << 20];
    size_t count;
    while ((count = fread(buffer, 1, sizeof buffer, from)) > 0)
        CHECK(fwrite(buffer, 1, count, to) == count);
    CHECK(fclose(from) == 0 && fclose(to) == 0);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(unlink(name) == 0 && handle != NULL);
    find(handle, &copy.create, "mempool_create");
    find(handle, &copy.alloc, "mempool_alloc_entry");
    find(handle, &copy.free, "mempool_free_entry");
    find(handle, &copy.destroy, "mempool_destroy");
    return true;
}

static mempool *its_pool;
static void *cached[CACHED];
static pthread_barrier_t barrier;

/* The first thread of the copy: it has the copy's first index, and entries in its cache. */
static void *fill_a_cache(void *unused)
{
    for (size_t i = 0; i < CACHED; i++)
        CHECK((cached[i] = copy.alloc(its_pool)) != NULL);
    for (size_t i = 0; i < CACHED; i++)
        copy.free(cached[i]);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return unused;
}

int main(void)
{
    row("a thread has the first index of one, another thread that of the other");
    if (!open_copy()) {
        puts("skipped: nobody says where the shared library is");
        CHECK(true);
        return done();
    }
    mempool *own = mempool_create(COUNT, SIZE, false);
    its_pool = copy.create(COUNT, SIZE, false);
    CHECK(own != NULL && its_pool != NULL);
    void *entry = mempool_alloc_entry(own);
    mempool_free_entry(entry);
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, fill_a_cache, NULL) == 0);
    pthread_barrier_wait(&barrier);
    /* There is plenty: nobody has a reason to look into the other's cache. */
    void *taken = copy.alloc(its_pool);
    CHECK(taken != NULL);
    for (size_t i = 0; i < CACHED; i++)
        CHECK(taken != cached[i]);
    copy.free(taken);
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(thread, NULL) == 0);
    copy.destroy(its_pool);
    mempool_destroy(own);
    return done();
}
