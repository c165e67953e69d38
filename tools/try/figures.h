/* What do a program on a pool and cmempool-try tell each other?
 *
 * Each process has a file in the folder that CMEMPOOL_TRY names, and a mapping of it: what is counted is
 * there however the process ends. The file begins with `figures`; of a process that is measured, the two
 * tables of pairs follow.
 *
 * A grain is a range of sizes that would be a class of its own: sizes that take the same slot, up to 2 KiB;
 * above, the sixteenth part of a doubling. */
#ifndef CMEMPOOL_TRY_FIGURES_H
#define CMEMPOOL_TRY_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Grains are the classes of the pool that measures: as many as a ranged pool may have. */
enum { GRAINS = 256, FINE_GRAINS = 128, WORD = 8, SLOT_STEP = 16 };

/* Bytes of a slot, for entries of so many. */
static inline size_t slot_of(size_t size)
{
    return (size + WORD + SLOT_STEP - 1) & ~(size_t)(SLOT_STEP - 1);
}

/* The grain of a size, from 1 to that of the last grain. */
static inline unsigned grain_of(size_t size)
{
    const size_t slot = slot_of(size);
    if (slot <= FINE_GRAINS * SLOT_STEP)
        return (unsigned)(slot / SLOT_STEP) - 1;
    const unsigned bits = 63 - (unsigned)__builtin_clzll((unsigned long long)slot - 1);
    const size_t part = (slot - 1 - ((size_t)1 << bits)) >> (bits - 4);
    return FINE_GRAINS + (bits - 11) * 16 + (unsigned)part;
}

/* The largest size of a grain. */
static inline size_t grain_size(unsigned grain)
{
    if (grain < FINE_GRAINS)
        return (grain + 1) * (size_t)SLOT_STEP - WORD;
    const unsigned bits = 11 + (grain - FINE_GRAINS) / 16;
    const size_t parts = 16 + (grain - FINE_GRAINS) % 16 + 1;
    return (parts << (bits - 4)) - WORD;
}

/* Blocks that are the heap's: larger than the largest class, aligned to more than 16, or from before there
 * was a pool. */
enum sort { LARGER, ALIGNED, EARLY, SORTS };

struct blocks {
    uint64_t taken;      /* ever */
    uint64_t most;       /* at once */
    uint64_t most_bytes; /* at once */
};

/* A grain, of which the counts change with each call. */
struct grain {
    uint64_t taken;
    uint32_t live;    /* as an epoch or the process ended; what is out now is in record.h */
    uint32_t high;    /* the most at once in this epoch */
    uint32_t largest; /* size that was asked for */
    uint32_t unused;
};

/* What the pool says of a class. */
struct class_use {
    uint64_t size, capacity, peak, heap_peak, exhausted, failed;
};

enum ending { RUNS = 0, ENDED = 1 };
enum { MAGIC = 0x74727931, NAME_MAX_BYTES = 512 };

struct figures {
    uint32_t magic;
    uint32_t ending;
    int32_t pid;
    uint32_t measured; /* 0: nothing but `classes` */
    uint32_t class_count;
    char program[NAME_MAX_BYTES]; /* path */
    uint64_t pool_bytes;
    struct class_use classes[GRAINS]; /* as the process ended */
    struct blocks heap[SORTS];
    struct grain grains[GRAINS];
    uint32_t epochs;
    uint32_t rises;  /* of a grain's `high`, in this epoch */
    uint32_t step;   /* rises that end it */
    uint32_t floor;  /* the least step */
    uint32_t closing; /* a thread closes the epoch */
};

/* For grains i <= j, at [i][j]: how many blocks of those grains together were out at once. */
struct pairs {
    uint32_t at[GRAINS][GRAINS];
};

struct measured {
    struct figures figures;
    struct pairs enough;   /* never too low */
    struct pairs at_least; /* were seen at one moment */
};

/* Adds what the grains had at most, each in the same span of time, and what they have now. */
static inline void close_pairs(struct measured *m, const uint32_t *high, const uint32_t *live)
{
    uint32_t highs[GRAINS + 1], lives[GRAINS + 1];
    unsigned first = GRAINS, end = 0;
    highs[0] = lives[0] = 0;
    for (unsigned i = 0; i < GRAINS; i++) {
        highs[i + 1] = highs[i] + high[i];
        lives[i + 1] = lives[i] + live[i];
        if (high[i] != 0) {
            first = first < i ? first : i;
            end = i + 1;
        }
    }
    for (unsigned i = first; i < end; i++) {
        uint32_t *enough = m->enough.at[i], *at_least = m->at_least.at[i];
        for (unsigned j = i; j < end; j++) {
            const uint32_t h = highs[j + 1] - highs[i], l = lives[j + 1] - lives[i];
            enough[j] = enough[j] > h ? enough[j] : h;
            at_least[j] = at_least[j] > l ? at_least[j] : l;
        }
    }
}

#endif
