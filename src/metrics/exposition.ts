import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

import { CATALOGUE, type MetricDefinition } from "./catalogue.ts";
import { Distribution } from "./distribution.ts";
import type { Sample } from "./sample.ts";
import { type MetricKey, type Shown, valuesOf } from "./values.ts";

/** A scrape within this time of the one before has the same answer, in milliseconds. */
const CACHED_MS = 1_000;

interface HistogramValue {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** A histogram whose numbers are counted elsewhere, so that an observation costs next to nothing. */
class ReadHistogram extends Histogram<"database"> {
  readonly #definition: MetricDefinition;
  #values: HistogramValue[] = [];

  constructor(definition: MetricDefinition, registry: Registry) {
    const { name, help } = definition;
    super({ name, help, labelNames: ["database"], registers: [registry] });
    this.#definition = definition;
  }

  /** Not `reset`, which the constructor above calls. */
  clear(): void {
    this.#values = [];
  }

  show(database: string, distribution: Distribution): void {
    const { name } = this.#definition;
    const labels = { database };
    for (const [bound, value] of distribution.cumulative) {
      const le = bound === Infinity ? "+Inf" : bound;
      this.#values.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value });
    }
    this.#values.push({ metricName: `${name}_sum`, labels, value: distribution.sum });
    this.#values.push({ metricName: `${name}_count`, labels, value: distribution.count });
  }

  /** What the registry of prom-client 15.1 writes; `get` asks for it, too. */
  async getForPromString(): Promise<MetricDefinition & { readonly values: readonly HistogramValue[] }> {
    return { ...this.#definition, values: this.#values };
  }
}

type Metric = Counter | Gauge | ReadHistogram;

/** The text that Prometheus scrapes, and its media type. */
export interface ExpositionText {
  readonly contentType: string;
  readonly text: string;
}

/** Writes what `sample` shows as Prometheus reads it. */
export class Exposition {
  readonly #registry = new Registry();
  readonly #metrics = new Map<MetricKey, Metric>();
  readonly #now: () => number;
  #cached: { readonly at: number; readonly text: Promise<string> } | null = null;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The text of now, or of less than a second ago. */
  async scrape(sample: () => Promise<readonly Sample[]>): Promise<ExpositionText> {
    if (this.#metrics.size === 0) this.#register();
    const now = this.#now();
    if (this.#cached === null || now - this.#cached.at >= CACHED_MS) {
      this.#cached = { at: now, text: this.#write(sample) };
    }
    return { contentType: this.#registry.contentType, text: await this.#cached.text };
  }

  /** At the first scrape: who has no Prometheus pays nothing for it. */
  #register(): void {
    collectDefaultMetrics({ register: this.#registry });
    for (const [section, metrics] of Object.entries(CATALOGUE)) {
      for (const [key, definition] of Object.entries<MetricDefinition>(metrics)) {
        this.#metrics.set(`${section}.${key}` as MetricKey, metricOf(definition, this.#registry));
      }
    }
  }

  async #write(sample: () => Promise<readonly Sample[]>): Promise<string> {
    const samples = await sample();
    for (const metric of this.#metrics.values()) {
      if (metric instanceof ReadHistogram) metric.clear();
      else metric.reset();
    }
    for (const one of samples) {
      for (const [key, shown] of Object.entries(valuesOf(one)) as [MetricKey, Shown][]) {
        const metric = this.#metrics.get(key);
        if (metric !== undefined) show(metric, one.meters.database, shown);
      }
    }
    return this.#registry.metrics();
  }
}

function metricOf(definition: MetricDefinition, registry: Registry): Metric {
  const { name, help, type, label = [] } = definition;
  const options = { name, help, labelNames: ["database", ...[label].flat()], registers: [registry] };
  switch (type) {
    case "counter":
      return new Counter(options);
    case "gauge":
      return new Gauge(options);
    case "histogram":
      return new ReadHistogram(definition, registry);
  }
}

function show(metric: Metric, database: string, shown: Shown): void {
  if (metric instanceof ReadHistogram) {
    if (shown instanceof Distribution) metric.show(database, shown);
  } else if (typeof shown === "number") metric.inc({ database }, shown);
  else if (shown !== null && !(shown instanceof Distribution)) {
    for (const [labels, value] of shown) metric.inc({ database, ...labels }, value);
  }
}
