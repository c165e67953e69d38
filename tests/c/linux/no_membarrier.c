/* Does the guarantee hold where the kernel refuses membarrier, so that real fences take its place?
 *
 * A filter refuses it before the first pool is made; then the hunt of stress.c, a shorter one. */
#include "../check_linux.h"
#include "../hunt.h"

int main(void)
{
    static const size_t thread_counts[] = {2, 8, 70};
    static const size_t capacities[] = {1, 16, 100, 1000, 20000};
    bool filtered = refuse_membarrier();
    if (!filtered)
        puts("no filter can be installed here: an ordinary hunt");

    for (enum kind kind = ORDINARY; kind <= ZEROING; kind++)
        for (enum roles roles = ONE_HOARDS; roles <= DUEL; roles++)
            hunt_in(kind, roles, 200, 2, under_valgrind() ? 0 : 0.2, 0);
    for (size_t i = 0; i < LENGTH(capacities); i++)
        for (size_t j = 0; j < LENGTH(thread_counts); j++)
            for (size_t kind = 0; kind < LENGTH(kind_names); kind++) {
                if (!filtered && (capacities[i] > 100 || thread_counts[j] > 2))
                    continue;
                hunt_in((enum kind)kind, ALL_DO_ALL, capacities[i], thread_counts[j],
                        under_valgrind() ? 0 : 0.02, 0);
            }
    return done();
}
