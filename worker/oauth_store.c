/* A refresh token's file. The lock lies beside it, because the file itself is replaced by every rotation. */
#include "oauth_store.h"

#include "mem.h"
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char prefix[] = "file:";

bool oauth_store_can(const char *reference)
{
    return strncmp(reference, prefix, sizeof prefix - 1) == 0;
}

enum err oauth_store_lock(const char *reference, int *fd)
{
    *fd = -1;
    if (!oauth_store_can(reference)) {
        return ERR_OK;
    }
    char *path = mem_format("%s.lock", reference + sizeof prefix - 1);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(path);
    if (lock < 0) {
        return ERR_OK;
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        (void)close(lock);
        return ERR_AGAIN;
    }
    *fd = lock;
    return ERR_OK;
}

void oauth_store_unlock(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

enum err oauth_store_write(const char *reference, const char *token, struct err_text *why)
{
    if (!oauth_store_can(reference)) {
        return err_set(why, ERR_INVALID, "only a reference file:PATH can be written");
    }
    return path_write(reference + sizeof prefix - 1, token, strlen(token), 0600, why);
}
