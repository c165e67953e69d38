/* The second unit of each program: see check.hpp. */
#include <cmempool.hpp>
#include <cmempool.h>

#include <list>

bool other_unit_works(cmempool::pool &from);

bool other_unit_works(cmempool::pool &from)
{
    std::list<int, cmempool::allocator<int>> numbers(from);
    numbers.assign(3, 7);
    auto nodes = cmempool::pool::for_nodes_of<decltype(numbers)>(1);
    return from.used_count() == 3 && nodes.serves_nodes_of<decltype(numbers)>() &&
           cmempool::object_pool<int>(2).make_unique(5) != nullptr;
}
