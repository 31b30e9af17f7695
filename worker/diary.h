/* The worker's diary: which mails it asked a permit for, and which of them began to leave.
 *
 * A process that is killed cannot say what it had begun, and everything permitted would count as UNKNOWN. The diary is
 * a small file mapped into memory, so what was noted survives the process (not the machine: notes of an earlier boot are
 * ignored). The next worker on this machine reads it and gives back what certainly did not leave:
 *
 *   note ──► begun ──► forget (result acknowledged)
 *    │         └─ killed here: may have been sent; the broker waits, then calls it UNKNOWN
 *    └─ killed here: certainly not sent; the next worker gives it back
 *
 * So a permit may be asked for early, which keeps the broker's commit out of the time between two mails. */
#ifndef TPN_DIARY_H
#define TPN_DIARY_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

struct diary;

enum { DIARY_SLOTS = 16384 };

/* Start a diary in folder, which is made when missing (mode 0700).
 *  folder    "" = a folder of this user's below $XDG_RUNTIME_DIR or /tmp
 *  broker    whose leases are noted: a diary is read only by workers of the same broker
 *  instance  of this process; becomes part of the file's name
 * ERR_IO when that is not possible; ERR_INVALID when the folder belongs to somebody else. */
enum err diary_open(struct diary **out, const char *folder, const char *broker,
                    const char *instance, struct err_text *why) NODISCARD;

/* Remove the file: nothing is left to tell. Accepts null. */
void diary_close(struct diary **diary);
/* Leave the file for the next worker to read. Accepts null. */
void diary_leave(struct diary **diary);

/* Note that a permit is being asked for. Returns a slot, or 0 when all are taken: the mail then goes without a note.
 * Every function accepts a null diary and slot 0, and does nothing. */
uint32_t diary_note(struct diary *diary, uint64_t lease, uint32_t part);

/* Its content begins to leave now. */
void diary_begun(struct diary *diary, uint32_t slot);

/* Its result was acknowledged, or it was given up without one. */
void diary_forget(struct diary *diary, uint32_t slot);

/* Read the diaries of processes that are gone (of this boot, same folder and broker) and remove them. fn hears each lease once, of
 * which no part had begun. */
typedef void diary_fn(void *arg, uint64_t lease);
void diary_former(struct diary *diary, diary_fn *fn, void *arg);

#endif
