/* Two boards of an emulator's, an Arm Cortex-M and a RISC-V one: how do they begin, and how do they talk?
 *
 * They talk by semihosting: an instruction that stops the processor, with a number of what is wanted. On a
 * board of yours, `report` writes to a serial line. */
#include "board.h"

#include <stddef.h>
#include <stdint.h>

int main(void);

extern unsigned char data_start[], data_end[], data_from[], bss_start[], bss_end[], stack_top[];

enum { SYS_WRITE0 = 4, SYS_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

static void host(uintptr_t what, uintptr_t argument)
{
#ifdef __arm__
    register uintptr_t r0 __asm__("r0") = what;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
#else
    register uintptr_t a0 __asm__("a0") = what;
    register uintptr_t a1 __asm__("a1") = argument;
    __asm__ volatile(".option push\n.option norvc\n"
                     "slli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
#endif
}

void report(const char *line)
{
    host(SYS_WRITE0, (uintptr_t)line);
    host(SYS_WRITE0, (uintptr_t) "\n");
}

_Noreturn void stop(int status)
{
    uintptr_t block[] = {APPLICATION_EXIT, (uintptr_t)status};
    host(SYS_EXIT_EXTENDED, (uintptr_t)block);
    for (;;) {
    }
}

/* What compilers call, and the library: a C library has them, and there is none here. */

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    if ((uintptr_t)to < (uintptr_t)from)
        for (size_t i = 0; i < count; i++)
            target[i] = source[i];
    else
        while (count-- > 0)
            target[count] = source[count];
    return to;
}

void *memset(void *to, int byte, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((unsigned char *)to)[i] = (unsigned char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int difference = ((const unsigned char *)a)[i] - ((const unsigned char *)b)[i];
        if (difference != 0)
            return difference;
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

_Noreturn void abort(void)
{
    report("abort");
    stop(134);
}

/* ---- The start ---- */

#ifdef __arm__
/* The names by which Arm's compilers call them. */
void __aeabi_memcpy(void *to, const void *from, size_t count) { memcpy(to, from, count); }
void __aeabi_memcpy4(void *to, const void *from, size_t count) { memcpy(to, from, count); }
void __aeabi_memcpy8(void *to, const void *from, size_t count) { memcpy(to, from, count); }
void __aeabi_memmove(void *to, const void *from, size_t count) { memmove(to, from, count); }
void __aeabi_memmove4(void *to, const void *from, size_t count) { memmove(to, from, count); }
void __aeabi_memmove8(void *to, const void *from, size_t count) { memmove(to, from, count); }
void __aeabi_memset(void *to, size_t count, int byte) { memset(to, byte, count); }
void __aeabi_memset4(void *to, size_t count, int byte) { memset(to, byte, count); }
void __aeabi_memset8(void *to, size_t count, int byte) { memset(to, byte, count); }
void __aeabi_memclr(void *to, size_t count) { memset(to, 0, count); }
void __aeabi_memclr4(void *to, size_t count) { memset(to, 0, count); }
void __aeabi_memclr8(void *to, size_t count) { memset(to, 0, count); }
#endif

_Noreturn void begin(void)
{
    memcpy(data_start, data_from, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    stop(main());
}

#ifdef __arm__
static void fault(void)
{
    report("fault");
    stop(1);
}

/* Where the stack begins, where the program does, and what to do at a fault. */
__attribute__((section(".start"), used)) static const struct {
    void *stack;
    void (*handlers[15])(void);
} vectors = {stack_top, {begin, fault, fault, fault, fault, fault}};
#else
__asm__(".section .start, \"ax\"\n"
        "la sp, stack_top\n"
        "j begin\n"
        ".text");
#endif
