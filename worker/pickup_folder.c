/* Pickup folders: blocking file work, no threads and no delivery state in here.
 *
 * Durable before the permit means the bytes and the name: fsync of the file, then of the
 * folder (fsync(2) does not promise the name with the file), which is the caller's: one for many files. A name is never written in
 * place and never reused: the consumer polls and would take half a file. EIO and its like
 * after a rename was tried can mean either, on a network file system; then the folder is
 * looked at. */
#include "pickup_folder.h"

#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME_BYTES = 160 };

static void say(struct pickup_result *result, int outcome, const char *text)
{
    result->outcome = outcome;
    (void)snprintf(result->text, sizeof result->text, "%s", text);
}

/* May the next moment be better? EBUSY, ETXTBSY and EACCES are what a sharing violation of an SMB server becomes (a virus scanner has
 * the file open); EACCES for ever is a missing right, and looks the same. */
static bool may_pass(int number)
{
    static const int numbers[] = {EACCES, EAGAIN, EBUSY,  EDQUOT,
                                  EINTR,  ENOSPC, ESTALE, ETXTBSY};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] == number) {
            return true;
        }
    }
    return false;
}

static void say_errno(struct pickup_result *result, int number, const char *what)
{
    char reason[128];
    result->outcome = PB_OUTCOME(DEFERRED);
    result->again = may_pass(number);
    (void)snprintf(result->text, sizeof result->text, "%s: %s", what,
                   strerror_r(number, reason, sizeof reason));
}

static const char *part_name(const char *name, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, ".%s.part", name);
    return out;
}

static const char *back_name(const char *name, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, ".%s.back", name);
    return out;
}

static const char *final_name(const char *name, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%s.eml", name);
    return out;
}

static bool exists(int folder_fd, const char *name)
{
    struct stat st;
    return fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Opening. */

static bool has_dot_dot(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")) != NULL; at += 2) {
        bool starts = at == path || at[-1] == '/';
        if (starts && (at[2] == '/' || at[2] == '\0')) {
            return true;
        }
    }
    return false;
}

/* The part of folder below root ("" when they are the same), or null. */
static const char *below(const char *folder, const char *root)
{
    size_t len = strlen(root);
    while (len > 1 && root[len - 1] == '/') {
        len--;
    }
    if (strncmp(folder, root, len) != 0) {
        return NULL;
    }
    const char *rest = folder + len;
    if (len == 1) {
        return rest; /* the root is "/" */
    }
    if (*rest != '/' && *rest != '\0') {
        return NULL;
    }
    return rest + strspn(rest, "/");
}

static bool is_link(int folder_fd, const char *name)
{
    struct stat st;
    return fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* For kernels without openat2: one component at a time, no link followed. */
static int walk(int root_fd, const char *rest)
{
    char name[NAME_MAX + 1];
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && *rest != '\0') {
        size_t len = strcspn(rest, "/");
        if (len > NAME_MAX) {
            (void)close(fd);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, rest, len);
        name[len] = '\0';
        rest += len;
        rest += strspn(rest, "/");
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int saved = errno;
        if (next < 0 && saved == ENOTDIR && is_link(fd, name)) {
            saved = ELOOP; /* what openat2 says; open(2) with O_DIRECTORY looks at that first */
        }
        (void)close(fd);
        errno = saved;
        fd = next;
    }
    return fd;
}

static int open_below(int root_fd, const char *rest)
{
    const struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                            RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, root_fd, *rest != '\0' ? rest : ".", &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        return walk(root_fd, rest);
    }
    return (int)fd;
}

/* Below this root? -1 with errno when it is but cannot be opened; -2 when it is not. */
static int open_in_root(const char *folder, const char *root)
{
    const char *rest = below(folder, root);
    if (rest == NULL) {
        char *real = realpath(root, NULL);
        rest = real != NULL ? below(folder, real) : NULL;
        free(real);
    }
    if (rest == NULL || has_dot_dot(rest)) {
        return -2;
    }
    int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        return -1;
    }
    int fd = open_below(root_fd, rest);
    int saved = errno;
    (void)close(root_fd);
    errno = saved;
    return fd;
}

static void say_not_opened(struct pickup_result *result, const char *folder, int number)
{
    char *what = NULL;
    if (number == ELOOP || number == EXDEV) {
        say(result, PB_OUTCOME(REFUSED),
            "pickup folder: a symbolic link lies on the way to it");
        return;
    }
    if (number == ENOENT) {
        what = mem_format("pickup folder %s is missing", folder);
    } else {
        what = mem_format("pickup folder %s cannot be opened", folder);
    }
    say_errno(result, number, what);
    free(what);
}

int pickup_folder_open(const char *folder, const char *const *roots,
                       struct pickup_result *result)
{
    *result = (struct pickup_result){.outcome = PB_OUTCOME(PENDING)};
    int fd = -2;
    for (size_t i = 0; roots != NULL && roots[i] != NULL && fd == -2; i++) {
        fd = open_in_root(folder, roots[i]);
    }
    if (fd == -2) {
        say(result, PB_OUTCOME(REFUSED),
            "pickup folder: not below a folder that this worker may write to (pickup_roots)");
        return -1;
    }
    if (fd < 0) {
        say_not_opened(result, folder, errno);
        return -1;
    }
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        say_errno(result, errno, "pickup folder cannot be written to");
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* One file. */

static bool name_is_safe(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

static int write_all(int fd, const struct buf *content)
{
    size_t at = 0;
    while (at < content->len) {
        ssize_t n = write(fd, content->data + at, content->len - at);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int pickup_folder_sync(int folder_fd)
{
    return fsync(folder_fd) == 0 ? 0 : errno;
}

void pickup_folder_say_handed_over(int number, struct pickup_result *result)
{
    say(result, PB_OUTCOME(DELIVERED), "in the folder");
    if (number != 0) {
        say_errno(result, number, "pickup: renamed, but the folder could not be made durable");
        result->outcome = PB_OUTCOME(UNKNOWN);
        result->again = false;
    }
}

/* Somebody has handed it over before. That one may have died before the rename was durable. */
static void say_already_there(int folder_fd, struct pickup_result *result)
{
    pickup_folder_say_handed_over(pickup_folder_sync(folder_fd), result);
    if (result->outcome == PB_OUTCOME(DELIVERED)) {
        say(result, PB_OUTCOME(DELIVERED), "already in the folder");
    }
}

/* A file of our own under that name. One that is there is of an earlier attempt, whose writer (it lost its lease) may still
 * be at it: it must not write into ours. -1 with errno. */
static int open_new(int folder_fd, const char *part)
{
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 4; tries++) {
        if (tries > 0) {
            (void)unlinkat(folder_fd, part, 0);
        }
        /* 0660: the consumer is often another user of the same group. */
        fd =
            openat(folder_fd, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660);
        if (fd < 0 && errno != EEXIST) {
            break;
        }
    }
    return fd;
}

static bool is_file(int folder_fd, const char *name, ino_t inode)
{
    struct stat info;
    return fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_ino == inode;
}

/* Not written: it goes, unless a later attempt has put its own there. */
static void give_up(int folder_fd, const char *part, int number, struct pickup_result *result)
{
    if (is_file(folder_fd, part, result->inode)) {
        (void)unlinkat(folder_fd, part, 0);
    }
    say_errno(result, number, "pickup: cannot write the file");
}

int pickup_folder_begin(int folder_fd, const struct delivery *delivery,
                        struct pickup_result *result)
{
    char part[NAME_BYTES];
    char back[NAME_BYTES];
    char name[NAME_BYTES];
    *result = (struct pickup_result){.outcome = PB_OUTCOME(PENDING)};
    if (!name_is_safe(delivery->file_name)) {
        say(result, PB_OUTCOME(REFUSED), "pickup: the file name cannot be used");
        return -1;
    }
    if (exists(folder_fd, final_name(delivery->file_name, name))) {
        say_already_there(folder_fd, result);
        return -1;
    }
    int fd = open_new(folder_fd, part_name(delivery->file_name, part));
    if (fd < 0) {
        say_errno(result, errno, "pickup: cannot create the file");
        return -1;
    }
    /* What was taken back tells of an attempt that is settled, or there were no new one. Only now: else the new file
     * might get its inode number, by which pickup_folder_hand_over knows its own. Mostly there is none, and unlinkat would lock the
     * folder to find that out. */
    if (exists(folder_fd, back_name(delivery->file_name, back))) {
        (void)unlinkat(folder_fd, back, 0);
    }
    struct stat info;
    int number = fstat(fd, &info) == 0 ? write_all(fd, &delivery->content) : errno;
    if (number == 0) {
        result->inode = info.st_ino;
        return fd;
    }
    (void)close(fd);
    (void)unlinkat(folder_fd, part, 0);
    say_errno(result, number, "pickup: cannot write the file");
    return -1;
}

void pickup_folder_start_flush(int fd)
{
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void pickup_folder_end(int folder_fd, int fd, const char *name, struct pickup_result *result)
{
    char part[NAME_BYTES];
    int number = fsync(fd) == 0 ? 0 : errno;
    if (close(fd) != 0 && number == 0) {
        number = errno; /* close(2): NFS tells of a full disk here */
    }
    if (number != 0) {
        give_up(folder_fd, part_name(name, part), number, result);
    }
}

static int rename_new(int folder_fd, const char *from, const char *to)
{
    if (renameat2(folder_fd, from, folder_fd, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return errno;
    }
    /* A file system without RENAME_NOREPLACE. Names are unique, so nobody else makes this one meanwhile. */
    if (exists(folder_fd, to)) {
        return EEXIST;
    }
    return renameat(folder_fd, from, folder_fd, to) == 0 ? 0 : errno;
}

void pickup_folder_hand_over(int folder_fd, const char *name, ino_t inode,
                             struct pickup_result *result)
{
    char part[NAME_BYTES];
    char final[NAME_BYTES];
    *result = (struct pickup_result){.outcome = PB_OUTCOME(PENDING)};
    struct stat info;
    bool there = fstatat(folder_fd, part_name(name, part), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && info.st_ino != inode) {
        say(result, PB_OUTCOME(DEFERRED), "pickup: a later attempt has taken its place");
        result->again = true; /* a network file system may have said another number */
        return;
    }
    int number = rename_new(folder_fd, part, final_name(name, final));
    if (number == 0) {
        return;
    }
    if (number == EEXIST) { /* handed over before, maybe not durably: the sync is for it, too */
        (void)unlinkat(folder_fd, part, 0);
        return;
    }
    bool kept = exists(folder_fd, part);
    if (!kept && number != ENOENT) {
        say(result, PB_OUTCOME(UNKNOWN), "pickup: the rename failed, yet the file is gone");
        return;
    }
    say_errno(result, number, "pickup: cannot rename the file");
    result->again = result->again && kept;
    if (kept && !result->again) {
        (void)unlinkat(folder_fd, part, 0);
    }
}

void pickup_folder_say_written(int folder_fd, const char *name, ino_t inode, int number,
                               struct pickup_result *result)
{
    char part[NAME_BYTES];
    *result = (struct pickup_result){.outcome = PB_OUTCOME(PENDING), .inode = inode};
    if (number == 0) {
        return;
    }
    give_up(folder_fd, part_name(name, part), number, result);
}

void pickup_folder_take_back(int folder_fd, const char *name, ino_t inode)
{
    char part[NAME_BYTES];
    char back[NAME_BYTES];
    if (is_file(folder_fd, part_name(name, part), inode)) {
        (void)renameat(folder_fd, part, folder_fd, back_name(name, back));
    }
}

void pickup_folder_look(int folder_fd, const char *name, struct pickup_result *result)
{
    char part[NAME_BYTES];
    char back[NAME_BYTES];
    char final[NAME_BYTES];
    *result = (struct pickup_result){.outcome = PB_OUTCOME(PENDING)};
    if (!name_is_safe(name)) {
        say(result, PB_OUTCOME(REFUSED), "pickup: the file name cannot be used");
        return;
    }
    if (exists(folder_fd, final_name(name, final))) {
        say_already_there(folder_fd, result);
        return;
    }
    /* Not only looked at but taken back: a worker that was stopped may still have its permit, and must not come after
     * the next attempt with it. A rename, so that a second look finds the same answer. */
    int number =
        renameat(folder_fd, part_name(name, part), folder_fd, back_name(name, back)) == 0
            ? 0
            : errno;
    if (number == 0 || exists(folder_fd, back)) {
        say(result, PB_OUTCOME(DEFERRED), "was not handed over");
    } else if (exists(folder_fd, final)) {
        say_already_there(folder_fd, result);
    } else if (number != ENOENT) {
        say_errno(result, number, "pickup: cannot take the file back");
    } else {
        /* The .part was durable before the permit, so most likely the consumer took the file. But a folder that was
         * cleaned, or a profile that was changed in between, looks the same: that is for a person to say. */
        say(result, PB_OUTCOME(UNKNOWN),
            "no longer in the folder: taken by the consumer, or removed");
    }
}
