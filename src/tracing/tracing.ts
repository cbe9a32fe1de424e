import type { Log } from "../base/log.ts";
import type { Outcome } from "../http/outcome.ts";
import type { Request } from "../outbox/request.ts";

/** The span of one try. */
export interface SendSpan {
  /** What the destination is told of it: the header `traceparent`. */
  readonly traceparent: string;
  end(outcome: Outcome): void;
}

/** Makes a span of each try. Closing it exports what was not yet, as far as that is quickly done. */
export interface Tracing extends AsyncDisposable {
  begin(request: Request): SendSpan;
}

/** The variables of OpenTelemetry that turn it on and off: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ */
const ENDPOINTS = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] as const;

/** Opens what `env` asks for; null where it names no endpoint, and then nothing of OpenTelemetry is loaded. */
export async function openTracing(env: NodeJS.ProcessEnv, version: string, log: Log): Promise<Tracing | null> {
  const isWanted = ENDPOINTS.some((name) => (env[name] ?? "") !== "");
  const isOff = env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true" || env["OTEL_TRACES_EXPORTER"] === "none";
  if (!isWanted || isOff) return null;
  const { OtlpTracing } = await import("./otlp.ts");
  return new OtlpTracing(version, log);
}
