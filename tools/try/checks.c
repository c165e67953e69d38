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

static bool read_part(FILE *file, const ElfW(Ehdr) *header, unsigned number, ElfW(Phdr) *part)
{
    return fseek(file, (long)(header->e_phoff + (size_t)number * header->e_phentsize), SEEK_SET) == 0 &&
           fread(part, sizeof *part, 1, file) == 1;
}

/* ---- Sanitizers ---- */

/* Where in the file the byte is that is loaded to an address; -1 if none is. */
static long place_of(FILE *file, const ElfW(Ehdr) *header, ElfW(Addr) address)
{
    ElfW(Phdr) part;
    for (unsigned i = 0; i < header->e_phnum; i++)
        if (read_part(file, header, i, &part) && part.p_type == PT_LOAD && address >= part.p_vaddr &&
            address - part.p_vaddr < part.p_filesz)
            return (long)(part.p_offset + (address - part.p_vaddr));
    return -1;
}

/* A sanitizer brings a malloc of its own, and tells its blocks from others by it. Its name is among those that the
 * loader looks for. `dynamic` lists where those are. */
static void refuse_sanitized(const char *path, FILE *file, const ElfW(Ehdr) *header, const ElfW(Phdr) *dynamic)
{
    static const char *const names[] = {"libasan.so",  "liblsan.so",  "libtsan.so",  "libhwasan.so", "__asan_init",
                                        "__lsan_init", "__tsan_init", "__msan_init", "__hwasan_init"};
    enum { MOST_BYTES = 1 << 28 };
    ElfW(Dyn) entry = {0};
    ElfW(Addr) strings = 0;
    size_t size = 0;
    if (fseek(file, (long)dynamic->p_offset, SEEK_SET) != 0)
        return;
    while (fread(&entry, sizeof entry, 1, file) == 1 && entry.d_tag != DT_NULL) {
        if (entry.d_tag == DT_STRTAB)
            strings = entry.d_un.d_ptr;
        else if (entry.d_tag == DT_STRSZ)
            size = entry.d_un.d_val;
    }
    const long place = place_of(file, header, strings);
    if (place < 0 || size == 0 || size > MOST_BYTES)
        return;
    char *text = malloc(size + 1);
    if (text && fseek(file, place, SEEK_SET) == 0 && fread(text, size, 1, file) == 1) {
        text[size] = 0;
        for (const char *name = text; name < text + size; name += strlen(name) + 1)
            for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strncmp(name, names[i], strlen(names[i])) == 0)
                    fail(CANNOT_RUN, "'%s' is built with a sanitizer (%s), which has a malloc of its own: build it without",
                         path, name);
    }
    free(text);
}

/* ---- The file ---- */

/* `bytes` is how the file begins, `size` bytes of it. */
static void refuse_unloadable(const char *path, FILE *file, const unsigned char *bytes, size_t size)
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
    bool loaded = false;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) part;
        if (!read_part(file, &header, i, &part))
            return;
        loaded = loaded || part.p_type == PT_INTERP;
        if (part.p_type == PT_DYNAMIC)
            refuse_sanitized(path, file, &header, &part);
    }
    if (loaded)
        return;
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
        refuse_unloadable(path, file, bytes, size);
    } else if (memcmp(bytes, "#!", 2) == 0 && depth < 4) {
        char *interpreter = (char *)bytes + 2 + strspn((char *)bytes + 2, " \t");
        interpreter[strcspn(interpreter, " \t\r\n")] = 0;
        check(interpreter, depth + 1);
    }
    fclose(file);
}

/* What one who wrote this may have meant. */
static _Noreturn void fail_to_find(const char *name)
{
    char *here;
    if (name[strspn(name, "0123456789")] == 0)
        fail(NOT_FOUND, "there is no program '%s' on the PATH (a number of rounds is a part of its option: --time=%s)",
             name, name);
    if (asprintf(&here, "./%s", name) >= 0 && is_program(here))
        fail(NOT_FOUND, "there is no program '%s' on the PATH, but there is '%s'", name, here);
    fail(NOT_FOUND, "there is no program '%s' on the PATH", name);
}

char *find_program(const char *name)
{
    char *file = strchr(name, '/') ? strdup(name) : search(name);
    if (!file)
        fail_to_find(name);
    struct stat status;
    if (stat(file, &status) != 0)
        fail(errno == ENOENT ? NOT_FOUND : CANNOT_RUN, "cannot run '%s': %s", file, strerror(errno));
    if (!is_program(file))
        fail(CANNOT_RUN, "cannot run '%s': it is no file that may be executed", file);
    check(file, 0);
    return file;
}
