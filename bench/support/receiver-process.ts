/**
 * The receiver of a measurement, in a process of its own. It answers each GET with 200 at once, as cheaply as can be, and keeps
 * when it came and which one it was (`?n=`). On any IPC message it reports all of it and starts over.
 */
import { type AddressInfo, createServer } from "node:net";

/** What came since the last report. The two arrays belong together, in order of arrival. */
export interface Report {
  /** Milliseconds since the epoch, with a fraction. */
  readonly times: Float64Array;
  readonly numbers: Int32Array;
}

let times: number[] = [];
let numbers: number[] = [];

const ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const END = "\r\n\r\n";

const server = createServer({ noDelay: true }, (socket) => {
  let rest = "";
  socket.setEncoding("latin1");
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => {
    rest += String(chunk);
    for (let end = rest.indexOf(END); end >= 0; end = rest.indexOf(END)) {
      times.push(performance.timeOrigin + performance.now());
      numbers.push(Number.parseInt(rest.slice(rest.indexOf("n=") + 2), 10));
      rest = rest.slice(end + END.length);
      socket.write(ANSWER);
    }
  });
});

process.on("message", () => {
  const report: Report = { times: Float64Array.from(times), numbers: Int32Array.from(numbers) };
  times = [];
  numbers = [];
  process.send?.(report);
});
process.on("disconnect", () => process.exit(0));

server.listen({ port: 0, host: "0.0.0.0", backlog: 4_096 }, () =>
  process.send?.((server.address() as AddressInfo).port),
);
