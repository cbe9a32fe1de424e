import { PgnetdError } from "../base/errors.ts";
import { quotable } from "../config/redact.ts";
import type { Command, CommandContext, Flag } from "./args.ts";

const CONFIG_FLAG: Flag = { value: "file", about: "YAML configuration file; default: that of PGNETD_CONFIG, if any" };

/** All commands, in the order of help. */
export const COMMANDS: readonly Command[] = [
  {
    name: "migrate",
    summary: "Install or upgrade the schema",
    about:
      "Runs what is missing, each step in one transaction. Safe to repeat, and to run while a daemon is running.\nParts once chosen are kept by later upgrades.",
    flags: {
      config: CONFIG_FLAG,
      webhooks: { about: "Install supabase_functions.http_request(), the trigger function of database webhooks" },
      grants: {
        value: "open|restricted",
        about: "Who may call: every role as with pg_net (open), or one (restricted)",
      },
      callers: { value: "role", about: "With --grants restricted: the role that may call" },
      "from-pg-net": {
        about:
          "Where the extension pg_net is there: move over in one transaction, with waiting requests, answers, triggers, views and rights",
      },
      "dry-run": { about: "With --from-pg-net: only print what it would do, as SQL" },
      owner: {
        value: "role",
        about: "With --from-pg-net: the role that is to own it all; default: the one that connects",
      },
      yes: { about: "With --from-pg-net: do not ask" },
    },
    run: async (context) => (await import("./migrate.ts")).runMigrate(context),
  },
  {
    name: "extension",
    summary: "Let create extension pg_net succeed: a placeholder for the server",
    about:
      "Writes pg_net.control and its scripts. The extension creates nothing, so that dropping it drops nothing; the functions\ncome from migrate. Without a folder it says which one it is. Reports version 0.20.4; knows the earlier ones, too.",
    argument: { name: "dir", about: "The extension folder of a server, such as /usr/share/postgresql/18/extension" },
    flags: {
      "pg-tle": { about: "Print SQL that installs it through pg_tle, for a server whose files are out of reach" },
    },
    run: async (context) => (await import("./extension.ts")).extension(context),
  },
  {
    name: "run",
    summary: "Send requests until stopped",
    about:
      "Stops on SIGTERM or Ctrl-C: requests in flight may finish within stop.graceMs and their results are written.\nA second Ctrl-C ends it at once; nothing is lost, but requests then in flight are sent again.",
    flags: { config: CONFIG_FLAG },
    run: async (context) => (await import("./run-command.ts")).runCommand(context),
  },
  {
    name: "status",
    summary: "Show leader, slot and outbox as the database knows them",
    about: "Exits 0 where a daemon leads and its slot is ok; otherwise says what to do.",
    flags: { config: CONFIG_FLAG },
    run: async (context) => (await import("./status.ts")).printStatus(context),
  },
  {
    name: "drain",
    summary: "Send what waits, then end, before an upgrade or a removal",
    about:
      "Sends as run does until the outbox is empty and every answer is stored, and then exits 0. Stop the daemon first: while\nanother leads, this one waits for it. Requests that are committed meanwhile are sent, too, so under steady traffic it\ndoes not end: stop what makes requests first. SIGTERM or Ctrl-C ends it early, says what is left, and exits 75.",
    flags: {
      config: CONFIG_FLAG,
      "due-only": {
        about: "Do not wait for requests that wait for a later time, or for a host that is paused or slow",
      },
      "drop-slot": { about: "Then drop the replication slot, so that it holds no WAL; the next run makes it anew" },
      "drop-publications": { about: "Then drop the publications, too; without them pgnetd run only polls" },
    },
    run: async (context) => (await import("./drain.ts")).drain(context),
  },
  {
    name: "replay",
    summary: "Send dead letters again",
    about:
      "Puts them back into the outbox, with their id and all their tries; a daemon sends them at once. To choose by other\nmarks: select net.http_replay(id) from net.http_dead_letter where …",
    flags: {
      config: CONFIG_FLAG,
      id: { value: "id", about: "Of one request" },
      all: { about: "Of all that are there" },
    },
    run: async (context) => (await import("./replay.ts")).replay(context),
  },
  {
    name: "adopt",
    summary: "Make a copy of a database an installation of its own",
    about:
      "For a database that was restored, cloned or branched from another: records the environment in database.environment,\nor none, so that a daemon of it runs here. The schema is upgraded where it is older. Stop every daemon first.\nWithout a flag it only says what is there.",
    flags: {
      config: CONFIG_FLAG,
      discard: { about: "A copy: delete the requests that came with it, and give it a new id" },
      keep: { about: "A copy: leave them to be sent from here, too, and give it a new id" },
      moved: { about: "The installation itself in a new place: leave them, and its id" },
    },
    run: async (context) => (await import("./adopt.ts")).runAdopt(context),
  },
  {
    name: "uninstall",
    summary: "Remove pgnetd from the database",
    about:
      "Drops the replication slot, the publications and all that migrate made in the schemas net and supabase_functions, answers\nincluded: all of it or, where something is in the way, nothing. What others made there stays. Stop every daemon first.\nWithout --yes it only says what would go. Afterwards migrate works again, and so does create extension pg_net.",
    flags: {
      config: CONFIG_FLAG,
      yes: { about: "Do it" },
      force: { about: "Also where requests wait or dead letters are there; they are lost" },
    },
    run: async (context) => (await import("./uninstall.ts")).runUninstall(context),
  },
  {
    name: "receiver",
    summary: "Print the requests that arrive, to try things out",
    about: "Answers 200 to everything; /status/404 answers 404, /delay/2000 answers after two seconds.",
    flags: {
      host: { value: "address", about: "Address to listen on; default: 127.0.0.1" },
      port: { value: "port", about: "Port to listen on; default: 8080" },
    },
    run: async ({ values, print, stop }) =>
      (await import("./receiver.ts")).receive(
        { host: values.get("host") ?? "127.0.0.1", port: portOf(values) },
        print,
        stop,
      ),
  },
  {
    name: "config",
    summary: "Print the effective settings and where each came from",
    about: "The output is a configuration file itself; passwords are masked.",
    flags: { config: CONFIG_FLAG },
    run: async (context) => (await import("./config.ts")).printConfig(context),
  },
];

function portOf(values: CommandContext["values"]): number {
  const given = values.get("port") ?? "8080";
  if (/^\d{1,5}$/.test(given) && Number(given) <= 65_535) return Number(given);
  throw new PgnetdError("USAGE", `--port is ${quotable(given)}: must be a whole number from 0 to 65535`);
}
