import { clearScreenDown, cursorTo, moveCursor } from "node:readline";
import type { WriteStream } from "node:tty";
import { stripVTControlCharacters } from "node:util";

/** Lines at the end of a terminal that are rewritten in place. */
export interface LiveView extends Disposable {
  /** Shows these in place of those before. */
  show(lines: readonly string[]): void;
  /** Removes them. */
  clear(): void;
}

/** Opens one on a terminal; closing it leaves what was shown last. */
export function openLiveView(terminal: WriteStream): LiveView {
  let rows = 0;
  const clear = (): void => {
    if (rows === 0) return;
    moveCursor(terminal, 0, -rows);
    cursorTo(terminal, 0);
    clearScreenDown(terminal);
    rows = 0;
  };
  return {
    show(lines) {
      clear();
      for (const line of lines) terminal.write(`${fitted(line, terminal.columns)}\n`);
      rows = Math.min(lines.length, terminal.rows - 1);
    },
    clear,
    [Symbol.dispose]: () => undefined,
  };
}

/** A longer line would take two rows, and clearing would leave one of them. */
function fitted(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= columns ? line : plain.slice(0, columns - 1) + "…";
}
