import type { LockHolder } from "./leader-lock.ts";

/** `application_name` of a session that leads. */
export const LEADER_APPLICATION = "pgnetd leader";

/** True for a session that is no pgnetd: any role can take the lock, by mistake or malice. */
export function isStranger({ application }: Pick<LockHolder, "application">): boolean {
  return application !== null && application !== LEADER_APPLICATION;
}

/** Who it is, for a person to read. */
export function holderText({ pid, application }: Pick<LockHolder, "pid" | "application">): string {
  return `process ${pid}${application === null || application === "" ? "" : ` (${application})`}`;
}

/** What is wrong where a stranger has the lock. */
export function strangerText(holder: Pick<LockHolder, "pid" | "application">): string {
  return `${holderText(holder)} has the leader's lock and is no pgnetd`;
}

/** What to do about it. */
export function strangerHint({ pid }: Pick<LockHolder, "pid">): string {
  return `End it: select pg_terminate_backend(${pid});`;
}
