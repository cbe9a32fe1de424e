import { openCaptureClient } from "./capture.ts";
import { type HttpClient, type HttpClientOptions, openHttpClient } from "./client.ts";

/** What becomes of requests: `capture` records them as answers and sends nothing. */
export type HttpMode = "send" | "capture";

/** Opens the client for `mode`. */
export function openClient(mode: HttpMode, options: HttpClientOptions): HttpClient {
  switch (mode) {
    case "send":
      return openHttpClient(options);
    case "capture":
      return openCaptureClient(options);
  }
}
