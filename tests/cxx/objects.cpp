/* Does object_pool construct and destroy, and lose no entry on the way? */
#include "check.hpp"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// Counts its objects, and throws when told to.
struct counted {
    static int alive;
    static bool throws;

    std::string name;
    std::unique_ptr<int> number; // can only be moved

    counted(std::string n, std::unique_ptr<int> i) : name(std::move(n)), number(std::move(i))
    {
        if (throws)
            throw std::runtime_error(name);
        alive++;
    }
    counted(const counted &) = delete;
    ~counted() { alive--; }
};

int counted::alive;
bool counted::throws;

static_assert(sizeof(cmempool::object_pool<counted>::unique_ptr) == sizeof(counted *),
              "the deleter takes no room");

static std::unique_ptr<int> boxed(int number)
{
    return std::unique_ptr<int>(new int(number));
}

static void made_and_destroyed()
{
    cmempool::object_pool<counted> pool(3);
    CHECK(pool.total_capacity() == 3 && mempool_total_capacity(pool.get()) == 3);
    counted *a = pool.make("a name that is too long for the string itself", boxed(1));
    const std::string name = "b";
    counted *b = pool.try_make(name, boxed(2));
    CHECK(a->name.size() > 30 && *a->number == 1 && b->name == "b" && name == "b");
    CHECK(counted::alive == 2 && pool.used_count() == 2);
    {
        auto c = pool.make_unique("c", boxed(3));
        static_assert(std::is_same<decltype(c), cmempool::object_pool<counted>::unique_ptr>::value,
                      "it owns");
        CHECK(c->name == "c" && counted::alive == 3 && pool.used_count() == 3);
        CHECK(pool.try_make("d", boxed(4)) == nullptr && errno == ENOMEM);
        CHECK_THROWS(std::bad_alloc, pool.make("d", boxed(4)));
        CHECK_THROWS(std::bad_alloc, pool.make_unique("d", boxed(4)));
        CHECK(counted::alive == 3 && pool.used_count() == 3);
    }
    CHECK(counted::alive == 2 && pool.used_count() == 2);
    pool.destroy(a);
    cmempool::object_pool<counted>::destroy(b);
    pool.destroy(nullptr);
    CHECK(counted::alive == 0 && pool.used_count() == 0);
}

static void constructors_throw()
{
    cmempool::object_pool<counted> pool(2);
    auto kept = pool.make_unique("kept", boxed(0));
    counted::throws = true;
    for (int i = 0; i < 10; i++) {
        CHECK_THROWS(std::runtime_error, pool.make("a", boxed(1)));
        CHECK_THROWS(std::runtime_error, pool.try_make("b", boxed(1)));
        CHECK_THROWS(std::runtime_error, pool.make_unique("c", boxed(1)));
        CHECK(counted::alive == 1 && pool.used_count() == 1);
    }
    counted::throws = false;
    auto other = pool.make_unique("other", boxed(1));
    CHECK(pool.used_count() == 2 && kept->name == "kept");
    other.reset();
    kept.reset();
    CHECK(counted::alive == 0 && pool.used_count() == 0);
}

static void falls_back()
{
    cmempool::object_pool<counted> pool(1, true);
    auto own = pool.make_unique("own", boxed(1)), dynamic = pool.make_unique("dynamic", boxed(2));
    CHECK(pool.used_count() == 1 && pool.dynamic_allocs_count() == 1);
    counted::throws = true;
    CHECK_THROWS(std::runtime_error, pool.make("no", boxed(1)));
    counted::throws = false;
    CHECK(pool.dynamic_allocs_count() == 1);
    own.reset();
    dynamic.reset();
    CHECK(pool.used_count() == 0 && pool.dynamic_allocs_count() == 0 && counted::alive == 0);
}

template <std::size_t Alignment> struct alignas(Alignment) wide {
    char first;
};

template <std::size_t Alignment> static void alignment()
{
    cmempool::object_pool<wide<Alignment>> pool(5);
    for (int i = 0; i < 5; i++) {
        wide<Alignment> *object = pool.make();
        CHECK(aligned(object, Alignment));
        object->first = 1;
    }
    CHECK(pool.used_count() == 5);
}

static void with_options()
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 2;
    options.name = "wide";
    cmempool::object_pool<wide<64>> pool(options);
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(pool.get(), &stats) && stats.elem_size == 64 && stats.capacity == 2);
    CHECK(aligned(pool.make(), 64));
    options.elem_size = 200;
    options.alignment = 1024;
    cmempool::object_pool<wide<64>> larger(options);
    CHECK(mempool_get_stats(larger.get(), &stats) && stats.elem_size == 200);
    CHECK(aligned(larger.make(), 1024) && aligned(larger.make(), 1024));
    options.elem_count = 0;
    CHECK_THROWS(std::invalid_argument, cmempool::object_pool<int>{options});
    CHECK_THROWS(std::invalid_argument, cmempool::object_pool<int>{0});
}

struct own_new {
    int number;
    static void *operator new(std::size_t) = delete;
};

struct shape {
    virtual ~shape() = default;
    virtual int corners() const = 0;
};

struct square final : shape {
    int *destroyed;
    explicit square(int *count) : destroyed(count) {}
    ~square() override { ++*destroyed; }
    int corners() const override { return 4; }
};

static void all_sorts()
{
    cmempool::object_pool<own_new> numbers(1);
    CHECK(numbers.make(own_new{7})->number == 7);
    cmempool::object_pool<const std::string> constants(1);
    CHECK(*constants.make_unique(3u, 'x') == "xxx");
    CHECK(constants.used_count() == 0);
    cmempool::object_pool<int> zero(1);
    CHECK(*zero.make_unique() == 0);

    int destroyed = 0;
    cmempool::object_pool<square> squares(2);
    {
        // The deleter goes along.
        std::shared_ptr<shape> shared = squares.make_unique(&destroyed);
        std::shared_ptr<shape> again = shared;
        CHECK(again->corners() == 4 && squares.used_count() == 1);
    }
    CHECK(destroyed == 1 && squares.used_count() == 0);

    cmempool::object_pool<square> moved(std::move(squares));
    auto object = moved.make_unique(&destroyed);
    squares = std::move(moved);
    CHECK(squares.used_count() == 1);
    object.reset();
    CHECK(squares.used_count() == 0 && destroyed == 2);
}

static void threads()
{
    cmempool::object_pool<std::string> pool(400);
    std::vector<std::thread> all;
    for (int t = 0; t < 4; t++)
        all.emplace_back([&pool] {
            std::vector<cmempool::object_pool<std::string>::unique_ptr> held;
            for (int round = 0; round < 20; round++) {
                for (int i = 0; i < 100; i++)
                    held.push_back(pool.make_unique(50u, static_cast<char>('a' + i % 26)));
                for (int i = 0; i < 100; i++)
                    CHECK((*held[static_cast<std::size_t>(i)])[49] == 'a' + i % 26);
                held.clear();
            }
        });
    for (std::thread &thread : all)
        thread.join();
    CHECK(pool.used_count() == 0);
}

int main()
{
    made_and_destroyed();
    constructors_throw();
    falls_back();
    alignment<1>();
    alignment<16>();
    alignment<32>();
    alignment<64>();
    alignment<4096>();
    with_options();
    all_sorts();
    threads();
    CHECK(counted::alive == 0);
    return done();
}
