/* The refresh token of a credential on disk: one refresher at a time on this machine, and a new token in the old
 * one's place, whole or not at all.
 *
 * Only a reference file:PATH can be written; env: and credential: are read-only, a new token then lives in memory and
 * a restart falls back to the old one, which the log says. */
#ifndef TPN_OAUTH_STORE_H
#define TPN_OAUTH_STORE_H

#include "err.h"

#include <stdbool.h>

/* Lock PATH.lock of a reference file:PATH.
 *  fd  out: to be given to oauth_store_unlock; -1 when there is nothing to lock
 * Returns ERR_OK, also when the folder cannot be written (then there is no other writer either);
 * ERR_AGAIN: another process refreshes just now. Source: flock(2): the kernel lets go when a process dies. */
enum err oauth_store_lock(const char *reference, int *fd) NODISCARD;
/* Let go, set to -1; accepts -1. */
void oauth_store_unlock(int *fd);

/* Can a new token be stored under this reference? */
bool oauth_store_can(const char *reference);

/* Write the new token, mode 0600. ERR_IO, ERR_STORAGE as path_write. */
enum err oauth_store_write(const char *reference, const char *token,
                           struct err_text *why) NODISCARD;

#endif
