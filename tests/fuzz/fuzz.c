/* What the fuzz targets share: exact copies, the promises of a mail's bytes, files in memory.
 *
 * No state: an input must give the same result whatever came before it. */
#include "fuzz.h"

#include "mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

char *fuzz_text(const uint8_t *data, size_t size)
{
    size_t len = size == 0 ? 0 : strnlen((const char *)data, size);
    char *text = mem_zero(len + 1, 1);
    if (len > 0) {
        memcpy(text, data, len);
    }
    return text;
}

static void demand_byte(const char *data, size_t at, size_t len, bool utf8)
{
    unsigned char c = (unsigned char)data[at];
    demand(c != '\0', "a NUL at %zu", at);
    demand(utf8 || c < 0x80, "byte %u at %zu is not 7-bit", (unsigned)c, at);
    demand(c != '\r' || (at + 1 < len && data[at + 1] == '\n'), "a bare CR at %zu", at);
    demand(c != '\n' || (at > 0 && data[at - 1] == '\r'), "a bare LF at %zu", at);
}

void fuzz_demand_lines(const char *data, size_t len, const struct fuzz_lines *wanted)
{
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        demand_byte(data, i, len, wanted->utf8);
        demand(i != start || data[i] != '.', "a line begins with a dot at %zu", i);
        if (data[i] == '\n') {
            demand(i - 1 - start <= wanted->longest, "a line of %zu bytes at %zu",
                   i - 1 - start, start);
            start = i + 1;
        }
    }
    demand(len - start <= wanted->longest, "a last line of %zu bytes", len - start);
}

int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH_BYTES])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    demand(fd >= 0, "memfd_create");
    demand(size == 0 || write(fd, data, size) == (ssize_t)size, "write");
    (void)snprintf(path, FUZZ_PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}
