/* driver.c - runs a target over files: driver FOLDER|FILE…. For builds without libFuzzer, and to look at one input. */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static size_t files;

static void run_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    char chunk[4096];
    struct buf content;
    size_t n;
    if (!in) {
        perror(path);
        exit(2);
    }
    buf_init(&content, (size_t)64 << 20);
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0) {
        buf_put(&content, chunk, n);
    }
    fclose(in);
    fprintf(stderr, "%s\n", path);
    char *exact = fuzz_bytes(content.data, content.len);
    LLVMFuzzerTestOneInput((const uint8_t *)exact, content.len);
    free(exact);
    buf_free(&content);
    files++;
}

static void run_folder(const char *path)
{
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);
    if (n < 0) {
        perror(path);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.') {
            char name[4096];
            snprintf(name, sizeof name, "%s/%s", path, list[i]->d_name);
            run_file(name);
        }
        free(list[i]);
    }
    free(list);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0) {
            perror(argv[i]);
            return 2;
        }
        if (S_ISDIR(st.st_mode)) {
            run_folder(argv[i]);
        } else {
            run_file(argv[i]);
        }
    }
    printf("%zu inputs\n", files);
    return files ? 0 : 2; /* a corpus without files proves nothing */
}
