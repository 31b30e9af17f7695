/* The verbs of tpn profile: one file and one row (profile_command.c) each. */
#ifndef TPN_PROFILE_VERBS_H
#define TPN_PROFILE_VERBS_H

/* Each takes its own name as argv[0] and returns an exit code (options.h). */
int profile_check(int argc, char *argv[]);
int profile_import_cdo(int argc, char *argv[]);
int profile_login(int argc, char *argv[]);
int profile_ls(int argc, char *argv[]);
int profile_seal(int argc, char *argv[]);
int profile_show(int argc, char *argv[]);
int profile_test(int argc, char *argv[]);

#endif
