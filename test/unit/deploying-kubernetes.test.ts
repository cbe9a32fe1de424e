import { existsSync, globSync } from "node:fs";
import { join } from "node:path";
import { expect, it, test } from "vitest";
import { prometheusRule } from "../../docs/generate/prometheus-rule.ts";
import { VERSION } from "../../src/base/version.ts";
import { loadConfig } from "../../src/config/load.ts";
import { ALL_SETTINGS } from "../../src/config/settings.ts";
import { memoryNeeded } from "../../src/doctor/host.ts";
import { at, bytesOf, textOf, yamlOf } from "../support/deployment-files.ts";
import { codeBlocks, readDocument, ROOT } from "../support/markdown.ts";

const FOLDER = "config/kubernetes";
const settings = yamlOf(`${FOLDER}/settings.yaml`);
const deployment = yamlOf(`${FOLDER}/deployment.yaml`);
const job = yamlOf(`${FOLDER}/migrate/job.yaml`);
const service = yamlOf(`${FOLDER}/service.yaml`);
const monitor = yamlOf(`${FOLDER}/monitoring/service-monitor.yaml`);
const policy = yamlOf(`${FOLDER}/network-policy.yaml`);
const budget = yamlOf(`${FOLDER}/disruption-budget.yaml`);

const DATABASE_URL = "postgres://db/app";
const config = loadConfig({ env: { DATABASE_URL, ...(at(settings, "data") as Record<string, string>) } });
const longestStopMs = config.stop.graceMs + config.database.statementTimeoutMs;

const PODS = [
  { of: "the daemon", pod: at(deployment, "spec.template.spec"), secret: "pgnetd" },
  { of: "the migration", pod: at(job, "spec.template.spec"), secret: "pgnetd-owner" },
];

test.for(PODS)("the pod of $of has no right, no token and no file to write", ({ pod }) => {
  // The user of the image wrote its compile cache.
  const user = Number(/^USER (\d+)/m.exec(textOf("Dockerfile"))?.[1]);
  expect(pod).toMatchObject({
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: { runAsNonRoot: true, runAsUser: user, seccompProfile: { type: "RuntimeDefault" } },
  });
  expect(at(pod, "containers")).toHaveLength(1);
  expect(at(pod, "containers.0.securityContext")).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
});

test.for(PODS)("$of has settings that there are, its database from a secret, and this version", ({ pod, secret }) => {
  const env = at(pod, "containers.0.env") as readonly { readonly name: string }[];
  expect(env.filter(({ name }) => !ALL_SETTINGS.some((setting) => setting.env === name))).toEqual([]);
  expect(env).toEqual([{ name: "DATABASE_URL", valueFrom: { secretKeyRef: { name: secret, key: "DATABASE_URL" } } }]);
  expect(at(pod, "containers.0.envFrom")).toEqual([{ configMapRef: { name: at(settings, "metadata.name") } }]);
  expect(at(pod, "containers.0.image")).toBe(`pgnetd:${VERSION}`);
});

it("probes, metrics and the page are at the port that the daemon serves", () => {
  const container = at(deployment, "spec.template.spec.containers.0");
  const port = at(container, "ports.0.name");
  expect(at(container, "ports.0.containerPort")).toBe(config.server.port);
  expect(at(container, "startupProbe.httpGet")).toEqual({ path: "/healthz", port });
  expect(at(container, "livenessProbe.httpGet")).toEqual({ path: "/healthz", port });
  expect(at(container, "readinessProbe.httpGet")).toEqual({ path: "/readyz", port });
  expect(at(service, "spec.ports.0")).toMatchObject({ port: config.server.port, targetPort: port });
  expect(at(monitor, "spec.endpoints.0")).toMatchObject({ port: at(service, "spec.ports.0.name"), path: "/metrics" });
  expect(at(policy, "spec.ingress.0.ports")).toEqual([{ port }]);
});

it("what selects the daemons selects their pods", () => {
  const labels = at(deployment, "spec.template.metadata.labels");
  expect(at(deployment, "spec.selector.matchLabels")).toEqual(labels);
  expect(at(service, "spec.selector")).toEqual(labels);
  expect(at(budget, "spec.selector.matchLabels")).toEqual(labels);
  expect(at(deployment, "spec.template.spec.topologySpreadConstraints")).toMatchObject([
    { labelSelector: { matchLabels: labels } },
    { labelSelector: { matchLabels: labels } },
  ]);
  expect(labels).toMatchObject(at(policy, "spec.podSelector.matchLabels") as object);
  expect(at(service, "metadata.labels")).toMatchObject(at(monitor, "spec.selector.matchLabels") as object);
});

it("there are two daemons, with the time and the memory that they may need", () => {
  expect(at(deployment, "spec.replicas")).toBe(2);
  const pod = at(deployment, "spec.template.spec");
  expect(Number(at(pod, "terminationGracePeriodSeconds")) * 1000).toBeGreaterThan(longestStopMs);
  expect(bytesOf(String(at(pod, "containers.0.resources.limits.memory")))).toBeGreaterThanOrEqual(memoryNeeded(config));
});

it("the Prometheus operator gets the alerts of config/prometheus; npm run docs writes them", () => {
  const alerts = textOf("config/prometheus/alerts.yaml");
  expect(textOf(`${FOLDER}/monitoring/prometheus-rule.yaml`)).toBe(prometheusRule(alerts));
  expect(at(yamlOf(`${FOLDER}/monitoring/prometheus-rule.yaml`), "spec")).toEqual(
    yamlOf("config/prometheus/alerts.yaml"),
  );
});

it("the alerts are on the job that the service monitor makes", () => {
  const labels = at(service, "metadata.labels") as Record<string, string>;
  const name = labels[String(at(monitor, "spec.jobLabel"))];
  expect(textOf("config/prometheus/alerts.yaml")).toContain(`job="${name}"`);
});

it("the kustomizations name every file", () => {
  const files = globSync(`${FOLDER}/**/*.yaml`, { cwd: ROOT });
  const kustomizations = files.filter((file) => file.endsWith("/kustomization.yaml"));
  const named = kustomizations.flatMap((file) =>
    (at(yamlOf(file), "resources") as readonly string[]).map((resource) => join(file, "..", resource)),
  );
  expect([...kustomizations, ...named].toSorted()).toEqual(files.toSorted());
});

it("the image is labelled with this version", () => {
  expect(textOf("Dockerfile")).toContain(`\nARG VERSION=${VERSION}\n`);
});

it("compose.yaml gives the daemon the time that it may need", () => {
  const period = at(yamlOf("compose.yaml"), "services.pgnetd.stop_grace_period");
  expect(Number(/^(\d+)s$/.exec(String(period))?.[1]) * 1000).toBeGreaterThan(longestStopMs);
});

it("the commands in docs/deploying.md name folders, files, objects and secrets that there are", async () => {
  const document = await readDocument("docs/deploying.md");
  const commands = codeBlocks(document)
    .map(({ text }) => text)
    .filter((text) => text.includes("kubectl"))
    .join("");
  const named = (pattern: RegExp): readonly string[] => Array.from(commands.matchAll(pattern), ([, name = ""]) => name);
  for (const path of named(/--filename (\S+)/g)) expect(existsSync(join(ROOT, path))).toBe(true);
  for (const path of named(/--kustomize (\S+)/g)) expect(existsSync(join(ROOT, path, "kustomization.yaml"))).toBe(true);
  const objects = named(/\b((?:job|deployment)[ /]\S+)/g);
  expect(new Set(objects.map((name) => name.replace(" ", "/")))).toEqual(
    new Set([`job/${String(at(job, "metadata.name"))}`, `deployment/${String(at(deployment, "metadata.name"))}`]),
  );
  expect(named(/create secret generic (\S+) --from-literal=DATABASE_URL=/g).toSorted()).toEqual(
    PODS.map(({ secret }) => secret),
  );
});
