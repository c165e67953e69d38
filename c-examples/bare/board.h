/* What do the programs here ask of a board? */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>

/* Shows a line to whoever watches. */
void report(const char *line);

/* Ends the program; 0 means that all is well. */
_Noreturn void stop(int status);

/* Ends it with a line, unless something holds. */
static inline void expect(bool holds, const char *what)
{
    if (!holds) {
        report(what);
        stop(1);
    }
}

#endif
