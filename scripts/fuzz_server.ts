/**
 * Sends requests that nearly are in order to a server and reports the first that is answered with a
 * failure of the server's own, or not at all: `deno task fuzz-server --count N --seed S`. With
 * `--url URL` a server that runs is asked, without it one that has no model.
 *
 * @module
 */
import { parseArgs } from "node:util";
import fc from "npm:fast-check@4.10.2";
import { checkReply, MUTATED } from "../tests/server/_mutated_requests.ts";
import { testApp } from "../tests/server/_test_app.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    url: { type: "string" },
  },
});
const { url } = values;
const app = testApp();
const ask = url === undefined ? app.fetch : async (request: Request) => {
  const { pathname } = new URL(request.url);
  const { method, headers } = request;
  const body = request.body ? { body: await request.bytes() } : {};
  return await fetch(new URL(pathname, url), { method, headers, ...body });
};
const seen = new Map<number, number>();
await fc.assert(
  fc.asyncProperty(MUTATED, async (request) => {
    const status = await checkReply(ask, request, url === undefined ? 10_000 : 120_000);
    seen.set(status, (seen.get(status) ?? 0) + 1);
  }),
  { numRuns: Number(values.count), seed: Number(values.seed) },
);
const counts = [...seen].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`);
console.log(`${values.count} requests, none of them failed (${counts.join(", ")})`);
