import { eventually } from "./eventually.ts";
import type { TestDatabase } from "./postgres.ts";
import { startReceiver } from "./receiver.ts";

/** One use of a marker. */
export interface Marker {
  /** Belongs into the transaction with the settings in question. */
  readonly sql: string;
  /** Resolves when the daemon has the settings of that transaction. */
  applied(): Promise<void>;
}

/** Tells when a daemon has what was committed. */
export interface Markers extends AsyncDisposable {
  next(): Marker;
}

/**
 * `count` paused hosts, each with a request that waits. All settings are read in one statement: when the request to a host has come, which
 * `sql` resumes, everything committed with it is in force, too. For use before the daemon starts.
 */
export async function openMarkers(db: TestDatabase, count: number): Promise<Markers> {
  const receiver = await startReceiver({ host: "0.0.0.0" });
  for (let number = 1; number <= count; number++) {
    await db.query("insert into net.http_host_settings (host, paused) values ($1, true)", [hostOf(number)]);
    await db.query("select net.http_get($1)", [`http://${hostOf(number)}:${receiver.port}/${number}`]);
  }
  let used = 0;
  return {
    next: () => {
      const number = ++used;
      return {
        sql: `delete from net.http_host_settings where host = '${hostOf(number)}'`,
        async applied() {
          await eventually(() => receiver.countByPath().has(`/${number}`));
        },
      };
    },
    [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose](),
  };
}

function hostOf(number: number): string {
  return `127.0.1.${number}`;
}
