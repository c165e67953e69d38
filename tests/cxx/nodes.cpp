/* Is node_size what the containers ask for, with this standard library, for elements of all sorts?
 *
 * With the macro NODES_ALL_SIZES, for each size up to 200 bytes, too: that takes minutes to compile.
 * With NODES_UNKNOWN_LIBRARY, is it at least that much with a library that the header does not know? */
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <forward_list>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#ifdef NODES_UNKNOWN_LIBRARY
// All that the header includes is there already, and does not define them again.
#if defined(__has_include) && __cplusplus >= 201703L
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif
#endif
#undef __GLIBCXX__
#undef _LIBCPP_VERSION
#endif

#include "check.hpp"

// ---- What containers ask for ----

struct request {
    std::size_t size, alignment;
};

/// Of the single objects that were asked for; arrays are not nodes.
static request asked;
static int asked_times;

/// Tells what it is asked for. As large as a cmempool::allocator, which allocate_shared stores.
template <class T> struct recorder {
    using value_type = T;
    void *as_large[sizeof(cmempool::allocator<char>) / sizeof(void *)];

    recorder() : as_large() {}
    template <class U> recorder(const recorder<U> &) : as_large() {}

    T *allocate(std::size_t count)
    {
        if (count == 1) {
            asked = {sizeof(T), alignof(T)};
            asked_times++;
        }
        void *memory = nullptr;
        const std::size_t alignment = alignof(T) < sizeof(void *) ? sizeof(void *) : alignof(T);
        if (posix_memalign(&memory, alignment, count * sizeof(T)) != 0)
            throw std::bad_alloc();
        return static_cast<T *>(memory);
    }

    void deallocate(T *memory, std::size_t) { std::free(memory); }

    template <class U> bool operator==(const recorder<U> &) const { return true; }
    template <class U> bool operator!=(const recorder<U> &) const { return false; }
};

static_assert(sizeof(recorder<char>) == sizeof(cmempool::allocator<char>), "stands in for it");

// ---- Elements ----

template <std::size_t Size> struct bytes {
    char all[Size];
};

struct empty {};

struct empty_final final {};

template <std::size_t Alignment, std::size_t Size> struct alignas(Alignment) wide {
    char all[Size];
};

/// With padding after its last member.
struct padded {
    long first;
    char second;
};

/// The same, of a kind whose padding a derived class may use.
class padded_class {
public:
    padded_class() : first_(1), second_('b') {}
    virtual ~padded_class() {}
    long sum() const { return first_ + second_; }

private:
    long first_;
    char second_;
};

/// For elements of any kind.
struct none_less {
    template <class T> bool operator()(const T &, const T &) const { return false; }
};

struct all_equal {
    template <class T> bool operator()(const T &, const T &) const { return true; }
};

struct hash_quick {
    template <class T> std::size_t operator()(const T &) const noexcept { return 1; }
};

struct hash_throws {
    template <class T> std::size_t operator()(const T &) const { return 1; }
};

// ---- Each container ----

template <class T, template <class> class A> using list = std::list<T, A<T>>;
template <class T, template <class> class A> using forward_list = std::forward_list<T, A<T>>;
template <class T, template <class> class A> using set = std::set<T, none_less, A<T>>;
template <class T, template <class> class A> using multiset = std::multiset<T, none_less, A<T>>;
template <class K, class V, template <class> class A>
using map = std::map<K, V, none_less, A<std::pair<const K, V>>>;
template <class K, class V, template <class> class A>
using multimap = std::multimap<K, V, none_less, A<std::pair<const K, V>>>;
template <class T, class H, template <class> class A>
using unordered_set = std::unordered_set<T, H, all_equal, A<T>>;
template <class T, class H, template <class> class A>
using unordered_multiset = std::unordered_multiset<T, H, all_equal, A<T>>;
template <class K, class V, class H, template <class> class A>
using unordered_map = std::unordered_map<K, V, H, all_equal, A<std::pair<const K, V>>>;
template <class K, class V, class H, template <class> class A>
using unordered_multimap = std::unordered_multimap<K, V, H, all_equal, A<std::pair<const K, V>>>;

/// Adds an element by what the container has for it.
template <class... Args> static void add(std::list<Args...> &to)
{
    to.emplace_back();
}

template <class... Args> static void add(std::forward_list<Args...> &to)
{
    to.emplace_front();
}

template <class Container> static void add(Container &to)
{
    to.insert(typename Container::value_type());
}

// Whether the constants are exact.
#ifdef NODES_UNKNOWN_LIBRARY
static const bool library_is_known = false;
#else
static const bool library_is_known = true;
#endif
#ifdef _GLIBCXX_DEBUG
static const bool hash_is_known = false; // its iterators do not show whether it is cached
#else
static const bool hash_is_known = true;
#endif

static void compare(const char *container, std::size_t element, request constants, bool exact)
{
    check_count++;
    const bool holds = asked_times == 1 && constants.size >= asked.size &&
                       constants.alignment >= asked.alignment &&
                       (!exact || !library_is_known ||
                        (constants.size == asked.size && constants.alignment == asked.alignment));
    if (holds)
        return;
    std::fprintf(stderr, "%s of %zu bytes: node_size %zu, alignment %zu; asked %d times for %zu, %zu\n",
                 container, element, constants.size, constants.alignment, asked_times, asked.size,
                 asked.alignment);
    std::exit(1);
}

template <class Container> static void measure(const char *name, bool exact = true)
{
    asked_times = 0;
    {
        Container container;
        add(container);
    }
    compare(name, sizeof(typename Container::value_type),
            {cmempool::node_size<Container>::value, cmempool::node_alignment<Container>::value}, exact);
}

template <class T> static void measure_shared()
{
    asked_times = 0;
    std::allocate_shared<T>(recorder<T>());
    using pointer = std::shared_ptr<T>;
    // libc++ gives an empty object no room.
    compare("shared_ptr", sizeof(T),
            {cmempool::node_size<pointer>::value, cmempool::node_alignment<pointer>::value},
            !std::is_empty<T>::value);
    static_assert(cmempool::node_size<std::shared_ptr<const T>>::value ==
                      cmempool::node_size<pointer>::value,
                  "const takes no room");
}

template <class T> static void measure_all()
{
    measure<list<T, recorder>>("list");
    measure<forward_list<T, recorder>>("forward_list");
    measure<set<T, recorder>>("set");
    measure<map<int, T, recorder>>("map to");
    measure<map<T, char, recorder>>("map of");
    measure<unordered_set<T, hash_quick, recorder>>("unordered_set, quick", hash_is_known);
    measure<unordered_set<T, hash_throws, recorder>>("unordered_set, cached");
    measure<unordered_map<int, T, hash_quick, recorder>>("unordered_map, quick", hash_is_known);
    measure<unordered_map<T, char, hash_throws, recorder>>("unordered_map, cached");
    measure_shared<T>();
}

template <class T> static void measure_multi()
{
    measure<multiset<T, recorder>>("multiset");
    measure<multimap<T, T, recorder>>("multimap");
    measure<unordered_multiset<T, std::hash<T>, recorder>>("unordered_multiset", hash_is_known);
    measure<unordered_multimap<T, T, std::hash<T>, recorder>>("unordered_multimap", hash_is_known);
    measure<unordered_multimap<T, int, hash_throws, recorder>>("unordered_multimap, cached");
}

#ifdef NODES_ALL_SIZES
template <std::size_t Size> struct up_to {
    static void measure()
    {
        measure_all<bytes<Size>>();
        up_to<Size - 1>::measure();
    }
};

template <> struct up_to<0> {
    static void measure() {}
};
#endif

static void constants()
{
    measure_all<bool>();
    measure_all<int>();
    measure_all<bytes<9>>();
    measure_all<std::string>();
    measure_all<empty>();
    measure_all<padded_class>();
    measure_all<wide<64, 1>>();
    measure_multi<char>();
    measure_multi<std::string>(); // with a hash that libstdc++ holds to be slow
#ifdef NODES_ALL_SIZES
    up_to<200>::measure();
    measure_all<short>();
    measure_all<void *>();
    measure_all<long double>();
    measure_all<std::pair<long, char>>();
    measure_all<empty_final>();
    measure_all<padded>();
    measure_all<wide<16, 1>>();
    measure_all<wide<32, 40>>();
    measure_all<wide<128, 300>>();
    measure_multi<int>();
    measure_multi<long double>();
#endif
}

#ifdef NODES_UNKNOWN_LIBRARY
int main()
{
    constants();
    return done();
}
#else

// ---- Pools for nodes ----

template <class Container> static void holds_exactly()
{
    constexpr std::size_t size = cmempool::node_size<Container>::value;
    constexpr std::size_t alignment = cmempool::node_alignment<Container>::value;
    auto right = cmempool::pool::for_nodes_of<Container>(3);
    CHECK(right.elem_size() == size && right.alignment() == (alignment < 16 ? 16 : alignment));
    CHECK(right.template serves_nodes_of<Container>() && right.total_capacity() == 3);
    {
        Container container(right);
        CHECK(container.get_allocator().template serves_nodes_of<Container>());
        add(container);
        CHECK(right.used_count() == 1);
    }
    CHECK(right.used_count() == 0);

    cmempool::pool small(3, size - 1);
    CHECK(!small.template serves_nodes_of<Container>());
    Container container(small);
    CHECK(!container.get_allocator().template serves_nodes_of<Container>());
    CHECK_THROWS(std::bad_alloc, add(container));
    CHECK(container.empty() && small.used_count() == 0);

    if (alignment > 16) {
        cmempool::pool narrow(3, size);
        CHECK(!narrow.template serves_nodes_of<Container>());
        Container badly_aligned(narrow);
        CHECK_THROWS(std::bad_alloc, add(badly_aligned));
    }
}

/// Containers of T on pools of just their nodes.
template <class T> static void on_pools()
{
    using cmempool::allocator;
    holds_exactly<list<T, allocator>>();
    holds_exactly<forward_list<T, allocator>>();
    holds_exactly<set<T, allocator>>();
    holds_exactly<map<T, int, allocator>>();
    holds_exactly<multimap<int, T, allocator>>();
#if !defined(_GLIBCXX_DEBUG)
    holds_exactly<unordered_set<T, hash_quick, allocator>>();
    holds_exactly<unordered_multimap<T, int, hash_throws, allocator>>();
#endif

    auto pool = cmempool::pool::for_nodes_of<std::shared_ptr<T>>(2, true);
    auto one = std::allocate_shared<T>(allocator<T>(pool));
    CHECK(pool.used_count() == 1 && aligned(one.get(), alignof(T)));
}

/// What fits the elements and not the nodes is told at the first one.
static void too_small_for_nodes()
{
    using numbers = std::map<int, long, std::less<int>, cmempool::allocator<std::pair<const int, long>>>;
    for (bool fall_back : {false, true}) {
        cmempool::pool pool(1000, sizeof(numbers::value_type), fall_back);
        numbers all(pool);
        CHECK(!pool.serves_nodes_of<numbers>() && !all.get_allocator().serves_nodes_of<numbers>());
        CHECK(what_of([&all] { all[1] = 1; }) ==
              "cmempool::allocator: " + std::to_string(cmempool::node_size<numbers>::value) +
                  " bytes aligned to 8 do not fit the pool's entries of 16 bytes aligned to 16");
        CHECK(all.empty() && pool.used_count() == 0 && pool.dynamic_allocs_count() == 0);
    }
    cmempool::ranged_pool small(8, 32, 10), large(8, 64, 10);
    CHECK(!small.serves_nodes_of<numbers>() && large.serves_nodes_of<numbers>());
    numbers in_small(small), in_large(large);
    CHECK_THROWS(std::bad_alloc, in_small[1] = 1);
    in_large[1] = 1;
    CHECK(large.used_count(64) == 1);
}

static void with_options()
{
    using strings = list<std::string, cmempool::allocator>;
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 5;
    options.name = "strings";
    auto named = cmempool::pool::for_nodes_of<strings>(options);
    CHECK(named.elem_size() == cmempool::node_size<strings>::value && named.alignment() == 16);
    // Larger ones stay: containers may share a pool.
    options.elem_size = 500;
    options.alignment = 64;
    auto larger = cmempool::pool::for_nodes_of<strings>(options);
    CHECK(larger.elem_size() == 500 && larger.alignment() == 64);
    CHECK_THROWS(std::invalid_argument, cmempool::pool::for_nodes_of<strings>(0));
}

int main()
{
    constants();
    on_pools<char>();
    on_pools<std::string>();
    on_pools<wide<64, 80>>();
    too_small_for_nodes();
    with_options();
    return done();
}

#endif
