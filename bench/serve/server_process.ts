import { fileURLToPath } from "node:url";

/** A server that was started to be loaded. */
export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  /** Bytes of memory that it and its engine hold; `undefined` where the system does not say. */
  memory(): Promise<number | undefined>;
}

/** Starts `kvjudge serve` on a free port and waits until it is ready. */
export async function startServerProcess(args: readonly string[]): Promise<ServerProcess> {
  const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", cli, "serve", "--port", "0", ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!/^ready with/m.test(said)) {
    const { value, done } = await log.read();
    if (done) break;
    said += value;
  }
  const url = /listening on (\S+)/.exec(said)?.[1];
  if (url === undefined || !/^ready with/m.test(said)) {
    throw new Error(`the server did not start: ${said}`);
  }
  return {
    url,
    memory: () => memoryOfTree(child.pid),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      while (!(await log.read()).done);
      await child.status;
    },
  };
}

/** Resident memory of a process and its children, on Linux. */
async function memoryOfTree(root: number): Promise<number | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  const all: { readonly pid: number; readonly parent: number; readonly bytes: number }[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = await Deno.readTextFile(`/proc/${name}/status`);
      const field = (key: string) =>
        Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)?.[1]);
      all.push({ pid: Number(name), parent: field("PPid"), bytes: field("VmRSS") * 1024 || 0 });
    } catch {
      // It has ended meanwhile.
    }
  }
  const sum = (pid: number): number =>
    all.filter(({ parent }) => parent === pid).reduce(
      (total, child) => total + sum(child.pid),
      all.find((one) => one.pid === pid)?.bytes ?? 0,
    );
  return sum(root);
}
