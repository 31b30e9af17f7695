/* A VFS in front of SQLite's own (sqlite.org/vfs.html) with hooks at what changes the disk, so that a test may let it fail,
 * tear it, or watch it. Registered as the default, so the engine's gathering VFS stands in front of it: a hook sees what
 * really goes to the files. */
#ifndef TPN_DISK_SHIM_H
#define TPN_DISK_SHIM_H

#include <sqlite3.h>
#include <stddef.h>

enum { DISK_SKIP = -1 }; /* a hook's answer: it is done, do not pass it on */

struct disk_file {
    sqlite3_file base;
    sqlite3_file *real;
    const char *name; /* SQLite's, valid while the file is open; null for a temporary one */
};

/* Each is asked before the real call and answers SQLITE_OK (pass it on), DISK_SKIP, or the error to be told. Null = OK. */
struct disk_hooks {
    int (*open)(const char *name);
    int (*write)(struct disk_file *file, const void *data, int len, sqlite3_int64 at);
    int (*truncate)(struct disk_file *file, sqlite3_int64 size);
    int (*sync)(struct disk_file *file);
    int (*size)(struct disk_file *file);
    int (*remove)(const char *name);
};

/* SQLite's VFS interface has no argument of ours on its way, so these are the file's own. */
static struct disk_hooks disk_hooks;
static sqlite3_vfs *disk_real;

static inline struct disk_file *disk_of(sqlite3_file *file)
{
    return (struct disk_file *)file;
}

static int disk_close(sqlite3_file *file)
{
    return disk_of(file)->real->pMethods->xClose(disk_of(file)->real);
}

static int disk_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    return disk_of(file)->real->pMethods->xRead(disk_of(file)->real, out, len, at);
}

static int disk_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    int rc =
        disk_hooks.write != NULL ? disk_hooks.write(disk_of(file), data, len, at) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc == DISK_SKIP ? SQLITE_OK : rc;
    }
    return disk_of(file)->real->pMethods->xWrite(disk_of(file)->real, data, len, at);
}

static int disk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = disk_hooks.truncate != NULL ? disk_hooks.truncate(disk_of(file), size) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc == DISK_SKIP ? SQLITE_OK : rc;
    }
    return disk_of(file)->real->pMethods->xTruncate(disk_of(file)->real, size);
}

static int disk_sync(sqlite3_file *file, int flags)
{
    int rc = disk_hooks.sync != NULL ? disk_hooks.sync(disk_of(file)) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc == DISK_SKIP ? SQLITE_OK : rc;
    }
    return disk_of(file)->real->pMethods->xSync(disk_of(file)->real, flags);
}

static int disk_size(sqlite3_file *file, sqlite3_int64 *size)
{
    int rc = disk_hooks.size != NULL ? disk_hooks.size(disk_of(file)) : SQLITE_OK;
    return rc != SQLITE_OK
               ? rc
               : disk_of(file)->real->pMethods->xFileSize(disk_of(file)->real, size);
}

static int disk_lock(sqlite3_file *file, int level)
{
    return disk_of(file)->real->pMethods->xLock(disk_of(file)->real, level);
}

static int disk_unlock(sqlite3_file *file, int level)
{
    return disk_of(file)->real->pMethods->xUnlock(disk_of(file)->real, level);
}

static int disk_check_lock(sqlite3_file *file, int *out)
{
    return disk_of(file)->real->pMethods->xCheckReservedLock(disk_of(file)->real, out);
}

static int disk_control(sqlite3_file *file, int op, void *arg)
{
    return disk_of(file)->real->pMethods->xFileControl(disk_of(file)->real, op, arg);
}

static int disk_sector(sqlite3_file *file)
{
    return disk_of(file)->real->pMethods->xSectorSize(disk_of(file)->real);
}

static int disk_traits(sqlite3_file *file)
{
    return disk_of(file)->real->pMethods->xDeviceCharacteristics(disk_of(file)->real);
}

/* Version 1: no shared memory; the engine needs none (locking_mode=EXCLUSIVE), and this proves it. */
static const sqlite3_io_methods disk_methods = {
    .iVersion = 1,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = disk_lock,
    .xUnlock = disk_unlock,
    .xCheckReservedLock = disk_check_lock,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector,
    .xDeviceCharacteristics = disk_traits,
};

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    struct disk_file *shim = disk_of(file);
    (void)vfs;
    shim->base.pMethods = NULL;
    int rc = disk_hooks.open != NULL ? disk_hooks.open(name) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc;
    }
    shim->name = name;
    shim->real = (sqlite3_file *)(shim + 1);
    rc = disk_real->xOpen(disk_real, name, shim->real, flags, out_flags);
    if (shim->real->pMethods != NULL) {
        shim->base.pMethods = &disk_methods;
    }
    return rc;
}

static int disk_remove(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs;
    int rc = disk_hooks.remove != NULL ? disk_hooks.remove(name) : SQLITE_OK;
    return rc != SQLITE_OK ? rc : disk_real->xDelete(disk_real, name, sync_folder);
}

/* Make shim, which lives as long as SQLite is used, the default VFS. SQLITE_OK or SQLite's error. */
static inline int disk_shim_register(sqlite3_vfs *shim, const char *name)
{
    disk_real = sqlite3_vfs_find(NULL);
    *shim = *disk_real;
    shim->zName = name;
    shim->szOsFile += (int)sizeof(struct disk_file);
    shim->xOpen = disk_open;
    shim->xDelete = disk_remove;
    shim->pNext = NULL;
    return sqlite3_vfs_register(shim, 1);
}

#endif
