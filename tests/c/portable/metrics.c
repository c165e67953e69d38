/* Is what a monitor gets of the pools OpenMetrics text with the figures that the pools have, at any time?
 *
 * https://prometheus.io/docs/specs/om/open_metrics_spec/ */
#include "../check_threads.h"

enum { SIZE = 100, FAMILIES = 11 };

static char text[1 << 20];

/* A null byte ends it. */
static size_t metrics(void)
{
    FILE *out = new_stream();
    mempool_dump_all_openmetrics(out);
    close_stream(out, text, sizeof text);
    return strlen(text);
}

/* ---- The format ---- */

static char families[FAMILIES][64];
static const char *family = "";
static bool is_counter;
static size_t family_count, sample_count;

/* A name of a family or a label ends before this. */
static const char *after_name(const char *at)
{
    CHECK((*at >= 'a' && *at <= 'z') || *at == '_');
    while ((*at >= 'a' && *at <= 'z') || *at == '_')
        at++;
    return at;
}

static const char *after(const char *at, const char *prefix)
{
    CHECK(strncmp(at, prefix, strlen(prefix)) == 0);
    return at + strlen(prefix);
}

/* Escapes are \\, \" and \n. */
static const char *after_label(const char *at, const char *name)
{
    at = after(after(at, name), "=\"");
    for (; *at != '"'; at++) {
        CHECK((unsigned char)*at >= ' ');
        if (*at == '\\') {
            at++;
            CHECK(*at == '\\' || *at == '"' || *at == 'n');
        }
    }
    return at + 1;
}

static void read_head(const char *line)
{
    static const char *const kinds[] = {" gauge", " counter"};
    line = after(line, "# TYPE ");
    const char *end = after_name(line);
    CHECK(end > line && (size_t)(end - line) < sizeof families[0] && family_count < FAMILIES);
    snprintf(families[family_count], sizeof families[0], "%.*s", (int)(end - line), line);
    family = families[family_count];
    for (size_t i = 0; i < family_count; i++)
        CHECK(strcmp(families[i], family) != 0);
    is_counter = strcmp(end, kinds[1]) == 0;
    CHECK(is_counter || strcmp(end, kinds[0]) == 0);
    family_count++;
}

static void read_sample(const char *line)
{
    line = after(line, family);
    if (is_counter)
        line = after(line, "_total");
    line = after_label(after(line, "{"), "pool");
    line = after_label(after(line, ","), "class");
    line = after_label(after(line, ","), "address");
    line = after(line, "} ");
    CHECK(*line != '\0' && line[strspn(line, "0123456789")] == '\0');
    sample_count++;
}

static void check_format(void)
{
    static char copy[sizeof text];
    memcpy(copy, text, sizeof text);
    family_count = sample_count = 0;
    bool ended = false;
    for (char *line = copy, *next; *line != '\0'; line = next) {
        CHECK(!ended);
        char *end = strchr(line, '\n');
        CHECK(end != NULL);
        *end = '\0';
        next = end + 1;
        if (strncmp(line, "# TYPE ", 7) == 0) {
            read_head(line);
        } else if (strncmp(line, "# HELP ", 7) == 0) {
            const char *help = after(after(line + 7, family), " ");
            CHECK(*help != '\0' && strpbrk(help, "\\\"") == NULL);
        } else if (strncmp(line, "# UNIT ", 7) == 0) {
            CHECK(strcmp(after(line + 7, family), " bytes") == 0);
            CHECK(strcmp(family + strlen(family) - 6, "_bytes") == 0);
        } else if (line[0] == '#') {
            ended = strcmp(line, "# EOF") == 0;
            CHECK(ended);
        } else {
            read_sample(line);
        }
    }
    CHECK(ended && family_count == FAMILIES);
}

/* ---- The figures ---- */

static void expect(const char *figure, const void *pool, const char *name, const mempool_stats *stats,
                   uint64_t value)
{
    char line[400];
    snprintf(line, sizeof line, "\ncmempool_%s{pool=\"%s\",class=\"%zu\",address=\"0x%" PRIxPTR "\"} %" PRIu64 "\n",
             figure, name, stats->elem_size, address(pool), value);
    const char *first = strstr(text, line);
    if (first == NULL)
        fprintf(stderr, "missing:%s", line);
    CHECK(first != NULL && strstr(first + 1, line) == NULL);
}

static void expect_all(const void *pool, const char *name, const mempool_stats *stats)
{
    expect("capacity", pool, name, stats, stats->capacity);
    expect("used", pool, name, stats, stats->used);
    expect("peak_used", pool, name, stats, stats->peak_used);
    expect("cached", pool, name, stats, stats->cached);
    expect("dynamic_used", pool, name, stats, stats->dynamic_used);
    expect("dynamic_peak", pool, name, stats, stats->dynamic_peak);
    expect("exhausted_total", pool, name, stats, stats->exhausted);
    expect("failed_total", pool, name, stats, stats->failed);
    expect("reserved_bytes", pool, name, stats, stats->bytes_reserved);
    expect("cache_bytes", pool, name, stats, stats->cache_bytes);
    expect("per_entry_bytes", pool, name, stats, stats->bytes_per_entry);
}

static mempool *create(size_t count, const char *name, bool falls_back)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = SIZE;
    options.name = name;
    options.flags = falls_back ? MEMPOOL_FALL_BACK : 0;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static void figures(void)
{
    row("no pool");
    metrics();
    check_format();
    CHECK(sample_count == 0);

    row("pools");
    mempool *null = create(40, "to \"null\"\\", false), *heap = create(20, NULL, true);
    mempool *same = create(20, NULL, true);
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 64;
    options.smallest_count = 8;
    options.name = "line\nend \xC3\xA4";
    r_mempool *ranged = r_mempool_create_with(&options);
    CHECK(ranged != NULL);
    void *entries[45 + 25 + 8 + 3];
    size_t out = 0;
    for (size_t i = 0; i < 45; i++)
        entries[out++] = mempool_alloc_entry(null);
    for (size_t i = 0; i < 25; i++)
        entries[out++] = mempool_alloc_entry(heap);
    for (size_t i = 0; i < 8; i++)
        entries[out++] = r_mempool_alloc_entry(ranged, 10);
    for (size_t i = 0; i < 3; i++)
        entries[out++] = r_mempool_alloc_entry(ranged, 60);
    CHECK(out == LENGTH(entries));
    for (int round = 0; round < 2; round++) {
        metrics();
        check_format();
        CHECK(sample_count == FAMILIES * (3 + r_mempool_class_count(ranged)));
        mempool_stats stats = MEMPOOL_STATS_INIT;
        CHECK(mempool_get_stats(null, &stats) && stats.failed == 5 && stats.peak_used == 40);
        expect_all(null, "to \\\"null\\\"\\\\", &stats);
        CHECK(mempool_get_stats(heap, &stats) && stats.dynamic_peak == (round == 0 ? 5 : 0));
        expect_all(heap, "", &stats);
        CHECK(mempool_get_stats(same, &stats) && stats.peak_used == 0);
        expect_all(same, "", &stats);
        for (size_t class = 0; class < r_mempool_class_count(ranged); class++) {
            CHECK(r_mempool_get_stats(ranged, class, &stats));
            expect_all(ranged, "line?end \xC3\xA4", &stats);
        }
        /* What only grows stays. */
        while (out > 0) {
            void *entry = entries[--out];
            mempool_free_entry(entry);
        }
        mempool_reset(null);
        mempool_reset_peak(heap);
    }
    r_mempool_destroy(ranged);
    mempool_destroy(same);
    mempool_destroy(heap);
    mempool_destroy(null);
    mempool_dump_all_openmetrics(NULL);
}

/* ---- While pools come and go ---- */

static atomic_bool stop;

static void *come_and_go(void *unused)
{
    while (!atomic_load(&stop)) {
        mempool *pools[8];
        for (size_t i = 0; i < LENGTH(pools); i++) {
            pools[i] = create(3, "short-lived", true);
            for (size_t n = 0; n < 4 && i == 0; n++) {
                void *entry = mempool_alloc_entry(pools[i]);
                CHECK(entry != NULL);
            }
        }
        for (size_t i = 0; i < LENGTH(pools); i++)
            mempool_destroy(pools[i]);
    }
    return unused;
}

static void meanwhile(void)
{
    row("while pools come and go");
    atomic_store(&stop, false);
    mempool *stays = create(10, "stays", false);
    void *entry = mempool_alloc_entry(stays);
    struct thread threads[2];
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(thread_start(&threads[i], come_and_go, NULL));
    for (size_t i = 0; i < scaled(300, 10); i++) {
        metrics();
        check_format();
        mempool_stats stats = MEMPOOL_STATS_INIT;
        CHECK(mempool_get_stats(stays, &stats) && stats.used == 1);
        expect_all(stays, "stays", &stats);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < LENGTH(threads); i++)
        CHECK(thread_join(&threads[i]));
    mempool_free_entry(entry);
    mempool_destroy(stays);
}

int main(void)
{
    figures();
    meanwhile();
    return done();
}
