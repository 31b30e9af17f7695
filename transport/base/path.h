/* Files and folders: read whole, write atomically, make folders. */
#ifndef TPN_PATH_H
#define TPN_PATH_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Append a whole file to out. ERR_NOT_FOUND, ERR_LIMIT (larger than the buffer's maximum), ERR_IO. */
enum err path_read(const char *path, struct buf *out, struct err_text *why) NODISCARD;

/* Write a file so that it is there whole or not at all, and durable: a temporary in the same folder, fsync, rename(2),
 * fsync of the folder. ERR_IO, ERR_STORAGE (no space). */
enum err path_write(const char *path, const void *data, size_t len, mode_t mode,
                    struct err_text *why) NODISCARD;

/* Make a folder and its parents; one that is there is fine. ERR_IO when it is something else or cannot be made. */
enum err path_make_folder(const char *path, mode_t mode, struct err_text *why) NODISCARD;

/* fsync a folder, so that names in it are durable. */
enum err path_sync_folder(const char *path, struct err_text *why) NODISCARD;

/* folder/name; the caller frees. */
char *path_join(const char *folder, const char *name);

#endif
