#ifndef DROVER_CLIBPQ_SHIM_H
#define DROVER_CLIBPQ_SHIM_H

#include <libpq-fe.h>

/* Macros of character literals, which Swift does not import. */
static const int drover_pg_diag_sqlstate = PG_DIAG_SQLSTATE;
static const int drover_pg_diag_message_primary = PG_DIAG_MESSAGE_PRIMARY;
static const int drover_pg_diag_message_detail = PG_DIAG_MESSAGE_DETAIL;
static const int drover_pg_diag_message_hint = PG_DIAG_MESSAGE_HINT;
static const int drover_pg_diag_severity = PG_DIAG_SEVERITY_NONLOCALIZED;
static const int drover_pg_diag_constraint_name = PG_DIAG_CONSTRAINT_NAME;

#endif
