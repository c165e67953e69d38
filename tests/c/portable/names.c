/* Can a pool's name, or a word in the environment, do harm where it is shown?
 *
 * A terminal obeys control characters: C0, DEL, and C1, which has two bytes in UTF-8 and one elsewhere. In
 * lines for people each of them is a question mark, and so is each byte that is no UTF-8. */
#include "../check_child.h"

#define C1 "\xC2\x9B" /* U+009B, which starts a terminal's commands */
#define A "\xC3\xA4"  /* a letter of two bytes */
#define B "\xE2\x82\xAC"
#define G "\xF0\x9F\x90\x9F"

static const struct {
    const char *text, *shown;
} table[] = {
    {"plain name", "plain name"},
    {" !~", " !~"},
    {A B G "\xC2\xA0", A B G "\xC2\xA0"},
    {"a\x7F" "b", "a?b"},
    {"a" C1 "31mb", "a?31mb"},
    {"\xC2\x80\xC2\x9F", "??"},
    {"\x9B" "31m", "?31m"},
    {"\x01\x1B[31m\x1F", "??[31m?"},
    {"\xC3", "?"},
    {"\xE2\x82", "??"},
    {"\xF0\x9F\x90z", "???z"},
    {"\xC0\x9B", "??"},             /* what U+001B would be with a byte too many */
    {"\xED\xA0\x80", "???"},        /* half of a pair of UTF-16 */
    {"\xF4\x90\x80\x80", "????"},   /* beyond what there is */
    {"\xFF\xFE" A, "??" A},
};

/* ---- The environment's words ---- */

static void make_a_pool(void *environment)
{
    set_environment("CMEMPOOL_OPTIONS", environment);
    mempool *mp = mempool_create(1, 1, false);
    CHECK(mp != NULL);
    mempool_destroy(mp);
}

static void expect_echo(const char *word, const char *shown)
{
    char copy[400], line[400];
    int status;
    snprintf(copy, sizeof copy, "%s", word);
    snprintf(line, sizeof line,
             "cmempool: CMEMPOOL_OPTIONS ignores \"%s\"; "
             "it knows hardened, leaks, bypass, unwatched, holders\n",
             shown);
    const char *text = run_in_child(make_a_pool, copy, &status);
    bool same = strcmp(text, line) == 0;
    if (!same)
        fprintf(stderr, "expected '%s', got '%s'\n", line, text);
    CHECK(status == 0 && same);
}

static void words(void)
{
    set_environment("CMEMPOOL_OPTIONS", NULL);
    for (size_t i = 0; i < LENGTH(table); i++) {
        row("word %zu", i);
        /* Blanks around a word are none of it. */
        char word[100], shown[100];
        snprintf(word, sizeof word, "[%s]", table[i].text);
        snprintf(shown, sizeof shown, "[%s]", table[i].shown);
        expect_echo(word, shown);
    }
    row("long words");
    char text[200];
    for (size_t before = 60; before <= 64; before++) {
        static const char *const letters[] = {"x", A, B, G};
        for (size_t i = 0; i < LENGTH(letters); i++) {
            memset(text, '-', before);
            strcpy(text + before, letters[i]);
            strcat(text, "-and-more");
            char shown[65];
            size_t whole = before + strlen(letters[i]) <= 64 ? before + strlen(letters[i]) : before;
            if (whole < 64 && whole > before)
                whole = 64; /* of the text after it */
            memcpy(shown, text, whole);
            shown[whole] = '\0';
            expect_echo(text, shown);
        }
    }
}

/* ---- Names ---- */

static char report[4096];

#define REPORT(call)                                 \
    do {                                             \
        FILE *out = new_stream();                    \
        call;                                        \
        close_stream(out, report, sizeof report);    \
    } while (0)

static mempool *named(const char *name)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 1;
    options.elem_size = 24;
    options.name = name;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static void free_twice(void *mp)
{
    void *entry = mempool_alloc_entry((mempool *)mp);
    (mempool_free_entry)(entry);
    (mempool_free_entry)(entry);
}

static const char *raw;

static void compare_raw(const mempool_misuse *misuse, void *context)
{
    (void)context;
    fputs(strcmp(misuse->pool_name, raw) == 0 ? "raw" : "changed", stderr);
    _Exit(0);
}

static void free_twice_with_handler(void *mp)
{
    mempool_set_misuse_handler(compare_raw, NULL);
    free_twice(mp);
}

/* Of `name` the pool keeps `kept`, and lines for people say `shown`. */
static void expect_name(const char *name, const char *kept, const char *shown)
{
    char quoted[200];
    mempool *mp = named(name);
    snprintf(quoted, sizeof quoted, "pool \"%s\" at 0x", shown);
    REPORT(mempool_dump(mp, out));
    bool dumped = strncmp(report, quoted, strlen(quoted)) == 0;
    if (!dumped)
        fprintf(stderr, "expected '%s', got '%s'\n", quoted, report);
    CHECK(dumped);
    snprintf(quoted, sizeof quoted, "(pool \"%s\", 24-byte entries)", shown);
    EXPECT_ABORT(free_twice, mp, "double free", quoted);
    raw = kept;
    int status;
    CHECK(strcmp(run_in_child(free_twice_with_handler, mp, &status), "raw") == 0);
    mempool_destroy(mp);
}

static void names(void)
{
    for (size_t i = 0; i < LENGTH(table); i++) {
        row("name %zu", i);
        expect_name(table[i].text, table[i].text, table[i].shown);
    }
    for (size_t before = 58; before <= 64; before++) {
        static const char *const letters[] = {"x", A, B, G, C1, "\x80\x80\x80\x80\x80"};
        for (size_t i = 0; i < LENGTH(letters); i++) {
            row("a name of %zu bytes and letter %zu", before, i);
            char text[80] = {0}, kept[80] = {0}, shown[80] = {0};
            memset(text, '-', before);
            strcpy(text + before, letters[i]);
            size_t bytes = strlen(letters[i]);
            bool is_text = i < 5;
            size_t length = before + bytes <= 63 ? before + bytes : before > 63 || !is_text ? 63 : before;
            memcpy(kept, text, length);
            memcpy(shown, text, length);
            if (i == 4 && length > before)
                strcpy(shown + before, "?");
            if (i == 5 && length > before)
                memset(shown + before, '?', length - before);
            expect_name(text, kept, shown);
        }
    }
}

/* In JSON a name is what it was: a program's own reader says how it is shown. */
static void json(void)
{
    row("JSON");
    mempool *mp = named("\x01\x1B\x7F" C1 A "\xFF" B);
    REPORT(mempool_dump_json(mp, out));
    CHECK(strstr(report, "\"name\":\"\\u0001\\u001b\x7F" C1 A "\\ufffd" B "\"") != NULL);
    mempool_destroy(mp);
    char long_name[80];
    memset(long_name, '-', sizeof long_name);
    strcpy(long_name + 61, B);
    mp = named(long_name);
    REPORT(mempool_dump_json(mp, out));
    long_name[61] = '\0';
    char quoted[100];
    snprintf(quoted, sizeof quoted, "\"name\":\"%s\"", long_name);
    CHECK(strstr(report, quoted) != NULL);
    mempool_destroy(mp);
}

int main(void)
{
    /* This process makes no pool before: its children read the environment. */
    words();
    names();
    json();
    return done();
}
