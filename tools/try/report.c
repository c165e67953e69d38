/* How are figures shown to a person? */
#define _GNU_SOURCE
#include "try.h"

#include <inttypes.h>
#include <string.h>

enum { BAR = 24 };

static const char *name_of(const struct program *program)
{
    const char *slash = strrchr(program->path, '/');
    return slash && slash[1] ? slash + 1 : program->path;
}

/* Rounded up, so that nothing seems to take less than it does. */
static const char *bytes_of(uint64_t bytes)
{
    static char texts[4][32];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    if (bytes < 1024)
        snprintf(text, sizeof texts[0], "%" PRIu64 " B", bytes);
    else if (bytes < 10240 << 10)
        snprintf(text, sizeof texts[0], "%" PRIu64 " KiB", (bytes + 1023) >> 10);
    else
        snprintf(text, sizeof texts[0], "%" PRIu64 " MiB", (bytes + (1 << 20) - 1) >> 20);
    return text;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static const char *plural_es(uint64_t count)
{
    return count == 1 ? "" : "es";
}

static void report_head(FILE *out, const struct program *program)
{
    fprintf(out, "%s: %u process%s", name_of(program), program->processes, plural_es(program->processes));
    if (program->running > 0)
        fprintf(out, ", of which %u still run%s", program->running, program->running == 1 ? "s" : "");
}

/* A row for each doubling of the slot. */
static void report_sizes(FILE *out, const struct program *program)
{
    const struct measured *all = &program->all;
    uint64_t most_taken = 1;
    for (unsigned pass = 0; pass < 2; pass++) {
        unsigned first = 0;
        for (size_t slot = SLOT_STEP; first < GRAINS; slot *= 2) {
            const unsigned last = grain_of(slot - WORD);
            uint64_t taken = 0;
            for (unsigned i = first; i <= last; i++)
                taken += all->figures.grains[i].taken;
            const uint32_t once = enough_for(all, first, last);
            first = last + 1;
            if (pass == 0) {
                most_taken = most_taken > taken ? most_taken : taken;
                continue;
            }
            if (taken == 0 && once == 0)
                continue;
            char bar[BAR + 1];
            const unsigned filled = (unsigned)((taken * BAR + most_taken - 1) / most_taken);
            for (unsigned i = 0; i < BAR; i++)
                bar[i] = i < filled ? '#' : ' ';
            bar[BAR] = 0;
            fprintf(out, "  up to %6zu B %12" PRIu64 "  [%s] %10" PRIu32 "\n", slot - WORD, taken, bar, once);
        }
        if (pass == 0)
            fprintf(out, "          size        taken  %-26s    at once\n", "taken, as a bar");
    }
}

static void report_heap(FILE *out, const char *what, const struct blocks *blocks)
{
    if (blocks->taken > 0 || blocks->most > 0)
        fprintf(out, "  from the heap: %" PRIu64 " %s, at most %" PRIu64 " at once, %s\n", blocks->taken, what,
                blocks->most, bytes_of(blocks->most_bytes));
}

static void describe_larger(char text[64], size_t size)
{
    snprintf(text, 64, "larger than %zu B", size);
}

static const char aligned_words[] = "aligned to more than 16", early_words[] = "before there was a pool";

/* How often a class of theirs had no entry. */
static uint64_t exhausted_of(const struct figures *figures)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < figures->class_count; i++)
        sum += figures->classes[i].exhausted;
    return sum;
}

static void report_others(FILE *out, const struct program *program, size_t largest)
{
    const struct figures *all = &program->all.figures;
    const unsigned first = grain_of(largest) + 1;
    const uint64_t exhausted = exhausted_of(all);
    uint64_t taken = 0;
    for (unsigned i = first; i < GRAINS; i++)
        taken += all->grains[i].taken;
    if (first < GRAINS && enough_for(&program->all, first, GRAINS - 1) > 0)
        fprintf(out, "  not in these classes: %" PRIu64 " of more than %zu B (--largest), at most %" PRIu32 " at once\n",
                taken, grain_size(first - 1), enough_for(&program->all, first, GRAINS - 1));
    char larger[64];
    describe_larger(larger, grain_size(GRAINS - 1));
    report_heap(out, larger, &all->heap[LARGER]);
    report_heap(out, aligned_words, &all->heap[ALIGNED]);
    report_heap(out, early_words, &all->heap[EARLY]);
    if (exhausted > 0)
        fprintf(out, "  the pool that measured was exhausted %" PRIu64 " time%s, and the heap served: the counts are the same\n",
                exhausted, plural(exhausted));
}

static void report_code(FILE *out, const struct program *program, const struct advice *advice, unsigned margin)
{
    size_t most = 0, seen = 0;
    fprintf(out, "\n/* What %s had out at once", name_of(program));
    if (margin > 0)
        fprintf(out, " and %u %% more", margin);
    fprintf(out, ", in %s. */\n", bytes_of(advice->bytes));
    fprintf(out, "static const r_mempool_class classes[] = {\n");
    for (size_t i = 0; i < advice->count; i++) {
        const struct advised *class = &advice->classes[i];
        fprintf(out, "    {%zu, %zu},\n", class->size, class->count);
        most += class->count;
        seen += class->seen;
    }
    fprintf(out, "};\n"
                 "static r_mempool *pool;\n\n"
                 "/* Call it at the start of main; if it says false, errno says why. */\n"
                 "static bool make_pool(void)\n"
                 "{\n"
                 "    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;\n"
                 "    options.classes = classes;\n"
                 "    options.class_count = sizeof classes / sizeof *classes;\n"
                 "    /* When a class has none left, the heap serves; with fallback_disabled, alloc returns NULL. */\n"
                 "    options.policy = fallback_at_first_exhaustion;\n"
                 "    pool = r_mempool_create_with(&options);\n"
                 "    return pool != NULL;\n"
                 "}\n\n");
    fprintf(out, "The counts are upper bounds for this run: %zu entries in all", most);
    if (margin > 0)
        fprintf(out, ", with %u %% for other runs", margin);
    if (program->unended < program->processes)
        fprintf(out, ",\nof which %zu (%zu %%) were certainly out at one moment", seen, most ? seen * 100 / most : 100);
    if (margin == 0)
        fprintf(out, ". Other runs may need more, above all\nwith threads: --margin=25 adds a quarter");
    fprintf(out, ". Look at \"exhausted\" in r_mempool_dump.\n"
                 "Blocks that libraries take for themselves are counted, too, and will not come to your pool: a class that\n"
                 "it never uses can go.\n"
                 "To try a list without changing the program: cmempool-try --classes=");
    for (size_t i = 0; i < advice->count; i++)
        fprintf(out, "%s%zu:%zu", i ? "," : "", advice->classes[i].size, advice->classes[i].count);
    fprintf(out, " ...\n");
}

/* Of all blocks, those of the heap included. */
static void report_blocks(FILE *out, const struct program *program)
{
    uint64_t taken = program->taken;
    for (unsigned i = 0; i < SORTS; i++)
        taken += program->all.figures.heap[i].taken;
    report_head(out, program);
    fprintf(out, ", %" PRIu64 " block%s taken, at most %" PRIu32 " at once in the pool", taken, plural(taken),
            enough_for(&program->all, 0, GRAINS - 1));
}

static void report_program(FILE *out, const struct program *program, const struct terms *terms)
{
    report_blocks(out, program);
    fprintf(out, "\n");
    report_sizes(out, program);
    report_others(out, program, terms->largest);
    struct advice advice;
    advise(&advice, &program->all, terms);
    if (advice.count > 0)
        report_code(out, program, &advice, terms->margin);
}

static void report_briefly(FILE *out, const struct program *program, const struct terms *terms)
{
    struct advice advice;
    advise(&advice, &program->all, terms);
    report_blocks(out, program);
    fprintf(out, "; %zu class%s take%s %s\n", advice.count, plural_es(advice.count), advice.count == 1 ? "s" : "",
            bytes_of(advice.bytes));
}

static void report_left_out(FILE *out, const struct programs *programs, bool all)
{
    if (!all && programs->count > 1)
        fprintf(out, "(--all prints a full report on each of these)\n");
    if (programs->left_out > 0)
        fprintf(out, "%u processes of further programs are left out\n", programs->left_out);
}

void report_measured(FILE *out, const struct programs *programs, const struct terms *terms, bool all)
{
    const unsigned first = (unsigned)programs->first;
    report_program(out, programs->list[first], terms);
    for (unsigned i = 0; i < programs->count; i++) {
        if (i == first)
            continue;
        fprintf(out, "\n");
        if (all)
            report_program(out, programs->list[i], terms);
        else
            report_briefly(out, programs->list[i], terms);
    }
    report_left_out(out, programs, all);
}

static void report_use(FILE *out, const struct program *program, bool all)
{
    const struct figures *figures = &program->all.figures;
    report_head(out, program);
    fprintf(out, ", with %u class%s in %s\n", figures->class_count, plural_es(figures->class_count),
            bytes_of(figures->pool_bytes));
    if (program->unended == program->processes) {
        fprintf(out, "  nothing is known of their use: it ended by a signal, or became another program\n");
        return;
    }
    if (program->unended > 0)
        fprintf(out, "  %u of them ended by a signal or became another program: their last calls are not here\n",
                program->unended);
    const uint64_t exhausted = exhausted_of(figures);
    if (all)
        fprintf(out, "          size   capacity       peak  exhausted  heap peak\n");
    for (unsigned i = 0; all && i < figures->class_count; i++) {
        const struct class_use *use = &figures->classes[i];
        fprintf(out, "%12" PRIu64 " B %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n", use->size,
                use->capacity, use->peak, use->exhausted, use->heap_peak);
    }
    fprintf(out, exhausted ? "  exhausted %" PRIu64 " time%s: the heap served\n" : "  exhausted %" PRIu64 " time%s\n",
            exhausted, plural(exhausted));
    char larger[64];
    describe_larger(larger, figures->class_count ? (size_t)figures->classes[figures->class_count - 1].size : 0);
    const char *const words[SORTS] = {[LARGER] = larger, [ALIGNED] = aligned_words, [EARLY] = early_words};
    for (unsigned i = 0; i < SORTS; i++)
        if (figures->heap[i].taken > 0)
            fprintf(out, "  past the pool, from the heap: %" PRIu64 " %s\n", figures->heap[i].taken, words[i]);
}

uint64_t exhausted_in(const struct programs *programs)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < programs->count; i++)
        sum += exhausted_of(&programs->list[i]->all.figures);
    return sum;
}

void report_classes(FILE *out, const struct programs *programs, bool all)
{
    const unsigned first = (unsigned)programs->first;
    report_use(out, programs->list[first], true);
    for (unsigned i = 0; i < programs->count; i++)
        if (i != first)
            report_use(out, programs->list[i], all);
    report_left_out(out, programs, all);
}
