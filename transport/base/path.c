/* Files and folders. rename(2) within one folder is what makes a write atomic; see open(2), fsync(2). */
#include "path.h"

#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err path_read(const char *path, struct buf *out, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        enum err code = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        return err_set_errno(why, code, errno, "%s", path);
    }
    enum err err = ERR_OK;
    char chunk[65536];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            err = err_set_errno(why, ERR_IO, errno, "read %s", path);
            break;
        }
        if (got == 0) {
            break;
        }
        buf_add(out, chunk, (size_t)got);
        if (buf_status(out) != ERR_OK) {
            err = err_set(why, ERR_LIMIT, "%s: larger than %zu bytes", path, out->max);
            break;
        }
    }
    (void)close(fd);
    return err;
}

static enum err write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, data, len);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return ERR_IO;
        }
        data += put;
        len -= (size_t)put;
    }
    return ERR_OK;
}

enum err path_sync_folder(const char *path, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(why, ERR_IO, errno, "open %s", path);
    }
    enum err err = ERR_OK;
    if (fsync(fd) != 0) {
        err = err_set_errno(why, ERR_IO, errno, "fsync %s", path);
    }
    (void)close(fd);
    return err;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return mem_text(".");
    }
    return slash == path ? mem_text("/") : mem_format("%.*s", (int)(slash - path), path);
}

enum err path_write(const char *path, const void *data, size_t len, mode_t mode,
                    struct err_text *why)
{
    char *temporary = mem_format("%s.%ld.part", path, (long)getpid());
    char *folder = folder_of(path);
    enum err err = ERR_OK;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) {
        err = err_set_errno(why, ERR_IO, errno, "open %s", temporary);
        goto out;
    }
    if (write_all(fd, data, len) != ERR_OK || fsync(fd) != 0) {
        enum err code = errno == ENOSPC || errno == EDQUOT ? ERR_STORAGE : ERR_IO;
        err = err_set_errno(why, code, errno, "write %s", temporary);
    }
    if (close(fd) != 0 && err == ERR_OK) {
        err = err_set_errno(why, ERR_IO, errno, "close %s", temporary);
    }
    if (err == ERR_OK && rename(temporary, path) != 0) {
        err = err_set_errno(why, ERR_IO, errno, "rename %s", path);
    }
    if (err != ERR_OK) {
        (void)unlink(temporary);
        goto out;
    }
    err = path_sync_folder(folder, why);
out:
    free(folder);
    free(temporary);
    return err;
}

// NOLINTNEXTLINE(misc-no-recursion): once a folder of the path, which the kernel limits to PATH_MAX
enum err path_make_folder(const char *path, mode_t mode, struct err_text *why)
{
    struct stat info;
    if (mkdir(path, mode) == 0) {
        return ERR_OK;
    }
    if (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return ERR_OK;
    }
    if (errno != ENOENT) {
        return err_set_errno(why, ERR_IO, errno, "mkdir %s", path);
    }
    char *parent = folder_of(path);
    enum err err = strcmp(parent, path) == 0 || strcmp(parent, ".") == 0
                       ? err_set_errno(why, ERR_IO, ENOENT, "mkdir %s", path)
                       : path_make_folder(parent, mode, why);
    free(parent);
    if (err == ERR_OK && mkdir(path, mode) != 0 && errno != EEXIST) {
        err = err_set_errno(why, ERR_IO, errno, "mkdir %s", path);
    }
    return err;
}

char *path_join(const char *folder, const char *name)
{
    size_t len = strlen(folder);
    return mem_format("%s%s%s", folder, len > 0 && folder[len - 1] == '/' ? "" : "/", name);
}
