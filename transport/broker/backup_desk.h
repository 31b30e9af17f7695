/* Backups for operators: BACKUP, answered by BACKED_UP. The store makes the copy (STORE_BACKUP); here its bytes are given out, so that
 * the file ends where the operator is, and nobody tells the broker where to write. */
#ifndef TPN_BACKUP_DESK_H
#define TPN_BACKUP_DESK_H

#include "bus.h"

struct broker;

void backup_desk(struct broker *broker, struct bus *bus, const struct wire_in *in);

#endif
