/* PCRE2 on a pool: what a pattern is compiled to and what it matches, in entries. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <cmempool/pcre2.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char pattern[] = "(\\d{4})-(\\d{2})-(\\d{2})";
static const char text[] = "made 2018-03-01, mended 2023-11-05";

int main(void)
{
    /* Classes of 64, 128, .. 32768 bytes with 1024, 512, .. 2 entries. What is larger, and what
     * finds no entry, comes from the heap. */
    r_mempool *pool = r_mempool_create(64, 32768, 1024, fallback_at_last_exhaustion);
    cmempool_adapter adapter;
    if (!pool || !cmempool_adapter_init(&adapter, pool)) {
        perror("r_mempool_create");
        return EXIT_FAILURE;
    }

    pcre2_general_context *general = cmempool_pcre2_context(&adapter);
    pcre2_compile_context *compile = pcre2_compile_context_create(general);
    int error;
    size_t offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &error,
                                     &offset, compile);
    if (!code) {
        fprintf(stderr, "error %d at %zu\n", error, offset);
        return EXIT_FAILURE;
    }
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, general);
    if (!match)
        return EXIT_FAILURE;

    size_t at = 0, length = strlen(text);
    while (pcre2_match(code, (PCRE2_SPTR)text, length, at, 0, match, NULL) > 0) {
        const size_t *ends = pcre2_get_ovector_pointer(match);
        printf("%.*s: the year is %.*s\n", (int)(ends[1] - ends[0]), text + ends[0],
               (int)(ends[3] - ends[2]), text + ends[2]);
        at = ends[1];
    }

    printf("The pattern in the pool:\n");
    r_mempool_dump(pool, stdout);

    pcre2_match_data_free(match);
    pcre2_code_free(code);
    pcre2_compile_context_free(compile);
    pcre2_general_context_free(general);
    r_mempool_destroy(pool);
    return EXIT_SUCCESS;
}
