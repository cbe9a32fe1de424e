/** How a name is completed before it is asked for, see resolv.conf(5). */
export interface SearchRules {
  /** A name with at least this many dots is first asked for as it is. */
  readonly ndots: number;
  readonly domains: readonly string[];
}

/** More domains than this are no honest search list: each unknown name would be asked for in all of them. */
const MOST_DOMAINS = 32;
const MOST_NDOTS = 15;

/** The rules in a resolv.conf; without a list the domain of `hostname`, this machine's name, is searched. */
export function parseSearchRules(text: string, hostname: string): SearchRules {
  let ndots = 1;
  const [, own = ""] = /^[^.]+\.(.+)$/.exec(hostname) ?? [];
  let domains = [own];
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line.trimEnd().split(/\s+/);
    if (keyword === "search") domains = words;
    else if (keyword === "domain") domains = words.slice(0, 1);
    else if (keyword === "options") {
      for (const word of words) ndots = Number(/^ndots:(\d{1,3})$/.exec(word)?.[1] ?? ndots);
    }
  }
  const named = domains.map((domain) => domain.toLowerCase().replace(/^\.|\.$/g, "")).filter((domain) => domain !== "");
  return { ndots: Math.min(ndots, MOST_NDOTS), domains: named.slice(0, MOST_DOMAINS) };
}

/** Full names that `name` may stand for, without dots at their ends, in the order they are asked for. */
export function candidates(name: string, { ndots, domains }: SearchRules): readonly string[] {
  if (name.endsWith(".")) return [name.slice(0, -1)];
  const dots = name.split(".").length - 1;
  const completed = domains.map((domain) => `${name}.${domain}`);
  return dots >= ndots ? [name, ...completed] : [...completed, name];
}
