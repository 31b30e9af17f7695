/* A VFS in front of the system's that gathers what SQLite writes into log and database.
 *
 * SQLite writes a frame of the log in two calls, header and page; a commit of many pages is
 * many small writes. Here they are put together in memory and written in large ones: at the
 * latest when SQLite syncs, reads, truncates or closes the file. The same is done for the
 * database file, which a checkpoint writes page by page.
 *
 * Why that is safe: SQLite counts on nothing in the log before its sync has returned, and at
 * synchronous=FULL each commit syncs (sqlite.org/pragma.html#pragma_synchronous); a checkpoint
 * syncs the database before the log may be written over. A write that fails late fails that
 * sync, so the commit. What was gathered is dropped then, for SQLite rolls back and writes
 * those places anew. */
#include "store_sqlite.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* 31 frames: SQLite's unix VFS writes at most 131071 bytes in a call, and takes a multiple of
 * 131072 for a full disk (os_unix.c, seekAndWriteFd). */
enum { GATHER_BYTES = 31 * (4096 + 24) };

struct log_file {
    sqlite3_file base;
    sqlite3_file *real;
    sqlite3_int64 room; /* bytes that the file shall have at least; 0 = as it comes */
    uint8_t *bytes;     /* GATHER_BYTES: used of them belong at `at` */
    size_t used;
    sqlite3_int64 at;
};

static struct log_file *log_of(sqlite3_file *file)
{
    return (struct log_file *)file;
}

static int write_out(struct log_file *log)
{
    if (log->used == 0) {
        return SQLITE_OK;
    }
    int len = (int)log->used;
    log->used = 0;
    return log->real->pMethods->xWrite(log->real, log->bytes, len, log->at);
}

/* Zeros from the file's end up to its room, synced: so that commits write over blocks that are there, and their syncs
 * bring nothing but the data to the disk. Blocks that were only reserved (fallocate(2)) would not do: the first write
 * into each changes the file system's own records. To SQLite zeros are a log without a valid header or frame, at the
 * start and behind the last frame alike (sqlite.org/fileformat2.html#walformat). No room on the disk is no error: the
 * log grows as it is written, then. A sync that fails is one: nobody knows what it left of the frames before the end. */
static int make_room(struct log_file *log)
{
    const sqlite3_io_methods *methods = log->real->pMethods;
    sqlite3_int64 size = 0;
    int rc = log->room > 0 ? methods->xFileSize(log->real, &size) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc; /* nothing was written that could be taken back */
    }
    sqlite3_int64 at = size;
    memset(log->bytes, 0, GATHER_BYTES); /* nothing waits in it now */
    while (rc == SQLITE_OK && at < log->room) {
        sqlite3_int64 left = log->room - at;
        int len = left < GATHER_BYTES ? (int)left : (int)GATHER_BYTES;
        rc = methods->xWrite(log->real, log->bytes, len, at);
        at += len;
    }
    if (rc != SQLITE_OK) {
        (void)methods->xTruncate(log->real, size);
        return SQLITE_OK;
    }
    return at > size ? methods->xSync(log->real, SQLITE_SYNC_NORMAL) : SQLITE_OK;
}

static int log_close(sqlite3_file *file)
{
    struct log_file *log = log_of(file);
    int rc = write_out(log);
    int closed = log->real->pMethods->xClose(log->real);
    free(log->bytes);
    log->bytes = NULL;
    return rc != SQLITE_OK ? rc : closed;
}

static int log_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    struct log_file *log = log_of(file);
    int rc = write_out(log);
    return rc != SQLITE_OK ? rc : log->real->pMethods->xRead(log->real, out, len, at);
}

static int log_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    struct log_file *log = log_of(file);
    size_t size = (size_t)len;
    if (at != log->at + (sqlite3_int64)log->used || log->used + size > GATHER_BYTES) {
        int rc = write_out(log);
        if (rc != SQLITE_OK) {
            return rc;
        }
        log->at = at;
    }
    if (size > GATHER_BYTES) {
        return log->real->pMethods->xWrite(log->real, data, len, at);
    }
    memcpy(log->bytes + log->used, data, size);
    log->used += size;
    return SQLITE_OK;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct log_file *log = log_of(file);
    int rc = write_out(log);
    rc = rc == SQLITE_OK ? log->real->pMethods->xTruncate(log->real, size) : rc;
    return rc == SQLITE_OK ? make_room(log) : rc;
}

static int log_sync(sqlite3_file *file, int flags)
{
    struct log_file *log = log_of(file);
    int rc = write_out(log);
    return rc != SQLITE_OK ? rc : log->real->pMethods->xSync(log->real, flags);
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct log_file *log = log_of(file);
    int rc = write_out(log);
    return rc != SQLITE_OK ? rc : log->real->pMethods->xFileSize(log->real, size);
}

/* The rest is the system's answer. */
static int log_lock(sqlite3_file *file, int level)
{
    struct log_file *log = log_of(file);
    return log->real->pMethods->xLock(log->real, level);
}

static int log_unlock(sqlite3_file *file, int level)
{
    struct log_file *log = log_of(file);
    return log->real->pMethods->xUnlock(log->real, level);
}

static int log_check_lock(sqlite3_file *file, int *out)
{
    struct log_file *log = log_of(file);
    return log->real->pMethods->xCheckReservedLock(log->real, out);
}

static int log_control(sqlite3_file *file, int op, void *arg)
{
    struct log_file *log = log_of(file);
    return log->real->pMethods->xFileControl(log->real, op, arg);
}

static int log_sector(sqlite3_file *file)
{
    struct log_file *log = log_of(file);
    return log->real->pMethods->xSectorSize(log->real);
}

static int log_traits(sqlite3_file *file)
{
    struct log_file *log = log_of(file);
    return log->real->pMethods->xDeviceCharacteristics(log->real);
}

/* Version 1: no shared memory (locking_mode=EXCLUSIVE needs none) and no mapping. */
static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_traits,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    const struct sqlite_log *vfs_log = (const struct sqlite_log *)vfs;
    sqlite3_vfs *real = vfs->pAppData;
    if ((flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)) == 0) {
        return real->xOpen(real, name, file, flags, out_flags);
    }
    struct log_file *log = log_of(file);
    *log = (struct log_file){.real = (sqlite3_file *)(log + 1)};
    int rc = real->xOpen(real, name, log->real, flags, out_flags);
    if (rc == SQLITE_OK) {
        log->bytes = mem_zero(1, GATHER_BYTES);
        log->base.pMethods = &log_methods;
        log->room = (flags & SQLITE_OPEN_WAL) != 0 ? vfs_log->room : 0;
        return make_room(log);
    }
    if (log->real->pMethods != NULL) {
        (void)log->real->pMethods->xClose(log->real); /* sqlite3_io_methods: even then */
    }
    return rc;
}

bool sqlite_log_space_below(const char *folder, uint64_t bytes)
{
    struct statvfs space;
    return statvfs(folder, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < bytes;
}

int sqlite_log_register(struct sqlite_log *log)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (real == NULL) {
        return SQLITE_ERROR;
    }
    (void)snprintf(log->name, sizeof log->name, "tpn-%p", (void *)log);
    log->vfs = *real;
    log->vfs.zName = log->name;
    log->vfs.szOsFile += (int)sizeof(struct log_file);
    log->vfs.xOpen = open_file;
    log->vfs.pAppData = real;
    log->vfs.pNext = NULL;
    return sqlite3_vfs_register(&log->vfs, 0);
}

void sqlite_log_unregister(struct sqlite_log *log)
{
    if (log->vfs.zName != NULL) {
        (void)sqlite3_vfs_unregister(&log->vfs);
        log->vfs.zName = NULL;
    }
}
