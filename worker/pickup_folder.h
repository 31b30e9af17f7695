/* Pickup folders on disk: where they may lie, and the steps of one file in them. All of it
 * blocks: for threads.
 *
 *   file on disk             meaning                                   left by
 *   neither                  not begun, or taken by the consumer       start; the consumer
 *   .NAME.part               written, before its permit durable        pickup_folder_begin, _end
 *   .NAME.back               taken back: certainly not handed over     pickup_folder_take_back, _look
 *   NAME.eml                 handed over: the consumer may take it     pickup_folder_hand_over
 *
 * Only pickup_folder_hand_over makes an .eml, and only after a permit; so after a permit
 * "none" most likely means taken, but a cleaned folder looks the same. A .back goes when the next
 * attempt writes its file, or after a day (pickup_trace_look). */
#ifndef TPN_PICKUP_FOLDER_H
#define TPN_PICKUP_FOLDER_H

#include "deliver.h"

#include <sys/types.h>

/* Result for the recipients: an outcome with its sentence; outcome PENDING: go on. */
struct pickup_result {
    int outcome;
    bool
        again; /* DEFERRED by what may pass in a moment: a file that somebody else has open, a full disk */
    char text[DELIVER_TEXT_BYTES];
    ino_t inode; /* of the .part that pickup_folder_begin made */
};

/* Open a folder below one of the roots, through no symbolic link below the root (openat2(2),
 * RESOLVE_BENEATH).
 *  roots  null-terminated
 * Returns the descriptor, or -1 with the result: REFUSED not below a root; DEFERRED missing,
 * no right, read-only. */
int pickup_folder_open(const char *folder, const char *const *roots,
                       struct pickup_result *result);

/* Write .NAME.part; what pickup_folder_end then makes durable. Returns its descriptor, for pickup_folder_end, or -1 with the result.
 * DELIVERED: NAME.eml is there already, and durable; UNKNOWN: it is there, but could not be made so. */
int pickup_folder_begin(int folder_fd, const struct delivery *delivery,
                        struct pickup_result *result);

/* Let the bytes of a file that was begun go to the disk, and do not wait: for several files, before the first of them is ended. A
 * hint: durable is only what pickup_folder_end has seen. */
void pickup_folder_start_flush(int fd);

/* Make the bytes of a file durable and close it; its name becomes so by pickup_folder_sync.
 *  fd      of pickup_folder_begin
 *  result  of pickup_folder_begin; stays PENDING, or DEFERRED: it could not be written, and is removed again */
void pickup_folder_end(int folder_fd, int fd, const char *name, struct pickup_result *result);

/* Rename .NAME.part to NAME.eml, if it is still the file that pickup_folder_begin made (its result's inode), and not one of
 * a later attempt. PENDING: done, to be made durable by pickup_folder_sync. With `again` the .part is still there, for
 * another try or for pickup_folder_take_back. */
void pickup_folder_hand_over(int folder_fd, const char *name, ino_t inode,
                             struct pickup_result *result);

/* fsync of the folder: one for all files written and handed over before. Returns 0, or errno. */
int pickup_folder_sync(int folder_fd);

/* What that sync means for a file.
 *  number  what it returned
 * Written: PENDING, it may be handed over; else its .part is removed again, if it is still this one. Handed over: DELIVERED, or UNKNOWN. */
void pickup_folder_say_written(int folder_fd, const char *name, ino_t inode, int number,
                               struct pickup_result *result);
void pickup_folder_say_handed_over(int number, struct pickup_result *result);

/* Rename .NAME.part to .NAME.back, if it is still the file that pickup_folder_begin made. Not removed: whoever looks later, because
 * the disk says that this attempt had its permit, must see that it came to nothing. */
void pickup_folder_take_back(int folder_fd, const char *name, ino_t inode);

/* Find out what became of an earlier attempt that had its permit. An .eml is made durable before it is told. A .part that waits is taken back, so that its worker, if it
 * lives, cannot hand it over any more. */
void pickup_folder_look(int folder_fd, const char *name, struct pickup_result *result);

#endif
