import { authorityOfLane, type Lane } from "../outbox/lane.ts";

/** So many lanes that had an answer are remembered, and so many authorities. */
const MOST = 1_000;

/** Lanes and authorities that had an answer, with their hosts; the latest at the end. */
export class AnsweredLanes {
  readonly #isResponsive: (host: string) => boolean;
  readonly #lanes = new Map<Lane, string>();
  readonly #authorities = new Map<string, string>();

  constructor(isResponsive: (host: string) => boolean) {
    this.#isResponsive = isResponsive;
  }

  /** Those of responsive hosts. */
  get lanes(): readonly Lane[] {
    return this.#ofResponsive(this.#lanes);
  }

  /** The authorities of responsive hosts. */
  get authorities(): readonly string[] {
    return this.#ofResponsive(this.#authorities);
  }

  #ofResponsive(hosts: ReadonlyMap<string, string>): readonly string[] {
    return [...hosts].filter(([, host]) => this.#isResponsive(host)).map(([key]) => key);
  }

  /** True for a lane of a responsive host, whether it had an answer itself or another lane of its authority. */
  isResponsive(lane: Lane): boolean {
    const host = this.#lanes.get(lane) ?? this.#authorities.get(authorityOfLane(lane) ?? "");
    return host !== undefined && this.#isResponsive(host);
  }

  answered(lane: Lane, host: string): void {
    remember(this.#lanes, lane, host);
    const authority = authorityOfLane(lane);
    if (authority !== null) remember(this.#authorities, authority, host);
  }
}

function remember(hosts: Map<string, string>, key: string, host: string): void {
  hosts.delete(key);
  hosts.set(key, host);
  if (hosts.size <= MOST) return;
  const [oldest] = hosts.keys();
  if (oldest !== undefined) hosts.delete(oldest);
}
