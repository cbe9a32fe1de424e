import { Argument, InvalidArgumentError, Option } from "commander";
import type { AdoptFlags } from "./adopt.ts";
import type { Shell } from "./completion.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import type { DoctorFlags } from "./doctor.ts";
import type { DrainFlags } from "./drain.ts";
import type { ExtensionFlags } from "./extension.ts";
import type { MigrateFlags } from "./migrate.ts";
import type { ReceiverFlags } from "./receiver.ts";
import type { ReplayFlags } from "./replay.ts";
import type { SendFlags } from "./send.ts";
import type { StatusFlags } from "./status.ts";
import type { TailFlags } from "./tail.ts";
import type { UninstallFlags } from "./uninstall.ts";
import type { CliCommand } from "./usage.ts";

/** Adds all commands, in the order of help. Each is loaded only when run, so that help needs nothing. */
export function addCommands(program: CliCommand, context: CommandContext): void {
  const add = (name: string): CliCommand => {
    const command = program.createCommand(name).copyInheritedSettings(program);
    program.addCommand(command);
    return command;
  };
  const addWithConfig = (name: string): CliCommand =>
    add(name).valued("--config <file>", "YAML configuration file; default: that of PGNETD_CONFIG, if any");

  addWithConfig("migrate")
    .about(
      "Install or upgrade the schema",
      "Runs what is missing, each step in one transaction. Safe to repeat, and to run while a daemon is running. Parts once chosen are kept by later upgrades.",
    )
    .option("--webhooks", "Install supabase_functions.http_request(), the trigger function of database webhooks")
    .addOption(
      new Option("--grants <who>", "Who may call: every role as with pg_net (open), or one (restricted)").choices([
        "open",
        "restricted",
      ]),
    )
    .valued("--callers <role>", "With --grants restricted: the role that may call")
    .option(
      "--from-pg-net",
      "Where the extension pg_net is there: move over in one transaction, with waiting requests, answers, triggers, views and rights",
    )
    .option("--dry-run", "With --from-pg-net: only print what it would do, as SQL")
    .valued("--owner <role>", "With --from-pg-net: the role that is to own it all; default: the one that connects")
    .option("--yes", "With --from-pg-net: do not ask")
    .option("--json", "Print versions and notes as JSON, and no progress")
    .action(async (flags: MigrateFlags) => (await import("./migrate.ts")).runMigrate(flags, context));

  add("extension")
    .about(
      "Let create extension pg_net succeed: a placeholder for the server",
      "Writes pg_net.control and its scripts. The extension creates nothing, so that dropping it drops nothing; the functions come from migrate. Without a folder it says which one it is. Reports version 0.20.4; knows the earlier ones, too.",
    )
    .argument("[dir]", "The extension folder of a server, such as /usr/share/postgresql/18/extension")
    .option("--pg-tle", "Print SQL that installs it through pg_tle, for a server whose files are out of reach")
    .action(async (folder: string | undefined, flags: ExtensionFlags) =>
      (await import("./extension.ts")).extension(folder, flags, context),
    );

  addWithConfig("run")
    .about(
      "Send requests until stopped",
      "Stops on SIGTERM or Ctrl-C: requests in flight may finish within stop.graceMs and their results are written. A second Ctrl-C ends it at once; nothing is lost, but requests then in flight are sent again.",
    )
    .action(async (flags: ConfigFlag) => (await import("./run-command.ts")).runCommand(flags, context));

  addWithConfig("status")
    .about(
      "Show leader, slot and outbox as the database knows them",
      "Exits 0 where a daemon leads and its slot is ok; otherwise says what to do.",
    )
    .option("--watch", "Read again every two seconds, until Ctrl-C; the exit code is then 0")
    .option("--json", "Print it as JSON; with --watch one line for each reading")
    .action(async (flags: StatusFlags) => (await import("./status.ts")).printStatus(flags, context));

  addWithConfig("doctor")
    .about(
      "Look for everything that makes a set-up fail, and say what mends it",
      "Checks connection, server, rights, schema, stream, tables, this machine and the way out. What should be mended comes first, the likely cause before its consequences. Exits 0 where nothing failed; warnings count for nothing. Each check is explained in docs/doctor.md.",
    )
    .valued("--only <names>", "Only these checks, by id or group, with commas between them")
    .valued("--skip <names>", "All but these checks, by id or group, with commas between them")
    .option("--pre", "Before anything is installed: what migrate and run are going to need")
    .valued("--url <url>", "Also send a request to this url from here, as the daemon would")
    .option("--json", "Print the findings as JSON")
    .action(async (flags: DoctorFlags) => (await import("./doctor.ts")).doctor(flags, context));

  addWithConfig("tail")
    .about(
      "Print results as they come",
      "One line for each request that ends: time, status or error, method, url, id, duration. Dead letters are among them. Runs until Ctrl-C.",
    )
    .valued("--since <time>", 'Begin with those that ended so long ago, such as "10 minutes"; default: now')
    .option("--failed", "Only those without an answer, or with a status of 400 or more")
    .valued("--status <list>", "Only those with these statuses, such as 404,5xx")
    .valued("--host <host>", "Only those to this host")
    .option("--no-follow", "End when those there are have been printed")
    .option("--json", "Print each as one line of JSON")
    .action(async (flags: TailFlags) => (await import("./tail.ts")).tail(flags, context));

  addWithConfig("send")
    .about(
      "Send one request through the queue, and print the answer",
      "Puts it into the outbox as SQL does, waits until the daemon has stored its result, and prints the content. Exits 0 for a status below 400, 1 for any other or no answer, 75 where there is no result in time: the request then still waits.",
    )
    .argument("<url>", "Absolute, with http or https")
    .addOption(new Option("-X, --method <method>", "Default: GET, or POST with --data"))
    .addOption(new Option("-H, --header <header>", "Such as 'Accept: text/plain'; may be repeated").argParser(repeated))
    .addOption(new Option("-d, --data <text>", "The body; a header Content-Type says what it is"))
    .addOption(new Option("--timeout <ms>", "Of the request, in milliseconds; default: 5000").argParser(wholeNumber))
    .addOption(
      new Option("--wait <seconds>", "For the result; default: the timeout and 30 seconds").argParser(wholeNumber),
    )
    .option("-i, --include", "Print status and headers, too")
    .option("--json", "Print the whole result as JSON")
    .action(async (url: string, flags: SendFlags) => (await import("./send.ts")).send(url, flags, context));

  addWithConfig("drain")
    .about(
      "Send what waits, then end, before an upgrade or a removal",
      "Sends as run does until the outbox is empty and every answer is stored, and then exits 0. Stop the daemon first: while another leads, this one waits for it. Requests that are committed meanwhile are sent, too, so under steady traffic it does not end: stop what makes requests first. SIGTERM or Ctrl-C ends it early, says what is left, and exits 75.",
    )
    .option("--due-only", "Do not wait for requests that wait for a later time, or for a host that is paused")
    .option("--drop-slot", "Then drop the replication slot, so that it holds no WAL; the next run recreates it")
    .option("--drop-publications", "Then drop the publications, too; without them pgnetd run only polls")
    .option("--json", "Print progress, and at the end the sum, as lines of JSON")
    .action(async (flags: DrainFlags) => (await import("./drain.ts")).drain(flags, context));

  addWithConfig("replay")
    .about(
      "Send dead letters again",
      "Puts them back into the outbox, with their id and all their tries (a new id where another installation made them); a daemon sends them at once. To choose by other marks: select net.http_replay(id) from net.http_dead_letter where …",
    )
    .valued("--id <id>", "Of one request")
    .addOption(new Option("--all", "Of all that are there").conflicts("id"))
    .option("--json", "Print the sum as JSON, and no progress")
    .action(async (flags: ReplayFlags) => (await import("./replay.ts")).replay(flags, context));

  addWithConfig("adopt")
    .about(
      "Make a copy of a database an installation of its own",
      "For a database that was restored, cloned or branched from another: records the environment in database.environment, or none, so that a daemon of it runs here. The schema is upgraded where it is older. Stop every daemon first. Without a flag it only says what is there.",
    )
    .option("--discard", "A copy: delete the requests that came with it, and give it a new id")
    .addOption(
      new Option("--keep", "A copy: leave them to be sent from here, too, and give it a new id").conflicts("discard"),
    )
    .addOption(
      new Option("--moved", "The installation itself in a new place: leave them, and its id").conflicts([
        "discard",
        "keep",
      ]),
    )
    .option("--json", "Print what was there, and what was done, as JSON")
    .action(async (flags: AdoptFlags) => (await import("./adopt.ts")).runAdopt(flags, context));

  addWithConfig("uninstall")
    .about(
      "Remove pgnetd from the database",
      "Drops the replication slot, the publications and all that migrate made in the schemas net and supabase_functions, answers included: all of it or, where something is in the way, nothing. What others made there stays. Stop every daemon first. Without --yes it only says what would go. Afterwards migrate works again, and so does create extension pg_net.",
    )
    .option("--yes", "Do it")
    .option("--force", "Also where requests wait or dead letters are there; they are lost")
    .option("--json", "Print what was dropped, or without --yes would be lost, as JSON")
    .action(async (flags: UninstallFlags) => (await import("./uninstall.ts")).runUninstall(flags, context));

  add("receiver")
    .about(
      "Print the requests that arrive, to try things out",
      "Answers 200 to everything; /status/404 answers 404, /delay/2000 answers after two seconds.",
    )
    .valued("--host <address>", "Address to listen on; default: 127.0.0.1")
    .addOption(new Option("--port <port>", "Port to listen on; default: 8080").argParser(port))
    .action(async (flags: ReceiverFlags) => (await import("./receiver.ts")).receive(flags, context));

  add("completion")
    .about(
      "Print the completion for a shell",
      'For bash: source <(pgnetd completion bash). For zsh: pgnetd completion zsh > "${fpath[1]}/_pgnetd". For fish: pgnetd completion fish > ~/.config/fish/completions/pgnetd.fish.',
    )
    .addArgument(new Argument("<shell>", "The shell").choices(["bash", "zsh", "fish"]))
    .action(async (shell: Shell) => (await import("./completion.ts")).completion(shell, program, context));

  addWithConfig("config")
    .about(
      "Print the effective settings and where each came from",
      "The output is a configuration file itself; passwords are masked.",
    )
    .action(async (flags: ConfigFlag) => (await import("./config.ts")).printConfig(flags, context));
}

/** Every value of an option that may be given several times. */
function repeated(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

function wholeNumber(given: string): number {
  if (/^\d{1,9}$/.test(given)) return Number(given);
  throw new InvalidArgumentError("It must be a whole number.");
}

function port(given: string): number {
  if (/^\d{1,5}$/.test(given) && Number(given) <= 65_535) return Number(given);
  throw new InvalidArgumentError("It must be a whole number from 0 to 65535.");
}
