/* One datagram to systemd. Opens the socket anew each time: it is rare, and leaves no descriptor behind.
 *
 * Reads the environment only while a program starts or from its one loop thread; nothing in the programs changes it. */
#include "notify.h"

#include "log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { US_PER_MS = 1000 };

/* A path, or @ and a name in the abstract space. False: neither, or too long. */
static bool take_address(const char *name, struct sockaddr_un *address, socklen_t *len)
{
    size_t size = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || size >= sizeof address->sun_path) {
        return false;
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, name, size);
    if (name[0] == '@') {
        address->sun_path[0] = '\0';
    }
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

void notify_send(const char *lines)
{
    struct sockaddr_un address;
    socklen_t len = 0;
    const char *name = getenv("NOTIFY_SOCKET"); // NOLINT(concurrency-mt-unsafe): see the head
    if (name == NULL || name[0] == '\0') {
        return;
    }
    if (!take_address(name, &address, &len)) {
        log_warn("notify", "socket=%s result=ignored text=\"neither a path nor @name\"", name);
        return;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT,
                         (const struct sockaddr *)&address, len) < 0) {
        log_warn("notify", "socket=%s errno=%d result=not_told", name, errno);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* A positive number of the environment, 0 = none. */
static long long number_of(const char *name)
{
    const char *text = getenv(name); // NOLINT(concurrency-mt-unsafe): see the head
    char *end = NULL;
    long long number = text != NULL ? strtoll(text, &end, 10) : 0;
    return text != NULL && end != text && *end == '\0' && number > 0 ? number : 0;
}

static void ping(void *arg)
{
    struct notify_watchdog *watchdog = arg;
    notify_send("WATCHDOG=1");
    loop_timer_arm(&watchdog->timer, watchdog->every_ms);
}

void notify_ready(struct notify_watchdog *watchdog, struct loop *loop)
{
    long long pid = number_of("WATCHDOG_PID");
    long long usec = number_of("WATCHDOG_USEC");
    *watchdog = (struct notify_watchdog){.every_ms = usec / 2 / US_PER_MS};
    loop_timer_init(&watchdog->timer, loop, ping, watchdog);
    notify_send("READY=1");
    if (watchdog->every_ms > 0 && (pid == 0 || pid == getpid())) {
        loop_timer_arm(&watchdog->timer, watchdog->every_ms);
    }
}

void notify_stop(struct notify_watchdog *watchdog)
{
    if (watchdog->timer.loop != NULL) {
        loop_timer_disarm(&watchdog->timer);
        *watchdog = (struct notify_watchdog){.every_ms = 0};
        notify_send("STOPPING=1");
    }
}
