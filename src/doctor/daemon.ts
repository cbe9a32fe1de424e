import { askLocalDaemon, stallProblem } from "../ops/local-daemon.ts";
import { type CheckContext, failure, type HostCheck, ok, type Result } from "./check.ts";

/** Whether the daemon of this machine answers, and starts requests: only it knows why it does not. */
export const DAEMON_CHECK: HostCheck = {
  id: "daemon",
  group: "stream",
  stage: "installed",
  on: "host",
  run: checkDaemon,
};

async function checkDaemon({ config }: CheckContext): Promise<Result> {
  const daemon = await askLocalDaemon(config.server);
  const { at } = daemon;
  const problem = stallProblem(daemon);
  if (problem !== null) return failure(problem.message, problem.hint);
  switch (daemon.kind) {
    case "none":
      return ok(`none answers at ${at}: this does not run where one does`);
    case "silent":
      return failure(
        `something has ${at} and does not answer: a daemon that hangs sends nothing`,
        `see what it is (ss -ltnp 'sport = :${config.server.port}'), end it (kill -9), and start a daemon: pgnetd run`,
      );
    case "unknown":
      return ok(`what answers at ${at} is no daemon of this version`);
    case "daemon":
      return ok(`the one at ${at} is ${daemon.state}`);
  }
}
