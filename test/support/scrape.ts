/** What one scrape said, by `name{label="value",…}` without the label `database`. */
export interface Scraped {
  readonly text: string;
  readonly names: readonly string[];
  /** NaN where there is no such value. */
  value(series: string): number;
  /** The sum of all values whose series begins like this. */
  sum(prefix: string): number;
}

/** Scrapes `/metrics` of a daemon. */
export async function scrape(address: string): Promise<Scraped> {
  const response = await fetch(`${address}/metrics`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status} ${text}`);
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null) continue;
    const [, name = "", labels = "", value = ""] = match;
    const others = labels.split(/,(?=[a-z_]+=")/).filter((label) => label !== "" && !label.startsWith("database="));
    const series = others.length === 0 ? name : `${name}{${others.join(",")}}`;
    values.set(series, value === "+Inf" ? Infinity : Number(value));
  }
  const sum = (prefix: string): number =>
    [...values].reduce((total, [series, value]) => (series.startsWith(prefix) ? total + value : total), 0);
  return { text, names: [...values.keys()], value: (series) => values.get(series) ?? Number.NaN, sum };
}
