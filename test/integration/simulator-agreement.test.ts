import { expect, test } from "vitest";
import { Random } from "../simulator/random.ts";
import { RealSubject } from "../simulator/real-subject.ts";
import { playShort } from "../simulator/short-history.ts";
import { SimulatedSubject } from "../simulator/simulated-subject.ts";
import { testDatabase } from "../support/postgres.ts";

const HISTORIES = 10;

test("the simulated server shows of short histories what PostgreSQL shows: rows, visibility, locks and the stream", async () => {
  await using database = await testDatabase();
  for (let seed = 1; seed <= HISTORIES; seed++) {
    await database.query("truncate net.http_request_queue");
    await using real = await RealSubject.open(database);
    const wanted = await playShort(real, new Random(seed));
    const shown = await playShort(new SimulatedSubject(), new Random(seed));
    expect(withoutEmpty(shown), `seed ${seed}`).toEqual(withoutEmpty(wanted));
  }
});

/** Before 15 the stream has the begin and the commit of transactions that are not in the publication, too. */
function withoutEmpty(shown: readonly string[]): readonly string[] {
  return shown.filter(
    (event, at) =>
      !(event === "begin" && shown[at + 1] === "commit") && !(event === "commit" && shown[at - 1] === "begin"),
  );
}
