/* cJSON on a pool: a text becomes items, is changed, and becomes a text again. */
#include <cmempool/cjson.h>

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    /* Classes of 16, 32, 64, .. 4096 bytes with 4096, 2048, 1024, .. 16 entries. What is larger,
     * and what finds no entry, comes from the heap. */
    r_mempool *pool = r_mempool_create(16, 4096, 4096, fallback_at_last_exhaustion);
    if (!pool) {
        perror("r_mempool_create");
        return EXIT_FAILURE;
    }
    cmempool_cjson_use(pool);

    cJSON *swimmer = cJSON_Parse("{\"name\": \"Ada\", \"laps\": [31, 30, 33]}");
    if (!swimmer)
        return EXIT_FAILURE;
    cJSON *laps = cJSON_GetObjectItem(swimmer, "laps");
    int seconds = 0;
    for (cJSON *lap = laps->child; lap; lap = lap->next)
        seconds += lap->valueint;
    cJSON_AddNumberToObject(swimmer, "seconds", seconds);

    char *text = cJSON_PrintUnformatted(swimmer);
    if (!text)
        return EXIT_FAILURE;
    printf("%s\n", text);
    cJSON_free(text); /* not free: it is an entry */

    printf("The items in the pool:\n");
    r_mempool_dump(pool, stdout);

    cJSON_Delete(swimmer);
    cmempool_cjson_use(NULL);
    r_mempool_destroy(pool);
    return EXIT_SUCCESS;
}
