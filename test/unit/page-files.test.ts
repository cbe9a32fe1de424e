import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { expect, it, vi } from "vitest";
import { fileAt } from "../../src/page/files.ts";

it("reads a file again that could not be read, and one that could only once", async () => {
  const read = vi.spyOn(fs, "readFile").mockRejectedValueOnce(new Error("EMFILE: too many open files"));
  syncBuiltinESMExports();
  try {
    await expect(fileAt("/page/style.css")).rejects.toThrow("EMFILE");
    expect((await fileAt("/page/style.css"))?.content.length).toBeGreaterThan(0);
    expect((await fileAt("/page/style.css"))?.content.length).toBeGreaterThan(0);
    expect(read).toHaveBeenCalledTimes(2);
  } finally {
    read.mockRestore();
    syncBuiltinESMExports();
  }
});
