/* One step of a backup: a question to the store, and bytes of a copy that is whole. */
#include "backup_desk.h"

#include "audit.h"
#include "broker.h"
#include "mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 512 * 1024 };

struct backup_step {
    struct broker *broker;
    struct bus *bus;
    struct wire_peer peer;
    int step;
    uint64_t offset;
};

/* The piece of the copy from offset on; null and 0 behind its end. */
static uint8_t *read_piece(const struct backup_step *step, size_t *len, uint64_t *size)
{
    char *path = store_backup_path(step->broker->conf->data_folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat facts;
    uint8_t *data = mem_zero(1, CHUNK_BYTES);
    *len = 0;
    if (fd >= 0 && fstat(fd, &facts) == 0) {
        *size = (uint64_t)facts.st_size;
        ssize_t got = pread(fd, data, CHUNK_BYTES, (off_t)step->offset);
        *len = got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(path);
    return data;
}

static void answered(void *arg, struct ledger_op *op)
{
    struct backup_step *step = arg;
    PB(BackedUp) reply = PB_INIT(BACKED_UP);
    uint8_t *data = NULL;
    if (op->store.result == STORE_DONE) {
        reply.ready = op->store.backup.ready;
        reply.pages_done = op->store.backup.pages_done;
        reply.pages = op->store.backup.pages;
        if (reply.ready) {
            data = read_piece(step, &reply.data.len, &reply.size);
            reply.data.data = data;
        }
    } else {
        reply.reason = op->store.result == STORE_NOT_FOUND ? (char *)(uintptr_t) "there is none"
                                                           : op->store.why.text;
    }
    enum err err = bus_send(step->bus, &step->peer, WIRE_BACKED_UP, &reply.base, NULL);
    (void)err; /* who asks and is gone gets no answer */
    free(data);
    free(step);
}

void backup_desk(struct broker *broker, struct bus *bus, const struct wire_in *in)
{
    static const enum store_backup_step steps[] = {STORE_BACKUP_LOOK, STORE_BACKUP_BEGIN,
                                                   STORE_BACKUP_LOOK, STORE_BACKUP_DROP};
    const PB(BackupAct) *wish = (const PB(BackupAct) *)in->body;
    struct backup_step *step = mem_zero(1, sizeof *step);
    step->broker = broker;
    step->bus = bus;
    step->peer = in->peer;
    step->step = (int)wish->step;
    step->offset = wish->offset;
    if (steps[wish->step] == STORE_BACKUP_BEGIN) {
        audit_record(broker, wish->operator_, "backup", "store", AUDIT_DONE, "");
    }
    struct ledger_op *op = ledger_op_new(STORE_BACKUP, answered, step);
    op->store.backup.step = steps[wish->step];
    ledger_add(broker->ledger, op);
}
