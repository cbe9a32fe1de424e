/** What `application_name` of all sessions of pgnetd begins with: people look for pg_net's worker by its name. */
export const OWN_SESSIONS = "pgnetd (pg_net)";

/** `application_name` of a session for one purpose. */
export function sessionName(purpose: string): string {
  return `${OWN_SESSIONS} ${purpose}`;
}
