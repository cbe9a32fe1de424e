import { expect, test } from "vitest";
import { faultTable } from "../support/fault-table.ts";

test("the table of the faults lines up, and ends with the sums", () => {
  const line = { committed: 2000, sent: 2003, answered: 2000, lost: 0, repeated: 3, note: "" };
  expect(
    faultTable([
      { ...line, fault: "one" },
      { ...line, fault: "another", note: "noticed after 2 s" },
    ]),
  ).toBe(
    `
fault    committed  sent  answered  lost  repeated  note
one           2000  2003      2000     0         3
another       2000  2003      2000     0         3  noticed after 2 s
all           4000  4006      4000     0         6
`.concat("\n"),
  );
});
