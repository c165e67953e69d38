/* Does Expat tell the same of documents in a pool as without? */
#include "plug.h"

#include <cmempool/expat.h>

static void on_start(void *text, const char *name, const char **attributes)
{
    say(text, "<%s", name);
    for (; attributes[0]; attributes += 2) {
        say(text, " %s=", attributes[0]);
        add(text, attributes[1], strlen(attributes[1]));
    }
    say(text, ">\n");
}

static void on_end(void *text, const char *name)
{
    say(text, "</%s>\n", name);
}

static void on_text(void *text, const char *bytes, int length)
{
    add(text, bytes, (size_t)length);
}

static void on_comment(void *text, const char *comment)
{
    say(text, "#%.900s\n", comment);
}

static void on_entity(void *text, const char *name, int parameter, const char *value, int length,
                      const char *base, const char *system, const char *public_id,
                      const char *notation)
{
    (void)base, (void)system, (void)public_id, (void)notation;
    say(text, "%d %s=%.*s\n", parameter, name, value ? length : 0, value ? value : "");
}

/* A document that needs memory of many sizes: nesting, long names, attributes, entities. */
static void write_document(struct text *document, uint64_t *state)
{
    char name[2000];
    say(document, "<?xml version='1.0'?>\n<!DOCTYPE d [\n");
    for (int i = 0; i < 100; i++)
        say(document, "<!ENTITY e%d 'entity %d %s'>\n", i, i, i > 0 ? "&#38;e0;" : "");
    say(document, "<!ATTLIST d default CDATA 'given'>\n]>\n<d>");
    for (int i = 0; i < 2000; i++) {
        size_t length = 1 + random_below(state, i % 100 == 0 ? 600 : 20);
        memset(name, 'a' + i % 26, length);
        name[length] = '\0';
        say(document, "<x%d", i % 37);
        for (int j = 0; j < i % 9; j++)
            say(document, " a%d='%.*s&e%d;'", j, (int)random_below(state, length + 1), name,
                i % 100);
        say(document, ">&e%d; %.700s<!-- %d --><![CDATA[<%d>]]>", (i + 3) % 100, name, i, i);
        if (i % 3 != 0)
            say(document, "</x%d>\n", i % 37);
    }
    /* Values that outgrow what Expat began them with, again and again. */
    for (size_t length = 1000; length < 100000; length *= 2) {
        say(document, "<long value='");
        for (size_t i = 0; i < length; i++)
            add(document, &"pools"[i % 5], 1);
        say(document, "'/>");
    }
    for (int i = 1999; i >= 0; i--)
        if (i % 3 == 0)
            say(document, "</x%d>", i % 37);
    say(document, "</d>\n");
}

static void parse(struct text *text, XML_Parser parser, const struct text *document, size_t piece)
{
    XML_SetUserData(parser, text);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    XML_SetCommentHandler(parser, on_comment);
    XML_SetEntityDeclHandler(parser, on_entity);
    enum XML_Status status = XML_STATUS_OK;
    for (size_t done = 0; done < document->length && status == XML_STATUS_OK; done += piece) {
        size_t left = document->length - done, size = left < piece ? left : piece;
        void *buffer = XML_GetBuffer(parser, (int)size);
        CHECK(buffer != NULL);
        memcpy(buffer, document->bytes + done, size);
        status = XML_ParseBuffer(parser, (int)size, left == size);
    }
    say(text, "\n%d %d at %lu\n", (int)status, (int)XML_GetErrorCode(parser),
        (unsigned long)XML_GetCurrentLineNumber(parser));
}

static void work(struct text *text, const XML_Memory_Handling_Suite *suite)
{
    static const size_t pieces[] = {100, 5000, 1 << 20};
    uint64_t state = 3;
    struct text document = {0};
    write_document(&document, &state);
    for (size_t i = 0; i < LENGTH(pieces); i++) {
        XML_Parser parser = XML_ParserCreate_MM("UTF-8", suite, "|");
        CHECK(parser != NULL);
        CHECK(XML_SetHashSalt(parser, 12345) == 1);
        parse(text, parser, &document, pieces[i]);
        /* Once more with the same parser, and a document that ends too soon. */
        CHECK(XML_ParserReset(parser, NULL) == XML_TRUE);
        size_t whole = document.length;
        document.length -= 1000;
        parse(text, parser, &document, pieces[i]);
        document.length = whole;
        if (suite) {
            char *block = XML_MemMalloc(parser, 10);
            CHECK(block != NULL);
            memset(block, 1, 10);
            block = XML_MemRealloc(parser, block, 500000);
            CHECK(block != NULL && all_bytes(block, 1, 10));
            XML_MemFree(parser, block);
        }
        XML_ParserFree(parser);
    }
    free(document.bytes);
}

int main(void)
{
    struct text plain = {0}, pooled = {0};
    CHECK_FAILS(cmempool_expat_use(NULL), EINVAL);
    work(&plain, NULL);
    CHECK(plain.length > 100000);
    for (int plan = 0; plan < PLANS; plan++) {
        r_mempool *pool = make_pool(plan);
        CHECK(cmempool_expat_use(pool));
        work(&pooled, &cmempool_expat_suite);
        expect_same(plan, pool, &cmempool_expat_adapter, 500, &plain, &pooled);
    }
    free(plain.bytes);
    return done();
}
