/* Which classes, and how many entries in each, serve what was measured in the least memory?
 *
 * A class is a range of grains; the entries that it needs are what these had out at once, and each takes
 * its slot and the pool's bytes beside it. The best k classes for the first n grains are, for some i, the
 * best k - 1 for the first i grains and one class for the others: so all of them follow from each other,
 * in O(classes * grains^2). */
#include "try.h"

#include <stdint.h>
#include <string.h>

uint32_t enough_for(const struct measured *figures, unsigned i, unsigned j)
{
    return figures->enough.at[i][j];
}

/* The largest size that was asked for, and no more than its slot has room for. */
static size_t size_for(const struct measured *figures, unsigned grain)
{
    const size_t slot = slot_of(figures->figures.grains[grain].largest);
    const size_t size = slot - WORD;
    return size < grain_size(grain) ? size : grain_size(grain);
}

static size_t with_margin(size_t count, unsigned percent)
{
    return count + (count * percent + 99) / 100;
}

static size_t bytes_of_pool(const struct advice *advice)
{
    r_mempool_class classes[GRAINS];
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    for (size_t i = 0; i < advice->count; i++)
        classes[i] = (r_mempool_class){advice->classes[i].size, advice->classes[i].count};
    options.classes = classes;
    options.class_count = advice->count;
    return r_mempool_buffer_size(&options);
}

void advise(struct advice *advice, const struct measured *figures, const struct terms *terms)
{
    /* best[k][n]: bytes of at most k classes for the first n of the used grains; from[k][n]: where the last of
     * them begins. */
    static uint64_t best[GRAINS + 1][GRAINS + 1];
    static uint16_t from[GRAINS + 1][GRAINS + 1];
    unsigned used[GRAINS];
    unsigned count = 0;
    for (unsigned i = 0; i < GRAINS; i++)
        if (enough_for(figures, i, i) > 0 && i <= grain_of(terms->largest))
            used[count++] = i;
    memset(advice, 0, sizeof *advice);
    const size_t most = terms->most < count ? terms->most : count;
    for (unsigned k = 0; k <= most; k++)
        for (unsigned n = 0; n <= count; n++) {
            best[k][n] = n == 0 ? 0 : UINT64_MAX;
            for (unsigned i = 0; k > 0 && i < n; i++) {
                if (best[k - 1][i] == UINT64_MAX)
                    continue;
                const size_t entries = with_margin(enough_for(figures, used[i], used[n - 1]), terms->margin);
                const uint64_t bytes =
                    best[k - 1][i] + R_MEMPOOL_CLASS_SIZE(entries, size_for(figures, used[n - 1]));
                if (bytes < best[k][n]) {
                    best[k][n] = bytes;
                    from[k][n] = (uint16_t)i;
                }
            }
        }
    if (count == 0)
        return;
    unsigned k = 0;
    for (unsigned i = 1; i <= most; i++)
        if (best[i][count] < best[k][count])
            k = i;
    advice->count = k;
    for (unsigned n = count; k > 0; n = from[k--][n]) {
        const unsigned first = used[from[k][n]], last = used[n - 1];
        advice->classes[k - 1] = (struct advised){
            size_for(figures, last), with_margin(enough_for(figures, first, last), terms->margin),
            figures->at_least.at[first][last]};
    }
    advice->bytes = bytes_of_pool(advice);
}
