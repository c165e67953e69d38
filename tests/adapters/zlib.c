/* Does zlib make the same bytes in a pool as without? */
#include "plug.h"

#include <cmempool/zlib.h>

enum { SIZE = 300000 };

static unsigned char source[SIZE];

/* Text that repeats itself, and a part that does not. */
static void write_source(void)
{
    uint64_t state = 7;
    for (size_t i = 0; i < SIZE; i++)
        source[i] = i % 5000 < 4000 ? (unsigned char)"pools hand out what they take back "[i % 35]
                                    : (unsigned char)random_below(&state, 256);
}

/* Deflates the source, in small pieces, and halfway from a copy of the stream; inflates it again.
 * */
static void work(struct text *text, cmempool_adapter *adapter, int level, int window, int memory)
{
    static unsigned char packed[2 * SIZE], again[SIZE];
    z_stream stream, copy;
    memset(&stream, 0, sizeof stream);
    if (adapter)
        cmempool_zlib_use(&stream, adapter);
    CHECK(deflateInit2(&stream, level, Z_DEFLATED, window, memory, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    for (size_t done = 0; done < SIZE; done += 10000) {
        stream.next_in = source + done;
        stream.avail_in = 10000;
        CHECK(deflate(&stream, done + 10000 < SIZE ? Z_NO_FLUSH : Z_FINISH) ==
              (done + 10000 < SIZE ? Z_OK : Z_STREAM_END));
        if (done == 150000) {
            CHECK(deflateCopy(&copy, &stream) == Z_OK);
            CHECK(deflateEnd(&stream) == Z_DATA_ERROR); /* not at its end */
            stream = copy;
            /* The copy's state points to the copy. */
            CHECK(deflateCopy(&stream, &copy) == Z_OK && deflateEnd(&copy) == Z_DATA_ERROR);
        }
    }
    CHECK(stream.avail_in == 0);
    size_t size = stream.total_out;
    add(text, packed, size);
    CHECK(deflateEnd(&stream) == Z_OK);

    memset(&stream, 0, sizeof stream);
    if (adapter)
        cmempool_zlib_use(&stream, adapter);
    CHECK(inflateInit2(&stream, window) == Z_OK);
    stream.next_in = packed;
    stream.avail_in = (unsigned)size;
    stream.next_out = again;
    int status = Z_OK;
    while (status == Z_OK) {
        size_t left = SIZE - stream.total_out;
        stream.avail_out = left < 7000 ? (unsigned)left : 7000;
        status = inflate(&stream, Z_NO_FLUSH);
    }
    CHECK(status == Z_STREAM_END && stream.total_out == SIZE);
    CHECK(memcmp(again, source, SIZE) == 0);
    CHECK(inflateEnd(&stream) == Z_OK);
}

static void works(struct text *text, cmempool_adapter *adapter)
{
    for (int level = 0; level <= 9; level += 3)
        for (int window = 9; window <= 15; window += 3)
            work(text, adapter, level, window, 1 + level % 9);
    work(text, adapter, 6, 15 + 16, 9);
}

int main(void)
{
    write_source();
    struct text plain = {0}, pooled = {0};
    works(&plain, NULL);
    CHECK(plain.length > 13 * 20000);
    for (int plan = 0; plan < PLANS; plan++) {
        r_mempool *pool = make_pool(plan);
        cmempool_adapter adapter;
        CHECK(cmempool_adapter_init(&adapter, pool));
        works(&pooled, &adapter);
        /* All of zlib's blocks are large. */
        expect_same(plan, pool, &adapter, plan == SMALL_SIZES ? 0 : 1, &plain, &pooled);
    }
    free(plain.bytes);

    /* A pool with too little says so to zlib, and nothing is lost. */
    row("out of memory");
    r_mempool *pool = r_mempool_create(8192, 65536, 8, fallback_disabled);
    cmempool_adapter adapter;
    CHECK(cmempool_adapter_init(&adapter, pool));
    z_stream stream = {0};
    cmempool_zlib_use(&stream, &adapter);
    CHECK(deflateInit(&stream, 6) == Z_MEM_ERROR);
    CHECK(entries_out(pool) == 0);
    r_mempool_destroy(pool);
    return done();
}
