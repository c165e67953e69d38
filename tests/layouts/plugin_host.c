/* Loads the plugin of which the path is the first argument, and runs it. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!plugin) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    int (*run)(int, char **);
    *(void **)&run = dlsym(plugin, "run");
    return run ? run(argc - 1, argv + 1) : 2;
}
