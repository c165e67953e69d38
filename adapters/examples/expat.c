/* Expat on a pool: an outline of a document. */
#include <cmempool/expat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char document[] = "<library>\n"
                               "  <book title='Pools' pages='100'><note>wet</note></book>\n"
                               "  <book title='Heaps' pages='900'/>\n"
                               "</library>\n";

static void on_start(void *context, const char *name, const char **attributes)
{
    int *depth = context;
    printf("%*s%s", 2 * (*depth)++, "", name);
    for (; attributes[0]; attributes += 2)
        printf(" %s=%s", attributes[0], attributes[1]);
    printf("\n");
}

static void on_end(void *context, const char *name)
{
    int *depth = context;
    (void)name;
    --*depth;
}

int main(void)
{
    /* Classes of 16, 32, 64, .. 16384 bytes with 4096, 2048, 1024, .. 4 entries. What is larger,
     * and what finds no entry, comes from the heap. */
    r_mempool *pool = r_mempool_create(16, 16384, 4096, fallback_at_last_exhaustion);
    if (!pool || !cmempool_expat_use(pool)) {
        perror("r_mempool_create");
        return EXIT_FAILURE;
    }
    XML_Parser parser = XML_ParserCreate_MM(NULL, &cmempool_expat_suite, NULL);
    if (!parser)
        return EXIT_FAILURE;

    int depth = 0;
    XML_SetUserData(parser, &depth);
    XML_SetElementHandler(parser, on_start, on_end);
    if (XML_Parse(parser, document, (int)strlen(document), 1) != XML_STATUS_OK) {
        fprintf(stderr, "line %lu: %s\n", (unsigned long)XML_GetCurrentLineNumber(parser),
                XML_ErrorString(XML_GetErrorCode(parser)));
        return EXIT_FAILURE;
    }

    printf("The parser in the pool:\n");
    r_mempool_dump(pool, stdout);

    XML_ParserFree(parser);
    r_mempool_destroy(pool);
    return EXIT_SUCCESS;
}
