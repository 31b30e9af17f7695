/* tpn queue cancel, retry, resolve, hold, release, redrive, purge, edit: what operators do to requests. */
#ifndef TPN_ACT_H
#define TPN_ACT_H

/* Sub-commands of queue: argv[0] is the verb; they return an exit code (options.h). */
int act_cancel(int argc, char *argv[]);
int act_retry(int argc, char *argv[]);
int act_resolve(int argc, char *argv[]);
int act_hold(int argc, char *argv[]);
int act_release(int argc, char *argv[]);
int act_redrive(int argc, char *argv[]);
int act_purge(int argc, char *argv[]);
int act_edit(int argc, char *argv[]);

enum { ACT_OPERATOR_BYTES = 64 + 1 };

/* Who is at the keyboard, for the history and the audit log. It is a name, not a proof. Returns out. */
char *act_operator(char out[ACT_OPERATOR_BYTES]);

#endif
