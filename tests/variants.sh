# shellcheck shell=bash
# With which flags are programs built, beside those of every day?
#
# For the scripts that build tests, to source. Distributions set _FORTIFY_SOURCE, which stops a program
# that writes more than compilers know an object to have; link-time optimisation lets them use all that
# the header says across files.

fortified=-O2,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3
link_time=-O3,-flto

# Fails where _FORTIFY_SOURCE means less than what it was set to.
probe='
#include <string.h>
#if defined(_FORTIFY_SOURCE) && (!defined(__USE_FORTIFY_LEVEL) || __USE_FORTIFY_LEVEL < 3)
#error "no such level"
#endif
#if defined(_FORTIFY_SOURCE) && !defined(__has_builtin)
#error "the compiler knows no dynamic sizes"
#elif defined(_FORTIFY_SOURCE) && !__has_builtin(__builtin_dynamic_object_size)
#error "the compiler knows no dynamic sizes"
#endif
int main(void) { return 0; }'

builds() { # compiler language flags
    # shellcheck disable=SC2086
    "$1" -x "$2" - -Werror ${3//,/ } -o /dev/null <<<"$probe" 2>/dev/null
}

# The flags for link-time optimisation: by the linker that the compiler takes, else by LLVM's.
link_time_flags() { # compiler language
    local flags
    for flags in "$link_time" "$link_time,-fuse-ld=lld"; do
        if builds "$1" "$2" "$flags"; then
            echo "$flags"
            return
        fi
    done
    echo "skipped: $1 has no linker for -flto" >&2
}

fortified_flags() { # compiler language
    if builds "$1" "$2" "$fortified"; then
        echo "$fortified"
    else
        echo "skipped: $1 and the C library have no _FORTIFY_SOURCE=3" >&2
    fi
}
