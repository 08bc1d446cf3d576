import { queueAddress } from "../../queue/address.ts";
import { checkQueue } from "../../queue/connection.ts";
import { untilUp } from "../../scripts/until_up.ts";

/** A queue's server of the bench's own. */
export interface BenchServer extends AsyncDisposable {
  readonly url: string;
}

/** Starts a server that keeps its jobs in an append-only file, as in use. */
export async function startServer(): Promise<BenchServer> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const folder = await Deno.makeTempDir({ prefix: "kvjudge-bench-" });
  const child = new Deno.Command("redis-server", {
    args: [
      ...["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", ""],
      ...["--appendonly", "yes", "--appendfsync", "everysec"],
    ],
    stdin: "null",
    stdout: "null",
  }).spawn();
  const url = `redis://127.0.0.1:${port}`;
  await untilUp(() => checkQueue(queueAddress(url)));
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
      await Deno.remove(folder, { recursive: true });
    },
  };
}
