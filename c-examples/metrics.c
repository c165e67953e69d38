/* The figures of all pools, for Prometheus: one page, served by a thread of the program itself.
 *
 * Without arguments it prints the page. With a port it serves it, to this machine alone, until it is
 * killed; port 0 takes one that is free. Copy `serve`, and start it with pthread_create. */
#define _POSIX_C_SOURCE 200809L
#include <cmempool.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void write_all(int client, const char *bytes, size_t length)
{
    while (length > 0) {
        /* A client that has gone must not end the program by SIGPIPE. */
        ssize_t written = send(client, bytes, length, MSG_NOSIGNAL);
        if (written <= 0)
            return;
        bytes += written;
        length -= (size_t)written;
    }
}

/* Every request gets the same page. It is written to memory first: a slow client holds up this thread
 * alone. */
static void answer(int client)
{
    char request[4096], head[200], *page = NULL;
    size_t length = 0;
    if (read(client, request, sizeof request) <= 0)
        return;
    FILE *out = open_memstream(&page, &length);
    if (!out)
        return;
    mempool_dump_all_openmetrics(out);
    if (fclose(out) == 0) {
        int head_length = snprintf(head, sizeof head,
                                   "HTTP/1.1 200 OK\r\n"
                                   "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
                                   "Content-Length: %zu\r\n"
                                   "Connection: close\r\n\r\n",
                                   length);
        write_all(client, head, (size_t)head_length);
        write_all(client, page, length);
    }
    free(page);
}

static void serve(int listener)
{
    /* A client that says nothing is sent away after a second. */
    struct timeval patience = {.tv_sec = 1};
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) {
            /* There may be no descriptor left: later. */
            sleep(1);
            continue;
        }
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        answer(client);
        close(client);
    }
}

/* -1, with a message, if that can't be. */
static int listen_on(unsigned long port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((in_port_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("metrics");
        return -1;
    }
    printf("http://127.0.0.1:%u/metrics\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 100;
    options.elem_size = 240;
    options.name = "sessions";
    mempool *sessions = mempool_create_with(&options);
    r_mempool *messages = r_mempool_create(64, 1024, 512, fallback_at_last_exhaustion);
    if (!sessions || !messages) {
        perror("metrics");
        return EXIT_FAILURE;
    }

    /* The program at work: 70 clients come, 30 go, and each of the others has sent a message. */
    void *held[70], *sent[40];
    for (int i = 0; i < 70; i++)
        held[i] = mempool_alloc_entry(sessions);
    for (int i = 40; i < 70; i++)
        mempool_free_entry(held[i]);
    for (int i = 0; i < 40; i++)
        sent[i] = r_mempool_alloc_entry(messages, 200);

    int listener = -1;
    if (argc > 1 && (listener = listen_on(strtoul(argv[1], NULL, 10))) < 0)
        return EXIT_FAILURE;
    if (listener >= 0)
        serve(listener);
    mempool_dump_all_openmetrics(stdout);

    for (int i = 0; i < 40; i++) {
        r_mempool_free_entry(sent[i]);
        mempool_free_entry(held[i]);
    }
    r_mempool_destroy(messages);
    mempool_destroy(sessions);
    return EXIT_SUCCESS;
}
