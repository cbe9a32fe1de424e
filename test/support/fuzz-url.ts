import fc from "fast-check";
import { SECRET, mostly } from "./fuzz-row.ts";

/** Addresses that no request may reach, of each kind that the guard knows. 127.0.0.1 alone is allowed in fuzz runs. */
const FORBIDDEN_V4 = (
  "0.0.0.0 10.0.0.1 100.100.100.200 127.0.0.2 127.255.255.254 168.63.129.16 169.254.169.254 172.16.0.1 192.0.0.192 " +
  "192.0.2.1 192.168.0.1 198.18.0.1 203.0.113.1 224.0.0.1 255.255.255.255"
).split(" ");
const FORBIDDEN_V6 = (
  ":: ::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 2001:db8::1 3fff::1 100::1 2001:0:7f00:2:: 2002:7f00:2:: " +
  "64:ff9b:1::7f00:2 64:ff9b::7f00:2 64:ff9b::a9fe:a9fe ::7f00:2 ::ffff:7f00:2 ::ffff:a00:1 ::ffff:0:7f00:2"
).split(" ");

type Octets = readonly [number, number, number, number];

function octets(address: string): Octets {
  const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
  return [a, b, c, d];
}

function asNumber([a, b, c, d]: Octets): number {
  return a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d;
}

/** One part of an address in decimal, octal or hexadecimal, with zeros in front where that changes nothing. */
function part(value: number, style: number): string {
  return (
    [
      String(value),
      `0${value.toString(8)}`,
      `0x${value.toString(16)}`,
      `0X00${value.toString(16).toUpperCase()}`,
      `000${value.toString(8)}`,
    ][style % 5] ?? ""
  );
}

const WIDE = "０１２３４５６７８９";
const CIRCLED = "⓪①②③④⑤⑥⑦⑧⑨";
const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function inDigits(address: string, digits: string, dot: string): string {
  return address.replaceAll(/./g, (one) => (one === "." ? dot : (Array.from(digits)[Number(one)] ?? one)));
}

/** Writes an IPv4 address as it need not be written. */
function spellV4(address: string, how: number, style: number): string {
  const all = octets(address);
  const [a, b, c, d] = all;
  const forms = [
    address,
    `${address}.`,
    part(asNumber(all), style),
    all.map((one, at) => part(one, style + at)).join("."),
    `${part(a, style)}.${part(b * 2 ** 16 + c * 2 ** 8 + d, style + 1)}`,
    `${part(a, style)}.${part(b, style)}.${part(c * 2 ** 8 + d, style)}`,
    inDigits(address, WIDE, "．"),
    inDigits(address, CIRCLED, "。"),
    inDigits(address, SUPERSCRIPT, "."),
    address.replaceAll(/./g, (one) => `%${one.charCodeAt(0).toString(16)}`),
    address.replace(".", "%2e"),
    address.replace(".", "\t."),
    address.replace(".", ".\n"),
    `${address.slice(0, 2)}\u00ad${address.slice(2)}`,
    `[::ffff:${address}]`,
    `[0:0:0:0:0:FFFF:${address}]`,
    `[::${address}]`,
    `[64:ff9b::${address}]`,
    `[::ffff:0:${address}]`,
    `[${address}]`,
  ];
  return forms[how % forms.length] ?? address;
}

/** Writes an IPv6 address as it need not be written. */
function spellV6(address: string, how: number): string {
  const full = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const forms = [
    `[${address}]`,
    `[${address.toUpperCase()}]`,
    `[${full}]`,
    `[${full.replace("::", ":0:")}]`,
    `[${address}%25lo]`,
    `[${address}%lo]`,
    `%5B${address}%5D`,
    `[${address}]x`,
  ];
  return forms[how % forms.length] ?? full;
}

/** A host that stands for a forbidden address, or for nothing. */
const forbiddenHost = mostly<string>(
  [
    6,
    fc
      .tuple(fc.constantFrom(...FORBIDDEN_V4), fc.nat(19), fc.nat(4))
      .map(([address, how, style]) => spellV4(address, how, style)),
  ],
  [3, fc.tuple(fc.constantFrom(...FORBIDDEN_V6), fc.nat(7)).map(([address, how]) => spellV6(address, how))],
);

const scheme = mostly<string>(
  [
    12,
    fc.constantFrom(
      "http://",
      "https://",
      "HTTP://",
      "hTtPs://",
      "http:",
      "http:/",
      "http:\\\\",
      "http:///",
      "http:/\\",
      " http://",
      "\thttp://",
      "ht\ntp://",
    ),
  ],
  [
    1,
    fc.constantFrom(
      "ftp://",
      "file://",
      "gopher://",
      "dict://",
      "ldap://",
      "ws://",
      "data:",
      "javascript:",
      "blob:http://",
      "//",
      "",
      "http+unix://",
    ),
  ],
);

const userinfo = mostly<string>(
  [6, fc.constant("")],
  [
    3,
    fc.constantFrom(
      `user:${SECRET}@`,
      "@",
      ":@",
      "127.0.0.1@",
      "127.0.0.1:80@",
      "a@b@",
      "%00@",
      "127.0.0.1%23@",
      "127.0.0.1%2f@",
      "localhost:@",
    ),
  ],
);

const tail = mostly<string>(
  [4, fc.constant(`/case?token=${SECRET}`)],
  [
    4,
    fc.constantFrom(
      "",
      "/",
      "\\",
      "?",
      "#",
      "/..",
      "/%2e%2e/",
      "/\\x",
      "/a b",
      "/\u0000",
      "/é",
      "#@127.0.0.1/",
      "\\@127.0.0.1/",
      "/?a=b#c",
      "//127.0.0.1/",
    ),
  ],
  [2, fc.webPath()],
  [1, fc.string({ unit: "binary", maxLength: 20 }).map((text) => `/${text}`)],
);

const portText = (port: number): fc.Arbitrary<string> =>
  mostly<string>(
    [8, fc.constant(`:${port}`)],
    [2, fc.constantFrom("", ":", ":80", ":0", ":65536", ":-1", `:0${port}`, `:00000${port}`, ":a", `:${port} `)],
  );

const HARMLESS: ReadonlySet<string> = new Set([
  ...FORBIDDEN_V4.map((address) => new URL(`http://${address}`).hostname),
  ...FORBIDDEN_V4.flatMap((address) =>
    ["::ffff:", "::", "64:ff9b::", "::ffff:0:"].map((prefix) => new URL(`http://[${prefix}${address}]`).hostname),
  ),
  ...FORBIDDEN_V6.map((address) => new URL(`http://[${address}]`).hostname),
]);

/** False for what a generator wrote by accident: a name or a public address, of which nothing is to be asked. */
function isHarmless(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !url.protocol.startsWith("http")) return true;
  return HARMLESS.has(url.hostname.replace(/\.$/, ""));
}

/** Urls of which none may reach a listener on `port`, whichever address of this machine it has, except 127.0.0.1. */
export function forbiddenUrl(port: number): fc.Arbitrary<string> {
  return fc
    .tuple(scheme, userinfo, forbiddenHost, portText(port), tail)
    .map((parts) => parts.join(""))
    .filter(isHarmless);
}

/** Text that is no url, mostly. */
const garbage = mostly<string>(
  [3, fc.string({ maxLength: 40 })],
  [2, fc.string({ unit: "binary", maxLength: 40 })],
  [
    1,
    fc.constantFrom(
      "",
      " ",
      "http",
      "http://",
      "https://?",
      "http://#",
      "http:// /",
      "http://[",
      "http://[::1",
      "http://%",
      "http://a b/",
      `${SECRET}`,
    ),
  ],
  [0.02, fc.integer({ min: 1, max: 200 }).map((times) => `http://10.0.0.1/${SECRET.repeat(times * 100)}`)],
).filter(isHarmless);

/** Urls of a row: those that answer, those that cannot, and what is none. `open` answers, nobody listens on port 9. */
export function anyUrl(open: string, closedPort: number): fc.Arbitrary<string> {
  return mostly<string>(
    [3, tail.map((end) => `${open}${end.startsWith("/") ? end : ""}`)],
    [1, fc.constant(`http://127.0.0.1:9/?${SECRET}`)],
    [4, forbiddenUrl(closedPort)],
    [2, garbage],
  );
}
