/* Does libuv work in a pool: streams, timers, files and its worker threads? */
#include "plug.h"

#include <cmempool/libuv.h>

#include <fcntl.h>

enum { CLIENTS = 20, JOBS = 50 };

static cmempool_adapter *adapter = &cmempool_libuv_adapter;
static uv_loop_t loop;
static uv_tcp_t server;
static size_t closed_clients, jobs_done, ticks;

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    *buffer = uv_buf_init(cmempool_adapter_malloc(adapter, suggested), (unsigned)suggested);
    CHECK(buffer->base != NULL);
}

static void on_closed(uv_handle_t *handle)
{
    cmempool_adapter_free(adapter, handle);
}

/* ---- An echo server, and clients that send what comes back to them
 * ------------------------------ */

struct message {
    uv_write_t request;
    char *bytes;
};

static void on_written(uv_write_t *request, int status)
{
    CHECK(status == 0);
    cmempool_adapter_free(adapter, ((struct message *)request)->bytes);
    cmempool_adapter_free(adapter, request);
}

/* In parts: libuv allocates for more than a few. */
static void send_bytes(uv_stream_t *stream, char *bytes, size_t size)
{
    struct message *message = cmempool_adapter_malloc(adapter, sizeof *message);
    CHECK(message != NULL);
    message->bytes = bytes;
    enum { PARTS = 8 };
    uv_buf_t parts[PARTS];
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = uv_buf_init(bytes + size * i / PARTS,
                               (unsigned)(size * (i + 1) / PARTS - size * i / PARTS));
    CHECK(uv_write(&message->request, stream, parts, PARTS, on_written) == 0);
}

static void on_request(uv_stream_t *peer, ssize_t size, const uv_buf_t *buffer)
{
    if (size > 0) {
        send_bytes(peer, buffer->base, (size_t)size);
        return;
    }
    cmempool_adapter_free(adapter, buffer->base);
    if (size < 0)
        uv_close((uv_handle_t *)peer, on_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    CHECK(status == 0);
    uv_tcp_t *peer = cmempool_adapter_malloc(adapter, sizeof *peer);
    CHECK(peer != NULL && uv_tcp_init(&loop, peer) == 0);
    CHECK(uv_accept(listener, (uv_stream_t *)peer) == 0);
    CHECK(uv_read_start((uv_stream_t *)peer, on_buffer, on_request) == 0);
}

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    size_t number, size, got;
};

static char byte_of(const struct client *client, size_t i)
{
    return (char)(i * 7 + i / 251 + client->number);
}

static void on_client_closed(uv_handle_t *handle)
{
    on_closed(handle);
    if (++closed_clients == CLIENTS)
        uv_close((uv_handle_t *)&server, NULL);
}

static void on_reply(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct client *client = (struct client *)stream;
    CHECK(size >= 0);
    for (ssize_t i = 0; i < size; i++)
        if (buffer->base[i] != byte_of(client, client->got++))
            CHECK(!"what came back is what was sent");
    cmempool_adapter_free(adapter, buffer->base);
    CHECK(client->got <= client->size);
    if (client->got == client->size)
        uv_close((uv_handle_t *)stream, on_client_closed);
}

static void on_connected(uv_connect_t *request, int status)
{
    CHECK(status == 0);
    struct client *client = (struct client *)request->handle;
    CHECK(uv_read_start(request->handle, on_buffer, on_reply) == 0);
    for (size_t sent = 0; sent < client->size;) {
        size_t left = client->size - sent, size = left < 9000 ? left : 9000;
        char *bytes = cmempool_adapter_malloc(adapter, size);
        CHECK(bytes != NULL);
        for (size_t i = 0; i < size; i++)
            bytes[i] = byte_of(client, sent++);
        send_bytes(request->handle, bytes, size);
    }
}

static void start_echo(void)
{
    struct sockaddr_in address;
    int length = sizeof address;
    CHECK(uv_tcp_init(&loop, &server) == 0);
    CHECK(uv_ip4_addr("127.0.0.1", 0, &address) == 0);
    CHECK(uv_tcp_bind(&server, (const struct sockaddr *)&address, 0) == 0);
    CHECK(uv_listen((uv_stream_t *)&server, CLIENTS, on_connection) == 0);
    CHECK(uv_tcp_getsockname(&server, (struct sockaddr *)&address, &length) == 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = cmempool_adapter_calloc(adapter, 1, sizeof *client);
        CHECK(client != NULL && uv_tcp_init(&loop, &client->tcp) == 0);
        client->number = i;
        client->size = 10 + i * i * 300;
        CHECK(uv_tcp_connect(&client->connect, &client->tcp, (const struct sockaddr *)&address,
                             on_connected) == 0);
    }
}

/* ---- What libuv allocates for itself, here and in its worker threads
 * ---------------------------- */

static void in_worker(uv_work_t *work)
{
    /* Blocks that go from thread to thread. */
    size_t size = (size_t)(uintptr_t)work->data;
    char *bytes = cmempool_adapter_malloc(adapter, size);
    CHECK(bytes != NULL);
    memset(bytes, 3, size);
    work->data = cmempool_adapter_realloc(adapter, bytes, 2 * size);
    CHECK(work->data != NULL && all_bytes(work->data, 3, size));
}

static void after_work(uv_work_t *work, int status)
{
    CHECK(status == 0);
    cmempool_adapter_free(adapter, work->data);
    cmempool_adapter_free(adapter, work);
    jobs_done++;
}

static void on_tick(uv_timer_t *timer)
{
    if (++ticks == 5)
        uv_close((uv_handle_t *)timer, NULL);
}

static void work_with_files(void)
{
    char directory[] = "/tmp/cmempool-libuv-XXXXXX", file[64];
    CHECK(mkdtemp(directory) != NULL);
    uv_fs_t request;
    for (int i = 0; i < 30; i++) {
        snprintf(file, sizeof file, "%s/%d", directory, i);
        int handle = uv_fs_open(NULL, &request, file, O_CREAT | O_WRONLY, 0600, NULL);
        CHECK(handle >= 0);
        uv_fs_req_cleanup(&request);
        CHECK(uv_fs_close(NULL, &request, handle, NULL) == 0);
        uv_fs_req_cleanup(&request);
    }
    CHECK(uv_fs_scandir(NULL, &request, directory, 0, NULL) == 30);
    uv_fs_req_cleanup(&request);
    CHECK(uv_fs_readlink(NULL, &request, "/proc/self/exe", NULL) == 0 && request.ptr != NULL);
    uv_fs_req_cleanup(&request);
    for (int i = 0; i < 30; i++) {
        snprintf(file, sizeof file, "%s/%d", directory, i);
        CHECK(unlink(file) == 0);
    }
    CHECK(rmdir(directory) == 0);
}

static void on_poll(uv_fs_poll_t *poll, int status, const uv_stat_t *before, const uv_stat_t *now)
{
    (void)poll, (void)status, (void)before, (void)now;
}

/* libuv asks for zeros seldom: once for each file that it polls. */
static void ask_for_zeros(uv_fs_poll_t *poll)
{
    unsigned char *bytes = cmempool_libuv_malloc(900);
    CHECK(bytes != NULL);
    memset(bytes, 1, 900);
    cmempool_libuv_free(bytes);
    bytes = cmempool_libuv_calloc(9, 100);
    CHECK(bytes != NULL && all_bytes(bytes, 0, 900));
    CHECK(cmempool_adapter_usable_size(adapter, bytes) >= 900);
    cmempool_libuv_free(bytes);
    CHECK(uv_fs_poll_init(&loop, poll) == 0 && uv_fs_poll_start(poll, on_poll, "/", 1000) == 0);
    char path[10];
    size_t size = sizeof path;
    CHECK(uv_fs_poll_getpath(poll, path, &size) == 0 && strcmp(path, "/") == 0);
    uv_close((uv_handle_t *)poll, NULL);
}

int main(void)
{
    /* Small: requests for buffers of 64 KiB go to the heap. */
    r_mempool *pool = r_mempool_create(16, 8192, 8192, fallback_at_last_exhaustion);
    CHECK(cmempool_libuv_use(NULL) == UV_EINVAL);
    CHECK(cmempool_libuv_use(pool) == 0);
    CHECK(uv_loop_init(&loop) == 0);
    CHECK(entries_out(pool) > 0); /* libuv's own */
    start_echo();
    uv_timer_t timer;
    CHECK(uv_timer_init(&loop, &timer) == 0 && uv_timer_start(&timer, on_tick, 1, 1) == 0);
    for (size_t i = 1; i <= JOBS; i++) {
        uv_work_t *work = cmempool_adapter_malloc(adapter, sizeof *work);
        CHECK(work != NULL);
        work->data = (void *)(uintptr_t)(i * 150);
        CHECK(uv_queue_work(&loop, work, in_worker, after_work) == 0);
    }
    work_with_files();
    uv_fs_poll_t poll;
    ask_for_zeros(&poll);
    CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    CHECK(closed_clients == CLIENTS && jobs_done == JOBS && ticks == 5);
    CHECK(uv_loop_close(&loop) == 0);
    uv_library_shutdown();
    size_t dynamic;
    CHECK(peak_out(pool, &dynamic) > 100);
    CHECK(entries_out(pool) == 0 && cmempool_adapter_larger_count(adapter) == 0);
    r_mempool_destroy(pool);
    return done();
}
