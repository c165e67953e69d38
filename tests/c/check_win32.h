/* <windows.h>, without the name that tests have for themselves. */
#ifndef CHECK_WIN32_H
#define CHECK_WIN32_H

#define WIN32_LEAN_AND_MEAN
#define SIZE SIZE_OF_WINDOWS
#include <windows.h>
#undef SIZE

#endif
