/* Which file is the program, and can a library be preloaded into it? */
#define _GNU_SOURCE
#include "try.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static char *search(const char *name)
{
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        const size_t length = strcspn(path, ":");
        char *file = NULL;
        if (asprintf(&file, "%.*s/%s", (int)(length ? length : 1), length ? path : ".", name) < 0)
            fail(FAILED, "no memory");
        if (is_program(file))
            return file;
        free(file);
        if (!path[length])
            return NULL;
        path += length + 1;
    }
}

/* Programs that run with more rights than who starts them are preloaded nothing. */
static void refuse_privileged(const char *file)
{
    struct stat status;
    if (stat(file, &status) != 0)
        return;
    if (status.st_mode & S_ISUID && status.st_uid != getuid())
        fail(CANNOT_RUN, "'%s' is set-user-ID: the system preloads nothing into it; run it as its owner", file);
    if (status.st_mode & S_ISGID && status.st_mode & S_IXGRP && status.st_gid != getgid())
        fail(CANNOT_RUN, "'%s' is set-group-ID: the system preloads nothing into it; run it as its group", file);
    if (getuid() != 0 && getxattr(file, "security.capability", NULL, 0) > 0)
        fail(CANNOT_RUN, "'%s' has file capabilities: the system preloads nothing into it; run it as root", file);
}

/* `bytes` is how the file begins, `size` bytes of it. */
static void refuse_static(const char *path, FILE *file, const unsigned char *bytes, size_t size)
{
    ElfW(Ehdr) header, own;
    if (size < sizeof header)
        fail(CANNOT_RUN, "'%s' is no program", path);
    memcpy(&header, bytes, sizeof header);
    FILE *self = fopen("/proc/self/exe", "r");
    const bool known = self && fread(&own, sizeof own, 1, self) == 1;
    if (self)
        fclose(self);
    if (known && (header.e_ident[EI_CLASS] != own.e_ident[EI_CLASS] || header.e_machine != own.e_machine))
        fail(CANNOT_RUN, "'%s' is for another processor than cmempool-try: nothing can be preloaded into it", path);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) part;
        if (fseek(file, (long)(header.e_phoff + (size_t)i * header.e_phentsize), SEEK_SET) != 0 ||
            fread(&part, sizeof part, 1, file) != 1)
            return;
        if (part.p_type == PT_INTERP)
            return;
    }
    fail(CANNOT_RUN, "'%s' is linked statically: its malloc is inside, and can't be replaced", path);
}

/* A script is as good as its interpreter. */
static void check(const char *path, unsigned depth)
{
    unsigned char bytes[512] = {0};
    FILE *file = fopen(path, "r");
    if (!file) { /* it may be run and not read: to run it will tell */
        refuse_privileged(path);
        return;
    }
    const size_t size = fread(bytes, 1, sizeof bytes - 1, file);
    if (size >= 4 && memcmp(bytes, ELFMAG, SELFMAG) == 0) {
        refuse_privileged(path); /* of a script the system ignores these bits */
        refuse_static(path, file, bytes, size);
    } else if (memcmp(bytes, "#!", 2) == 0 && depth < 4) {
        char *interpreter = (char *)bytes + 2 + strspn((char *)bytes + 2, " \t");
        interpreter[strcspn(interpreter, " \t\r\n")] = 0;
        check(interpreter, depth + 1);
    }
    fclose(file);
}

char *find_program(const char *name)
{
    char *file = strchr(name, '/') ? strdup(name) : search(name);
    if (!file)
        fail(NOT_FOUND, "there is no program '%s' on the PATH", name);
    struct stat status;
    if (stat(file, &status) != 0)
        fail(errno == ENOENT ? NOT_FOUND : CANNOT_RUN, "cannot run '%s': %s", file, strerror(errno));
    if (!is_program(file))
        fail(CANNOT_RUN, "cannot run '%s': it is no file that may be executed", file);
    check(file, 0);
    return file;
}
