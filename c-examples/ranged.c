/* A ranged pool: a text that grows, in entries of whatever size it needs. */
#include <cmempool.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    /* Classes of 16, 32, 64, 128 and 256 bytes with 64, 32, 16, 8 and 4 entries. When the class that
     * fits is empty, a larger one serves; when all of those are, the heap does. */
    r_mempool *texts = r_mempool_create(16, 256, 64, fallback_at_last_exhaustion);
    if (!texts) {
        perror("r_mempool_create");
        return EXIT_FAILURE;
    }

    static const char *const words[] = {"a ",    "pool ",  "hands ", "out ",  "what ", "it ",
                                        "holds", ", and ", "takes ", "back ", "what ", "was ",
                                        "held"};
    size_t length = 0;
    char *text = r_mempool_calloc_entry(texts, 1);
    for (size_t i = 0; text && i < sizeof words / sizeof *words; ++i) {
        size_t more = strlen(words[i]);
        /* Stays where it is while the class fits, and moves with all it holds when not. */
        char *longer = r_mempool_realloc_entry(texts, text, length + more + 1);
        if (!longer) {
            break; /* `text` is as it was */
        }
        text = longer;
        memcpy(text + length, words[i], more + 1);
        length += more;
    }
    if (!text) {
        perror("r_mempool_calloc_entry");
        r_mempool_destroy(texts);
        return EXIT_FAILURE;
    }

    printf("%s\n", text);
    for (size_t size = 16; size <= 256; size *= 2) {
        printf("%3zu bytes: %zu of %zu entries out\n", size, r_mempool_used_count(texts, size),
               r_mempool_total_capacity(texts, size));
    }

    r_mempool_free_entry(text);
    r_mempool_destroy(texts);
    return EXIT_SUCCESS;
}
