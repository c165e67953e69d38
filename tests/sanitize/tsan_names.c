/* How does code that Rust's LLVM instrumented for ThreadSanitizer find gcc's runtime?
 *
 * By the same names, but for these three, which the runtime of gcc 12 does not have: it watches the
 * C library's functions instead. */
#include <stddef.h>
#include <string.h>

void *__tsan_memcpy(void *to, const void *from, size_t size)
{
    return memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size)
{
    return memmove(to, from, size);
}

void *__tsan_memset(void *memory, int value, size_t size)
{
    return memset(memory, value, size);
}
