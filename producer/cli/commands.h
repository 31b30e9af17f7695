/* The sub-commands of tpn: one file and one row each. */
#ifndef TPN_COMMANDS_H
#define TPN_COMMANDS_H

/* Each takes its own name as argv[0] and returns an exit code (options.h). */
int command_alert(int argc, char *argv[]);
int command_evidence(int argc, char *argv[]);
int command_explain(int argc, char *argv[]);
int command_keys(int argc, char *argv[]);
int command_profile(int argc, char *argv[]);
int command_queue(int argc, char *argv[]);
int command_send(int argc, char *argv[]);
int command_status(int argc, char *argv[]);
int command_withdraw(int argc, char *argv[]);

#endif
