import pg from "pg";

/** A client of the application's, one connection; closing it ends it whatever it is doing. */
export interface TestClient extends AsyncDisposable {
  query<Row extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
}

/** Connects to `url`. An end of the connection from outside fails the query under way, and no other. */
export async function connectClient(url: string): Promise<TestClient> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  return {
    async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]) {
      return (await client.query<Row>(text, values)).rows;
    },
    async [Symbol.asyncDispose]() {
      await client.end();
    },
  };
}
