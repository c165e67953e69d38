/* The harness of the C tests: threads, their data, mutexes, conditions, barriers and clocks, on POSIX and
 * on Windows. */
#ifndef CHECK_THREADS_H
#define CHECK_THREADS_H

#include "check.h"

#ifdef _WIN32
#include "check_win32.h"
#else
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>
#endif

#ifdef _WIN32

/* Stays where it is until the thread was joined. */
struct thread {
    HANDLE handle;
    void *(*run)(void *);
    void *argument, *result;
};

struct mutex {
    SRWLOCK lock;
};

struct condition {
    CONDITION_VARIABLE variable;
};

/* A pointer for each thread, and what is called with it when the thread ends. */
struct thread_key {
    DWORD index;
};

#define MUTEX_INIT {SRWLOCK_INIT}

static DWORD WINAPI run_thread(void *its)
{
    struct thread *thread = its;
    thread->result = thread->run(thread->argument);
    return 0;
}

/* With a stack of so many bytes, 0 for the usual. */
static inline bool thread_start_with(struct thread *thread, void *(*run)(void *), void *argument,
                                     size_t stack)
{
    thread->run = run;
    thread->argument = argument;
    thread->handle = CreateThread(NULL, stack, run_thread, thread,
                                  stack != 0 ? STACK_SIZE_PARAM_IS_A_RESERVATION : 0, NULL);
    return thread->handle != NULL;
}

static inline bool thread_join(struct thread *thread)
{
    return WaitForSingleObject(thread->handle, INFINITE) == WAIT_OBJECT_0 && CloseHandle(thread->handle);
}

static inline bool mutex_init(struct mutex *mutex)
{
    InitializeSRWLock(&mutex->lock);
    return true;
}

static inline bool mutex_destroy(struct mutex *mutex)
{
    (void)mutex;
    return true;
}

static inline bool mutex_lock(struct mutex *mutex)
{
    AcquireSRWLockExclusive(&mutex->lock);
    return true;
}

static inline bool mutex_unlock(struct mutex *mutex)
{
    ReleaseSRWLockExclusive(&mutex->lock);
    return true;
}

static inline bool condition_init(struct condition *condition)
{
    InitializeConditionVariable(&condition->variable);
    return true;
}

static inline bool condition_destroy(struct condition *condition)
{
    (void)condition;
    return true;
}

static inline bool condition_wait(struct condition *condition, struct mutex *mutex)
{
    return SleepConditionVariableSRW(&condition->variable, &mutex->lock, INFINITE, 0);
}

static inline bool condition_broadcast(struct condition *condition)
{
    WakeAllConditionVariable(&condition->variable);
    return true;
}

static inline bool thread_key_create(struct thread_key *key, void (*at_end)(void *))
{
    key->index = FlsAlloc((PFLS_CALLBACK_FUNCTION)(void (*)(void))at_end);
    return key->index != FLS_OUT_OF_INDEXES;
}

static inline bool thread_key_set(const struct thread_key *key, void *value)
{
    return FlsSetValue(key->index, value);
}

static inline void give_way(void)
{
    SwitchToThread();
}

static inline void sleep_microseconds(unsigned long time)
{
    Sleep((DWORD)((time + 999) / 1000));
}

/* From some moment on. */
static inline double seconds_now(void)
{
    LARGE_INTEGER count, per_second;
    CHECK(QueryPerformanceCounter(&count) && QueryPerformanceFrequency(&per_second));
    return (double)count.QuadPart / (double)per_second.QuadPart;
}

/* Of the processor's, that this thread had. */
static inline double thread_seconds(void)
{
    FILETIME unused, kernel, user;
    CHECK(GetThreadTimes(GetCurrentThread(), &unused, &unused, &kernel, &user));
    uint64_t ticks = ((uint64_t)kernel.dwHighDateTime << 32 | kernel.dwLowDateTime) +
                     ((uint64_t)user.dwHighDateTime << 32 | user.dwLowDateTime);
    return (double)ticks * 1e-7;
}

#else

struct thread {
    pthread_t id;
    void *result;
};

struct mutex {
    pthread_mutex_t lock;
};

struct condition {
    pthread_cond_t variable;
};

/* A pointer for each thread, and what is called with it when the thread ends. */
struct thread_key {
    pthread_key_t key;
};

#define MUTEX_INIT {PTHREAD_MUTEX_INITIALIZER}

/* With a stack of so many bytes, 0 for the usual. */
static inline bool thread_start_with(struct thread *thread, void *(*run)(void *), void *argument,
                                     size_t stack)
{
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    if (stack != 0)
        CHECK(pthread_attr_setstacksize(&attributes, stack) == 0);
    int error = pthread_create(&thread->id, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return error == 0;
}

static inline bool thread_join(struct thread *thread)
{
    return pthread_join(thread->id, &thread->result) == 0;
}

static inline bool mutex_init(struct mutex *mutex)
{
    return pthread_mutex_init(&mutex->lock, NULL) == 0;
}

static inline bool mutex_destroy(struct mutex *mutex)
{
    return pthread_mutex_destroy(&mutex->lock) == 0;
}

static inline bool mutex_lock(struct mutex *mutex)
{
    return pthread_mutex_lock(&mutex->lock) == 0;
}

static inline bool mutex_unlock(struct mutex *mutex)
{
    return pthread_mutex_unlock(&mutex->lock) == 0;
}

static inline bool condition_init(struct condition *condition)
{
    return pthread_cond_init(&condition->variable, NULL) == 0;
}

static inline bool condition_destroy(struct condition *condition)
{
    return pthread_cond_destroy(&condition->variable) == 0;
}

static inline bool condition_wait(struct condition *condition, struct mutex *mutex)
{
    return pthread_cond_wait(&condition->variable, &mutex->lock) == 0;
}

static inline bool condition_broadcast(struct condition *condition)
{
    return pthread_cond_broadcast(&condition->variable) == 0;
}

static inline bool thread_key_create(struct thread_key *key, void (*at_end)(void *))
{
    return pthread_key_create(&key->key, at_end) == 0;
}

static inline bool thread_key_set(const struct thread_key *key, void *value)
{
    return pthread_setspecific(key->key, value) == 0;
}

static inline void give_way(void)
{
    sched_yield();
}

static inline void sleep_microseconds(unsigned long time)
{
    usleep((useconds_t)time);
}

static inline double seconds_of(clockid_t clock)
{
    struct timespec time;
    CHECK(clock_gettime(clock, &time) == 0);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* From some moment on. */
static inline double seconds_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

/* Of the processor's, that this thread had. */
static inline double thread_seconds(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

#endif

static inline bool thread_start(struct thread *thread, void *(*run)(void *), void *argument)
{
    return thread_start_with(thread, run, argument, 0);
}

/* Where so many threads wait for each other, again and again. */
struct barrier {
    struct mutex lock;
    struct condition changed;
    size_t threads, waiting, leaving, round;
};

static inline bool barrier_init(struct barrier *barrier, size_t threads)
{
    barrier->threads = threads;
    barrier->waiting = barrier->leaving = barrier->round = 0;
    return mutex_init(&barrier->lock) && condition_init(&barrier->changed);
}

static inline void barrier_wait(struct barrier *barrier)
{
    CHECK(mutex_lock(&barrier->lock));
    if (++barrier->waiting == barrier->threads) {
        barrier->waiting = 0;
        barrier->leaving += barrier->threads - 1;
        barrier->round++;
        CHECK(condition_broadcast(&barrier->changed));
    } else {
        for (size_t round = barrier->round; barrier->round == round;)
            CHECK(condition_wait(&barrier->changed, &barrier->lock));
        if (--barrier->leaving == 0)
            CHECK(condition_broadcast(&barrier->changed));
    }
    CHECK(mutex_unlock(&barrier->lock));
}

/* When all have left. */
static inline void barrier_destroy(struct barrier *barrier)
{
    CHECK(mutex_lock(&barrier->lock));
    while (barrier->leaving > 0)
        CHECK(condition_wait(&barrier->changed, &barrier->lock));
    CHECK(mutex_unlock(&barrier->lock));
    CHECK(condition_destroy(&barrier->changed) && mutex_destroy(&barrier->lock));
}

#endif
