// The same in C++.
#include <cmempool.hpp>

int main()
{
    cmempool::object_pool<long> pool(2);
    return 0;
}
