/* Do the containers of the standard library work with allocator, and what comes from where? */
#include "check.hpp"

#include <deque>
#include <forward_list>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

// ---- What operator new is asked for ----

static std::atomic<long> new_count, new_out;

// Not inlined: GCC would see free where it expects operator delete, and warn.
#define KEPT_APART __attribute__((noinline))

KEPT_APART void *operator new(std::size_t size)
{
    void *memory = std::malloc(size == 0 ? 1 : size);
    if (memory == nullptr)
        throw std::bad_alloc();
    new_count++;
    new_out++;
    return memory;
}

KEPT_APART void operator delete(void *memory) noexcept
{
    new_out -= memory != nullptr;
    std::free(memory);
}

void operator delete(void *memory, std::size_t) noexcept
{
    operator delete(memory);
}

// ---- Containers ----

template <class T> using allocator = cmempool::allocator<T>;
template <class T> using list = std::list<T, allocator<T>>;
template <class K, class V> using pair = std::pair<const K, V>;
template <class K, class V> using map = std::map<K, V, std::less<K>, allocator<pair<K, V>>>;
template <class K, class V>
using unordered_map =
    std::unordered_map<K, V, std::hash<K>, std::equal_to<K>, allocator<pair<K, V>>>;

/// Throws from the constructor that makes the count go to 0.
struct fragile {
    static int until, alive;
    int number;

    static void count_down()
    {
        if (until > 0 && --until == 0)
            throw std::runtime_error("fragile");
        alive++;
    }
    fragile(int n) : number(n) { count_down(); }
    fragile(const fragile &other) : number(other.number) { count_down(); }
    ~fragile() { alive--; }
    bool operator<(const fragile &other) const { return number < other.number; }
    bool operator==(const fragile &other) const { return number == other.number; }
};

int fragile::until, fragile::alive;

namespace std {
template <> struct hash<fragile> {
    size_t operator()(const fragile &f) const noexcept { return static_cast<size_t>(f.number); }
};
} // namespace std

static void nodes_of_a_list()
{
    cmempool::pool pool(100, 64);
    {
        list<int> numbers(pool);
        const long before = new_count;
        for (int i = 0; i < 100; i++)
            numbers.push_back(i);
        CHECK(pool.used_count() == 100 && new_count == before);
        CHECK_THROWS(std::bad_alloc, numbers.push_back(100));
        CHECK(numbers.size() == 100 && numbers.back() == 99);
        numbers.remove_if([](int i) { return i % 2 == 0; });
        CHECK(pool.used_count() == 50);
        int expected = 1;
        for (int i : numbers) {
            CHECK(i == expected);
            expected += 2;
        }
        numbers.sort(std::greater<int>());
        CHECK(numbers.front() == 99 && numbers.get_allocator() == allocator<int>(pool));
        std::forward_list<long, allocator<long>> forward(pool);
        forward.assign(50, 7);
        CHECK(pool.used_count() == 100 && new_count == before);
    }
    CHECK(pool.used_count() == 0);
}

static void nodes_of_maps()
{
    cmempool::pool pool(1000, 96);
    {
        map<int, std::string> ordered(pool);
        std::multimap<int, int, std::less<int>, allocator<pair<int, int>>> multi(pool);
        std::set<int, std::less<int>, allocator<int>> set(pool);
        for (int i = 0; i < 200; i++) {
            ordered[i * 7 % 200] = std::to_string(i);
            multi.emplace(i % 10, i);
            set.insert(i % 20);
        }
        CHECK(pool.used_count() == 200 + 200 + 20);
        CHECK(ordered.size() == 200 && ordered.begin()->first == 0 && ordered[7] == "1");
        CHECK(multi.count(3) == 20 && set.count(19) == 1);
        ordered.erase(ordered.find(100), ordered.end());
        multi.erase(3);
        CHECK(pool.used_count() == 100 + 180 + 20);
    }
    CHECK(pool.used_count() == 0);
}

static void nodes_of_an_unordered_map()
{
    cmempool::ranged_pool pool(16, 128, 4096);
    auto used = [&pool] {
        return pool.used_count(16) + pool.used_count(32) + pool.used_count(64) +
               pool.used_count(128);
    };
    {
        unordered_map<int, long> table(16, std::hash<int>(), std::equal_to<int>(), pool);
        const long before = new_count;
        for (int i = 0; i < 500; i++)
            table.emplace(i, i * 2L);
        // The buckets are arrays, and not the pool's.
        CHECK(used() == 500 && new_count > before && new_count < before + 20);
        for (int i = 0; i < 500; i++)
            CHECK(table.at(i) == i * 2L);
        for (int i = 0; i < 500; i += 2)
            table.erase(i);
        CHECK(used() == 250);
        table.rehash(4096);
        CHECK(used() == 250 && table.size() == 250 && table.at(499) == 998);
        unordered_map<int, long> copy(table), moved(std::move(copy));
        CHECK(used() == 500 && moved == table);
        table.clear();
        CHECK(used() == 250);
    }
    CHECK(used() == 0);
}

static void what_the_pool_does_not_serve()
{
    cmempool::pool pool(10, 64);
    const allocator<int> from_heap(pool, cmempool::oversize::from_heap);
    const long out = new_out, count = new_count;
    {
        // Nodes that are too large: refused, unless the heap was asked for.
        struct large {
            char bytes[100];
        };
        list<large> refused(pool), large_ones(from_heap);
        CHECK_THROWS(std::bad_alloc, refused.emplace_back());
        CHECK(refused.empty() && pool.used_count() == 0 && new_out == out);
        large_ones.emplace_back();
        CHECK(pool.used_count() == 0 && new_out == out + 1);
        // What the allocator was asked for goes along, and does not make it another.
        list<large> copy(large_ones);
        CHECK(pool.used_count() == 0 && new_out == out + 2);
        CHECK(refused.get_allocator() == copy.get_allocator());
        refused.swap(copy);
        copy.clear();
        refused.pop_back();
        CHECK(new_out == out + 1);
        refused.emplace_back();
        CHECK_THROWS(std::bad_alloc, copy.emplace_back());
        CHECK(new_out == out + 2);
        refused.clear();
        CHECK(new_out == out + 1);
        std::vector<large, allocator<large>> vector(pool), heap_vector(from_heap);
        CHECK_THROWS(std::bad_alloc, vector.emplace_back());
        heap_vector.emplace_back();
        vector.resize(2);
        CHECK(pool.used_count() == 0 && new_out == out + 3);
        vector = decltype(vector)(pool);
        heap_vector = decltype(vector)(pool);
        CHECK(new_out == out + 1);

        // Arrays, of whatever size.
        std::vector<int, allocator<int>> numbers(pool);
        numbers.reserve(2);
        numbers.assign(2, 1);
        CHECK(pool.used_count() == 0 && new_out == out + 2);
        std::vector<int, allocator<int>> one(1, 5, pool);
        CHECK(pool.used_count() == 1 && new_out == out + 2);
        one.push_back(6);
        CHECK(pool.used_count() == 0 && new_out == out + 3 && one[0] == 5 && one[1] == 6);
        std::deque<int, allocator<int>> deque(pool);
        for (int i = 0; i < 1000; i++)
            deque.push_back(i);
        CHECK(deque[999] == 999);
        std::basic_string<char, std::char_traits<char>, allocator<char>> text(100, 'x', pool);
        text += "y";
        CHECK(text.size() == 101);
    }
    CHECK(pool.used_count() == 0 && new_out == out && new_count > count);

    allocator<double> doubles(pool);
    CHECK_THROWS(std::bad_alloc, doubles.allocate(SIZE_MAX / sizeof(double) + 1));
    CHECK_THROWS(std::bad_alloc, doubles.allocate(SIZE_MAX));
    double *none = doubles.allocate(0);
    CHECK(pool.used_count() == 0);
    doubles.deallocate(none, 0);
    CHECK(pool.used_count() == 0 && new_out == out);
    // The largest that fits exactly, and one byte more.
    struct fits {
        char bytes[64];
    };
    struct fits_not {
        char bytes[65];
    };
    allocator<fits> fit(pool);
    fits *entry = fit.allocate(1);
    CHECK(pool.used_count() == 1 && new_out == out);
    fit.deallocate(entry, 1);
    allocator<fits_not> refuses(fit), no_fit(from_heap);
    CHECK_THROWS(std::bad_alloc, refuses.allocate(1));
    fits_not *other = no_fit.allocate(1);
    CHECK(pool.used_count() == 0 && new_out == out + 1);
    no_fit.deallocate(other, 1);
    CHECK(pool.used_count() == 0 && new_out == out);
}

static void over_aligned()
{
    struct alignas(64) wide {
        char first;
    };
    cmempool::pool narrow(10, 256);
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 10;
    options.elem_size = 256;
    options.alignment = 64;
    cmempool::pool right(options);
    const long out = new_out;
    for (int round = 0; round < 3; round++) {
        allocator<wide> heap(narrow, cmempool::oversize::from_heap), own(right);
        CHECK_THROWS(std::bad_alloc, allocator<wide>(narrow).allocate(1));
        wide *one = heap.allocate(1), *two = own.allocate(1), *more = own.allocate(3);
        CHECK(aligned(one, 64) && aligned(two, 64) && aligned(more, 64));
        CHECK(narrow.used_count() == 0 && right.used_count() == 1);
        heap.deallocate(one, 1);
        own.deallocate(two, 1);
        own.deallocate(more, 3);
        CHECK(right.used_count() == 0 && new_out == out);
    }
    list<wide> in_pool(right);
    in_pool.emplace_back();
    CHECK(right.used_count() == 1 && aligned(&in_pool.front(), 64));
    allocator<wide> heap(narrow);
    CHECK_THROWS(std::bad_alloc, heap.allocate(SIZE_MAX / sizeof(wide)));
}

static void constructors_throw()
{
    cmempool::pool pool(100, 96);
    {
        list<fragile> numbers(pool);
        map<fragile, fragile> ordered(pool);
        unordered_map<fragile, int> table(8, std::hash<fragile>(), std::equal_to<fragile>(), pool);
        for (int i = 0; i < 10; i++) {
            numbers.emplace_back(i);
            ordered.emplace(i, i);
            table.emplace(i, i);
        }
        const std::size_t used = pool.used_count();
        const int alive = fragile::alive;
        CHECK(used == 30);
        for (int until = 1; until <= 2; until++) {
            fragile::until = 1;
            CHECK_THROWS(std::runtime_error, numbers.emplace_back(100));
            fragile::until = until;
            CHECK_THROWS(std::runtime_error, ordered.emplace(100, 100));
            fragile::until = 1;
            CHECK_THROWS(std::runtime_error, table.emplace(100, 100));
            CHECK(pool.used_count() == used && fragile::alive == alive);
        }
        // In the middle of a copy.
        fragile::until = 5;
        CHECK_THROWS(std::runtime_error, list<fragile> copied(numbers));
        fragile::until = 7;
        CHECK_THROWS(std::runtime_error, map<fragile, fragile> copied(ordered));
        fragile::until = 0;
        CHECK(pool.used_count() == used && fragile::alive == alive);
    }
    CHECK(pool.used_count() == 0 && fragile::alive == 0);
}

static void traits()
{
    using A = allocator<int>;
    using traits = std::allocator_traits<A>;
    static_assert(!traits::propagate_on_container_copy_assignment::value, "as documented");
    static_assert(traits::propagate_on_container_move_assignment::value, "as documented");
    static_assert(traits::propagate_on_container_swap::value, "as documented");
    static_assert(std::is_same<traits::rebind_alloc<long>, allocator<long>>::value, "rebinds");
    static_assert(std::is_nothrow_copy_constructible<A>::value, "as the standard asks for");
    static_assert(std::is_convertible<allocator<long>, A>::value, "rebinds");
    static_assert(!std::is_constructible<A, cmempool::pool>::value, "no pool that goes at once");
    static_assert(!std::is_default_constructible<A>::value, "there is no pool of all");

    cmempool::pool a(100, 64), b(100, 64);
    cmempool::ranged_pool c(16, 64, 8);
    CHECK(A(a) == A(a) && !(A(a) != A(a)) && A(a) != A(b) && !(A(a) == A(b)));
    CHECK(A(a) != A(c) && A(c) == A(c));
    CHECK(allocator<long>(a) == A(a) && A(allocator<long>(a)) == A(a) && A(a) != allocator<long>(b));
    // What one allocated another that equals it gives back.
    allocator<long> longs(a);
    int *number = A(longs).allocate(1);
    A(a).deallocate(number, 1);
    CHECK(a.used_count() == 0);

    {
        list<int> in_a(a), in_b(b);
        in_a.assign(10, 1);
        in_b.assign(20, 2);
        const long before = new_count;

        list<int> copy(in_a); // in the same pool
        CHECK(a.used_count() == 20 && copy == in_a);
        copy = in_b; // keeps its pool
        CHECK(a.used_count() == 30 && b.used_count() == 20 && copy.get_allocator() == A(a));
        copy.clear();
        CHECK(a.used_count() == 10);

        // Goes along, and no element is moved.
        const int *first = &in_b.front();
        copy = std::move(in_b);
        CHECK(&copy.front() == first && copy.get_allocator() == A(b));
        CHECK(a.used_count() == 10 && b.used_count() == 20);
        copy.swap(in_a);
        CHECK(&in_a.front() == first && in_a.get_allocator() == A(b) && in_a.size() == 20);
        CHECK(copy.get_allocator() == A(a) && copy.size() == 10);
        CHECK(a.used_count() == 10 && b.used_count() == 20);

        list<int> more(5, 3, a);
        copy.splice(copy.end(), more);
        CHECK(copy.size() == 15 && a.used_count() == 15 && more.empty());
        list<int> elsewhere(copy, b);
        CHECK(b.used_count() == 35 && a.used_count() == 15 && elsewhere == copy);
        CHECK(new_count == before);
    }
    CHECK(a.used_count() == 0 && b.used_count() == 0);

    {
        map<int, int> in_a(a), in_b(b);
        in_a[1] = 1;
        in_b[2] = 2;
        in_a = std::move(in_b);
        CHECK(a.used_count() == 0 && b.used_count() == 1 && in_a.at(2) == 2);
    }

    // The pool may be moved.
    {
        list<int> numbers(a);
        numbers.push_back(1);
        cmempool::pool moved(std::move(a));
        numbers.push_back(2);
        CHECK(moved.used_count() == 2);
        numbers.clear();
        CHECK(moved.used_count() == 0);
        a = std::move(moved);
    }
}

static void exhausted()
{
    cmempool::pool none(2, 64), heap(2, 64, true);
    {
        map<int, int> refuses(none), takes(heap);
        refuses[1] = takes[1] = 1;
        refuses[2] = takes[2] = 2;
        CHECK_THROWS(std::bad_alloc, refuses[3] = 3);
        CHECK(refuses.size() == 2 && refuses.at(2) == 2);
        const long before = new_count;
        takes[3] = 3;
        CHECK(takes.size() == 3 && heap.used_count() == 2 && heap.dynamic_allocs_count() == 1);
        CHECK(new_count == before);
        refuses.erase(1);
        refuses[3] = 3;
        CHECK(refuses.size() == 2);
    }
    CHECK(none.used_count() == 0 && heap.used_count() == 0 && heap.dynamic_allocs_count() == 0);
}

static void shared_pointers()
{
    cmempool::ranged_pool pool(16, 256, 64);
    const long out = new_out;
    {
        auto number = std::allocate_shared<int>(allocator<int>(pool), 7);
        std::weak_ptr<int> weak = number;
        CHECK(*number == 7 && new_out == out);
        number.reset();
        CHECK(weak.expired());
        std::size_t used = 0;
        for (std::size_t size = 16; size <= 256; size *= 2)
            used += pool.used_count(size);
        CHECK(used == 1); // count and object in one
    }
    for (std::size_t size = 16; size <= 256; size *= 2)
        CHECK(pool.used_count(size) == 0);
}

static void threads()
{
    cmempool::pool pool(4000, 64);
    std::vector<std::thread> all;
    for (int t = 0; t < 4; t++)
        all.emplace_back([&pool, t] {
            for (int round = 0; round < 10; round++) {
                map<int, int> ordered(pool);
                list<int> numbers(pool);
                for (int i = 0; i < 400; i++) {
                    ordered[i * 31 % 400] = t;
                    numbers.push_back(t);
                }
                for (const auto &both : ordered)
                    CHECK(both.second == t);
                for (int number : numbers)
                    CHECK(number == t);
            }
        });
    for (std::thread &thread : all)
        thread.join();
    CHECK(pool.used_count() == 0);
}

int main()
{
    nodes_of_a_list();
    nodes_of_maps();
    nodes_of_an_unordered_map();
    what_the_pool_does_not_serve();
    over_aligned();
    constructors_throw();
    traits();
    exhausted();
    shared_pointers();
    threads();
    return done();
}
