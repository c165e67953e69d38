/* Do pool and ranged_pool own what they should, and throw what they should? */
#include "check.hpp"

#include <cstring>
#include <string>
#include <utility>

static_assert(!std::is_copy_constructible<cmempool::pool>::value, "move-only");
static_assert(!std::is_copy_assignable<cmempool::pool>::value, "move-only");
static_assert(std::is_nothrow_move_constructible<cmempool::pool>::value, "move-only");
static_assert(std::is_nothrow_move_assignable<cmempool::pool>::value, "move-only");
static_assert(!std::is_copy_constructible<cmempool::ranged_pool>::value, "move-only");
static_assert(!std::is_copy_assignable<cmempool::ranged_pool>::value, "move-only");
static_assert(std::is_nothrow_move_constructible<cmempool::ranged_pool>::value, "move-only");
static_assert(std::is_nothrow_move_assignable<cmempool::ranged_pool>::value, "move-only");

/// How many leaks pools have told of: that way a destroyed pool is seen.
static int leaks;

static void on_misuse(const mempool_misuse *report, void *)
{
    if (report->kind == MEMPOOL_MISUSE_LEAK)
        leaks++;
    else
        std::fprintf(stderr, "%s\n", report->text);
}

static cmempool::pool told(const char *name)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 4;
    options.elem_size = 8;
    options.name = name;
    options.flags = MEMPOOL_REPORT_LEAKS;
    cmempool::pool made(options);
    CHECK(made.allocate() != nullptr);
    return made;
}

static cmempool::ranged_pool told_ranged()
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 32;
    options.smallest_count = 4;
    options.flags = MEMPOOL_REPORT_LEAKS;
    cmempool::ranged_pool made(options);
    CHECK(made.allocate(1) != nullptr);
    return made;
}

static void ordinary()
{
    cmempool::pool pool(3, 40);
    CHECK(pool.total_capacity() == 3 && pool.elem_size() == 40 && pool.alignment() == 16);
    CHECK(mempool_total_capacity(pool.get()) == 3);
    void *entries[3];
    for (void *&entry : entries) {
        entry = pool.allocate();
        std::memset(entry, 1, 40);
    }
    CHECK(pool.used_count() == 3 && pool.dynamic_allocs_count() == 0);
    CHECK_THROWS(std::bad_alloc, pool.allocate());
    CHECK(pool.try_allocate() == nullptr && errno == ENOMEM);
    for (void *entry : entries)
        cmempool::pool::deallocate(entry);
    cmempool::pool::deallocate(nullptr);
    CHECK(pool.used_count() == 0);

    cmempool::pool more(1, 8, true);
    void *own = more.allocate(), *dynamic = more.allocate();
    CHECK(more.used_count() == 1 && more.dynamic_allocs_count() == 1);
    more.deallocate(own);
    more.deallocate(dynamic);
    CHECK(more.used_count() == 0 && more.dynamic_allocs_count() == 0);
}

MEMPOOL_STATIC_BUFFER(memory, 5, 24);

static void with_options()
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 5;
    options.elem_size = 24;
    options.buffer = memory;
    options.buffer_size = sizeof memory;
    cmempool::pool in_buffer(options);
    unsigned char *entry = static_cast<unsigned char *>(in_buffer.allocate());
    CHECK(entry > memory && entry < memory + sizeof memory);
    in_buffer.deallocate(entry);

    options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 5;
    options.elem_size = 24;
    options.alignment = 256;
    cmempool::pool wide(options);
    CHECK(wide.alignment() == 256);
    CHECK(aligned(wide.allocate(), 256));
    options.alignment = 8;
    CHECK(cmempool::pool(options).alignment() == 16);

    const r_mempool_class classes[] = {{24, 10}, {1000, 3}};
    r_mempool_options ranged_options = R_MEMPOOL_OPTIONS_INIT;
    ranged_options.classes = classes;
    ranged_options.class_count = 2;
    ranged_options.alignment = 64;
    cmempool::ranged_pool ranged(ranged_options);
    CHECK(ranged.largest_size() == 1000 && ranged.alignment() == 64);
    CHECK(aligned(ranged.allocate(1), 64));
}

static void ranged()
{
    cmempool::ranged_pool pool(10, 100, 8);
    CHECK(pool.largest_size() == 128 && pool.alignment() == 16);
    CHECK(pool.total_capacity(1) == 8 && pool.total_capacity(128) == 1);
    CHECK(r_mempool_total_capacity(pool.get(), 128) == 1);
    char *text = static_cast<char *>(pool.allocate(16));
    std::strcpy(text, "kept");
    CHECK(pool.used_count(16) == 1);
    text = static_cast<char *>(pool.reallocate(text, 128));
    CHECK(std::string(text) == "kept" && pool.used_count(16) == 0 && pool.used_count(128) == 1);
    CHECK_THROWS(std::invalid_argument, pool.reallocate(text, 129));
    CHECK(pool.try_reallocate(text, 0) == nullptr && errno == EINVAL);
    CHECK_THROWS(std::bad_alloc, pool.allocate(128));
    CHECK_THROWS(std::invalid_argument, pool.allocate(129));
    CHECK(pool.try_allocate(0) == nullptr && errno == EINVAL);
    CHECK(std::string(text) == "kept" && pool.used_count(128) == 1);
    pool.deallocate(text);
    CHECK(pool.used_count(128) == 0 && pool.dynamic_allocs_count(128) == 0);

    cmempool::ranged_pool more(16, 32, 2, fallback_at_first_exhaustion);
    more.allocate(32);
    more.allocate(32);
    CHECK(more.used_count(32) == 1 && more.dynamic_allocs_count(32) == 1);
}

static void refused()
{
    CHECK_THROWS(std::invalid_argument, cmempool::pool(0, 8));
    CHECK_THROWS(std::invalid_argument, cmempool::pool(8, 0, true));
    CHECK_THROWS(std::bad_alloc, cmempool::pool(8, SIZE_MAX));
    CHECK_THROWS(std::invalid_argument, cmempool::ranged_pool(64, 16, 8));
    CHECK_THROWS(std::invalid_argument, cmempool::ranged_pool(16, 64, 8, __fallback_end_place_holder));
    CHECK_THROWS(std::bad_alloc, cmempool::ranged_pool(16, SIZE_MAX, 8));
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    CHECK_THROWS(std::invalid_argument, cmempool::pool{options});
    r_mempool_options ranged_options = R_MEMPOOL_OPTIONS_INIT;
    CHECK_THROWS(std::invalid_argument, cmempool::ranged_pool{ranged_options});
}

/// Options of a pool that can be made, with one thing wrong.
template <class Change> static std::string refusal(Change change)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 5;
    options.elem_size = 24;
    change(options);
    return what_of([&options] { cmempool::pool{options}; });
}

template <class Change> static std::string ranged_refusal(Change change)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 64;
    options.smallest_count = 8;
    change(options);
    return what_of([&options] { cmempool::ranged_pool{options}; });
}

/// What is thrown names the argument that was wrong.
static void told_what_is_wrong()
{
    using options = mempool_options;
    const std::string of_pool = "cmempool::pool: ", of_ranged = "cmempool::ranged_pool: ";
    CHECK(refusal([](options &) {}).empty());
    CHECK(what_of([] { cmempool::pool(0, 8); }) == of_pool + "elem_count is 0");
    CHECK(what_of([] { cmempool::pool(8, 0); }) == of_pool + "elem_size is 0");
    CHECK(what_of([] { cmempool::pool(8, SIZE_MAX); }) == of_pool + "no memory is available");
    for (std::size_t alignment : {24u, 8192u})
        CHECK(refusal([alignment](options &o) { o.alignment = alignment; }) ==
              of_pool + "alignment " + std::to_string(alignment) +
                  " is not a power of two up to 4096");
    CHECK(refusal([](options &o) { o.buffer_size = 1; }) ==
          of_pool + "buffer_size is 1, and buffer is NULL");
    CHECK(refusal([](options &o) {
              o.buffer = memory;
              o.buffer_size = 7;
          }) == of_pool + "buffer_size 7 is less than the " +
                    std::to_string(MEMPOOL_BUFFER_SIZE(5, 24)) + " bytes needed");
    char badly_aligned[32];
    std::snprintf(badly_aligned, sizeof badly_aligned, "%p", static_cast<void *>(memory + 8));
    CHECK(refusal([](options &o) {
              o.buffer = memory + 8;
              o.buffer_size = sizeof memory - 8;
          }) == of_pool + "buffer " + badly_aligned + " is not aligned to 16 bytes");
    CHECK(refusal([](options &o) {
              o.buffer = memory;
              o.buffer_size = sizeof memory;
              o.flags = MEMPOOL_HUGE_PAGES;
          }) == of_pool + "flags ask for huge pages, but the memory is given by buffer or backing");
    CHECK(refusal([](options &o) { o.struct_size = 1; }) ==
          of_pool + "struct_size is not that of MEMPOOL_OPTIONS_INIT");
    CHECK(refusal([](options &o) { o.flags = std::uint64_t{1} << 63; }) ==
          of_pool + "flags 0x8000000000000000 are not all known");
    mempool_backing backing = MEMPOOL_BACKING_INIT;
    const auto backed = [&backing](options &o) { o.backing = &backing; };
    CHECK(refusal(backed) == of_pool + "backing lacks alloc");
    backing.alloc = [](std::size_t, std::size_t, void *) -> void * { return memory + 1; };
    CHECK(refusal(backed) == of_pool + "backing lacks free");
    backing.free = [](void *, std::size_t, void *) {};
    CHECK(refusal(backed) ==
          of_pool + "flags 0x0 are not all known, or backing gave memory at an invalid address");
    backing.struct_size = 1;
    CHECK(refusal(backed) ==
          of_pool + "backing's struct_size is not that of MEMPOOL_BACKING_INIT");
    CHECK(what_of([] { cmempool::object_pool<int>(0); }) == of_pool + "elem_count is 0");

    using ranged_options = r_mempool_options;
    CHECK(ranged_refusal([](ranged_options &) {}).empty());
    CHECK(what_of([] { cmempool::ranged_pool(0, 16, 8); }) == of_ranged + "smallest_size is 0");
    CHECK(what_of([] { cmempool::ranged_pool(64, 16, 8); }) ==
          of_ranged + "largest_size 16 is not above smallest_size 64");
    CHECK(what_of([] { cmempool::ranged_pool(16, 64, 0); }) == of_ranged + "smallest_count is 0");
    const std::string few =
        " leaves a class empty, or smallest_size and largest_size mean the same class";
    CHECK(what_of([] { cmempool::ranged_pool(16, 64, 2); }) == of_ranged + "smallest_count 2" + few);
    CHECK(what_of([] { cmempool::ranged_pool(9, 16, 8); }) == of_ranged + "smallest_count 8" + few);
    CHECK(what_of([] { cmempool::ranged_pool(16, 64, 8, __fallback_end_place_holder); }) ==
          of_ranged + "policy 3 is unknown");
    CHECK(ranged_refusal([](ranged_options &o) { o.alignment = 3; }) ==
          of_ranged + "alignment 3 is not a power of two up to 4096");
    CHECK(ranged_refusal([](ranged_options &o) { o.reserved = 1; }) ==
          of_ranged + "reserved is not 0");
    CHECK(ranged_refusal([](ranged_options &o) { o.flags = MEMPOOL_FALL_BACK; }) ==
          of_ranged + "flags contain MEMPOOL_FALL_BACK, which policy stands for here");
    CHECK(ranged_refusal([](ranged_options &o) { o.buffer_size = 1; }) ==
          of_ranged + "buffer_size is 1, and buffer is NULL");
    CHECK(ranged_refusal([](ranged_options &o) { o.struct_size = 1; }) ==
          of_ranged + "struct_size is not that of R_MEMPOOL_OPTIONS_INIT");
    CHECK(ranged_refusal([](ranged_options &o) { o.class_count = 1; }) ==
          of_ranged + "class_count is 1, and classes is NULL");
    const r_mempool_class classes[] = {{24, 10}, {24, 3}, {0, 1}, {8, 0}};
    const auto listed = [&classes](std::size_t first, std::size_t count) {
        return ranged_refusal([=, &classes](ranged_options &o) {
            o.smallest_size = o.largest_size = o.smallest_count = 0;
            o.classes = classes + first;
            o.class_count = count;
        });
    };
    CHECK(listed(0, 1).empty());
    CHECK(listed(0, 2) == of_ranged + "classes[1].elem_size 24 is not above the one before, 24");
    CHECK(listed(1, 2) == of_ranged + "classes[1].elem_size is 0");
    CHECK(listed(3, 1) == of_ranged + "classes[0].elem_count is 0");
    CHECK(listed(0, 0) == of_ranged + "class_count 0 is not between 1 and 256");
    CHECK(listed(0, 257) == of_ranged + "class_count 257 is not between 1 and 256");
    CHECK(ranged_refusal([&classes](ranged_options &o) { o.classes = classes; }) ==
          of_ranged + "classes are given, and smallest_size, largest_size or smallest_count, too");

    cmempool::pool pool(1, 40);
    cmempool::ranged_pool ranged_pool(16, 32, 2);
    void *entry = pool.allocate();
    CHECK(what_of([&] { pool.allocate(); }) ==
          "cmempool::pool::allocate: no entry is available for 40 bytes");
    pool.deallocate(entry);
    entry = ranged_pool.allocate(32);
    CHECK(what_of([&] { ranged_pool.allocate(20); }) ==
          "cmempool::ranged_pool::allocate: no entry is available for 20 bytes");
    CHECK(what_of([&] { ranged_pool.allocate(33); }) ==
          "cmempool::ranged_pool::allocate: size 33 is not between 1 and 32");
    CHECK(what_of([&] { ranged_pool.reallocate(entry, 0); }) ==
          "cmempool::ranged_pool::reallocate: size 0 is not between 1 and 32");
    ranged_pool.deallocate(entry);
    cmempool::pool other(std::move(pool));
    CHECK(what_of([&] { pool.allocate(); }) == "cmempool::pool::allocate: the pool was moved from");
    CHECK(what_of([&] { cmempool::allocator<int>(pool).allocate(1); }) ==
          "cmempool::allocator: the pool was moved from");
    CHECK_THROWS(cmempool::bad_alloc, (other.allocate(), other.allocate()));
}

static void moved()
{
    leaks = 0;
    {
        cmempool::pool a = told("a"), b = told("b");
        mempool *const from = a.get(), *const to = b.get();
        void *entry = a.allocate();
        CHECK(leaks == 0);
        cmempool::pool c(std::move(a));
        CHECK(c.get() == from && a.get() == nullptr && c.used_count() == 2 && leaks == 0);
        CHECK(c.elem_size() == 8 && c.alignment() == 16);
        CHECK(a.try_allocate() == nullptr && a.used_count() == 0);
        CHECK_THROWS(std::invalid_argument, a.allocate());
        swap(c, b);
        CHECK(b.get() == from && c.get() == to && leaks == 0);
        c.deallocate(entry);
        c = std::move(b); // destroys the pool that c had
        CHECK(leaks == 1 && c.get() == from && b.get() == nullptr && c.used_count() == 1);
        c = cmempool::pool(std::move(c));
        CHECK(leaks == 1 && c.get() == from && c.used_count() == 1);
        a = std::move(c);
        CHECK(leaks == 1 && a.get() == from && c.get() == nullptr);
    }
    CHECK(leaks == 2);
    {
        cmempool::ranged_pool a = told_ranged(), b = told_ranged();
        r_mempool *const from = a.get(), *const to = b.get();
        cmempool::ranged_pool c(std::move(a));
        CHECK(c.get() == from && a.get() == nullptr && c.used_count(16) == 1 && leaks == 2);
        CHECK(c.largest_size() == 32);
        CHECK_THROWS(std::invalid_argument, a.allocate(1));
        swap(c, b);
        CHECK(b.get() == from && c.get() == to);
        c = std::move(b);
        CHECK(leaks == 3 && c.get() == from && b.get() == nullptr);
    }
    CHECK(leaks == 4);

    // All that they know goes along.
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 1;
    options.elem_size = 100;
    options.alignment = 64;
    cmempool::pool small(1, 8), wide(options);
    swap(small, wide);
    CHECK(small.elem_size() == 100 && small.alignment() == 64);
    CHECK(wide.elem_size() == 8 && wide.alignment() == 16);
    small = std::move(wide);
    CHECK(small.elem_size() == 8 && small.alignment() == 16);
    r_mempool_options ranged_options = R_MEMPOOL_OPTIONS_INIT;
    ranged_options.smallest_size = 16;
    ranged_options.largest_size = 512;
    ranged_options.smallest_count = 32;
    ranged_options.alignment = 64;
    cmempool::ranged_pool few(16, 32, 2), many(ranged_options);
    swap(few, many);
    CHECK(few.largest_size() == 512 && few.alignment() == 64);
    CHECK(many.largest_size() == 32 && many.alignment() == 16);
    few = std::move(many);
    CHECK(few.largest_size() == 32 && few.alignment() == 16);
}

/// The C header's macros and the classes side by side, in a class whose members have such names.
struct user {
    mempool *older, *newer, *single;

    user()
        : older(::mempool_create(2, 8, false)), newer(::mempool_create(2, 8, false, false)),
          single(mempool_create(std::size_t{2}, sizeof(std::pair<int, int>), false, true))
    {
    }

    ~user()
    {
        void *entry = mempool_alloc_entry(older);
        mempool_free_entry(entry);
        CHECK(entry == nullptr && mempool_used_count(older) == 0);
        mempool_destroy(older);
        CHECK(older == nullptr);
        (::mempool_destroy)(newer);
        ::mempool_destroy(single);
    }
};

static void beside_the_macros()
{
    using namespace cmempool;
    user both;
    CHECK(mempool_total_capacity(both.newer) == 2 && mempool_total_capacity(both.single) == 2);
    r_mempool *classes = r_mempool_create(4, 6, 3, fallback_disabled, true);
    CHECK(r_mempool_total_capacity(classes, 64) == 2);
    r_mempool_destroy(classes);
    pool mine(1, 1);
    void *entry = mine.allocate();
    mempool_free_entry(entry);
    CHECK(mine.used_count() == 0);
}

int main()
{
    mempool_set_misuse_handler(on_misuse, nullptr);
    ordinary();
    with_options();
    ranged();
    refused();
    told_what_is_wrong();
    moved();
    beside_the_macros();
    return done();
}
