/* How long does a workload take, and how is that told? */
#ifndef TIMING_H
#define TIMING_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The same numbers in every run and for every allocator: xorshift64* from a fixed seed. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

enum { RANDOM_SEED = 20240229 };

/* Below `limit`, evenly enough for a limit far below 2^32. */
static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(((random_next(state) >> 32) * limit) >> 32);
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs about `pairs` pairs of take and give, and returns the nanoseconds they took. Writes how many
 * it were. */
typedef uint64_t (*round_function)(uint64_t *pairs);

enum { ROUNDS = 9, ROUNDS_MIN = 3 };

/* Finds how many pairs fill a ninth of the time, measures that often, and prints the result as a line
 * of JSON. The first rounds, which also find the number, are not counted. A number is found if it fills
 * the time twice: the first round with many threads may take long for other reasons. */
static inline void measure(round_function run, uint64_t milliseconds)
{
    const uint64_t budget = milliseconds * 1000000u;
    const uint64_t goal = budget / ROUNDS + 1;
    uint64_t pairs = 1;
    uint64_t done = pairs;
    uint64_t took = run(&done);
    for (int filled = 0; filled < 2;) {
        if (took >= goal / 2) {
            ++filled;
        } else {
            uint64_t factor = took > 0 ? goal / took : 16;
            pairs = done * (factor < 2 ? 2 : factor > 16 ? 16 : factor);
            filled = 0;
        }
        done = pairs;
        took = run(&done);
    }
    pairs = (uint64_t)((double)done * (double)goal / (double)took) + 1;

    double results[ROUNDS];
    int rounds = 0;
    uint64_t spent = 0;
    while (rounds < ROUNDS && (rounds < ROUNDS_MIN || spent < budget)) {
        done = pairs;
        took = run(&done);
        spent += took;
        results[rounds++] = (double)took / (double)done;
    }
    qsort(results, (size_t)rounds, sizeof results[0], compare_doubles);
    printf("{\"median_ns\": %.4f, \"best_ns\": %.4f, \"rounds\": %d}\n", results[rounds / 2],
           results[0], rounds);
}

#endif
