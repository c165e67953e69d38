/* How does a program run, on which malloc, and what did that take? */
#define _GNU_SOURCE
#include "try.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where standard input is read from in each run; -1 if it can't be read twice. */
static off_t input_at = -1;
static bool input_is_terminal;
static volatile sig_atomic_t child, stopped;
static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
enum { NUMBERS = sizeof numbers / sizeof *numbers };
static struct sigaction before[NUMBERS], before_pipe;

void keep_input(const char *folder)
{
    struct stat status;
    if (fstat(STDIN_FILENO, &status) != 0)
        return;
    if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
        char path[4200], bytes[65536];
        snprintf(path, sizeof path, "%s/input", folder);
        const int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        ssize_t got;
        while (file >= 0 && !stopped && (got = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
            if (write(file, bytes, (size_t)got) != got)
                fail(FAILED, "cannot keep standard input in %s: %s", path, strerror(errno));
        if (stopped)
            fail(128 + stopped, "stopped by signal %d", (int)stopped);
        if (file < 0 || dup2(file, STDIN_FILENO) < 0)
            fail(FAILED, "cannot keep standard input in %s: %s", path, strerror(errno));
        close(file);
        input_at = 0;
    } else if (S_ISREG(status.st_mode)) {
        input_at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    }
    input_is_terminal = isatty(STDIN_FILENO) == 1;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void replace(int descriptor, int flags)
{
    const int file = open("/dev/null", flags);
    if (file >= 0 && dup2(file, descriptor) >= 0)
        close(file);
}

/* What is preloaded already comes after ours. */
static void set_preload(const char *preload)
{
    const char *others = getenv("LD_PRELOAD");
    char *all = NULL;
    if (asprintf(&all, "%s%s%s", preload, others && *others ? ":" : "", others ? others : "") < 0 ||
        setenv("LD_PRELOAD", all, 1) != 0)
        _exit(FAILED);
}

/* `told` is closed by exec, or gets its errno. */
static _Noreturn void become(const struct run *run, int told)
{
    if (run->quiet) {
        replace(STDOUT_FILENO, O_WRONLY);
        replace(STDERR_FILENO, O_WRONLY);
        if (input_is_terminal)
            replace(STDIN_FILENO, O_RDONLY);
    }
    if (run->preload) {
        set_preload(run->preload);
        setenv("CMEMPOOL_TRY", run->folder, 1);
    } else {
        unsetenv("CMEMPOOL_TRY");
    }
    execv(run->file, run->arguments);
    const int error = errno;
    if (write(told, &error, sizeof error) < 0)
        _exit(FAILED);
    _exit(CANNOT_RUN);
}

/* A terminal's signals reach the program by themselves. */
static void pass_on(int number)
{
    const int error = errno;
    stopped = number;
    if (child > 0 && (number == SIGTERM || number == SIGHUP))
        kill((pid_t)child, number);
    errno = error;
}

void handle_signals(void)
{
    const struct sigaction handle = {.sa_handler = pass_on}, ignore = {.sa_handler = SIG_IGN};
    for (unsigned i = 0; i < NUMBERS; i++)
        if (sigaction(numbers[i], NULL, &before[i]) == 0 && before[i].sa_handler != SIG_IGN)
            sigaction(numbers[i], &handle, NULL);
    /* Whoever reads the report may stop. */
    sigaction(SIGPIPE, &ignore, &before_pipe);
}

int stopped_by(void)
{
    return stopped;
}

/* In the program to be: as they were for us. */
static void restore_signals(const sigset_t *mask)
{
    for (unsigned i = 0; i < NUMBERS; i++)
        sigaction(numbers[i], &before[i], NULL);
    sigaction(SIGPIPE, &before_pipe, NULL);
    sigprocmask(SIG_SETMASK, mask, NULL);
}

struct outcome run_program(const struct run *run)
{
    if (input_at >= 0 && lseek(STDIN_FILENO, input_at, SEEK_SET) < 0)
        fail(FAILED, "cannot read standard input again: %s", strerror(errno));
    int pipe_ends[2];
    if (pipe2(pipe_ends, O_CLOEXEC) != 0)
        fail(FAILED, "cannot run '%s': %s", run->file, strerror(errno));
    /* None gets lost between the fork and when each of the two is ready for it. */
    sigset_t ours, mask;
    sigemptyset(&ours);
    for (unsigned i = 0; i < NUMBERS; i++)
        sigaddset(&ours, numbers[i]);
    sigprocmask(SIG_BLOCK, &ours, &mask);
    const double start = now();
    const pid_t pid = fork();
    if (pid == 0) {
        restore_signals(&mask);
        become(run, pipe_ends[1]);
    }
    if (pid < 0)
        fail(FAILED, "cannot run '%s': %s", run->file, strerror(errno));
    child = pid;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    close(pipe_ends[1]);
    int error = 0;
    ssize_t told;
    while ((told = read(pipe_ends[0], &error, sizeof error)) < 0 && errno == EINTR) {
    }
    close(pipe_ends[0]);
    struct outcome outcome = {.pid = pid};
    struct rusage use;
    while (wait4(pid, &outcome.status, 0, &use) < 0)
        if (errno != EINTR)
            fail(FAILED, "lost process %d: %s", (int)pid, strerror(errno));
    outcome.seconds = now() - start;
    outcome.processor = seconds(use.ru_utime) + seconds(use.ru_stime);
    outcome.peak_kib = use.ru_maxrss;
    child = 0;
    if (told == (ssize_t)sizeof error)
        fail(CANNOT_RUN, "cannot run '%s': %s", run->file, strerror(error));
    return outcome;
}
