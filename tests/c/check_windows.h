/* The harness of the C tests on Windows: how does a program run a part of itself in a process of its own?
 *
 * It starts itself again with an argument that says which call of `run_in_child` is meant. The new
 * process does all that comes before that call, but for the checks and for what ran in processes of
 * their own; then it runs what the call asks for, and ends. */
#ifndef CHECK_WINDOWS_H
#define CHECK_WINDOWS_H

#include "check.h"

#include "check_win32.h"

enum { MOST_SHARED = 8 };

/* Which call this process was started for; 0 if by a person. What it shares with who started it is known
 * by the numbers of their handles. */
static struct {
    bool known;
    int number, calls;
    size_t shared;
    HANDLE handles[MOST_SHARED];
} windows;

static inline void read_arguments(void)
{
    if (windows.known)
        return;
    windows.known = true;
    static const char mark[] = "--call=";
    if (__argc < 2 || strncmp(__argv[1], mark, sizeof mark - 1) != 0)
        return;
    char *rest = __argv[1] + sizeof mark - 1;
    windows.number = (int)strtol(rest, &rest, 10);
    for (size_t i = 0; i < MOST_SHARED && *rest == ','; i++)
        windows.handles[i] = (HANDLE)(uintptr_t)strtoull(rest + 1, &rest, 10);
    check_passing_by = true;
}

static inline bool ended_by_abort(int status)
{
    /* What the C library's abort ends with, and what Rust's does. */
    return status == 3 || (unsigned)status == 0xC0000409u;
}

static inline bool ended_by_fault(int status)
{
    return (unsigned)status == 0xC0000005u;
}

static inline bool ended_by_exit(int status)
{
    return !ended_by_abort(status) && (unsigned)status < 0xC0000000u;
}

/* Memory that a child shares with its parent; zeros. */
static inline void *shared_memory(size_t size)
{
    read_arguments();
    CHECK(windows.shared < MOST_SHARED);
    HANDLE *handle = &windows.handles[windows.shared++];
    if (windows.number == 0) {
        SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
        *handle = CreateFileMappingA(INVALID_HANDLE_VALUE, &inherited, PAGE_READWRITE, 0, (DWORD)size,
                                     NULL);
    }
    void *memory = MapViewOfFile(*handle, FILE_MAP_ALL_ACCESS, 0, 0, size);
    if (memory == NULL) {
        fprintf(stderr, "no shared memory: error %lu\n", GetLastError());
        _Exit(1);
    }
    return memory;
}

/* Carriage returns are none of a line, nor is what the C library says of an abort. */
static inline void drop_systems_words(char *text)
{
    static const char *const words[] = {
        "\r", "\nThis application has requested the Runtime to terminate it in an unusual way.\n"
              "Please contact the application's support team for more information.\n",
        "abnormal program termination\n"};
    for (size_t i = 0; i < LENGTH(words); i++)
        for (char *at; (at = strstr(text, words[i])) != NULL;)
            memmove(at, at + strlen(words[i]), strlen(at + strlen(words[i])) + 1);
}

/* Written to stderr where the case begins: what comes before is of passing by. */
#define BEGINS '\001'

static inline const char *start_again(int number, int *status)
{
    static char text[8192];
    char path[MAX_PATH], line[MAX_PATH + 400];
    CHECK(GetModuleFileNameA(NULL, path, sizeof path) < sizeof path);
    int length = snprintf(line, sizeof line, "\"%s\" --call=%d", path, number);
    for (size_t i = 0; i < windows.shared; i++)
        length += snprintf(line + length, sizeof line - (size_t)length, ",%llu",
                           (unsigned long long)(uintptr_t)windows.handles[i]);
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    HANDLE from, to;
    CHECK(CreatePipe(&from, &to, &inherited, 0));
    CHECK(SetHandleInformation(from, HANDLE_FLAG_INHERIT, 0));
    STARTUPINFOA start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
    start.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    /* It says once more what this process said. */
    start.hStdOutput = CreateFileA("NUL", GENERIC_WRITE, 0, &inherited, OPEN_EXISTING, 0, NULL);
    start.hStdError = to;
    PROCESS_INFORMATION process;
    fflush(NULL);
    CHECK(CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &process));
    CloseHandle(to);
    CloseHandle(start.hStdOutput);
    size_t got = 0;
    for (DWORD part; got < sizeof text - 1 &&
                     ReadFile(from, text + got, (DWORD)(sizeof text - 1 - got), &part, NULL) && part > 0;)
        got += part;
    text[got] = '\0';
    CloseHandle(from);
    DWORD code = 0;
    CHECK(WaitForSingleObject(process.hProcess, 30000) == WAIT_OBJECT_0);
    CHECK(GetExitCodeProcess(process.hProcess, &code));
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    *status = (int)code;
    drop_systems_words(text);
    const char *begin = strchr(text, BEGINS);
    if (begin == NULL)
        fprintf(stderr, "call number %d never began: '%s'\n", number, text);
    CHECK(begin != NULL);
    return begin + 1;
}

static inline const char *run_numbered(int number, void (*f)(void *), void *arg, int *status)
{
    *status = 0;
    if (windows.number == 0)
        return start_again(number, status);
    if (number < windows.number)
        return "";
    check_passing_by = false;
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    setvbuf(stderr, NULL, _IONBF, 0);
    fputc(BEGINS, stderr);
    f(arg);
    _Exit(0);
}

/* Runs `f(arg)` in a process of its own. Returns what it wrote to stderr, in memory that the next call
 * uses again, and in `status` how it ended. */
static inline const char *run_in_child(void (*f)(void *), void *arg, int *status)
{
    read_arguments();
    return run_numbered(++windows.calls, f, arg, status);
}

/* The same once more, for a chance that went wrong. */
static inline const char *run_in_child_again(void (*f)(void *), void *arg, int *status)
{
    return run_numbered(windows.calls, f, arg, status);
}

#endif
