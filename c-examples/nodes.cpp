/* C++: objects, the nodes of containers, and std::pmr, all from pools. Needs C++11; pmr C++17. */
#include <cmempool.hpp>

#include <functional>
#include <iostream>
#include <map>
#include <new>
#include <string>
#include <utility>
#ifdef CMEMPOOL_HAS_MEMORY_RESOURCE
#include <vector>
#endif

struct session {
    int id;
    std::string user;

    session(int number, const std::string &name) : id(number), user(name) {}
    ~session() { std::cout << "session of " << user << " ends\n"; }
};

static void objects()
{
    cmempool::object_pool<session> sessions(2);
    auto ann = sessions.make_unique(1, "ann");
    session *ben = sessions.make(2, "ben");
    if (!sessions.try_make(3, "cora"))
        std::cout << "cora has to wait: " << sessions.used_count() << " sessions are out\n";
    sessions.destroy(ben);
    // ann's goes back by itself.
}

using names_by_id = std::map<int, std::string, std::less<int>,
                             cmempool::allocator<std::pair<const int, std::string>>>;

static void nodes()
{
    // Entries as large as a node of the map; the pool comes before the containers.
    auto pool = cmempool::pool::for_nodes_of<names_by_id>(1000);
    names_by_id names(pool);
    names[1] = "ann";
    names[2] = "ben";
    std::cout << names.size() << " names, " << pool.used_count() << " entries\n";

    // Entries for elements are too small for nodes: the first one says so.
    cmempool::pool small(1000, sizeof(names_by_id::value_type));
    names_by_id refused(small);
    try {
        refused[1] = "ann";
    } catch (const std::bad_alloc &error) {
        std::cout << error.what() << "\n";
    }
}

#ifdef CMEMPOOL_HAS_MEMORY_RESOURCE
static void resource()
{
    cmempool::ranged_pool pool(16, 4096, 4096);
    cmempool::pool_resource from_pool(pool);
    std::pmr::vector<std::pmr::string> lines(&from_pool);
    lines.emplace_back("a string that is too long to lie in the vector itself");
    lines.emplace_back(5000, '-'); // larger than the largest class: from upstream, new and delete
    std::cout << lines.size() << " lines, " << pool.used_count(64) << " entry of 64 bytes\n";
}
#endif

int main()
{
    objects();
    nodes();
#ifdef CMEMPOOL_HAS_MEMORY_RESOURCE
    resource();
#endif
}
