/* Does cJSON do the same in a pool as without? */
#include "plug.h"

#include <cmempool/cjson.h>

static cJSON *build(uint64_t *state, int depth)
{
    static char string[9000];
    size_t length = random_below(state, random_below(state, 30) == 0 ? sizeof string : 30);
    memset(string, 'a' + (int)(length % 26), length);
    string[length] = '\0';
    switch (random_below(state, depth > 0 ? 7 : 5)) {
    case 0:
        return cJSON_CreateNumber((double)random_below(state, 100000) / 16);
    case 1:
        return cJSON_CreateBool(random_below(state, 2) == 0);
    case 2:
        return cJSON_CreateNull();
    case 3:
        return cJSON_CreateString(string);
    case 4:
        return cJSON_CreateString("\"quoted\"\n\u00e9");
    case 5: {
        cJSON *array = cJSON_CreateArray();
        for (size_t count = random_below(state, 12); count > 0; count--)
            cJSON_AddItemToArray(array, build(state, depth - 1));
        return array;
    }
    default: {
        cJSON *object = cJSON_CreateObject();
        for (size_t count = random_below(state, 12); count > 0; count--) {
            char key[40];
            snprintf(key, sizeof key, "key %zu, %zu", count, random_below(state, 1000));
            cJSON_AddItemToObject(object, key, build(state, depth - 1));
        }
        return object;
    }
    }
}

static void print(struct text *text, const cJSON *item, bool formatted)
{
    char *json = formatted ? cJSON_Print(item) : cJSON_PrintUnformatted(item);
    CHECK(json != NULL);
    add(text, json, strlen(json));
    add(text, "\n", 1);
    cJSON_free(json);
}

static void work(struct text *text)
{
    uint64_t state = 5;
    cJSON *all = cJSON_CreateArray();
    for (int i = 0; i < 200; i++)
        cJSON_AddItemToArray(all, build(&state, 4));
    print(text, all, true);

    struct text json = {0};
    print(&json, all, false);
    cJSON *again = cJSON_ParseWithLength(json.bytes, json.length);
    CHECK(again != NULL && cJSON_Compare(all, again, true));
    CHECK(!cJSON_ParseWithLength(json.bytes, json.length / 2));
    say(text, "%zu\n", (size_t)(cJSON_GetErrorPtr() - json.bytes));
    free(json.bytes);

    cJSON *copy = cJSON_Duplicate(again, true);
    for (int i = 150; i > 0; i -= 3)
        cJSON_DeleteItemFromArray(again, i);
    cJSON_ReplaceItemInArray(again, 5, cJSON_CreateString("in its place"));
    cJSON_AddItemReferenceToArray(again, copy);
    print(text, again, false);
    cJSON_Delete(all);
    cJSON_Delete(again);
    print(text, copy, false);
    cJSON_Delete(copy);
}

int main(void)
{
    struct text plain = {0}, pooled = {0};
    work(&plain);
    CHECK(plain.length > 100000);
    for (int plan = 0; plan < PLANS; plan++) {
        r_mempool *pool = make_pool(plan);
        cmempool_cjson_use(pool);
        work(&pooled);
        expect_same(plan, pool, &cmempool_cjson_adapter, 1000, &plain, &pooled);
        /* Without a pool that is gone by now. */
        cmempool_cjson_use(NULL);
        work(&pooled);
        CHECK(pooled.length == plain.length);
        free(pooled.bytes);
        pooled = (struct text){0};
    }
    free(plain.bytes);
    return done();
}
