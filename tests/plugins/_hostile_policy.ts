/**
 * A policy that tries everything that a sandbox must not allow, and gives the outcomes as its options.
 * It is served on the loopback; the tests put the paths in.
 *
 * @module
 */
const SECRET_FILE = "SECRET_FILE";
const SECRET_VARIABLE = "KVJUDGE_TEST_SECRET";
const WRITTEN_FILE = "WRITTEN_FILE";
const BEACON = new URL("./beacon", import.meta.url).href;

/** The error, or `REACHED` and what was reached. */
async function attempt(reach: () => unknown): Promise<string> {
  const silence = new Promise((_, reject) => setTimeout(() => reject(new Error("silence")), 1000));
  try {
    return `REACHED ${JSON.stringify(await Promise.race([reach(), silence]))}`;
  } catch (error) {
    return `refused: ${error instanceof Error ? error.message.split("\n")[0] : error}`;
  }
}

const data = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
const importFile = `import j from "file://${SECRET_FILE}" with { type: "json" }; export default j`;
const threads: string = "node:worker_threads";

const ATTEMPTS: Readonly<Record<string, () => unknown>> = {
  "file: Deno.readTextFile": () => Deno.readTextFile(SECRET_FILE),
  "file: node:fs": async () => (await import("node:fs")).readFileSync(SECRET_FILE, "utf8"),
  "file: import": () => import(`file://${SECRET_FILE}`, { with: { type: "json" } }),
  "file: import from a data URL": () => import(data(importFile)),
  "file: fetch": async () => await (await fetch(`file://${SECRET_FILE}`)).text(),
  "file: list": () => [...Deno.readDirSync("/")].length,
  "file: stat": () => Deno.statSync(SECRET_FILE).size,
  "file: write": () => Deno.writeTextFileSync(WRITTEN_FILE, "x"),
  "file: temporary": () => Deno.makeTempFileSync(),
  "file: sqlite": async () => new (await import("node:sqlite")).DatabaseSync(WRITTEN_FILE),
  "file: worker thread": async () => {
    const { Worker } = await import(threads);
    const code = `const { parentPort } = require("node:worker_threads");
      try { parentPort.postMessage(Deno.readTextFileSync(${JSON.stringify(SECRET_FILE)})) }
      catch (error) { parentPort.postMessage("no") }`;
    const worker = new Worker(code, { eval: true });
    const answer: unknown = await new Promise((resolve) => worker.on("message", resolve));
    if (answer === "no") throw new Error("not in a worker either");
    return answer;
  },
  "variable: Deno.env.get": () => Deno.env.get(SECRET_VARIABLE) ?? Deno.env.get("HOME"),
  "variable: Deno.env.toObject": () => Deno.env.toObject(),
  "variable: process.env": async () => {
    const { env } = await import("node:process");
    const found = Object.keys(env);
    if (found.length === 0) throw new Error("there are none");
    return found;
  },
  "program: Deno.Command": () => new Deno.Command("true").outputSync().code,
  "program: Deno itself": () =>
    new Deno.Command(Deno.execPath(), { args: ["--version"] }).outputSync().code,
  "program: node:child_process": async () =>
    (await import("node:child_process")).execFileSync("true").length,
  "program: kill": () => Deno.kill(Deno.ppid, "SIGCONT"),
  "program: library": () => Deno.dlopen("libc.so.6", {}),
  "network: fetch": async () => (await fetch(`${BEACON}-fetch`)).status,
  "network: import": () => import(`${BEACON}-import.ts`),
  "network: import JSON": () => import(`${BEACON}-import.json`, { with: { type: "json" } }),
  "network: import from a data URL": () => import(data(`import "${BEACON}-data.ts"`)),
  "network: connect": async () => {
    using connection = await Deno.connect({
      hostname: "127.0.0.1",
      port: Number(new URL(BEACON).port),
    });
    return connection.localAddr;
  },
  "network: listen": () => Deno.listen({ port: 0 }).addr,
  "network: WebSocket": () =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(BEACON.replace("http", "ws"));
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("no socket"));
    }),
  "network: node:http": async () => {
    const { get } = await import("node:http");
    return await new Promise((resolve, reject) => {
      get(`${BEACON}-node`, (response) => resolve(response.statusCode)).on("error", reject);
    });
  },
  "network: names": () => Deno.resolveDns("example.com", "A"),
  "memory of another run: localStorage": () => localStorage.length,
  "memory of another run: caches": () => caches.keys(),
  "permission: ask": async () => {
    const { state } = await Deno.permissions.request({ name: "read" });
    if (state !== "granted") throw new Error(state);
    return state;
  },
};

export default async function hostile() {
  const outcomes: Record<string, string> = {};
  for (const [name, reach] of Object.entries(ATTEMPTS)) outcomes[name] = await attempt(reach);
  return {
    name: "hostile",
    evidence: { kind: "none" },
    options: outcomes,
    score: ({ kvHeads, length }: { kvHeads: number; length: number }) =>
      new Float32Array(kvHeads * length),
  };
}
