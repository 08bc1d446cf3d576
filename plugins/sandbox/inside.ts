import type { Bytes, createPeer } from "./peer.ts";
import type { describePolicy } from "./describe_policy.ts";

/** Number of the function that the sandbox offers: it makes the policy. */
export const CREATE = 0;

/** What the source of {@linkcode runInside} is called with; the source of functions is sent as well. */
export interface InsideTools {
  readonly createPeer: typeof createPeer;
  readonly describePolicy: typeof describePolicy;
  /** Names of all that a policy may have. */
  readonly members: readonly string[];
}

/**
 * What runs in the process of a sandbox: loads a plugin when asked to and makes its policy.
 *
 * Its source is sent there, so it uses nothing from outside itself.
 */
export async function runInside(tools: InsideTools): Promise<void> {
  const { stdin, stdout, exit } = Deno;
  // Storage is no permission of Deno's: without it a policy keeps nothing of what it saw.
  for (const name of ["localStorage", "sessionStorage", "caches", "Worker"]) {
    Object.defineProperty(globalThis, name, { value: undefined });
  }
  const read = async (size: number): Promise<Bytes> => {
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const count = await stdin.read(bytes.subarray(filled));
      if (count === null) exit(0);
      filled += count ?? 0;
    }
    return bytes;
  };
  const write = async (bytes: Bytes): Promise<void> => {
    let written = 0;
    while (written < bytes.length) written += await stdout.write(bytes.subarray(written));
  };
  const errorOf = (name: string, message: string): Error =>
    Object.assign(new Error(message), { name });
  const peer = tools.createPeer({ read, write, errorOf, onPrint: () => {}, onEnd: () => exit(1) });
  // Standard output carries the answers.
  const print = (...values: unknown[]) => {
    const shown = values.map((value) => typeof value === "string" ? value : Deno.inspect(value));
    peer.print(shown.join(" "));
  };
  for (const name of ["log", "info", "debug", "warn", "error"] as const) console[name] = print;
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    print("Unhandled rejection:", event.reason);
  });

  peer.expose(0, async (address, options) => {
    const module: Record<string, unknown> = await import(String(address));
    const create = module.default;
    // Said by the other side, which knows the address.
    if (typeof create !== "function") return { found: typeof create };
    return { policy: tools.describePolicy(await create(options), tools.members) };
  });
  // The other side is gone, or speaks another language.
  await peer.serve().catch(() => exit(1));
}
