import { type LookupAddress } from "node:dns";
import { type Socket, connect as connectTcp, isIP } from "node:net";
import { type buildConnector } from "undici";
import { type SharedResolve } from "../dns/resolve.ts";
import { type Guard } from "./guard.ts";
import { type CrumbPace } from "./paced-read.ts";
import { type TlsBounds } from "./tls-bounds.ts";

/** The host has no address that may be connected to (P12). */
export class RefusedAddress extends Error {
  readonly code = "REFUSED_ADDRESS";
  readonly hostname: string;
  readonly address: string;

  constructor(hostname: string, address: string) {
    super(`refused address ${address}`);
    this.hostname = hostname;
    this.address = address;
  }
}

/** What all attempts of one client share. */
export interface Connecting {
  readonly guard: Guard;
  readonly resolve: SharedResolve;
  /** undici's connector for TLS over an open socket. */
  readonly startTls: buildConnector.connector;
  /** Connections open now. */
  openSockets: number;
  readonly pace: CrumbPace;
  readonly tlsBounds: TlsBounds;
}

/** Where a connection is made to. */
export interface Target {
  readonly protocol: string;
  /** A name or an address, IPv6 without brackets. */
  readonly hostname: string;
  /** Empty for the protocol's own port. */
  readonly port: string;
}

/** How long one address is tried when others are left, in milliseconds. */
const NEXT_ADDRESS_AFTER_MS = 1_000;

/** One attempt to open a connection: name, addresses, TCP, TLS. The guard judges before each step that leaves the machine. */
export class Attempt {
  readonly startedAt = performance.now();
  /** When the addresses were known, null before. */
  resolvedAt: number | null = null;
  /** When the handshakes were done, null before. */
  readyAt: number | null = null;
  stage: "dns" | "tcp" | "tls" | "ready" = "dns";
  readonly #target: Target;
  readonly #connecting: Connecting;
  readonly #done: buildConnector.Callback;
  #giveUpName: (() => void) | null = null;
  #leaveHandshake: (() => void) | null = null;
  #socket: Socket | null = null;
  #ended = false;

  constructor(target: Target, connecting: Connecting, done: buildConnector.Callback) {
    this.#target = target;
    this.#connecting = connecting;
    this.#done = done;
    const family = isIP(target.hostname);
    // Not before the constructor has returned: who hears of the end asks the attempt how far it came.
    if (family !== 0) queueMicrotask(() => this.#connect([{ address: target.hostname, family }]));
    else this.#lookUp();
  }

  get isSecured(): boolean {
    return this.#target.protocol === "https:";
  }

  /** Bytes that came over the connection, those of TLS included. */
  get receivedBytes(): number {
    return this.#socket?.bytesRead ?? 0;
  }

  /** Ends the attempt as failed with `error`, unless it has ended. */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#giveUpName?.();
    this.#leaveHandshake?.();
    this.#socket?.destroy();
    this.#done(error, null);
  }

  #lookUp(): void {
    this.#giveUpName = this.#connecting.resolve(this.#target.hostname, (error, addresses) => {
      this.#giveUpName = null;
      if (error !== null) this.fail(error);
      else this.#connect(addresses);
    });
  }

  #connect(addresses: readonly LookupAddress[]): void {
    if (this.#ended) return;
    const { hostname, port, protocol } = this.#target;
    const first = addresses[0];
    if (first === undefined) {
      this.fail(new Error("the name has no address"));
      return;
    }
    this.resolvedAt = first.address === hostname ? this.startedAt : performance.now();
    const allowed = addresses.filter(({ address }) => this.#connecting.guard.allows(address));
    if (allowed.length === 0) {
      this.fail(new RefusedAddress(hostname, first.address));
      return;
    }
    this.stage = "tcp";
    const socket = connectTcp({
      host: hostname,
      port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
      // Hands over what was resolved and judged; the name is not looked up again.
      lookup: (_hostname, options, found) => {
        if (options.all === true) found(null, allowed);
        else found(null, allowed[0]?.address ?? "", allowed[0]?.family);
      },
    });
    this.#socket = socket;
    socket.on("error", (error) => this.fail(error));
    socket.once("connect", () => this.#connected(socket));
  }

  #connected(socket: Socket): void {
    if (this.#ended) return;
    const { hostname, protocol, port } = this.#target;
    const address = socket.remoteAddress ?? "unknown";
    if (!this.#connecting.guard.allows(address)) this.fail(new RefusedAddress(hostname, address));
    else if (this.isSecured) {
      this.stage = "tls";
      this.#leaveHandshake = this.#connecting.tlsBounds.watchHandshake(
        () => this.receivedBytes,
        () => this.fail(new Error("more came than a handshake takes")),
      );
      const servername = isIP(hostname) === 0 ? hostname.replace(/\.$/, "") : "";
      this.#connecting.startTls({ hostname, protocol, port, servername, httpSocket: socket }, (error, secured) => {
        this.#leaveHandshake?.();
        if (error !== null) this.fail(error);
        else this.#ready(secured);
      });
    } else this.#ready(socket);
  }

  #ready(socket: Socket): void {
    if (this.#ended) {
      socket.destroy();
      return;
    }
    this.#ended = true;
    this.stage = "ready";
    this.readyAt = performance.now();
    this.#connecting.openSockets++;
    socket.once("close", () => this.#connecting.openSockets--);
    this.#done(null, socket);
  }
}
