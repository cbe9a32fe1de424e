import { z } from "zod";

/** The output plugin that the tests of a run stream through: `TEST_SLOT_PLUGIN`, pgoutput where that is not set. */
export const SLOT_PLUGIN = z.enum(["pgoutput", "wal2json"]).default("pgoutput").parse(process.env["TEST_SLOT_PLUGIN"]);
