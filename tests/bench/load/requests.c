/* requests.c - reads a file of ready-made requests. */
#include "load.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void requests_load(struct request_file *f, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) {
        die("%s cannot be read or is empty", path);
    }
    const char *text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    const char *end = text + st.st_size;
    close(fd);
    if (text == MAP_FAILED) {
        die("%s cannot be mapped", path);
    }
    size_t room = 0;
    for (const char *p = text; p < end;) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        char *stop;
        unsigned long len = line ? strtoul(p, &stop, 10) : 0;
        if (!line || stop != line || len == 0 || len > (size_t)(end - line - 1)) {
            die("%s: record %zu is damaged", path, f->count + 1);
        }
        if (f->count == room) {
            room = room ? room * 2 : 1024;
            f->texts = realloc(f->texts, room * sizeof *f->texts);
            f->lengths = realloc(f->lengths, room * sizeof *f->lengths);
            if (!f->texts || !f->lengths) {
                die("no memory");
            }
        }
        f->texts[f->count] = line + 1;
        f->lengths[f->count++] = len;
        p = line + 1 + len;
    }
}
