/* An ordinary pool: a queue of jobs that never calls malloc once it runs. */
#include <cmempool.h>

#include <stdio.h>
#include <stdlib.h>

enum { JOBS = 4 };

struct job {
    int number;
    struct job *next;
};

int main(void)
{
    /* Room for four jobs and no more: `false` means that an empty pool says so with NULL instead of
     * asking the heap. The memory is there from here on. */
    mempool *jobs = mempool_create(JOBS, sizeof(struct job), false);
    if (!jobs) {
        perror("mempool_create");
        return EXIT_FAILURE;
    }

    struct job *first = NULL;
    struct job **last = &first;
    for (int number = 1; number <= JOBS + 1; ++number) {
        struct job *job = mempool_alloc_entry(jobs);
        if (!job) {
            printf("job %d has to wait: %zu of %zu entries are out\n", number,
                   mempool_used_count(jobs), mempool_total_capacity(jobs));
            break;
        }
        *job = (struct job){.number = number};
        *last = job;
        last = &job->next;
    }

    while (first) {
        struct job *job = first;
        first = job->next;
        printf("job %d is done\n", job->number);
        /* Goes back to its pool, and `job` is NULL now. */
        mempool_free_entry(job);
    }
    printf("%zu entries are out\n", mempool_used_count(jobs));

    mempool_destroy(jobs);
    return EXIT_SUCCESS;
}
