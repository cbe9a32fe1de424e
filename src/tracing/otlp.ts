import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

import type { Log } from "../base/log.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Request } from "../outbox/request.ts";
import { endOf, nameOf, parentOf, startAttributes, traceparentOf } from "./span.ts";
import type { SendSpan, Tracing } from "./tracing.ts";

/** At the end spans are exported for no longer than this, in milliseconds. */
const LONGEST_END_MS = 2_000;

/** The exporter, with a line in the log where it fails, and where it succeeds again. */
class ReportedExporter extends OTLPTraceExporter {
  readonly #failures: FailureLog;

  constructor(log: Log) {
    super();
    this.#failures = new FailureLog(log, {
      failed: "spans cannot be exported, and are dropped; see OTEL_EXPORTER_OTLP_ENDPOINT",
      succeeded: "spans are exported again",
    });
  }

  override export(...[spans, done]: Parameters<OTLPTraceExporter["export"]>): void {
    super.export(spans, (result) => {
      if (result.error === undefined) this.#failures.succeeded();
      else this.#failures.failed(result.error);
      done(result);
    });
  }
}

/**
 * Spans by OpenTelemetry, exported as the variables `OTEL_EXPORTER_OTLP_*` say. Memory for them is bounded by the SDK: beyond 2,048 that
 * were not exported yet, further ones are dropped.
 */
export class OtlpTracing implements Tracing {
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;

  constructor(version: string, log: Log) {
    const own = resourceFromAttributes({ "service.name": "pgnetd", "service.version": version });
    const resource = defaultResource()
      .merge(own)
      .merge(detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }));
    const exporter = new ReportedExporter(log);
    this.#provider = new TracerProvider({ resource, spanProcessors: [new BatchSpanProcessor({ exporter })] });
    this.#tracer = this.#provider.getTracer("pgnetd", version);
  }

  begin(request: Request): SendSpan {
    const parent = parentOf(request);
    const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
    const options = { kind: SpanKind.CLIENT, attributes: startAttributes(request) };
    const span = this.#tracer.startSpan(nameOf(request), options, context);
    return {
      traceparent: traceparentOf(span.spanContext()),
      end: (outcome) => {
        const { attributes, error } = endOf(outcome);
        span.setAttributes(attributes);
        if (error !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
        span.end();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, LONGEST_END_MS);
    await Promise.race([this.#provider.shutdown().catch(() => undefined), late.promise]);
    clearTimeout(timer);
  }
}
