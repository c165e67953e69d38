/* zlib on a pool: many short messages, each with a stream of its own, and the heap left alone. */
#include <cmempool/zlib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 1000, ROOM = 256 };

/* Returns how many bytes of `to` were written. */
static size_t compress_message(cmempool_adapter *adapter, char *message, unsigned char *to)
{
    z_stream stream = {0};
    cmempool_zlib_use(&stream, adapter);
    if (deflateInit(&stream, Z_BEST_SPEED) != Z_OK)
        return 0;
    stream.next_in = (unsigned char *)message;
    stream.avail_in = (unsigned)strlen(message) + 1;
    stream.next_out = to;
    stream.avail_out = ROOM;
    int status = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return status == Z_STREAM_END ? stream.total_out : 0;
}

static int expand_message(cmempool_adapter *adapter, unsigned char *from, size_t size, char *to)
{
    z_stream stream = {0};
    cmempool_zlib_use(&stream, adapter);
    if (inflateInit(&stream) != Z_OK)
        return 0;
    stream.next_in = from;
    stream.avail_in = (unsigned)size;
    stream.next_out = (unsigned char *)to;
    stream.avail_out = ROOM;
    int status = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return status == Z_STREAM_END;
}

int main(void)
{
    /* For one stream at a time, what deflate takes with zlib's defaults; inflate takes less. Other
     * versions' blocks may be larger: they come from the heap. */
    static const r_mempool_class classes[] = {{8192, 1}, {65536, 4}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = sizeof classes / sizeof *classes;
    options.policy = fallback_at_last_exhaustion;
    options.name = "zlib";
    r_mempool *pool = r_mempool_create_with(&options);
    cmempool_adapter adapter;
    if (!pool || !cmempool_adapter_init(&adapter, pool)) {
        perror("r_mempool_create_with");
        return EXIT_FAILURE;
    }

    size_t plain = 0, packed = 0;
    for (int i = 0; i < MESSAGES; i++) {
        char message[ROOM], again[ROOM];
        unsigned char bytes[ROOM];
        snprintf(message, sizeof message, "message %d of %d: quick brown fox, quick brown dog", i,
                 MESSAGES);
        size_t size = compress_message(&adapter, message, bytes);
        if (size == 0 || !expand_message(&adapter, bytes, size, again) ||
            strcmp(message, again) != 0) {
            fprintf(stderr, "message %d is lost\n", i);
            return EXIT_FAILURE;
        }
        plain += strlen(message) + 1;
        packed += size;
    }
    printf("%d messages: %zu bytes in %zu\n", MESSAGES, plain, packed);

    r_mempool_dump(pool, stdout);
    r_mempool_destroy(pool);
    return EXIT_SUCCESS;
}
