/* tpn profile seal: make a sealed: value of a secret and the certificates of workers.
 *
 * Speaks to no broker. The secret comes from the terminal with echo off, or from standard input or a file; never from
 * the command line, which every user of the machine reads. It is wiped after use. */
#include "profile_verbs.h"

#include "confine.h"
#include "mem.h"
#include "options.h"
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

struct seal_options {
    struct common_options common;
    struct option_texts certificates;
    const char *file;
};

#define AT(field) offsetof(struct seal_options, field)

static const struct option_row rows[] = {
    {OPTION_TEXTS, "certificate", 'c', AT(certificates), "FILE",
     "certificate of a worker in PEM; give it again for each further one"},
    {OPTION_TEXT, "file", 'f', AT(file), "FILE", "read the secret from here"},
    {OPTION_END, NULL, 0, 0, NULL, NULL},
};

static const struct command command = {
    .name = "profile seal",
    .arguments = "",
    .summary = "Encrypt a secret so that only the workers with these certificates can read it",
    .more =
        "Prints a text for the key password of a profile. Without --file the secret is asked "
        "for\n"
        "on the terminal with echo off, or read from standard input; one line end is cut off.\n"
        "The same by hand:\n"
        "  openssl cms -encrypt -binary -aes-256-cbc -outform DER worker.pem | base64 -w0\n"
        "with sealed: before it. To change a worker's key, seal to the old and the new "
        "certificate.\n",
    .rows = rows,
};

struct secret_room {
    size_t len;
    char bytes[SEAL_CLEAR_MAX_BYTES +
               3]; /* with CRLF and one byte to notice that there is more */
};

static enum err read_all(int fd, struct secret_room *room, struct err_text *why)
{
    while (room->len < sizeof room->bytes) {
        ssize_t n = read(fd, room->bytes + room->len, sizeof room->bytes - room->len);
        if (n < 0 && errno != EINTR) {
            return err_set_errno(why, ERR_IO, errno, "cannot read the secret");
        }
        if (n == 0) {
            break;
        }
        room->len += n > 0 ? (size_t)n : 0;
    }
    return ERR_OK;
}

static void cut_line_end(struct secret_room *room)
{
    if (room->len > 0 && room->bytes[room->len - 1] == '\n') {
        room->len--;
        room->len -= room->len > 0 && room->bytes[room->len - 1] == '\r' ? 1 : 0;
    }
}

static enum err switch_echo_off(struct termios *before)
{
    if (tcgetattr(STDIN_FILENO, before) != 0) {
        return ERR_IO;
    }
    struct termios quiet = *before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    return tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0 ? ERR_OK : ERR_IO;
}

/* One line of the terminal, unseen. Signals wait meanwhile: who stops the program gets the echo back. */
static enum err ask_once(const char *words, struct secret_room *room, struct err_text *why)
{
    struct termios before;
    sigset_t held;
    sigset_t old;
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGINT);
    (void)sigaddset(&held, SIGTERM);
    (void)sigaddset(&held, SIGTSTP);
    (void)pthread_sigmask(SIG_BLOCK, &held, &old);
    enum err err = ERR_OK;
    if (switch_echo_off(&before) != ERR_OK) {
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        return err_set_errno(why, ERR_IO, errno, "cannot switch the echo off");
    }
    (void)fputs(words, stderr); /* only now: what is typed before is thrown away */
    ssize_t n = read(STDIN_FILENO, room->bytes, sizeof room->bytes);
    if (n < 0) {
        err = err_set_errno(why, ERR_IO, errno, "cannot read the secret");
    }
    room->len = n > 0 ? (size_t)n : 0;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)fputc('\n', stderr);
    cut_line_end(room);
    return err;
}

static enum err ask_twice(struct secret_room *room, struct err_text *why)
{
    struct secret_room again = {.len = 0};
    enum err err = ask_once("Secret: ", room, why);
    if (err == ERR_OK) {
        err = ask_once("Once more: ", &again, why);
    }
    if (err == ERR_OK &&
        (again.len != room->len || memcmp(again.bytes, room->bytes, room->len) != 0)) {
        err = err_set(why, ERR_INVALID, "the two are not the same");
    }
    explicit_bzero(&again, sizeof again);
    return err;
}

static enum err fetch(const char *file, struct secret_room *room, struct err_text *why)
{
    if (file == NULL && isatty(STDIN_FILENO) == 1) {
        return ask_twice(room, why);
    }
    int fd = file != NULL ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (fd < 0) {
        return err_set_errno(why, ERR_IO, errno, "%s", file);
    }
    enum err err = read_all(fd, room, why);
    if (file != NULL) {
        (void)close(fd);
    }
    cut_line_end(room);
    return err;
}

static enum err seal(const struct seal_options *options, struct err_text *why)
{
    struct secret_room room = {.len = 0};
    struct seal_certificates *certificates = NULL;
    const struct option_texts *given = &options->certificates;
    const char **paths = mem_zero(given->count + 1, sizeof *paths);
    struct buf out;
    buf_init(&out, SEAL_TEXT_MAX_BYTES);
    memcpy(paths, given->items, given->count * sizeof *paths);
    enum err err = confine_memory(why);
    if (err == ERR_OK) {
        err = seal_certificates_read(paths, &certificates, why);
    }
    if (err == ERR_OK) {
        err = fetch(options->file, &room, why);
    }
    if (err == ERR_OK) {
        err = seal_make(certificates, room.bytes, room.len, &out, why);
    }
    if (err == ERR_OK) {
        (void)puts(buf_text(&out));
    }
    explicit_bzero(&room, sizeof room);
    seal_certificates_free(&certificates);
    free(paths);
    buf_fini(&out);
    return err;
}

int profile_seal(int argc, char *argv[])
{
    struct seal_options options = {.file = NULL};
    struct err_text why = {0};
    int first = 0;
    int code = EXIT_USAGE;
    if (options_read(&command, argc, argv, &options, &first, &code) == OPTIONS_STOP) {
        goto out;
    }
    if (first < argc) {
        code =
            options_fail(&command, "takes no argument: a secret on the command line is seen by "
                                   "every user");
        goto out;
    }
    if (options.certificates.count == 0) {
        code = options_fail(&command, "--certificate is needed");
        goto out;
    }
    code = EXIT_FINE;
    if (seal(&options, &why) != ERR_OK) {
        (void)fprintf(stderr, "tpn profile seal: %s\n", why.text);
        code = EXIT_USAGE;
    }
out:
    options_free(&command, &options);
    return code;
}
