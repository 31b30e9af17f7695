/* Locks of sockets: reads the files, knows what is local. Sets no option of a socket: bus.c does. */
#include "bus_lock.h"

#include <string.h>

static bool given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

enum err bus_lock_server(struct bus_lock *lock, const char *key_file, bool insecure,
                         struct err_text *why)
{
    *lock = (struct bus_lock){.insecure = insecure};
    if (!given(key_file)) {
        return ERR_OK;
    }
    enum err err = bus_key_read(key_file, &lock->own, why);
    if (err != ERR_OK) {
        return err;
    }
    if (lock->own.role != BUS_KEY_BROKER) {
        return err_set(why, ERR_CONFIG, "%s: is a key of role %s, and a broker's is needed",
                       key_file, bus_key_role_name(lock->own.role));
    }
    lock->curve = true;
    return ERR_OK;
}

enum err bus_lock_client(struct bus_lock *lock, const char *key_file, const char *server_file,
                         bool insecure, struct err_text *why)
{
    *lock = (struct bus_lock){.insecure = insecure};
    if (!given(key_file) && !given(server_file)) {
        return ERR_OK;
    }
    if (!given(key_file) || !given(server_file)) {
        return err_set(
            why, ERR_CONFIG,
            "%s is missing: a key needs the broker's public key, and the other way round",
            given(key_file) ? "the server key" : "the key");
    }
    enum err err = bus_key_read(key_file, &lock->own, why);
    if (err == ERR_OK) {
        err = bus_key_read_public(server_file, &lock->servers, why);
    }
    lock->curve = err == ERR_OK;
    return err;
}

void bus_lock_fini(struct bus_lock *lock)
{
    bus_key_wipe(&lock->own);
}

/* host:port behind tcp:// */
static bool local_host(const char *host)
{
    static const char *const names[] = {"localhost", "lo", "[::1]", "::1"};
    const char *colon = strrchr(host, ':');
    size_t len = colon != NULL ? (size_t)(colon - host) : strlen(host);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], host, len) == 0) {
            return true;
        }
    }
    /* "127.example.org" is a name like any other. */
    return len > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= len;
}

bool bus_lock_is_local(const char *endpoint)
{
    static const char tcp[] = "tcp://";
    if (strncmp(endpoint, "ipc://", 6) == 0 || strncmp(endpoint, "inproc://", 9) == 0) {
        return true;
    }
    if (strncmp(endpoint, tcp, sizeof tcp - 1) != 0) {
        return false;
    }
    /* A source address may stand before (zmq_tcp(7)): tcp://SOURCE;HOST:PORT. What is connected to counts. */
    const char *semicolon = strchr(endpoint, ';');
    return local_host(semicolon != NULL ? semicolon + 1 : endpoint + sizeof tcp - 1);
}

enum err bus_lock_allows(const struct bus_lock *lock, const char *endpoint,
                         struct err_text *why)
{
    if ((lock != NULL && (lock->curve || lock->insecure)) || bus_lock_is_local(endpoint)) {
        return ERR_OK;
    }
    return err_set(why, ERR_CONFIG,
                   "%s is not on loopback: it needs keys (tpn keys new), or insecure: true",
                   endpoint);
}
