import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { globSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { Job } from "kubernetes-models/batch/v1/Job";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { Service } from "kubernetes-models/v1/Service";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { at, yamlOf } from "../support/deployment-files.ts";
import { ROOT } from "../support/markdown.ts";

const run = promisify(execFile);

/** The published schemas: of Kubernetes's OpenAPI document, and of the Prometheus operator's resource definitions. */
const MODELS = [
  ConfigMap,
  Deployment,
  Job,
  NetworkPolicy,
  PodDisruptionBudget,
  PrometheusRule,
  Service,
  ServiceMonitor,
] as const;

const FILES = globSync("config/kubernetes/**/*.yaml", { cwd: ROOT })
  .filter((file) => !file.endsWith("/kustomization.yaml"))
  .toSorted();

/** What is wrong with a manifest by its schema; null where nothing is. */
function problemOf(manifest: unknown): string | null {
  const Model = MODELS.find(
    (one) => one.kind === at(manifest, "kind") && one.apiVersion === at(manifest, "apiVersion"),
  );
  if (Model === undefined) return `no schema of ${String(at(manifest, "apiVersion"))} ${String(at(manifest, "kind"))}`;
  try {
    new Model(manifest as never).validate();
    return null;
  } catch (error) {
    return String(error);
  }
}

/** The schemas allow unknown keys, which a server drops or refuses; the types that are made of them do not. */
async function typeErrors(manifests: readonly unknown[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "pgnetd-manifests-"));
  const lines = manifests.map((manifest, index) => {
    const [kind, version] = [String(at(manifest, "kind")), String(at(manifest, "apiVersion"))];
    const from = version.startsWith("monitoring.") ? "@kubernetes-models/prometheus-operator" : "kubernetes-models";
    const module = JSON.stringify(join(ROOT, "node_modules", from, version, `${kind}.js`));
    return `export const manifest${index}: import(${module}).I${kind} = ${JSON.stringify(manifest)};\n`;
  });
  try {
    await writeFile(join(folder, "manifests.ts"), lines.join(""));
    const options = [
      "--ignoreConfig",
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "--module",
      "nodenext",
      "--target",
      "esnext",
      "--types",
      "",
    ];
    return await run(join(ROOT, "node_modules/.bin/tsc"), [...options, join(folder, "manifests.ts")]).then(
      () => "",
      (error: unknown) => (error as { readonly stdout: string }).stdout,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("the Kubernetes manifests", () => {
  test.for(FILES)("%s is valid by the published schema", (file) => {
    expect(problemOf(yamlOf(file))).toBeNull();
  });

  test("they have no key that their schemas do not know", async () => {
    expect(await typeErrors(FILES.map(yamlOf))).toBe("");
  });

  test("a wrong value and a misspelt key are found", async () => {
    const deployment = yamlOf("config/kubernetes/deployment.yaml") as Record<string, object>;
    expect(problemOf({ ...deployment, spec: { ...deployment["spec"], replicas: "two" } })).toContain("replicas");
    const misspelt = { ...deployment, spec: { ...deployment["spec"], replica: 2 } };
    expect(await typeErrors([misspelt])).toContain(`'"replica"' does not exist`);
  });
});

/** kustomize as a program of its own, or that within kubectl. */
async function findKustomize(): Promise<((folder: string) => Promise<string>) | null> {
  for (const [program, command] of [
    ["kustomize", "build"],
    ["kubectl", "kustomize"],
  ] as const) {
    const build = async (folder: string): Promise<string> =>
      (await run(program, [command, folder], { cwd: ROOT })).stdout;
    if (await build("config/kubernetes/migrate").catch(() => null)) return build;
  }
  return null;
}

const kustomize = await findKustomize();
if (kustomize === null) {
  process.stderr.write(
    "\nSKIPPED: the kustomizations are not built, since there is neither kustomize nor kubectl.\n\n",
  );
}

test.skipIf(kustomize === null)("kustomize builds all that there is, valid by the published schemas", async () => {
  const built: unknown[] = [];
  for (const folder of ["", "migrate", "monitoring"]) {
    const text = (await kustomize?.(join("config/kubernetes", folder))) ?? "";
    built.push(...parseAllDocuments(text).map((document) => parse(String(document)) as unknown));
  }
  expect(built.map(problemOf).filter((problem) => problem !== null)).toEqual([]);
  const kinds = (manifests: readonly unknown[]): readonly string[] => manifests.map((one) => String(at(one, "kind")));
  expect(kinds(built).toSorted()).toEqual(kinds(FILES.map(yamlOf)).toSorted());
});
