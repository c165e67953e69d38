/* Does the guarantee hold where the kernel refuses membarrier, so that real fences take its place?
 *
 * A filter refuses it before the first pool is made; then the hunt of stress.c, a shorter one. */
#include "hunt.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

/* From linux/membarrier.h, which old systems don't have. */
enum { QUERY = 0 };

/* Has the kernel answer membarrier as one that does not know it. False if it can't be had. */
static bool refuse_membarrier(void)
{
    /* The number alone: nothing in here makes calls of another architecture. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {LENGTH(filter), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int main(void)
{
    static const size_t thread_counts[] = {2, 8, 70};
    static const size_t capacities[] = {1, 16, 100, 1000, 20000};
    /* valgrind hands out and checks calls itself, and knows no filters. */
    bool filtered = !under_valgrind() && refuse_membarrier();
    if (filtered)
        CHECK_FAILS(syscall(SYS_membarrier, QUERY, 0, 0) >= 0, ENOSYS);
    else
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
