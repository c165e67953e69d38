/* The harness of the C tests on Linux: how does a program have the kernel refuse a system call? */
#ifndef CHECK_LINUX_H
#define CHECK_LINUX_H

#include "check_posix.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Has the kernel answer membarrier from now on as one that does not know it. False if that can't be
 * had, as under valgrind, which hands out and checks calls itself and knows no filters. */
static inline bool refuse_membarrier(void)
{
    /* The number alone: nothing in here makes calls of another architecture. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {LENGTH(filter), filter};
    if (under_valgrind() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return false;
    /* MEMBARRIER_CMD_QUERY, which old systems' headers don't have. */
    CHECK_FAILS(syscall(SYS_membarrier, 0, 0, 0) >= 0, ENOSYS);
    return true;
}

#endif
