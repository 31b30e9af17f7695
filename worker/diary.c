/* The diary.
 *
 * Layout: a head, then DIARY_SLOTS entries. Byte order and padding are this machine's: nobody else reads it. An entry counts
 * when its lease is not 0; the lease is written last and cleared first, so a kill between two stores leaves an entry out
 * or in, never half. A live process holds a lock (flock(2)) on its file; the kernel drops it when the process ends.
 * Nothing is synced: the notes must survive a kill, not a power cut, which the boot id tells apart. */
#include "diary.h"

#include "buf.h"
#include "digest.h"
#include "log.h"
#include "map.h"
#include "mem.h"
#include "path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC = 0x44504e31, BOOT_BYTES = 64, PREFIX_BYTES = 6 };

struct diary_entry {
    _Atomic uint64_t lease; /* 0 = free */
    uint32_t part;
    _Atomic uint32_t begun;
};

struct diary_page {
    uint32_t magic;
    uint32_t slots;
    char boot[BOOT_BYTES];
    struct diary_entry entries[DIARY_SLOTS];
};

struct diary {
    int fd;
    char *folder;
    char *prefix; /* of the names of this broker's diaries */
    char *path;
    struct diary_page *page;
    uint32_t *free; /* stack of slots, 1-based numbers */
    uint32_t free_count;
};

static void read_boot(char boot[BOOT_BYTES])
{
    struct buf text;
    buf_init(&text, BOOT_BYTES - 1);
    memset(boot, 0, BOOT_BYTES);
    if (path_read("/proc/sys/kernel/random/boot_id", &text, NULL) == ERR_OK && text.len > 0) {
        memcpy(boot, text.data, text.len);
    }
    buf_fini(&text);
}

static char *default_folder(void)
{
    /* Read once at the start, before any thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime != NULL && runtime[0] == '/') {
        return mem_format("%s/tpn-worker", runtime);
    }
    return mem_format("/tmp/tpn-worker-%ld", (long)geteuid());
}

/* Others must not be able to tell us lies: a folder in /tmp may have been made by anybody. */
static enum err own_folder(const char *folder, struct err_text *why)
{
    struct stat info;
    enum err err = path_make_folder(folder, 0700, why);
    if (err != ERR_OK) {
        return err;
    }
    if (lstat(folder, &info) != 0) {
        return err_set_errno(why, ERR_IO, errno, "%s", folder);
    }
    if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 022) != 0) {
        return err_set(why, ERR_INVALID,
                       "%s: must be a folder of this user's that nobody else may write",
                       folder);
    }
    return ERR_OK;
}

static enum err map_file(struct diary *diary, struct err_text *why)
{
    diary->fd = open(diary->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (diary->fd < 0) {
        return err_set_errno(why, ERR_IO, errno, "open %s", diary->path);
    }
    if (flock(diary->fd, LOCK_EX | LOCK_NB) != 0 ||
        ftruncate(diary->fd, (off_t)sizeof *diary->page) != 0) {
        return err_set_errno(why, ERR_IO, errno, "%s", diary->path);
    }
    void *page =
        mmap(NULL, sizeof *diary->page, PROT_READ | PROT_WRITE, MAP_SHARED, diary->fd, 0);
    if (page == MAP_FAILED) {
        return err_set_errno(why, ERR_IO, errno, "mmap %s", diary->path);
    }
    diary->page = page;
    diary->page->slots = DIARY_SLOTS;
    read_boot(diary->page->boot);
    diary->page->magic = MAGIC;
    return ERR_OK;
}

/* Lease numbers are one broker's; another broker counts its own. */
static char *prefix_of(const char *broker)
{
    uint8_t digest[DIGEST_BYTES];
    char hex[2 * PREFIX_BYTES + 1];
    digest_sha256(broker, strlen(broker), digest);
    return mem_format("diary-%s-", digest_hex(digest, PREFIX_BYTES, hex));
}

enum err diary_open(struct diary **out, const char *folder, const char *broker,
                    const char *instance, struct err_text *why)
{
    struct diary *diary = mem_zero(1, sizeof *diary);
    diary->prefix = prefix_of(broker);
    diary->fd = -1;
    diary->folder = folder[0] != '\0' ? mem_text(folder) : default_folder();
    diary->path = mem_format("%s/%s%s", diary->folder, diary->prefix, instance);
    diary->free = mem_zero(DIARY_SLOTS, sizeof *diary->free);
    for (uint32_t slot = DIARY_SLOTS; slot > 0; slot--) {
        diary->free[diary->free_count++] = slot;
    }
    enum err err = own_folder(diary->folder, why);
    if (err == ERR_OK) {
        err = map_file(diary, why);
    }
    if (err != ERR_OK) {
        diary_close(&diary);
        return err;
    }
    *out = diary;
    return ERR_OK;
}

void diary_close(struct diary **diary_p)
{
    if (*diary_p != NULL && (*diary_p)->fd >= 0) {
        (void)unlink((*diary_p)->path); /* while its lock is held: nobody reads it meanwhile */
    }
    diary_leave(diary_p);
}

void diary_leave(struct diary **diary_p)
{
    struct diary *diary = *diary_p;
    if (diary == NULL) {
        return;
    }
    if (diary->page != NULL) {
        (void)munmap(diary->page, sizeof *diary->page);
    }
    if (diary->fd >= 0) {
        (void)close(diary->fd);
    }
    free(diary->free);
    free(diary->folder);
    free(diary->prefix);
    free(diary->path);
    free(diary);
    *diary_p = NULL;
}

uint32_t diary_note(struct diary *diary, uint64_t lease, uint32_t part)
{
    if (diary == NULL || diary->free_count == 0) {
        return 0;
    }
    uint32_t slot = diary->free[--diary->free_count];
    struct diary_entry *entry = &diary->page->entries[slot - 1];
    entry->part = part;
    atomic_store(&entry->begun, 0);
    atomic_store(&entry->lease, lease);
    return slot;
}

void diary_begun(struct diary *diary, uint32_t slot)
{
    if (diary != NULL && slot != 0) {
        atomic_store(&diary->page->entries[slot - 1].begun, 1);
    }
}

void diary_forget(struct diary *diary, uint32_t slot)
{
    if (diary != NULL && slot != 0) {
        atomic_store(&diary->page->entries[slot - 1].lease, 0);
        diary->free[diary->free_count++] = slot;
    }
}

/* ---- former diaries ---- */

/* Leases with their parts folded: begun when any part was. */
static void tell(const struct diary_page *page, diary_fn *fn, void *arg)
{
    struct map *begun = NULL;
    struct map *told = NULL;
    static char yes;
    for (size_t i = 0; i < DIARY_SLOTS; i++) {
        if (page->entries[i].lease != 0 && page->entries[i].begun != 0) {
            (void)map_put_u64(&begun, page->entries[i].lease, &yes);
        }
    }
    for (size_t i = 0; i < DIARY_SLOTS; i++) {
        uint64_t lease = page->entries[i].lease;
        if (lease != 0 && map_get_u64(begun, lease) == NULL &&
            map_put_u64(&told, lease, &yes) == NULL) {
            fn(arg, lease);
        }
    }
    log_info("diary", "begun=%zu given-back=%zu", map_count(begun), map_count(told));
    map_clear(&begun);
    map_clear(&told);
}

static bool is_of_this_boot(const struct diary_page *page)
{
    char boot[BOOT_BYTES];
    read_boot(boot);
    return page->magic == MAGIC && page->slots == DIARY_SLOTS && boot[0] != '\0' &&
           memcmp(page->boot, boot, sizeof boot) == 0;
}

static void read_former(const char *path, diary_fn *fn, void *arg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat info;
    if (fd < 0) {
        return;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd); /* its process lives */
        return;
    }
    if (fstat(fd, &info) == 0 && info.st_size == (off_t)sizeof(struct diary_page)) {
        void *page = mmap(NULL, sizeof(struct diary_page), PROT_READ, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED) {
            if (is_of_this_boot(page)) {
                tell(page, fn, arg);
            }
            (void)munmap(page, sizeof(struct diary_page));
        }
    }
    (void)unlink(path);
    (void)close(fd);
}

void diary_former(struct diary *diary, diary_fn *fn, void *arg)
{
    DIR *folder = diary != NULL ? opendir(diary->folder) : NULL;
    if (folder == NULL) {
        return;
    }
    const struct dirent *entry = NULL;
    /* Each stream has one reader: readdir(3) is safe. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, diary->prefix, strlen(diary->prefix)) == 0) {
            char *path = path_join(diary->folder, entry->d_name);
            if (strcmp(path, diary->path) != 0) {
                read_former(path, fn, arg);
            }
            free(path);
        }
    }
    (void)closedir(folder);
}
