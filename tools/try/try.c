/* cmempool-try: how would a program do on a ranged pool, and on which?
 *
 * Runs it with a malloc that is a pool's (preload.c), and says what it asked for and which classes would have
 * served that. See cmempool-try(1). */
#define _GNU_SOURCE
#include "list.h"
#include "try.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ROUNDS = 99, MOST_CLASSES = 64, MOST_MARGIN = 1000 };
enum { USUAL_ROUNDS = 3, USUAL_CLASSES = 12, USUAL_LARGEST = 65536 };

struct wishes {
    const char *output;  /* NULL: stderr */
    const char *classes; /* a list, and nothing is measured */
    const char *entries; /* of each class of the pool that measures */
    unsigned rounds;     /* of timing; 0: none */
    struct terms terms;
    bool all;
};

static const char usage[] =
    "usage: cmempool-try [OPTION]... PROGRAM [ARGUMENT]...\n"
    "Runs PROGRAM with its malloc on a cmempool, and says which pool would have served it.\n"
    "\n"
    "  -o, --output FILE     write the report there, not to stderr\n"
    "  -t, --time[=ROUNDS]   run PROGRAM again, on that pool and on the system's malloc, 3 times each,\n"
    "                        and compare; their output is thrown away\n"
    "  -a, --all             report on all programs that PROGRAM ran as on itself\n"
    "  -k, --most N          at most N classes, 1 to 64 (12)\n"
    "  -l, --largest BYTES   no class for larger blocks, up to 524280 (65536)\n"
    "  -m, --margin PERCENT  PERCENT more entries in each class; 25 adds a quarter (0)\n"
    "  -c, --classes LIST    do not measure: run on SIZE:COUNT,SIZE:COUNT,.., and say how they were used\n"
    "  -e, --entries N       measure with N entries in each class: does the program bear a pool that runs short?\n"
    "  -h, --help; --version\n";

static char folder[PATH_MAX];

/* ---- The folder for what the processes leave behind ------------------------------------------- */

static void remove_all(const char *path)
{
    DIR *files = opendir(path);
    if (!files)
        return;
    for (struct dirent *entry; (entry = readdir(files));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(files), entry->d_name, 0) != 0) {
            char inner[PATH_MAX + 300];
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
            remove_all(inner);
        }
    closedir(files);
    rmdir(path);
}

static void remove_folder(void)
{
    if (folder[0])
        remove_all(folder);
}

static void make_folder(void)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/cmempool-try.XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(folder)) {
        const int error = errno;
        char path[PATH_MAX];
        strcpy(path, folder);
        folder[0] = 0;
        fail(FAILED, "cannot make %s: %s", path, strerror(error));
    }
    atexit(remove_folder);
    /* Programs may run elsewhere. */
    char *absolute = realpath(folder, NULL);
    if (!absolute || strlen(absolute) >= sizeof folder)
        fail(FAILED, "cannot find %s: %s", folder, strerror(absolute ? ENAMETOOLONG : errno));
    strcpy(folder, absolute);
    free(absolute);
}

/* One for a run. The caller frees the name. */
static char *make_inner(const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        fail(FAILED, "no memory");
    if (mkdir(path, 0700) != 0)
        fail(FAILED, "cannot make %s: %s", path, strerror(errno));
    return path;
}

void fail(int status, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "cmempool-try: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(status);
}

/* ---- Arguments ------------------------------------------------------------------------------ */

static size_t number(const char *option, const char *text, size_t least, size_t most)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end || errno || strchr(text, '-') || value < least || value > most)
        fail(FAILED, "%s: '%s' is no number from %zu to %zu", option, text, least, most);
    return (size_t)value;
}

/* As the library sees it. */
static void check_classes(const char *list)
{
    r_mempool_class classes[GRAINS];
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = list_parse(list, classes);
    if (options.class_count == 0 || r_mempool_buffer_size(&options) == 0)
        fail(FAILED, "--classes: '%s' is no list of SIZE:COUNT with commas, the sizes ascending", list);
}

static void read_arguments(struct wishes *wishes, int count, char **arguments)
{
    enum { VERSION = 1 };
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},  {"time", optional_argument, NULL, 't'},
        {"all", no_argument, NULL, 'a'},           {"most", required_argument, NULL, 'k'},
        {"largest", required_argument, NULL, 'l'}, {"classes", required_argument, NULL, 'c'},
        {"entries", required_argument, NULL, 'e'}, {"margin", required_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},          {"version", no_argument, NULL, VERSION},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(count, arguments, "+o:t::ak:l:m:c:e:h", options, NULL)) != -1;)
        switch (c) {
        case 'o':
            wishes->output = optarg;
            break;
        case 't':
            wishes->rounds = optarg ? (unsigned)number("--time", optarg, 1, MOST_ROUNDS) : USUAL_ROUNDS;
            break;
        case 'a':
            wishes->all = true;
            break;
        case 'k':
            wishes->terms.most = number("--most", optarg, 1, MOST_CLASSES);
            break;
        case 'l':
            wishes->terms.largest = number("--largest", optarg, 1, grain_size(GRAINS - 1));
            break;
        case 'm':
            wishes->terms.margin = (unsigned)number("--margin", optarg, 0, MOST_MARGIN);
            break;
        case 'c':
            check_classes(optarg);
            wishes->classes = optarg;
            break;
        case 'e':
            number("--entries", optarg, 1, 1 << 20);
            wishes->entries = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        case VERSION:
            printf("cmempool-try %s\n", cmempool_version());
            exit(0);
        default:
            fputs(usage, stderr);
            exit(FAILED);
        }
    if (optind == count) {
        fputs(usage, stderr);
        exit(FAILED);
    }
    if (wishes->classes && (wishes->rounds || wishes->entries || wishes->terms.margin))
        fail(FAILED, "--classes measures nothing: leave out --time, --entries and --margin");
}

/* Beside this program's own file, where links end. */
static char *find_preload(void)
{
    char self[PATH_MAX], *path;
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        fail(FAILED, "cannot read /proc/self/exe: %s", strerror(errno));
    self[length] = 0;
    *strrchr(self, '/') = 0;
    if (asprintf(&path, "%s/libcmempool-try.so", self) < 0)
        fail(FAILED, "no memory");
    if (access(path, R_OK) != 0)
        fail(FAILED, "there is no %s: install it with this program", path);
    if (strpbrk(path, " :"))
        fail(FAILED, "'%s' has a space or a colon in it: the system would not preload it", path);
    return path;
}

/* ---- Runs ----------------------------------------------------------------------------------- */

static void write_classes(const char *run, const char *text)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/classes", run);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        fail(FAILED, "cannot write %s: %s", path, strerror(errno));
}

static char *classes_of(const struct programs *programs, const struct wishes *wishes)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        fail(FAILED, "no memory");
    for (unsigned i = 0; i < programs->count; i++) {
        struct advice advice;
        advise(&advice, &programs->list[i]->all, &wishes->terms);
        if (advice.count == 0)
            continue;
        fprintf(file, "%s\t", programs->list[i]->path);
        for (size_t c = 0; c < advice.count; c++)
            fprintf(file, "%s%zu:%zu", c ? "," : "", advice.classes[c].size, advice.classes[c].count);
        fprintf(file, "\n");
    }
    fclose(file);
    return text;
}

struct times {
    double seconds[MOST_ROUNDS], processor[MOST_ROUNDS];
    long peak_kib;
};

static int compare(const void *a, const void *b)
{
    const double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void add_time(struct times *times, unsigned round, const struct outcome *outcome)
{
    times->seconds[round] = outcome->seconds;
    times->processor[round] = outcome->processor;
    times->peak_kib = times->peak_kib > outcome->peak_kib ? times->peak_kib : outcome->peak_kib;
}

static void report_time(FILE *out, struct times *system, struct times *pool, const struct outcome *measured,
                        unsigned rounds)
{
    const double on_system = median(system->seconds, rounds), on_pool = median(pool->seconds, rounds);
    fprintf(out, "\n%24s %10s %10s %12s\n", "", "time", "processor", "peak memory");
    fprintf(out, "%-24s %8.3f s %8.3f s %8ld KiB\n", "system's malloc", on_system,
            median(system->processor, rounds), system->peak_kib);
    fprintf(out, "%-24s %8.3f s %8.3f s %8ld KiB   %.2f of the time\n", "pools of these classes", on_pool,
            median(pool->processor, rounds), pool->peak_kib, on_system > 0 ? on_pool / on_system : 1);
    fprintf(out, "%-24s %8.3f s %8.3f s %8ld KiB\n", "the run that measured", measured->seconds,
            measured->processor, measured->peak_kib);
    fprintf(out, "Median of %u run%s each, output thrown away; memory is that of the largest process.\n", rounds,
            rounds == 1 ? "" : "s");
}

/* The program on the classes that were chosen, for each program that it runs, and on the system's malloc. */
static void compare_times(FILE *out, const struct wishes *wishes, struct run run, const struct outcome *measured,
                          const struct programs *programs)
{
    struct times system = {0}, pool = {0};
    const char *preload = run.preload;
    char *text = classes_of(programs, wishes);
    struct programs used = {0};
    unsigned others = 0;
    run.quiet = true;
    unsigned round = 0;
    for (; round < wishes->rounds && stopped_by() == 0; round++) {
        char name[32];
        run.preload = NULL;
        struct outcome outcome = run_program(&run);
        if (stopped_by() != 0)
            break;
        others += outcome.status != measured->status;
        add_time(&system, round, &outcome);
        snprintf(name, sizeof name, "pool%u", round);
        char *inner = make_inner(name);
        write_classes(inner, text);
        run.folder = inner;
        run.preload = preload;
        outcome = run_program(&run);
        others += outcome.status != measured->status;
        add_time(&pool, round, &outcome);
        if (round + 1 == wishes->rounds)
            gather(&used, inner, outcome.pid);
        free(inner);
    }
    free(text);
    if (stopped_by() != 0) {
        fprintf(out, "\nStopped by signal %d: there are no times.\n", stopped_by());
        return;
    }
    report_time(out, &system, &pool, measured, wishes->rounds);
    if (others > 0)
        fprintf(out, "%u of these runs ended with another status than the first.\n", others);
    const uint64_t exhausted = exhausted_in(&used);
    if (exhausted > 0)
        fprintf(out, "The pool was exhausted %" PRIu64 " time%s in its last run, and the heap served: a --margin gives it more\n"
                     "entries.\n",
                exhausted, exhausted == 1 ? "" : "s");
    if (used.first >= 0) {
        fprintf(out, "\nOn the pool of the last run:\n");
        report_classes(out, &used, wishes->all);
    }
}

static void report_end(FILE *out, const struct run *run, int status)
{
    fprintf(out, "cmempool-try: '%s' ended with ", run->file);
    if (WIFSIGNALED(status))
        fprintf(out, "signal %d (%s)\n\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        fprintf(out, "status %d\n\n", WEXITSTATUS(status));
}

int main(int count, char **arguments)
{
    struct wishes wishes = {.terms = {.most = USUAL_CLASSES, .largest = USUAL_LARGEST}};
    read_arguments(&wishes, count, arguments);
    struct run run = {.arguments = arguments + optind};
    run.file = find_program(arguments[optind]);
    run.preload = find_preload();
    FILE *out = wishes.output ? fopen(wishes.output, "we") : stderr;
    if (!out)
        fail(FAILED, "cannot write %s: %s", wishes.output, strerror(errno));
    handle_signals();
    make_folder();
    if (wishes.rounds)
        keep_input(folder);
    char *inner = make_inner("first");
    run.folder = inner;
    if (wishes.classes) {
        char *text;
        if (asprintf(&text, "*\t%s\n", wishes.classes) < 0)
            fail(FAILED, "no memory");
        write_classes(inner, text);
        free(text);
    }
    unsetenv("CMEMPOOL_TRY_ENTRIES");
    if (wishes.entries)
        setenv("CMEMPOOL_TRY_ENTRIES", wishes.entries, 1);
    const struct outcome outcome = run_program(&run);

    static struct programs programs;
    gather(&programs, inner, outcome.pid);
    report_end(out, &run, outcome.status);
    if (programs.first < 0) {
        fprintf(out, "It ran on the system's malloc: it did not load %s.\n"
                     "Programs of another libc than the GNU C library do not, nor those that run with more rights\n"
                     "than who starts them; and a pool of these classes may be more memory than there is.\n",
                run.preload);
    } else if (wishes.classes) {
        report_classes(out, &programs, wishes.all);
    } else {
        report_measured(out, &programs, &wishes.terms, wishes.all);
        if (wishes.rounds)
            compare_times(out, &wishes, run, &outcome, &programs);
    }
    const bool written = fflush(out) == 0 && !ferror(out);
    if (wishes.output && (fclose(out) != 0 || !written))
        fail(FAILED, "cannot write %s: %s", wishes.output, strerror(errno));
    free(inner);
    if (WIFSIGNALED(outcome.status))
        return 128 + WTERMSIG(outcome.status);
    return WEXITSTATUS(outcome.status);
}
