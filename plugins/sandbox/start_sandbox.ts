import { BudgetError, EvidenceError, PolicyError } from "../../runtime/errors.ts";
import { POLICY_MEMBERS } from "../../policies/contract/members.ts";
import { OptionError } from "../../policies/policy.ts";
import { oneLine } from "../one_line.ts";
import { lockedCommand, started } from "./deno_program.ts";
import { describePolicy } from "./describe_policy.ts";
import { fetchModules } from "./fetch_modules.ts";
import { runInside } from "./inside.ts";
import { localFiles } from "./list_modules.ts";
import { type Bytes, createPeer, type Peer } from "./peer.ts";

/** What a policy in a sandbox may use. */
export interface SandboxLimits {
  /** Milliseconds for one answer. */
  readonly time: number;
  /** Bytes of memory: held to on Linux, elsewhere only for JavaScript's heap. */
  readonly memory: number;
}

/** A process without permissions, and the way to talk to it. */
export interface Sandbox extends AsyncDisposable {
  readonly peer: Peer;
  /**
   * Awaits an answer for no longer than the limit, then kills the process.
   *
   * @param doing What it is that may take too long, as in "gave no scores".
   */
  limited<T>(doing: string, answer: () => Promise<T>): Promise<T>;
}

/** What {@linkcode startSandbox} needs to know. */
export interface SandboxRequest {
  readonly url: URL;
  readonly limits: SandboxLimits;
  /** Fetch it again, although it lies in Deno's cache. */
  readonly reload: boolean;
  /** Gets the lines that the policy prints. */
  readonly onPrint: (line: string) => void;
}

/** Lines that a policy may print. */
const PRINTED_LINES = 100;

/** Errors that keep their class on the way out of a sandbox. */
const ERRORS = { OptionError, BudgetError, EvidenceError } as const;

/**
 * Fetches a plugin and starts a process for it. Nothing of the plugin has run yet.
 *
 * @throws {PolicyError} If it cannot be fetched or the process cannot be started.
 */
export async function startSandbox(request: SandboxRequest): Promise<Sandbox> {
  const { url, limits, reload } = request;
  await fetchModules(url, { reload });
  const files = url.protocol === "file:" ? await localFiles(url) : [];
  const program = `const createPeer = ${createPeer}; const describePolicy = ${describePolicy};` +
    `const members = ${JSON.stringify(POLICY_MEMBERS)};` +
    // The number makes it a program of its own, for which Deno has stored nothing.
    `(${runInside})({ createPeer, describePolicy, members }); // ${crypto.randomUUID()}`;
  const child = started(
    () => lockedCommand(url, { program, memory: limits.memory, files }).spawn(),
    url,
  );
  child.unref();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.getReader();
  let printed = 0;
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  const peer = createPeer({
    read: readerOf(reader, async () => {
      child.ref();
      return new Error(endOf(await child.status, limits.memory));
    }),
    write: (bytes) => writer.write(bytes),
    errorOf(name, message) {
      const text = oneLine(message);
      const known = Object.entries(ERRORS).find(([one]) => one === name)?.[1];
      return known ? new known(text) : new Error(text);
    },
    onPrint: (text) => void (printed++ < PRINTED_LINES && request.onPrint(oneLine(text))),
    onEnd: kill,
  });
  return {
    peer,
    async limited(doing, answer) {
      const late = () =>
        peer.end(
          new PolicyError(
            `Policy ${url.href} was stopped: it ${doing} within ${limits.time / 1000} seconds; ` +
              "make it faster, or trust it if you know its author",
          ),
        );
      const timer = setTimeout(late, limits.time);
      try {
        return await answer();
      } finally {
        clearTimeout(timer);
      }
    },
    async [Symbol.asyncDispose]() {
      peer.end(new PolicyError(`Policy ${url.href} is closed; load it again`));
      child.ref();
      await child.status;
      // Its pipes may be broken already.
      await Promise.allSettled([writer.abort(), reader.cancel()]);
    },
  };
}

/** Reads exact numbers of bytes from a stream of pieces. */
function readerOf(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  atEnd: () => Promise<Error>,
): (size: number) => Promise<Bytes> {
  let rest = new Uint8Array(0);
  return async (size) => {
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      if (rest.length === 0) {
        const { done, value } = await reader.read();
        if (done) throw await atEnd();
        rest = new Uint8Array(value);
      }
      const piece = rest.subarray(0, size - filled);
      bytes.set(piece, filled);
      filled += piece.length;
      rest = rest.subarray(piece.length);
    }
    return bytes;
  };
}

/** Why a process that should go on is gone. */
function endOf({ code, signal }: Deno.CommandStatus, memory: number): string {
  if (signal === null && code < 128) return `it ended its process with exit code ${code}`;
  const limit = `${Math.round(memory / 2 ** 20)} MiB`;
  return `its process died (${signal ?? `exit code ${code}`}), most likely because it took more ` +
    `than ${limit} of memory`;
}
