/* A day of a small server on a ranged pool: how many entries does each class need?
 *
 *     server                          the day with both sizings, and the report of each
 *     server guessed|measured [FILE]  with one of them; the figures of the day go to the file
 *     server phases                   with the second; a report for each part of the day
 *
 * docs/sizing.md goes from the first sizing to the second. The server is an event loop: one thread,
 * many connections, a step for each second. Its clients are made up, and the same in each run. */
#include <cmempool.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds. The day goes from six in the morning to six in the morning. */
enum { MINUTE = 60, HOUR = 60 * MINUTE, OPENING = 6 * HOUR, CLOSING = 30 * HOUR };
enum { BETWEEN_SAMPLES = 5 * MINUTE, BETWEEN_WRITES = 5 };

static const struct {
    const char *name;
    int until;
} phases[] = {{"morning", 12 * HOUR}, {"rush hour", 21 * HOUR}, {"night", CLOSING}};

/* ---- The two sizings ------------------------------------------------------------------------- */

/* A first guess, from the smallest and the largest size alone: powers of two, each class
 * with half as many entries as the one before. */
static r_mempool *guessed(r_mempool_options options)
{
    options.smallest_size = 128;
    options.largest_size = 4096;
    options.smallest_count = 1024;
    return r_mempool_create_with(&options);
}

/* From the report of a day with the guess: the most at once and a quarter more, rounded up
 * to tens. */
static r_mempool *measured(r_mempool_options options)
{
    static const r_mempool_class classes[] = {
        {256, 80}, {512, 280}, {1024, 40}, {2048, 60}, {4096, 100},
    };
    options.classes = classes;
    options.class_count = sizeof classes / sizeof *classes;
    return r_mempool_create_with(&options);
}

/* ---- The clients ----------------------------------------------------------------------------- */

/* xorshift64: the same numbers in each run, on each machine. */
static uint64_t state;

static int between(int least, int most)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return least + (int)(state % (uint64_t)(most - least + 1));
}

/* New connections in a thousand seconds, at each hour; in between, interpolated. */
static int arrivals(int now)
{
    static const int on_the_hour[] = {
        20, 60, 150, 190, 170, 160, 190, 170, 160, 170, 220, 330, /* from six in the morning */
        380, 310, 210, 150, 110, 70,  40,  25,  20,  15,  10,  10, 15, /* from six in the evening */
    };
    int hour = now / HOUR - OPENING / HOUR;
    int part = now % HOUR;
    return (on_the_hour[hour] * (HOUR - part) + on_the_hour[hour + 1] * part) / HOUR;
}

static bool is_backup_time(int now)
{
    return now >= 26 * HOUR && now < 28 * HOUR;
}

/* ---- What they make the server hold, all of it entries of the pool --------------------------- */

struct log_line {
    struct log_line *next;
    char text[];
};

struct answer {
    struct answer *next;
    int sent; /* when all of it is */
    int length;
    char text[];
};

struct request {
    int answered; /* when it is */
    char head[];
};

struct connection {
    struct connection *next;
    struct request *request; /* the one that is worked on, or NULL */
    int asks;                /* when it asks next */
    int closes;
    bool is_backup;
    char buffer[400];
};

struct server {
    r_mempool *pool;
    struct connection *connections;
    struct answer *answers;
    struct log_line *log;
    long served, refused;
};

static void log_request(struct server *server, int now, int length)
{
    int room = between(140, 250);
    struct log_line *line = r_mempool_alloc_entry(server->pool, (size_t)room);
    if (!line) {
        return; /* better without a line than without an answer */
    }
    snprintf(line->text, (size_t)room - sizeof *line, "%02d:%02d:%02d %d bytes", now / HOUR % 24,
             now / MINUTE % 60, now % MINUTE, length);
    line->next = server->log;
    server->log = line;
}

/* An answer begins short, and some grow while they are written. */
static bool answer(struct server *server, const struct connection *to, int now)
{
    int length = between(1100, 2000);
    struct answer *answer = r_mempool_alloc_entry(server->pool, sizeof *answer + (size_t)length);
    if (!answer) {
        return false;
    }
    int seconds = between(1, 4);
    if (to->is_backup || between(1, 100) <= 17) {
        length = between(2100, 4000);
        struct answer *longer =
            r_mempool_realloc_entry(server->pool, answer, sizeof *answer + (size_t)length);
        if (!longer) {
            r_mempool_free_entry(answer);
            return false;
        }
        answer = longer;
        seconds = between(20, 60);
    }
    answer->length = length;
    answer->sent = now + seconds;
    memset(answer->text, '.', (size_t)length);
    answer->next = server->answers;
    server->answers = answer;
    log_request(server, now, length);
    return true;
}

static void serve(struct server *server, struct connection *connection, int now)
{
    if (connection->request && connection->request->answered <= now) {
        if (answer(server, connection, now)) {
            ++server->served;
        } else {
            ++server->refused;
        }
        r_mempool_free_entry(connection->request); /* which is NULL now */
        connection->asks = now + (connection->is_backup ? between(1, 3) : between(5, 40));
    }
    if (!connection->request && connection->asks <= now && now < connection->closes) {
        size_t length = (size_t)between(600, 1000);
        connection->request = r_mempool_calloc_entry(server->pool, length);
        if (connection->request) {
            connection->request->answered = now + between(1, 3);
        } else {
            ++server->refused;
            connection->asks = now + 1;
        }
    }
}

static void accept_connection(struct server *server, int now, bool is_backup, int lifetime)
{
    struct connection *connection = r_mempool_calloc_entry(server->pool, sizeof *connection);
    if (!connection) {
        ++server->refused;
        return;
    }
    connection->asks = now + between(0, 2);
    connection->closes = now + lifetime;
    connection->is_backup = is_backup;
    connection->next = server->connections;
    server->connections = connection;
}

static void pass_second(struct server *server, int now)
{
    if (between(1, 1000) <= arrivals(now)) {
        accept_connection(server, now, false, between(2 * MINUTE, 14 * MINUTE));
    }
    if (is_backup_time(now) && now % (10 * MINUTE) == 0) {
        accept_connection(server, now, true, 15 * MINUTE);
    }
    for (struct connection **at = &server->connections; *at;) {
        struct connection *connection = *at;
        serve(server, connection, now);
        if (now >= connection->closes && !connection->request) {
            *at = connection->next;
            r_mempool_free_entry(connection);
        } else {
            at = &connection->next;
        }
    }
    for (struct answer **at = &server->answers; *at;) {
        struct answer *answer = *at;
        if (answer->sent <= now) {
            *at = answer->next;
            r_mempool_free_entry(answer);
        } else {
            at = &answer->next;
        }
    }
    while (now % BETWEEN_WRITES == 0 && server->log) {
        struct log_line *line = server->log;
        server->log = line->next;
        r_mempool_free_entry(line);
    }
}

/* ---- The day --------------------------------------------------------------------------------- */

/* A line for each class. */
static void write_sample(const r_mempool *pool, int now, FILE *samples)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    for (size_t i = 0; r_mempool_get_stats(pool, i, &stats); ++i) {
        fprintf(samples, "%d,%zu,%zu,%zu,%zu,%zu,%zu,%llu\n", now / MINUTE, stats.elem_size,
                stats.capacity, stats.used, stats.peak_used, stats.dynamic_used, stats.dynamic_peak,
                (unsigned long long)stats.exhausted);
    }
}

/* Returns false, and says why, if something can't be had. */
static bool run_day(bool is_guessed, bool by_phase, FILE *samples)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.name = is_guessed ? "guessed" : "measured";
    /* What a class lacks comes from the heap and counts with it; larger classes would hide it. */
    options.policy = fallback_at_first_exhaustion;
    options.flags = MEMPOOL_SINGLE_THREAD;
    struct server server = {.pool = is_guessed ? guessed(options) : measured(options)};
    if (!server.pool) {
        perror("r_mempool_create_with");
        return false;
    }

    state = 2018;
    size_t phase = 0;
    for (int now = OPENING; now < CLOSING; ++now) {
        if (samples && now % BETWEEN_SAMPLES == 0) {
            write_sample(server.pool, now, samples);
        }
        pass_second(&server, now);
        if (by_phase && now + 1 == phases[phase].until) {
            printf("The %s:\n", phases[phase++].name);
            r_mempool_dump(server.pool, stdout);
            r_mempool_reset_peak(server.pool);
        }
    }
    if (samples) {
        write_sample(server.pool, CLOSING, samples);
    }
    if (!by_phase) {
        r_mempool_dump(server.pool, stdout);
    }
    printf("%ld requests were served, and %ld refused.\n\n", server.served, server.refused);
    r_mempool_destroy(server.pool); /* with all that is still out */
    return true;
}

static bool run_sampled_day(bool is_guessed, const char *path)
{
    FILE *samples = fopen(path, "w");
    if (!samples) {
        perror(path);
        return false;
    }
    fprintf(samples, "minute,elem_size,capacity,used,peak_used,dynamic_used,dynamic_peak,"
                     "exhausted\n");
    bool done = run_day(is_guessed, false, samples);
    bool written = !ferror(samples);
    if (fclose(samples) != 0 || !written) {
        perror(path);
        return false;
    }
    return done;
}

int main(int count, char **words)
{
    bool done;
    if (count < 2) {
        done = run_day(true, false, NULL) && run_day(false, false, NULL);
    } else if (count == 2 && strcmp(words[1], "phases") == 0) {
        done = run_day(false, true, NULL);
    } else if (count <= 3 &&
               (strcmp(words[1], "guessed") == 0 || strcmp(words[1], "measured") == 0)) {
        bool is_guessed = words[1][0] == 'g';
        done = count == 3 ? run_sampled_day(is_guessed, words[2])
                          : run_day(is_guessed, false, NULL);
    } else {
        fprintf(stderr, "usage: %s [guessed [FILE] | measured [FILE] | phases]\n", words[0]);
        done = false;
    }
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
