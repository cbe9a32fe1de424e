const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A count; a dash where it is not known. */
export function count(value) {
  return known(value) ? WHOLE.format(value) : "–";
}

/** A number of any size, three digits of it. */
export function short(value) {
  return known(value) ? (Math.abs(value) >= 1000 ? WHOLE.format(value) : SHORT.format(value)) : "–";
}

const BYTES = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(value) {
  if (!known(value)) return "–";
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < BYTES.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${SHORT.format(size)} ${BYTES[unit]}`;
}

/** A time that passed, from milliseconds to days. */
export function seconds(value) {
  if (!known(value)) return "–";
  if (value === 0) return "0 s";
  if (value < 1) return `${SHORT.format(value * 1000)} ms`;
  if (value < 120) return `${SHORT.format(value)} s`;
  if (value < 7200) return `${WHOLE.format(value / 60)} min`;
  if (value < 172800) return `${SHORT.format(value / 3600)} h`;
  return `${WHOLE.format(value / 86400)} days`;
}

/** A time of the day in the browser's zone; with its date where that is another one. */
export function time(iso) {
  if (iso === null || iso === undefined) return "–";
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const today = new Date().toDateString() === date.toDateString();
  return today ? date.toLocaleTimeString("en-GB") : date.toLocaleString("en-GB");
}

function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}
