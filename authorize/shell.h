/*
 * What authorize answers to the management shell: who the user is, and the end of the session.
 *
 * logout deletes the session, which is the browser's too, and its bindings; what "remember me"
 * stored stays. Every connection of the session is cut by that, on every replica. The one that
 * logs out has a moment to show the outcome (connection.h, leaving_ms).
 */
#ifndef AUTHORIZE_SHELL_H
#define AUTHORIZE_SHELL_H

#include "authorize/convert_stream.h"
#include "authorize/worker.h"

void shell_command(struct authorize *a, struct worker *w, const struct stream_shell *m);

#endif
