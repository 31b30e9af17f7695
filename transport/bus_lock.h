/* How a socket is locked: CURVE with which keys, or plain, and whether plain may leave the machine.
 *
 * The safe way is the default way: a socket without keys works on loopback only, unless somebody wrote `insecure: true`. */
#ifndef TPN_BUS_LOCK_H
#define TPN_BUS_LOCK_H

#include "bus_key.h"

/* Zeroed: plain, on loopback only. Borrowed by every socket that is opened with it, until that is closed. */
struct bus_lock {
    bool curve;
    bool insecure; /* plain is allowed beyond loopback */
    struct bus_key own;
    struct bus_key_list
        servers; /* what a client accepts as its server's key; empty on a server */
};

/* The lock of a server. key_file "" or null = plain. ERR_CONFIG with key and rule, ERR_NOT_FOUND, ERR_IO. */
enum err bus_lock_server(struct bus_lock *lock, const char *key_file, bool insecure,
                         struct err_text *why) NODISCARD;

/* The lock of a client: its own key and its server's public one, both or none ("" or null). The same errors. */
enum err bus_lock_client(struct bus_lock *lock, const char *key_file, const char *server_file,
                         bool insecure, struct err_text *why) NODISCARD;

/* Wipe the secret; accepts a zeroed one. */
void bus_lock_fini(struct bus_lock *lock);

/* True for an endpoint that nobody from elsewhere reaches: tcp on 127.0.0.0/8, ::1, localhost or lo; ipc; inproc. */
bool bus_lock_is_local(const char *endpoint);

/* May this endpoint be used with this lock (null = a zeroed one)? ERR_CONFIG with the rule. */
enum err bus_lock_allows(const struct bus_lock *lock, const char *endpoint,
                         struct err_text *why) NODISCARD;

#endif
