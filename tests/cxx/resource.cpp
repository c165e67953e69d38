/* Does pool_resource serve the containers of std::pmr, and send the rest upstream and back?
 *
 * It is there from C++17 on. */
#include "check.hpp"

#include <cstring>
#include <list>
#include <map>
#include <memory_resource>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

/// Upstream: knows what is out with size and alignment, and wants the same back.
class strict : public std::pmr::memory_resource {
public:
    std::size_t out() const { return out_.size(); }
    long calls() const { return calls_; }

private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override
    {
        calls_++;
        void *memory = std::pmr::new_delete_resource()->allocate(bytes, alignment);
        out_[memory] = {bytes, alignment};
        return memory;
    }

    void do_deallocate(void *memory, std::size_t bytes, std::size_t alignment) override
    {
        const auto found = out_.find(memory);
        CHECK(found != out_.end() && found->second == std::make_pair(bytes, alignment));
        out_.erase(found);
        std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        return this == &other;
    }

    std::map<void *, std::pair<std::size_t, std::size_t>> out_;
    long calls_ = 0;
};

static std::size_t used(const cmempool::ranged_pool &pool)
{
    std::size_t sum = 0;
    for (std::size_t size = 16; size <= pool.largest_size(); size *= 2)
        sum += pool.used_count(size);
    return sum;
}

static void containers()
{
    cmempool::ranged_pool pool(16, 1024, 4096);
    strict upstream;
    {
        cmempool::pool_resource resource(pool, &upstream);
        CHECK(resource.upstream_resource() == &upstream);
        std::pmr::list<int> numbers(&resource);
        std::pmr::map<int, std::pmr::string> names(&resource);
        std::pmr::unordered_map<std::pmr::string, std::pmr::vector<int>> table(&resource);
        for (int i = 0; i < 100; i++) {
            numbers.push_back(i);
            names.emplace(i, std::string(static_cast<std::size_t>(i), 'n'));
            table["key number " + std::pmr::string(std::to_string(i))].push_back(i);
        }
        CHECK(used(pool) > 300 && names[99].size() == 99 && table["key number 42"][0] == 42);
        CHECK(upstream.calls() < 5); // the table's buckets beyond 1024 bytes
        std::pmr::vector<char> large(5000, 'x', &resource);
        CHECK(upstream.out() >= 1 && large[4999] == 'x');
        std::pmr::string text("short", &resource);
        for (int i = 0; i < 10; i++)
            text += text; // from the string itself to the pool, and on upstream
        CHECK(text.size() == 5 * 1024);
        numbers.clear();
        names.erase(50);
        table.clear();
    }
    CHECK(used(pool) == 0 && upstream.out() == 0);
}

static void by_size_and_alignment()
{
    cmempool::ranged_pool pool(16, 256, 64);
    strict upstream;
    cmempool::pool_resource resource(pool, &upstream);
    for (std::size_t bytes : {0u, 1u, 16u, 17u, 255u, 256u, 257u, 10000u})
        for (std::size_t alignment : {1u, 8u, 16u, 32u, 64u, 4096u}) {
            const bool from_pool = bytes <= 256 && alignment <= 16;
            void *memory = resource.allocate(bytes, alignment);
            CHECK(aligned(memory, alignment));
            std::memset(memory, 1, bytes);
            CHECK(used(pool) == (from_pool ? 1 : 0) && upstream.out() == (from_pool ? 0 : 1));
            resource.deallocate(memory, bytes, alignment);
            CHECK(used(pool) == 0 && upstream.out() == 0);
        }

    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 256;
    options.smallest_count = 64;
    options.alignment = 64;
    cmempool::ranged_pool wide(options);
    cmempool::pool_resource wider(wide, &upstream);
    void *memory = wider.allocate(100, 64);
    CHECK(aligned(memory, 64) && used(wide) == 1 && upstream.out() == 0);
    void *widest = wider.allocate(100, 128);
    CHECK(aligned(widest, 128) && used(wide) == 1 && upstream.out() == 1);
    wider.deallocate(memory, 100, 64);
    wider.deallocate(widest, 100, 128);
    CHECK(used(wide) == 0 && upstream.out() == 0);

    const r_mempool_class classes[] = {{24, 2}, {100, 2}};
    options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = 2;
    cmempool::ranged_pool listed(options);
    cmempool::pool_resource of_list(listed, &upstream);
    memory = of_list.allocate(100);
    widest = of_list.allocate(101);
    CHECK(listed.used_count(100) == 1 && upstream.out() == 1);
    of_list.deallocate(memory, 100);
    of_list.deallocate(widest, 101);
    CHECK(listed.used_count(100) == 0 && upstream.out() == 0);
}

static void an_exhausted_pool()
{
    for (auto policy : {fallback_disabled, fallback_at_first_exhaustion}) {
        cmempool::ranged_pool pool(16, 64, 8, policy);
        strict upstream;
        cmempool::pool_resource resource(pool, &upstream);
        const bool upwards = policy == fallback_disabled;
        // 8 + 4 + 2 entries, then some from upstream or the library's heap.
        std::vector<void *> all;
        for (int i = 0; i < 30; i++) {
            all.push_back(resource.allocate(10, 8));
            std::memset(all.back(), i, 10);
        }
        CHECK(used(pool) == (upwards ? 14 : 8) && upstream.out() == (upwards ? 16 : 0));
        CHECK(pool.dynamic_allocs_count(16) == (upwards ? 0 : 22));
        // Back in another order, and out again.
        for (int round = 0; round < 3; round++) {
            for (std::size_t i = 0; i < all.size(); i += 3) {
                CHECK(static_cast<char *>(all[i])[9] == static_cast<int>(i));
                resource.deallocate(all[i], 10, 8);
            }
            for (std::size_t i = 0; i < all.size(); i += 3) {
                all[i] = resource.allocate(10, 8);
                std::memset(all[i], static_cast<int>(i), 10);
            }
        }
        for (std::size_t i = all.size(); i-- > 0;) {
            CHECK(static_cast<char *>(all[i])[0] == static_cast<int>(i));
            resource.deallocate(all[i], 10, 8);
        }
        CHECK(used(pool) == 0 && upstream.out() == 0 && pool.dynamic_allocs_count(16) == 0);
        // As at the start.
        resource.deallocate(resource.allocate(10), 10);
        CHECK(used(pool) == 0 && upstream.out() == 0);
    }
    // What upstream served for its size is another matter than what the pool had no entry for.
    for (std::size_t larger : {1000u, 33u}) {
        cmempool::ranged_pool pool(16, 32, 2);
        strict upstream;
        cmempool::pool_resource resource(pool, &upstream);
        void *all[4];
        for (void *&memory : all)
            memory = resource.allocate(16);
        CHECK(used(pool) == 3 && upstream.out() == 1);
        resource.deallocate(resource.allocate(larger), larger);
        for (void *memory : all)
            resource.deallocate(memory, 16);
        CHECK(used(pool) == 0 && upstream.out() == 0);
    }
    // Upstream has none either.
    cmempool::ranged_pool pool(16, 32, 2);
    cmempool::pool_resource resource(pool, std::pmr::null_memory_resource());
    std::pmr::list<int> numbers(&resource);
    CHECK_THROWS(std::bad_alloc, numbers.assign(10, 1));
    numbers.clear();
    CHECK_THROWS(std::bad_alloc, (void)resource.allocate(1000));
    CHECK(what_of([&] { (void)resource.allocate(33, 8); }) ==
          "cmempool::pool_resource: 33 bytes aligned to 8 do not fit the pool's entries of 32 bytes "
          "aligned to 16");
    CHECK(what_of([&] { (void)resource.allocate(8, 32); }) ==
          "cmempool::pool_resource: 8 bytes aligned to 32 do not fit the pool's entries of 32 bytes "
          "aligned to 16");
    CHECK(used(pool) == 0);
    numbers.push_back(1); // with the one entry of 32 bytes
    CHECK(what_of([&] { (void)resource.allocate(20); }) ==
          "cmempool::pool_resource: no entry is available for 20 bytes");
    numbers.clear();
    // As at the start: what was refused left no trace.
    resource.deallocate(resource.allocate(20), 20);
    CHECK(used(pool) == 0);
}

static void equality()
{
    cmempool::ranged_pool pool(16, 64, 8);
    cmempool::pool_resource a(pool), b(pool);
    CHECK(a == a && !a.is_equal(b) && a != *std::pmr::new_delete_resource());
    CHECK(a.upstream_resource() == std::pmr::get_default_resource());
    static_assert(!std::is_copy_constructible_v<cmempool::pool_resource>);
    static_assert(!std::is_copy_assignable_v<cmempool::pool_resource>);
    // Containers with different resources move element by element.
    {
        std::pmr::list<int> in_a({1, 2, 3}, &a), in_b(&b);
        in_b = std::move(in_a);
        CHECK(in_b.size() == 3 && in_b.get_allocator().resource() == &b);
    }
    // The pool may be moved.
    void *memory = a.allocate(10);
    cmempool::ranged_pool moved(std::move(pool));
    a.deallocate(memory, 10);
    a.deallocate(a.allocate(10), 10);
    CHECK(used(moved) == 0);
}

struct fragile {
    explicit fragile(bool throws)
    {
        if (throws)
            throw std::runtime_error("fragile");
    }
};

static void constructors_throw()
{
    cmempool::ranged_pool pool(16, 64, 8);
    cmempool::pool_resource resource(pool, std::pmr::null_memory_resource());
    {
        std::pmr::list<fragile> all(&resource);
        all.emplace_back(false);
        for (int i = 0; i < 20; i++)
            CHECK_THROWS(std::runtime_error, all.emplace_back(true));
        CHECK(all.size() == 1 && used(pool) == 1);
    }
    CHECK(used(pool) == 0);
}

static void threads()
{
    // Too few for all: each thread gets some from upstream, and others give them back.
    cmempool::ranged_pool pool(16, 64, 256);
    cmempool::pool_resource resource(pool, std::pmr::new_delete_resource());
    std::vector<std::pmr::list<int>> lists;
    for (int t = 0; t < 8; t++)
        lists.emplace_back(&resource);
    for (int round = 0; round < 20; round++) {
        std::vector<std::thread> all;
        for (int t = 0; t < 4; t++)
            all.emplace_back([&lists, t, round] {
                std::pmr::list<int> &mine = lists[static_cast<std::size_t>((t + round) % 8)];
                for (int number : mine)
                    CHECK(number == mine.front());
                mine.assign(100 + static_cast<std::size_t>(t) * 20, t);
                mine.sort();
                mine.resize(90);
            });
        for (std::thread &thread : all)
            thread.join();
    }
    lists.clear();
    CHECK(used(pool) == 0);
}

int main()
{
    containers();
    by_size_and_alignment();
    an_exhausted_pool();
    equality();
    constructors_throw();
    threads();
    return done();
}
