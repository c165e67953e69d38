/* The harness of the C++ tests: how does a program check something, and count what the heap is asked?
 *
 * A program prints `ok <number of checks>` and returns 0, or says which check failed and exits with
 * 1. Each is one unit and unit.cpp another: what the header defines must not clash. */
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cmempool.hpp>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

/// In unit.cpp: whether the same types work there.
bool other_unit_works(cmempool::pool &from);

static std::atomic<long> check_count;

static inline void check(bool holds, const char *file, int line, const char *condition)
{
    check_count++;
    if (!holds) {
        std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, condition);
        std::exit(1);
    }
}

#define CHECK(...) check((__VA_ARGS__) ? true : false, __FILE__, __LINE__, #__VA_ARGS__)

/// The statement throws exactly this type.
#define CHECK_THROWS(type, ...)                                                 \
    do {                                                                        \
        bool thrown_ = false;                                                   \
        try {                                                                   \
            __VA_ARGS__;                                                        \
        } catch (const type &) {                                                \
            thrown_ = true;                                                     \
        }                                                                       \
        check(thrown_, __FILE__, __LINE__, #__VA_ARGS__ " throws " #type);      \
    } while (0)

/// What the exception of a call says; empty if it throws none.
template <class Call> static std::string what_of(Call call)
{
    try {
        call();
    } catch (const std::exception &error) {
        return error.what();
    }
    return "";
}

static inline bool aligned(const void *pointer, std::size_t alignment)
{
    // By way of the memory, since the header's attributes let compilers take an alignment for granted.
    const void *volatile hidden = pointer;
    return reinterpret_cast<std::uintptr_t>(hidden) % alignment == 0;
}

static inline int done()
{
    cmempool::pool from(10, 64);
    CHECK(other_unit_works(from) && from.used_count() == 0);
    std::printf("ok %ld\n", check_count.load());
    return 0;
}

#endif
