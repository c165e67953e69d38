/* Does PCRE2 find the same in a pool as without? */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "plug.h"

#include <cmempool/pcre2.h>

static const char *const patterns[] = {
    "fox",
    "(\\w+)\\s+(\\w+)",
    "(?<word>[a-z]+)(?=\\s\\g<word>)",
    "^(?:(a+)+|b)*$",
    "(\\((?:[^()]|(?1))*\\))",
    "(?i)QUICK|lazy|\\bdog\\b",
    "((a)|(b)|(c)|(d)|(e)|(f)|(g)|(h)|(i)|(j)|(k)|(l)|(m)|(n)|(o)|(p)|(q)|(r)|(s)|(t)){3,}",
    "(?:x{0,500}y{0,300}|[^\\x00-\\x40]{1,200}){1,20}z?",
    "([a-z]+) (?1) (?1)(*SKIP)(*F)|over",
    "(unclosed",
    "*",
};

static const char *const subjects[] = {
    "the quick brown fox jumps over the lazy dog",
    "aaaaaaaaaaaaaaaaaaaaaaaaab",
    "((())()((((((((((((()))))))))))))) and (more)",
    "",
    "the the fox fox",
};

static void match(struct text *text, const pcre2_code *code, pcre2_general_context *general,
                  const char *subject)
{
    size_t length = strlen(subject);
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, general);
    pcre2_match_context *context = pcre2_match_context_create(general);
    CHECK(data != NULL && context != NULL);
    CHECK(pcre2_set_match_limit(context, 100000) == 0);
    size_t at = 0;
    for (int found; at <= length; at++) {
        found = pcre2_match(code, (PCRE2_SPTR)subject, length, at, 0, data, context);
        say(text, "%d:", found);
        if (found <= 0)
            break;
        const size_t *ends = pcre2_get_ovector_pointer(data);
        for (int i = 0; i < found; i++)
            say(text, " %zd-%zd", (ssize_t)ends[2 * i], (ssize_t)ends[2 * i + 1]);
        if (found > 1 && ends[2] != PCRE2_UNSET) {
            PCRE2_UCHAR *group;
            size_t size;
            CHECK(pcre2_substring_get_bynumber(data, 1, &group, &size) == 0);
            add(text, group, size);
            pcre2_substring_free(group);
        }
        say(text, "\n");
        at = ends[1] > at ? ends[1] - 1 : at;
    }
    static PCRE2_UCHAR output[20000];
    size_t room = sizeof output;
    int count = pcre2_substitute(code, (PCRE2_SPTR)subject, length, 0, PCRE2_SUBSTITUTE_GLOBAL,
                                 data, context, (PCRE2_SPTR) "<$0>", 4, output, &room);
    say(text, "%d ", count);
    if (count > 0)
        add(text, output, room);
    say(text, "\n");
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
}

static void work(struct text *text, pcre2_general_context *general)
{
    enum { SIZE = 8000 };
    static char parentheses[SIZE + 1];
    memset(parentheses, '(', SIZE / 2);
    memset(parentheses + SIZE / 2, ')', SIZE / 2);
    pcre2_compile_context *compile = pcre2_compile_context_create(general);
    CHECK(compile != NULL);
    pcre2_code *codes[LENGTH(patterns)];
    for (size_t i = 0; i < LENGTH(patterns); i++) {
        int error;
        size_t offset;
        codes[i] = pcre2_compile((PCRE2_SPTR)patterns[i], PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error,
                                 &offset, compile);
        if (!codes[i])
            say(text, "%s: %d at %zu\n", patterns[i], error, offset);
    }
    for (size_t i = 0; i < LENGTH(patterns); i++) {
        for (size_t j = 0; codes[i] && j < LENGTH(subjects); j++)
            match(text, codes[i], general, subjects[j]);
        if (codes[i])
            match(text, codes[i], general, parentheses);
    }
    for (size_t i = 0; i < LENGTH(patterns); i++) {
        pcre2_code *copy = pcre2_code_copy_with_tables(codes[i]);
        pcre2_code_free(codes[i]);
        if (copy)
            match(text, copy, general, subjects[0]);
        pcre2_code_free(copy);
    }
    pcre2_compile_context_free(compile);
}

int main(void)
{
    struct text plain = {0}, pooled = {0};
    work(&plain, NULL);
    CHECK(plain.length > 2000);
    for (int plan = 0; plan < PLANS; plan++) {
        r_mempool *pool = make_pool(plan);
        cmempool_adapter adapter;
        CHECK(cmempool_adapter_init(&adapter, pool));
        pcre2_general_context *general = cmempool_pcre2_context(&adapter);
        CHECK(general != NULL);
        work(&pooled, general);
        pcre2_general_context_free(general);
        /* Few are small. */
        expect_same(plan, pool, &adapter, plan == SMALL_SIZES ? 3 : 10, &plain, &pooled);
    }
    free(plain.bytes);
    return done();
}
