/** A public advisory about a sender of webhooks or an HTTP client, and what becomes of the same attempt here. */
export interface Advisory {
  readonly id: `CVE-${number}-${number}`;
  readonly product: string;
  /** What could be done there; in Markdown, one line. */
  readonly was: string;
  /** What happens here; in Markdown, one line. */
  readonly here: string;
}

/** What is alike in a list of advisories, and the list. */
function topic<const T extends readonly Advisory[]>(
  name: string,
  list: T,
): { readonly topic: string; readonly list: T } {
  return { topic: name, list };
}

/**
 * The advisories of `test/integration/advisories.test.ts`, which has a case for each, and of the tables in
 * `docs/security.md`. What they say is taken from their records in the CVE List.
 */
export const ADVISORIES = [
  topic("Addresses that must not be reached", [
    {
      id: "CVE-2026-105636",
      product: "Plane",
      was: "the webhook's url was judged, the redirects that its server answered with were not",
      here: "each redirect is judged like the first address",
    },
    {
      id: "CVE-2026-104973",
      product: "Plane",
      was: "the name was judged when the webhook was made and resolved again for sending (DNS rebinding)",
      here: "the addresses of a name are judged for each connection, and the connection goes to what was judged",
    },
    {
      id: "CVE-2026-34590",
      product: "Postiz",
      was: "one of several ways to make a webhook did not judge its url, and sending relied on it",
      here: "addresses are judged when a request is sent, however its row was made",
    },
    {
      id: "CVE-2026-68558",
      product: "WeKan",
      was: "a host name was compared with patterns of addresses, and its addresses of one family were judged",
      here: "all addresses of a name are judged, of both families",
    },
    {
      id: "CVE-2026-105689",
      product: "Penpot",
      was: "NAT64, 6to4 and Teredo addresses carried an internal IPv4 address past the check",
      here: "the IPv4 address within NAT64's is judged; 6to4 and Teredo are refused",
    },
    {
      id: "CVE-2026-55473",
      product: "HomeBox",
      was: "`64:ff9b::/96` and `64:ff9b:1::/48` led to metadata services where NAT64 is in use",
      here: "the IPv4 address within the first is judged; the second is refused as a whole",
    },
    {
      id: "CVE-2026-62668",
      product: "Grav API plugin",
      was: "`file`, `dict` and `gopher` urls were fetched",
      here: "anything but `http` and `https` is an error, in redirects too",
    },
    {
      id: "CVE-2024-46990",
      product: "Directus",
      was: "of the loopback network only `127.0.0.1` and `0.0.0.0` were refused",
      here: "the networks of IANA's registry are refused as a whole",
    },
    {
      id: "CVE-2024-29415",
      product: "ip (npm)",
      was: "`127.1`, `01200034567`, `012.1.2.3`, `000:0:0000::01` and `::fFFf:127.0.0.1` counted as public",
      here: "spellings are read before the address is judged",
    },
    {
      id: "CVE-2025-8020",
      product: "private-ip (npm)",
      was: "multicast addresses counted as public",
      here: "they are refused",
    },
    {
      id: "CVE-2023-28155",
      product: "request (npm)",
      was: "a redirect from http to https, or back, evaded the check",
      here: "a redirect to the other scheme is judged like any",
    },
    {
      id: "CVE-2024-39338",
      product: "axios",
      was: "a path was mistaken for a url without a scheme, and its first part for a host",
      here: "a url without a scheme is an error; in a redirect its host is judged",
    },
    {
      id: "CVE-2024-22243",
      product: "Spring Framework",
      was: "the parser that judged the host read another one than the client",
      here: "there is one parser, and what counts is the address connected to",
    },
    {
      id: "CVE-2025-22870",
      product: "Go x/net",
      was: "the zone of an IPv6 address was compared with the hosts of `NO_PROXY`",
      here: "zones are errors, and no variable of the environment names a proxy",
    },
    {
      id: "CVE-2025-1220",
      product: "PHP",
      was: "a NUL ended the name for the resolver and not for the check",
      here: "a host name with NUL is an error",
    },
    {
      id: "CVE-2024-12224",
      product: "idna (Rust)",
      was: "a Punycode label without any other character stood for another name",
      here: "a name is looked up as it is written, and its addresses are judged",
    },
  ]),
  topic("Secrets that go elsewhere", [
    {
      id: "CVE-2024-30260",
      product: "undici",
      was: "`Authorization` and `Proxy-Authorization` followed a redirect to another origin",
      here: "they do not",
    },
    {
      id: "CVE-2026-48595",
      product: "Tesla (Elixir)",
      was: "`Authorization` was removed only where it was in lower case",
      here: "the case of a name does not matter",
    },
    {
      id: "CVE-2026-40895",
      product: "follow-redirects (npm)",
      was: "`X-API-Key`, `X-Auth-Token` and their like followed a redirect to another origin",
      here: "`apikey`, `X-Api-Key` and `X-Auth-Token` do not; other names of your own do",
    },
    {
      id: "CVE-2024-45336",
      product: "Go net/http",
      was: "headers removed by a redirect elsewhere came back with the next redirect",
      here: "what is removed stays out, also on the way back",
    },
    {
      id: "CVE-2023-45289",
      product: "Go net/http",
      was: "redirects to what looked like a subdomain took credentials with them",
      here: "another host is another origin, subdomains too",
    },
    {
      id: "CVE-2023-45143",
      product: "undici",
      was: "`Cookie` followed a redirect to another origin",
      here: "it does not; and cookies that a server sets are not kept",
    },
    {
      id: "CVE-2023-45803",
      product: "urllib3",
      was: "a redirect that turns POST into GET kept the body",
      here: "the body and its headers stay behind",
    },
    {
      id: "CVE-2024-47081",
      product: "Requests (Python)",
      was: "credentials of `.netrc` went to the wrong host for a url such as `http://example.com:@other.test/`",
      here: "no `.netrc` is read",
    },
    {
      id: "CVE-2023-0833",
      product: "OkHttp",
      was: "the message about a malformed header had its value in it",
      here: "messages and log name the header, never the value",
    },
  ]),
  topic("Requests and answers that are mistaken for others", [
    {
      id: "CVE-2026-1525",
      product: "undici",
      was: "`Content-Length` and `content-length` were both sent",
      here: "headers of the connection are the connection's own",
    },
    {
      id: "CVE-2026-1527",
      product: "undici",
      was: "line breaks in the value of `Upgrade` made headers and requests",
      here: "such a value is an error, and no `Upgrade` is sent",
    },
    {
      id: "CVE-2023-23936",
      product: "undici",
      was: "line breaks in the value of `Host` made headers and requests",
      here: "such a value is an error",
    },
    {
      id: "CVE-2023-49082",
      product: "aiohttp",
      was: "line breaks in the method made headers and requests",
      here: "methods are a closed set, in SQL and in the daemon",
    },
    {
      id: "CVE-2026-6733",
      product: "undici",
      was: "an answer that a server sent without a question was given to the next request",
      here: "it ends the connection; the next request has another",
    },
    {
      id: "CVE-2025-22871",
      product: "Go net/http",
      was: "a bare line feed ended the line with the size of a chunk",
      here: "such an answer is an error, and its connection is closed",
    },
  ]),
  topic("Answers that use up the client", [
    {
      id: "CVE-2026-22036",
      product: "undici",
      was: "thousands of codings over each other were undone",
      here: "more than five are an error",
    },
    {
      id: "CVE-2026-84890",
      product: "undici",
      was: "a small compressed answer was decompressed to any size",
      here: "decompression ends at `http.maxResponseBytes`",
    },
    {
      id: "CVE-2024-22025",
      product: "Node.js fetch",
      was: "a small answer in Brotli was decompressed to any size",
      here: "decompression ends at `http.maxResponseBytes`",
    },
    {
      id: "CVE-2026-21441",
      product: "urllib3",
      was: "the content of a redirect was decompressed without a bound",
      here: "the content of a redirect that is followed is not decompressed at all",
    },
    {
      id: "CVE-2023-38039",
      product: "curl",
      was: "headers of an answer were kept without a bound",
      here: "more than 64 KiB of them are an error",
    },
    {
      id: "CVE-2023-39326",
      product: "Go net/http",
      was: "chunk extensions made a client read far more than the content",
      here: "nothing of them is kept, and the deadline of the request holds",
    },
    {
      id: "CVE-2025-47279",
      product: "undici",
      was: "each request to a server with a bad certificate left memory behind",
      here: "none is left",
    },
    {
      id: "CVE-2025-58754",
      product: "axios",
      was: "a `data:` url was decoded whatever its size",
      here: "it is an error",
    },
    {
      id: "CVE-2023-24807",
      product: "undici",
      was: "white space in a header value took a regular expression quadratic time",
      here: "values are read in linear time",
    },
  ]),
  topic("Certificates", [
    {
      id: "CVE-2025-27820",
      product: "Apache HttpClient",
      was: "the host name was not compared with the certificate",
      here: "it is, for every connection, and nothing switches that off",
    },
  ]),
] as const;

/** Every id above. */
export type AdvisoryId = (typeof ADVISORIES)[number]["list"][number]["id"];
