import { queueAddress } from "../../queue/address.ts";
import { connect } from "../../queue/connection.ts";
import { untilUp } from "../../scripts/until_up.ts";

/** Servers that speak Redis' protocol, the first that is installed. */
const PROGRAMS = ["redis-server", "valkey-server"];

/** The program of a queue's server, if one is installed. */
export const QUEUE_SERVER: string | undefined = PROGRAMS.find((name) => {
  try {
    return new Deno.Command(name, { args: ["--version"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
});

/** Marks tests that need a queue's server: without one they are skipped by name. */
export const withoutServer = { ignore: QUEUE_SERVER === undefined };

/** A real server, on a port of its own. */
export interface QueueServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on what its file says. */
  restart(): Promise<void>;
}

/** A port that nobody listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts a server that writes each command to its file before it answers. */
export async function startQueueServer(args: readonly string[] = []): Promise<QueueServer> {
  const folder = await Deno.makeTempDir({ prefix: "kvjudge-queue-" });
  const port = freePort();
  const start = () =>
    new Deno.Command(QUEUE_SERVER ?? "", {
      args: [
        ...["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", ""],
        ...["--appendonly", "yes", "--appendfsync", "always", ...args],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  let child = start();
  await listening(port);
  const kill = async () => {
    child.kill("SIGKILL");
    await child.status;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    async restart() {
      child = start();
      await listening(port);
    },
    async [Symbol.asyncDispose]() {
      await kill();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Waits until a server that was just started takes connections. */
const listening = (port: number) =>
  untilUp(async () => (await Deno.connect({ hostname: "127.0.0.1", port })).close());

/** A client of a server. */
export async function clientOf({ url }: Pick<QueueServer, "url">) {
  const client = await connect(queueAddress(url));
  return Object.assign(client, { [Symbol.dispose]: () => client.disconnect() });
}

/** Keys that a run has left, once workers have seen that it is gone. */
export async function leftBehind(server: QueueServer): Promise<readonly string[]> {
  using client = await clientOf(server);
  const left = async () =>
    (await client.keys("kvjudge:*")).filter((key) => !/:workers?\b/.test(key));
  for (let tries = 0; tries < 100 && (await left()).length > 0; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return await left();
}
