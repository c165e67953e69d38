/* libuv on a pool: an echo server and a client in one loop, and the program's own requests and
 * buffers from the same pool. */
#define _GNU_SOURCE /* uv.h needs POSIX, which -std=c11 alone leaves out */
#include <cmempool/libuv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static r_mempool *pool;
static uv_loop_t loop;
static uv_tcp_t server, client;
static const char greeting[] = "hello, pool";
static size_t echoed;

static void stop_if(int status, const char *what)
{
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
        exit(EXIT_FAILURE);
    }
}

static void *take(size_t size)
{
    void *entry = r_mempool_alloc_entry(pool, size);
    if (!entry) {
        perror("r_mempool_alloc_entry");
        exit(EXIT_FAILURE);
    }
    return entry;
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(take(1024), 1024);
}

/* A write, and what it writes. */
struct message {
    uv_write_t request;
    uv_buf_t buffer;
};

static void on_written(uv_write_t *request, int status)
{
    struct message *message = (struct message *)request;
    stop_if(status, "write");
    r_mempool_free_entry(message->buffer.base);
    r_mempool_free_entry(message);
}

static void write_entry(uv_stream_t *stream, char *entry, size_t size)
{
    struct message *message = take(sizeof *message);
    message->buffer = uv_buf_init(entry, (unsigned)size);
    stop_if(uv_write(&message->request, stream, &message->buffer, 1, on_written), "write");
}

static void on_peer_closed(uv_handle_t *peer)
{
    r_mempool_free_entry(peer);
}

/* The server's end of a connection: sends back what comes. */
static void on_request(uv_stream_t *peer, ssize_t size, const uv_buf_t *buffer)
{
    char *entry = buffer->base;
    if (size > 0) {
        write_entry(peer, entry, (size_t)size);
        return;
    }
    r_mempool_free_entry(entry);
    if (size < 0)
        uv_close((uv_handle_t *)peer, on_peer_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    stop_if(status, "listen");
    uv_tcp_t *peer = take(sizeof *peer);
    stop_if(uv_tcp_init(&loop, peer), "tcp");
    stop_if(uv_accept(listener, (uv_stream_t *)peer), "accept");
    stop_if(uv_read_start((uv_stream_t *)peer, on_buffer, on_request), "read");
}

/* The client's end: prints what comes back, and ends the server with the connection. */
static void on_reply(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    char *entry = buffer->base;
    stop_if((int)size, "reply");
    printf("echo: %.*s\n", (int)size, entry);
    r_mempool_free_entry(entry);
    echoed += (size_t)size;
    if (echoed == strlen(greeting)) {
        printf("libuv and the program in the pool:\n");
        r_mempool_dump(pool, stdout);
        uv_close((uv_handle_t *)stream, NULL);
        uv_close((uv_handle_t *)&server, NULL);
    }
}

static void on_connected(uv_connect_t *request, int status)
{
    stop_if(status, "connect");
    stop_if(uv_read_start(request->handle, on_buffer, on_reply), "read");
    char *entry = take(strlen(greeting));
    memcpy(entry, greeting, strlen(greeting));
    write_entry(request->handle, entry, strlen(greeting));
}

int main(void)
{
    /* Classes of 16, 32, 64, .. 16384 bytes with 4096, 2048, 1024, .. 4 entries. What is larger,
     * and what finds no entry, comes from the heap. */
    pool = r_mempool_create(16, 16384, 4096, fallback_at_last_exhaustion);
    if (!pool) {
        perror("r_mempool_create");
        return EXIT_FAILURE;
    }
    stop_if(cmempool_libuv_use(pool), "allocator");

    struct sockaddr_in address;
    int length = sizeof address;
    uv_connect_t connect;
    stop_if(uv_loop_init(&loop), "loop");
    stop_if(uv_tcp_init(&loop, &server), "tcp");
    stop_if(uv_ip4_addr("127.0.0.1", 0, &address), "address");
    stop_if(uv_tcp_bind(&server, (const struct sockaddr *)&address, 0), "bind");
    stop_if(uv_listen((uv_stream_t *)&server, 8, on_connection), "listen");
    stop_if(uv_tcp_getsockname(&server, (struct sockaddr *)&address, &length), "port");
    stop_if(uv_tcp_init(&loop, &client), "tcp");
    stop_if(uv_tcp_connect(&connect, &client, (const struct sockaddr *)&address, on_connected),
            "connect");

    uv_run(&loop, UV_RUN_DEFAULT);
    stop_if(uv_loop_close(&loop), "loop");
    uv_library_shutdown();
    r_mempool_destroy(pool);
    return EXIT_SUCCESS;
}
