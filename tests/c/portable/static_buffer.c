/* Does a pool in the caller's buffer fit the size that the header promises, and stay inside?
 *
 * That it makes no call for memory, memory_calls.c finds where calls can be counted. */
enum { memory_calls = 0 };
#include "../static_buffer.h"

int main(void)
{
    all_of_buffers();
    return done();
}
