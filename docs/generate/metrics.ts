import { CATALOGUE, LABELS, type MetricDefinition, SECTIONS } from "../../src/metrics/catalogue.ts";

const INTRODUCTION = `# Metrics

<!-- Made from src/metrics/catalogue.ts by \`npm run docs\`. -->

\`GET /metrics\`, on the port of [health](operations.md#what-the-daemon-says), is for Prometheus:

\`\`\`yaml
scrape_configs:
  - job_name: pgnetd
    static_configs:
      - targets: ["pgnetd:9464"]
\`\`\`

[alerts.yaml](../config/prometheus/alerts.yaml) has alerts for it, each with what to do [in the operator's guide](operations.md#alerts), and
[pgnetd.json](../config/grafana/pgnetd.json) is a dashboard for Grafana. \`docker compose --profile observability up\` shows both.

* Every metric has the label \`database\`, the name in \`DATABASE_URL\`, beside those named here. The process's own have none: \`process_*\` and \`nodejs_*\` are
  [prom-client's](https://github.com/siimon/prom-client#default-metrics): memory, CPU, descriptors, event-loop delay, garbage collection.
* Units are seconds and bytes. Values of labels are from closed sets; that of \`host\` is bounded by [\`metrics.hosts\`](configuration.md#metrics).
* A daemon on standby shows the same as the leader of what is read from the database; what it sends itself is 0. So take \`max by (database)\` of gauges
  and \`sum by (database)\` of counters; but \`min\` of those of which less is worse: \`pgnetd_results_writable\`, \`pgnetd_outbox_readable\`, \`pgnetd_slot_safe_wal_bytes\` and
  \`pgnetd_slot_seconds_to_limit\`.
* A scrape reads the database with one statement, whose cost does not grow with the queue, and may write a [heartbeat](#heartbeat); a second
  scrape within a second has the same answer and runs nothing. Where that statement fails or takes longer than two seconds, \`pgnetd_database_read\` is 0 and
  what is read from the database is missing; the rest is there. A daemon that starts and waits for the [schema](operations.md#pgnetdnoleader) reads the slot alone, from
  PostgreSQL's catalogs, so that its alerts hold meanwhile. \`pgnetd_database_up\` is 0 only where it answers nothing else, either. Without scrapes
  nothing is read or written.
* Whoever reaches the port ([\`server.host\`](configuration.md#server)) may read it: it shows names of hosts and of the database, and nothing else of a request.
`;

/** `docs/metrics.md`, made from the catalogue. */
export function metricsMarkdown(): string {
  const sections = Object.entries(SECTIONS).map(([section, about]) => {
    const metrics = Object.values<MetricDefinition>(CATALOGUE[section as keyof typeof CATALOGUE]);
    const title = `${section.charAt(0).toUpperCase()}${section.slice(1)}`;
    return `## ${title}\n\n${about}\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n${metrics.map(row).join("\n")}\n`;
  });
  const labels = Object.entries(LABELS).flatMap(([label, values]) =>
    values === null ? [] : [`| \`${label}\` | ${values.map((value) => `\`${value}\``).join(", ")} |`],
  );
  const closed = `## Labels\n\n| Label | Values |\n|---|---|\n${labels.join("\n")}\n`;
  return [INTRODUCTION, ...sections, closed].join("\n");
}

function row({ name, type, label, help }: MetricDefinition): string {
  const labels = label === undefined ? "" : [label].flat().map((one) => `\`${one}\``);
  return `| \`${name}\` | ${type} | ${[labels].flat().join(", ")} | ${help} |`;
}
